"""Every road to a quantized ONNX file, against onnxruntime."""

import numpy as np
import pytest

import tilewright as tw
from tests.compiler.importers.onnx.exact import noise_by_layer
from tests.compiler.importers.onnx.roads import (
    OF_INTEGERS,
    ROADS,
    apart,
    by_runtime,
    differences,
    golden,
    images_of,
    in_float64,
    inexact,
    steps,
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
    # One pixel of onnxruntime's first layer is off, and 23 results with it.
    path, images = ROADS["onnxruntime"](tmp_path, 3), images_of(3, 128)
    images, results = golden(path, images)
    runtime, exact = by_runtime(str(path), images), in_float64(path, images)
    different, _total, largest = apart(results, runtime)
    assert (different > 0, largest) == (True, 1)
    assert apart(results, exact)[0] < different / 10
    for (grid, have), one, other in zip(results, runtime, exact, strict=True):
        either = (have.reshape(one.shape) == steps(grid, w) for w in (one, other))
        assert np.logical_or(*either).all()
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
