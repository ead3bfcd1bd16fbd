"""Networks of which the host computes parts: the engine's in between, from end to end."""

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import helper
from torch import nn

import tilewright as tw
from tests.boards.link.channel import Channel, Faults
from tests.cli.run import invoke
from tests.compiler.importers.onnx.build import quantizers, save, weights
from tests.cosim.engines import ENGINES
from tests.device.test_device import ModelBoard
from tilewright.api.hosted import same
from tilewright.boards.link.host import HostLink
from tilewright.device import Device
from tilewright.isa.registers import OFFSET

SEED = 11
ENGINE = ENGINES["8x7-bus32"]
TARGET = tw.Target(engine=ENGINE)
torch.set_num_threads(1)


def detector(folder):
    """Write a detector: a softmax over channels in the middle, the choice of boxes at the end."""
    rng = np.random.default_rng(SEED)
    constants = {
        "w0": rng.normal(size=(4, 3, 3, 3)) * 0.3,
        "w1": rng.normal(size=(4, 4, 1, 1)) * 2,
        "w2": rng.normal(size=(2, 4, 1, 1)) * 0.5,
        "iou": np.float32(0.5),
        "least": np.float32(0.4),
    }
    constants = {k: np.asarray(v, np.float32) for k, v in constants.items()}
    constants |= {"as boxes": np.array([1, 4, -1]), "as scores": np.array([1, 2, -1])}
    constants["most"] = np.array([3])
    nodes = [
        helper.make_node("Conv", ["x", "w0"], ["stem"], name="stem", pads=[1] * 4),
        helper.make_node("Relu", ["stem"], ["relu"], name="relu"),
        helper.make_node("Softmax", ["relu"], ["shares"], name="attend", axis=1),
        helper.make_node("Conv", ["shares", "w1"], ["boxes"], name="boxes"),
        helper.make_node("Conv", ["relu", "w2"], ["logits"], name="scores"),
        helper.make_node("Sigmoid", ["logits"], ["scores"], name="sigmoid"),
        helper.make_node("Reshape", ["boxes", "as boxes"], ["flat"], name="flat"),
        helper.make_node("Transpose", ["flat"], ["each box"], name="turn", perm=[0, 2, 1]),
        helper.make_node("Reshape", ["scores", "as scores"], ["each score"], name="scores flat"),
        helper.make_node(
            "NonMaxSuppression", ["each box", "each score", "most", "iou", "least"], ["chosen"],
            name="choose",
        ),
    ]  # fmt: skip
    return save(folder, nodes, (3, 6, 6), constants, ("chosen", "scores"))


def batches():
    return [torch.randn(8, 3, 6, 6, generator=torch.Generator().manual_seed(SEED))]


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    return tw.quantize(detector(tmp_path_factory.mktemp("net")), batches(), host="anywhere")


@pytest.fixture(scope="module")
def program(network):
    return tw.compile(network, None, TARGET, host="anywhere")


def test_a_detector_with_a_softmax_in_the_middle_is_verified_end_to_end(network, program):
    images = batches()[0][:2]
    done = tw.verify(program, images)
    golden, rtl = done.results["golden"], done.results["rtl"]
    assert len(rtl.parts) == 2
    assert done.cycles == rtl.cycles == sum(part.cycles for part in rtl.parts)
    for want, have in zip(network(images), golden.outputs, strict=True):
        if isinstance(want, list):
            assert same([x.numpy() for x in want], have)
            assert all(len(chosen) for chosen in have), "no boxes say nothing"
        else:
            np.testing.assert_allclose(have, want, rtol=1e-6)


def test_the_report_says_what_the_host_does_and_what_crosses(program):
    assert [str(model) for _, model in program.models] == [
        "host Softmax",
        "host NonMaxSuppression",
    ]
    crossings = {(x.name, x.to_host, x.elements) for x in program.crossings}
    assert ("relu", True, 4 * 36) in crossings
    assert ("attend.host", False, 4 * 36) in crossings
    figures = tw.estimate(program).figures
    assert figures["cycles"].value == tw.simulate(program, batches()[0][:1]).cycles
    assert figures["crossing"].value == sum(x.elements for x in program.crossings)
    assert 0 < figures["host share"].value < 0.2


def test_the_page_and_advice_are_of_all_parts(program, tmp_path):
    # Both were refused: "it has parts for the host, too".
    text = tw.report(program, tmp_path / "page.html").read_text()
    assert "network: the host" in text
    assert "network, part 2" in text
    assert "Softmax" in text
    advice = tw.advise(program)
    whole = tw.estimate(program).figures["cycles"].value
    assert {a.before.cycles for a in advice} == {whole}


def test_the_middle_is_refused_unless_asked_for(network, tmp_path):
    path = detector(tmp_path)
    with pytest.raises(tw.UnsupportedError, match=r'attend: Softmax.*host="anywhere"'):
        tw.quantize(path, batches())
    with pytest.raises(tw.UnsupportedError, match=r'attend.*middle.*host="anywhere"'):
        tw.compile(network, None, TARGET)
    with pytest.raises(tw.UnsupportedError, match="attend: Softmax"):
        tw.quantize(path, batches(), host="never")
    with pytest.raises(tw.UnsupportedError, match=r'attend.*host="anywhere"'):
        tw.compile(network, None, TARGET, host="never")


def classifier(folder, quantized=False):
    """Write a network whose last operators are for the host, of floats or quantized."""
    rng = np.random.default_rng(SEED)
    tail = [
        helper.make_node("Softmax", ["y"], ["shares"], name="softmax", axis=1),
        helper.make_node("ArgMax", ["y"], ["best"], name="best", axis=1, keepdims=0),
    ]
    if not quantized:
        w = {"w": rng.normal(size=(5, 3)).astype(np.float32)}
        nodes = [helper.make_node("Gemm", ["x", "w"], ["y"], name="fc", transB=1), *tail]
        return save(folder, nodes, (3,), w, ("shares", "best"))
    first, given = quantizers("xq", "x")
    second, own = quantizers("y", "sums")
    w, numbers = weights("w", rng.integers(-127, 128, (3, 5)).astype(np.int8), 0.01, axis=1)
    nodes = [*first, *w, helper.make_node("MatMul", ["xq", "w"], ["sums"], name="fc")]
    constants = given | own | numbers
    return save(folder, [*nodes, *second, *tail], (3,), constants, ("shares", "best"))


@pytest.mark.parametrize("quantized", [False, True])
def test_what_follows_the_engine_is_the_hosts_by_default(quantized, tmp_path):
    path = classifier(tmp_path, quantized)
    x = torch.randn(9, 3, generator=torch.Generator().manual_seed(SEED))
    network = tw.read_onnx(path) if quantized else tw.quantize(path, [x])
    program = tw.compile(network, None, TARGET)
    shares, best = tw.simulate(program, x).outputs
    assert shares.shape == (9, 5)
    np.testing.assert_allclose(shares.sum(1), 1, rtol=1e-5)
    assert np.array_equal(best, shares.argmax(1))
    assert tw.evaluate(program, (x, best)).value == 1


def test_a_quantized_file_keeps_quantizers_between_the_hosts_operators(tmp_path):
    rng = np.random.default_rng(SEED)
    first, c0 = quantizers("xq", "x")
    mid, c1 = quantizers("y", "sums", 0.0371)
    softmax, c2 = quantizers("sq", "shares", 1 / 256, np.int8(-128))
    norm, c3 = quantizers("nq", "norm", 1 / 64)
    last, c4 = quantizers("z", "sums2", 0.0237)
    w, c5 = weights("w", rng.integers(-127, 128, (4, 3, 1, 1)).astype(np.int8), 0.01)
    v, c6 = weights("v", rng.integers(-127, 128, (4, 4, 1, 1)).astype(np.int8), 0.02)
    nodes = [
        *first, *w, helper.make_node("Conv", ["xq", "w"], ["sums"], name="a"), *mid,
        helper.make_node("Softmax", ["y"], ["shares"], name="softmax", axis=1), *softmax,
        helper.make_node("LpNormalization", ["sq"], ["norm"], name="norm", axis=1), *norm,
        *v, helper.make_node("Conv", ["nq", "v"], ["sums2"], name="b"), *last,
    ]  # fmt: skip
    path = save(tmp_path, nodes, (3, 2, 2), c0 | c1 | c2 | c3 | c4 | c5 | c6, ("z",))
    program = tw.compile(path, None, TARGET, host="anywhere")
    x = rng.normal(size=(20, 3, 2, 2)).astype(np.float32)
    have = tw.simulate(program, x).outputs[0]
    (want,) = onnxruntime.InferenceSession(str(path)).run(None, {"x": x})
    assert len(program.programs) == 2
    np.testing.assert_allclose(have, want, atol=1e-5)


def test_programs_and_networks_come_back_from_their_files(network, program, tmp_path):
    images = batches()[0][:2]
    expected = tw.simulate(program, images, backend="golden").outputs
    again = tw.load(program.save(tmp_path / "net.tw"))
    found = tw.simulate(again, images, backend="golden").outputs
    assert all(map(same, expected, found))
    network.save(tmp_path / "q.pt")
    other = tw.compile(tw.QuantizedModel.load(tmp_path / "q.pt"), None, TARGET, host="anywhere")
    assert all(map(same, expected, tw.simulate(other, images, backend="golden").outputs))
    with pytest.raises(tw.Error, match=r"tw\.load"):
        tw.Program.load(tmp_path / "net.tw")


class Boards(ModelBoard):
    """A board that runs whichever program lies where BASE says."""

    def __init__(self, programs, places):
        super().__init__(programs[0])
        self.there = {base: p for p, bases in zip(programs, places, strict=True) for base in bases}

    def wrote(self, offset, word):
        self.program = self.there.get(self.registers.get(OFFSET["BASE"], 0), self.program)
        super().wrote(offset, word)


def test_a_board_runs_the_engines_parts(program):
    sizes = [-(-p.image.size // 4096) * 4096 for p in program.programs]
    places = [(0, sum(sizes)), (sizes[0], sizes[0] + sum(sizes))]
    board = Boards(program.programs, places)
    device = Device(HostLink(Channel(board, Faults(), 5), patience=0.0), name="model")
    device.load(program)
    images = batches()[0][:3]
    result = device.run(images)
    expected = tw.simulate(program, images, backend="golden").outputs
    assert all(map(same, expected, result.outputs))
    assert device.compare(result, images).elements > 0
    assert set(board.runs) == {base for bases in places for base in bases}


class Ranked(nn.Module):
    """A running sum in the middle; the two best at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        y = torch.cumsum(torch.relu(self.a(x)).view(x.shape[0], 4, 4, 4), 1) * 0.3
        scores = self.fc(self.b(y).mean((2, 3)))
        return scores, *torch.topk(scores, 2, 1)


def test_a_float_modules_parts_are_exported():
    torch.manual_seed(SEED)
    network = tw.quantize(Ranked(), batches(), host="anywhere")
    program = tw.compile(network, None, TARGET, host="anywhere")
    images = batches()[0][:3]
    result = tw.simulate(program, images)
    shares, values, places = result.outputs
    assert [array.shape for array in result.outputs] == [(3, 5), (3, 2), (3, 2)]
    best = np.take_along_axis(shares, places, 1)
    np.testing.assert_allclose(values, best, rtol=1e-6)
    for want, have in zip(network(images), result.outputs, strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-6)
    kinds = {kind for _, model in program.models for kind, _ in model.operators}
    assert {"CumSum", "TopK"} <= kinds
    with pytest.raises(tw.UnsupportedError, match=r'cumsum.*host="anywhere"'):
        tw.quantize(Ranked(), batches())


def test_the_command_line_takes_the_option(tmp_path):
    path = detector(tmp_path)
    np.savez(tmp_path / "images.npz", x=batches()[0].numpy())
    common = ["quantize", path, "--inputs", tmp_path / "images.npz", "-o", tmp_path / "q.pt"]
    assert invoke(*common, "--host", "anywhere").rstrip().endswith("q.pt --host anywhere")
    engine = ["--set", "rows=2", "--set", "cols=2", "--set", "tables=1"]
    shown = invoke(
        "compile", tmp_path / "q.pt", "-o", tmp_path / "net.tw", *engine, "--host", "anywhere"
    )
    assert "attend: host Softmax" in shown
    assert "attend.host: 144 elements of 8 bits from the host" in shown
    info = invoke("info", tmp_path / "net.tw")
    assert "host NonMaxSuppression" in info
    assert "(?, 3) for each image │ int64" in info
    invoke("simulate", tmp_path / "net.tw", "--backend", "golden", "-o", tmp_path / "out.npz")
    assert {"output.0.0", "output.1"} <= set(np.load(tmp_path / "out.npz"))
