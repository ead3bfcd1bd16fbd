"""Trained networks of MLPerf Tiny: every layer is the reference kernels' own, every element.

Two of the four are in examples/mlperf_tiny; all are looked for in TILEWRIGHT_MLPERF_TINY.
"""

import numpy as np
import pytest
import torch

import tilewright as tw
from examples.mlperf_tiny.networks import MODELS, found, images, labelled, quality
from examples.mlperf_tiny.reference import compare
from tilewright.compiler.importers.tflite.file import read_file
from tilewright.errors import Error

KWS = MODELS / "kws.tflite"


@pytest.mark.parametrize(("network", "path"), list(found()), ids=lambda v: getattr(v, "name", ""))
def test_no_element_of_any_layer_differs(network, path):
    result = compare(path.read_bytes(), images(path, 4))
    assert len(result.names) == network.layers
    assert result.elements
    assert not result.different


def test_keyword_spotting_runs_as_the_model_says(tmp_path):
    model = tw.read_tflite(KWS)
    assert model.host == (("SOFTMAX", "Identity"),)
    engine = tw.EngineConfig(rows=8, cols=5, multiplier_width=31, rounding="double")
    program = tw.compile(model, None, tw.Target(engine=engine))
    x = model(reals(KWS))
    result = tw.simulate(program, reals(KWS), backend="isa")
    assert isinstance(program, tw.HostedProgram)
    np.testing.assert_allclose(result.dequantized()[0], x.numpy(), rtol=1e-6)
    again = tw.QuantizedModel.load(model.save(tmp_path / "kws.tw"))
    assert again.graph.rounding == "double"
    assert again(reals(KWS)).equal(x)


def reals(path):
    tensor = read_file(path.read_bytes()).tensors[0]
    (image,) = images(path, 1)
    values = tensor.scales[0] * (image.astype(np.float32) - tensor.zero_points[0])
    return torch.from_numpy(values.transpose(0, 3, 1, 2).copy())


def test_quality_of_labelled_inputs(tmp_path):
    networks = {network.name: network for network, _ in found(MODELS)}
    outputs = np.array([[0.0, 2, 1], [3, 0, 0], [0, 0, 1]])
    assert quality(networks["kws"], outputs, outputs, np.array([1, 0, 1])) == pytest.approx(2 / 3)
    assert labelled(networks["kws"], tmp_path) is None
    np.savez(tmp_path / "kws.npz", inputs=np.zeros((1, 49, 10, 1)), labels=np.zeros(1))
    with pytest.raises(Error, match="must hold inputs, in int8, and labels"):
        labelled(networks["kws"], tmp_path)
