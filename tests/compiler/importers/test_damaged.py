"""A few damaged files; ``damaged`` has campaigns."""

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from tests.compiler.importers.damaged import campaign
from tests.compiler.importers.onnx.build import quantizers, save, weights

KWS = Path(__file__).parents[3] / "examples" / "mlperf_tiny" / "models" / "kws.tflite"


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_damaged_files_are_an_error_or_a_network(suffix, tmp_path):
    path = KWS
    if suffix == ".onnx":
        first, c0 = quantizers("a", "x")
        w, c1 = weights("w", np.ones((4, 3, 3, 3), np.int8), 0.01)
        last, c2 = quantizers("y", "s", 1 / 256)
        layers = [
            helper.make_node("Conv", ["a", "w"], ["c"], name="conv", pads=[1, 1, 1, 1]),
            helper.make_node("Softmax", ["c"], ["s"], name="softmax", axis=1),
        ]
        path = save(tmp_path, [*first, *w, *layers, *last], (3, 6, 6), {**c0, **c1, **c2})
    refused, wrong = campaign(path.read_bytes(), suffix, range(60), tmp_path)
    assert refused > 20
    assert not wrong
