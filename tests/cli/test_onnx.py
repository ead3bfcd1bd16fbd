"""Networks in ONNX on the command line."""

import numpy as np
import pytest
from onnx import helper

import tilewright as tw
from tests.cli.run import invoke, refused
from tests.compiler.importers.onnx.build import quantizers, save, weights

RNG = np.random.default_rng(3)
SHAPE = (3, 6, 6)


@pytest.fixture
def float_file(tmp_path):
    w = RNG.standard_normal((4, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="stem"),
        helper.make_node("Relu", ["c"], ["y"], name="act"),
    ]
    return save(tmp_path, nodes, SHAPE, {"w": w})


@pytest.fixture
def quantized_file(tmp_path):
    (tmp_path / "q").mkdir()
    before, first = quantizers("a", "x")
    w, second = weights("w", RNG.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8), 0.01)
    layer = helper.make_node("Conv", ["a", "w"], ["c"], name="stem")
    after, third = quantizers("y", "c", 0.2)
    nodes = [*before, *w, layer, *after]
    return save(tmp_path / "q", nodes, SHAPE, {**first, **second, **third})


def test_a_quantized_file_compiles(quantized_file, tmp_path):
    path = tmp_path / "net.tw"
    invoke("compile", quantized_file, "-o", path, "--set", "rows=2", "--set", "cols=2")
    assert "stem" in invoke("info", path)


@pytest.mark.parametrize("form", ["npz", "npy"])
def test_a_float_file_is_calibrated(float_file, tmp_path, form):
    images = RNG.standard_normal((20, *SHAPE)).astype(np.float32)
    data, path = tmp_path / f"images.{form}", tmp_path / "q.pt"
    if form == "npz":
        np.savez(data, x=images, labels=np.zeros(20))
    else:
        np.save(data, images)
    output = invoke("quantize", float_file, "--inputs", data, "-o", path)
    assert "stem" in output
    program = tw.compile(path, None, tw.Target(engine=tw.EngineConfig(rows=2, cols=2)))
    assert [layer.name for layer in program.layers] == ["stem"]


def test_what_does_not_fit_is_one_line(float_file, quantized_file, tmp_path, capsys):
    images = tmp_path / "images.npz"
    np.savez(images, other=np.zeros((2, *SHAPE), np.float32))
    assert "a float network. Quantize it first" in refused(capsys, "compile", float_file)
    assert "--inputs images.npz" in refused(capsys, "quantize", float_file)
    assert "is quantized already" in refused(capsys, "quantize", quantized_file)
    found = refused(capsys, "quantize", float_file, "--inputs", images)
    assert found == f"{images} has the arrays 'other'; the network takes x"
    np.savez(images, x=np.zeros((2, *SHAPE), np.int8))
    assert "not float images" in refused(capsys, "quantize", float_file, "--inputs", images)
    images.write_text("no archive")
    assert "not a .npz file" in refused(capsys, "quantize", float_file, "--inputs", images)
    assert "--inputs is for ONNX" in refused(capsys, "quantize", "a.py:f", "--inputs", images)
