"""A family that nobody knows, added in two files and a board file, goes the whole way."""

import re
from pathlib import Path

import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tilewright.boards import BOARDS, catalog, families, get_board
from tilewright.boards.families import ecp5
from tilewright.errors import Error
from tilewright.hdl import families as hdl_families
from tilewright.hdl.families import ecp5 as hdl_ecp5

BOARD = """
from dataclasses import replace
from tilewright.boards.catalog.ulx3s import ULX3S_12F
from tilewright.isa import EngineConfig

BOARDS = (
    replace(
        ULX3S_12F,
        name="made-up",
        family="ecp6",
        engine=replace(ULX3S_12F.engine, rows=2, cols=2, dsp="ecp6"),
    ),
)
"""


@pytest.fixture
def ecp6(tmp_path, monkeypatch):
    """Add copies of the ECP5's two files, and of a board's, under another name."""
    for package, source in ((hdl_families, hdl_ecp5), (families, ecp5)):
        folder = tmp_path / package.__name__
        folder.mkdir()
        text = Path(source.__file__).read_text()
        text = re.sub(r'(name: ClassVar\[str\] = )"ecp5"', r'\1"ecp6"', text)
        (folder / "ecp6.py").write_text(text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    (tmp_path / "tilewright.hdl.families" / "ecp6.v").write_text(
        Path(hdl_ecp5.__file__).with_suffix(".v").read_text()
    )
    folder = tmp_path / "catalog"
    folder.mkdir()
    (folder / "made_up.py").write_text(BOARD)
    monkeypatch.setattr(catalog, "__path__", [*catalog.__path__, str(folder)])


@pytest.mark.slow
@pytest.mark.synth
@pytest.mark.usefixtures("ecp6")
def test_made_up_family_goes_from_a_board_to_verilog_and_cells(tmp_path):
    target = tw.Target.from_board("made-up")
    known = tw.Target(engine=ENGINES["2x2-bus32"])
    assert target.engine.dsp == "ecp6"
    text = tw.generate_verilog(target, tmp_path / "rtl").read_text()
    assert "MULT18X18D" in text
    assert "MULT18X18D" not in tw.generate_verilog(known, tmp_path / "known").read_text()
    result = tw.synthesize(target, tmp_path / "synthesis")
    # Two for each of two requantizers.
    assert result.resources["MULT18X18D"] == target.engine.multipliers + 4
    assert result.resources["DP16KD"] > 0


@pytest.mark.usefixtures("ecp6")
def test_made_up_family_is_among_those_there_are():
    assert get_board("made-up").family == "ecp6"
    with pytest.raises(Error, match="there are ecp5, ecp6, gowin, ice40, inferred"):
        hdl_families.get_family("ecp7")


def test_made_up_family_is_gone_again():
    assert "made-up" not in BOARDS.all()
    assert "ecp6" not in hdl_families.FAMILIES.all()
