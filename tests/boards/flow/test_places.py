"""What hdl has marked, by its name in the flat design."""

from dataclasses import replace

from tests.cosim.engines import ENGINES
from tilewright.boards.flow.places import marked_places
from tilewright.hdl.lib.place import Place
from tilewright.hdl.verilog import TOP, engine_rtlil


def test_marks_are_found_by_their_flat_names():
    text = r"""
attribute \tilewright_place "1 4 0"
module \leaf
  attribute \tilewright_place "2 4 1"
  attribute \src "somewhere"
  cell \MULT18X18D \mult
  end
  cell \OTHER \other
  end
  attribute \tilewright_place "3 4 0"
  memory width 8 size 16 \words
end
module \top
  cell \leaf \left
  end
  cell \leaf \right
  end
end
"""
    assert marked_places(text, "top") == {
        f"{side}.{name}": place
        for side in ("left", "right")
        for name, place in (("mult", Place(2, 4, 1)), ("words", Place(3, 4, 0)))
    }


def test_multipliers_and_buffers_of_an_engine_are_marked():
    config = replace(ENGINES["4x4-bus64"], tables=2)
    inferred = marked_places(engine_rtlil(config), TOP)
    lanes = [path for path in inferred if path.startswith("activations.lane_")]
    weights = [path for path in inferred if path.startswith("weights.")]
    results = [path for path in inferred if path.startswith("results.")]
    tables = [path for path in inferred if path.startswith("compute.drain.lookup_")]
    assert len(inferred) == len(lanes) + len(weights) + len(results) + len(tables)
    assert len(tables) == config.requantizer_count
    assert results
    assert len(lanes) == config.cols
