"""A TFLite detector: a softmax in the middle for the host, the choice of boxes left out."""

import numpy as np
import pytest

import tilewright as tw
from tests.cli.run import invoke
from tests.compiler.importers.tflite.files import File

ENGINE = tw.EngineConfig(rows=2, cols=2, tables=1, multiplier_width=31, rounding="double")
SHARE = 1 / 256


def convolved(file, rng, x, shape, scale, zero, name):
    """Add a convolution of one tap; ``shape`` (K, C)."""
    w = file.tensor((shape[0], 1, 1, shape[1]), [0.01] * shape[0], name=f"{name}.weights",
                    data=rng.integers(-127, 128, (shape[0], 1, 1, shape[1])))  # fmt: skip
    b = file.tensor(shape[:1], data=rng.integers(-500, 500, shape[:1]), dtype=np.int32)
    y = file.tensor((1, 6, 6, shape[0]), scale, zero, name=name)
    file.op("CONV_2D", [x, w, b], [y], "Conv2DOptions", strideW=1, strideH=1)
    return y


def reshaped(file, x, shape, scale, zero):
    target = file.tensor((3,), data=shape, dtype=np.int32)
    y = file.tensor(shape, scale, zero)
    file.op("RESHAPE", [x, target], [y], "ReshapeOptions")
    return y


@pytest.fixture
def detector(tmp_path):
    file, rng = File(), np.random.default_rng(3)
    x = file.tensor((1, 6, 6, 3), 0.0237, -3, name="x")
    stem = convolved(file, rng, x, (4, 3), 0.0311, -11, "stem")
    shares = file.tensor((1, 6, 6, 4), SHARE, -128, name="shares")
    file.op("SOFTMAX", [stem], [shares], "SoftmaxOptions", beta=1.0)
    boxes = convolved(file, rng, shares, (4, 4), 0.0119, 2, "boxes")
    scores = convolved(file, rng, stem, (2, 4), 0.0153, 1, "scores")
    flat = reshaped(file, scores, (1, 36, 2), 0.0153, 1)
    sigmoid = file.tensor((1, 36, 2), SHARE, -128, name="sigmoid")
    file.op("LOGISTIC", [flat], [sigmoid])
    anchors = file.tensor((36, 4), 0.004, data=rng.integers(-100, 100, (36, 4)))
    chosen = [file.tensor(s, dtype=np.float32) for s in ((1, 5, 4), (1, 5), (1, 5), (1,))]
    file.graph.tensors[chosen[0]].name = b"chosen"
    file.op("CUSTOM", [reshaped(file, boxes, (1, 36, 4), 0.0119, 2), sigmoid, anchors], chosen)
    file.model.operatorCodes[-1].customCode = b"TFLite_Detection_PostProcess"
    path = tmp_path / "detector.tflite"
    path.write_bytes(file.data([x], chosen))
    return path


def test_compiles_and_gives_the_same_from_end_to_end(detector):
    program = tw.compile(detector, None, tw.Target(engine=ENGINE), host="anywhere")
    assert [name for name, _ in program.models] == ["shares"]
    image = program.random_image()
    golden, isa = (tw.simulate(program, image, backend=b).outputs for b in ("golden", "isa"))
    assert [x.shape for x in golden] == [(1, 36, 4), (1, 36, 2)]
    assert all(map(np.array_equal, golden, isa))


def test_says_what_is_left_out(detector, tmp_path):
    engine = ["rows=2", "cols=2", "tables=1", "multiplier_width=31", "rounding=double"]
    settings = [word for value in engine for word in ("--set", value)]
    shown = invoke("compile", detector, "-o", tmp_path / "d.tw", "--host", "anywhere", *settings)
    assert "chosen: TFLite_Detection_PostProcess is left out, results are what it reads" in shown


def test_is_refused_without_the_host(detector):
    with pytest.raises(tw.UnsupportedError, match=r'shares: .*host="anywhere"'):
        tw.read_tflite(detector)
    with pytest.raises(tw.UnsupportedError, match="shares: the operator SOFTMAX"):
        tw.read_tflite(detector, host="never")
