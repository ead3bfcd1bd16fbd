"""Every road to a quantized ONNX file, against onnxruntime."""

import numpy as np
import pytest

import tilewright as tw
from tests.compiler.importers.onnx.exact import noise_by_layer
from tests.compiler.importers.onnx.roads import (
    OF_INTEGERS,
    ROADS,
    differences,
    images_of,
    inexact,
)


@pytest.mark.parametrize("road", ROADS)
def test_gives_what_onnxruntime_gives(road, tmp_path):
    path = ROADS[road](tmp_path)
    different, total, largest = differences(path, images_of(1, 6))
    assert largest <= 1
    assert different == 0, f"{different} of {total}, seed 1; roads.main() counts more of them"
    if road != OF_INTEGERS:  # in float64, too, where a tie is one
        assert inexact(path, images_of(1, 6))[0] == 0


def test_is_the_file_s_arithmetic_where_onnxruntime_s_float32_is_not(tmp_path):
    # One pixel of onnxruntime's first layer is off, and 25 results with it.
    path, images = ROADS["onnxruntime"](tmp_path, 3), images_of(3, 128)
    different, _total, largest = differences(path, images)
    assert (different > 0, largest) == (True, 1)
    assert inexact(path, images)[0] == 0
    noise, layers = noise_by_layer(path, images)
    assert 0 < noise < layers * 1e-5


def test_runs_on_an_engine_with_the_nodes_as_layers(tmp_path):
    engine = tw.EngineConfig(rows=4, cols=4, multiplier_width=31)
    program = tw.compile(ROADS["Brevitas"](tmp_path), None, tw.Target(engine=engine))
    assert [layer.name for layer in program.layers] == ["/1/Conv", "/3/Conv", "/5/Conv"]
    assert program.graph.values["/1/Conv"].bits == 4  # by the Clip behind its quantizer
    images = images_of(2, 2)
    golden, isa = (tw.simulate(program, images, backend=name) for name in ("golden", "isa"))
    np.testing.assert_array_equal(golden.outputs[0], isa.outputs[0])
