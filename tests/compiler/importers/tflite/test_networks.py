"""Trained networks of MLPerf Tiny: every layer is the reference kernels' own, every element.

Two of the four are here; the others are looked for in the folder TILEWRIGHT_MLPERF_TINY.
"""

import os
from pathlib import Path

import numpy as np
import pytest

import tilewright as tw
from tests.compiler.importers.tflite.compare import compared
from tilewright.compiler.importers.tflite.file import read_file

OWN = Path(__file__).parents[4] / "examples" / "mlperf_tiny" / "models"
FOLDER = Path(os.environ.get("TILEWRIGHT_MLPERF_TINY", OWN))
#: Layers that the engine computes.
LAYERS = {"kws": 11, "ic": 14, "vww": 29, "ad": 10}


def networks():
    return [(name, p) for name in LAYERS if (p := FOLDER / f"{name}.tflite").is_file()]


def images(path, count):
    """Noise, and what is smooth, as images and spectra are, around the input's zero point."""
    tensor = read_file(path.read_bytes()).tensors[read_file(path.read_bytes()).inputs[0]]
    rng = np.random.default_rng(0)
    for number in range(count):
        x = rng.normal(0, 1, tensor.shape)
        for axis in range(1, x.ndim - 1) if number % 2 else ():
            x = np.cumsum(x, axis) / np.sqrt(np.arange(1, x.shape[axis] + 1).mean())
        x = x * rng.uniform(10, 90) + rng.uniform(-60, 60)
        yield np.clip(np.rint(x), -128, 127).astype(np.int8)


@pytest.mark.parametrize(("name", "path"), networks())
def test_no_element_of_any_layer_differs(name, path):
    elements, different, names = compared(path.read_bytes(), images(path, 4))
    assert len(names) == LAYERS[name]
    assert elements
    assert not different


def test_keyword_spotting_runs_as_the_model_says(tmp_path):
    model = tw.read_tflite(OWN / "kws.tflite")
    assert model.host == (("SOFTMAX", "Identity"),)
    engine = tw.EngineConfig(rows=8, cols=5, multiplier_width=31, rounding="double")
    program = tw.compile(model, None, tw.Target(engine=engine))
    x = model(np_tensor(OWN / "kws.tflite"))
    result = tw.simulate(program, np_tensor(OWN / "kws.tflite"), backend="isa")
    np.testing.assert_allclose(result.dequantized()[0], x.numpy(), rtol=1e-6)
    again = tw.QuantizedModel.load(model.save(tmp_path / "kws.tw"))
    assert again.graph.rounding == "double"
    assert again(np_tensor(OWN / "kws.tflite")).equal(x)


def np_tensor(path):
    import torch

    tensor = read_file(path.read_bytes()).tensors[0]
    (image,) = images(path, 1)
    reals = tensor.scales[0] * (image.astype(np.float32) - tensor.zero_points[0])
    return torch.from_numpy(reals.transpose(0, 3, 1, 2).copy())
