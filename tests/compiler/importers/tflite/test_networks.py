"""Trained networks of MLPerf Tiny: every layer is the reference kernels' own, every element.

Two of the four are in examples/mlperf_tiny; all are looked for in TILEWRIGHT_MLPERF_TINY.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

import tilewright as tw
from examples.mlperf_tiny.energyrunner import read, windows
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


def test_inputs_of_energyrunner_are_as_the_networks_take_them(tmp_path):
    rng = np.random.default_rng(0)
    features, image = rng.integers(-128, 128, 490), rng.integers(0, 256, (32, 32, 3))
    for folder, data in (("kws01", features.astype(np.int8)), ("ic01", image.astype(np.uint8))):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.bin").write_bytes(data.tobytes())
        (tmp_path / folder / "y_labels.csv").write_text("a.bin,12,7\n")
    inputs, labels = read(tmp_path / "kws01", KWS)
    np.testing.assert_array_equal(inputs, features.reshape(1, 49, 10, 1))
    assert labels.tolist() == [7]
    inputs, _ = read(tmp_path / "ic01", MODELS / "ic.tflite")
    np.testing.assert_array_equal(inputs[0], image - 128)
    (tmp_path / "ic01" / "y_labels.csv").write_text("b.bin,12,7\n")
    with pytest.raises(Error, match=r"y_labels\.csv: 'b.bin,12,7': .*No such file"):
        read(tmp_path / "ic01", MODELS / "ic.tflite")


def test_an_anomalys_score_is_the_mean_of_its_windows():
    spectrogram = np.arange(12, dtype=np.int8)
    assert windows(spectrogram, 6, 2).tolist() == [
        list(range(first, first + 6)) for first in (0, 2, 4, 6)
    ]
    network = replace(next(found(MODELS))[0], measure="AUC")
    # Two windows each: the second input's largest error is in its second window.
    inputs = np.zeros((4, 3))
    outputs = np.array([[1.0, 1, 1], [1, 1, 1], [0, 0, 0], [3, 3, 3]])
    assert quality(network, inputs, outputs, np.array([0, 1])) == 1
    assert quality(network, inputs, outputs, np.array([1, 0])) == 0
