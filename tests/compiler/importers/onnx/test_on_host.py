"""What the engine turns out not to have goes to the host; what it has been thought not to have."""

import numpy as np
import pytest
import torch
from onnx import helper

import tilewright as tw
from tests.compiler.importers.onnx.build import quantizers, save, weights
from tests.compiler.importers.onnx.roads import by_runtime
from tilewright.compiler.quantized import ops as q

SHAPE = (4, 6, 10)
ENGINE = tw.EngineConfig(rows=4, cols=4, multiplier_width=31, tables=1)
RNG = np.random.default_rng(17)


def node(kind, *inputs, out="m", **attributes):
    return helper.make_node(kind, inputs, [out], name=f"{kind.lower()}.{out}", **attributes)


def integers(*shape, low=-127, high=127, kind=np.int8):
    return RNG.integers(low, high + 1, shape).astype(kind)


def between(middle, constants=(), *, shape=SHAPE, to=4, rank=4, scale=0.031371):
    """Return nodes and constants: a layer, its quantizers, ``middle`` from r to m, a layer."""
    first, c0 = quantizers("a", "x", 0.0283113, np.int8(-3))
    w, c1 = weights("w", integers(4, shape[0], *(1,) * (len(shape) - 1)), 0.006137)
    r, c2 = quantizers("r", "c", 0.0371913, np.int8(5))
    q, c3 = quantizers("q", "m", scale, np.int8(-7))
    v, c4 = weights("v", integers(5, to, *(1,) * (rank - 2)), 0.00471)
    y, c5 = quantizers("y", "d", 0.0517371, np.int8(1))
    nodes = [
        *first, *w, node("Conv", "a", "w", out="c"), *r, *middle, *q, *v,
        helper.make_node("Conv", ["q", "v"], ["d"], name="last"), *y,
    ]  # fmt: skip
    return nodes, {**c0, **c1, **c2, **c3, **c4, **c5, **dict(constants)}


def matrix():
    """Return tokens, a norm and a matrix of constants, back to an image."""
    w, constants = weights("k", integers(4, 4), 0.00617)
    names = {"flat": [0, 4, -1], "image": [0, 4, 6, 10]}
    constants |= {k: np.array(v, np.int64) for k, v in names.items()}
    constants |= {"one": np.ones(4, np.float32), "zero": np.zeros(4, np.float32)}
    q, more = quantizers("u", "n", 0.0213, np.int8(3))
    after, last = quantizers("p", "o", 0.0171, np.int8(-7))
    middle = [
        node("Reshape", "r", "flat", out="f"),
        helper.make_node("Transpose", ["f"], ["t"], name="tokens", perm=[0, 2, 1]),
        node("LayerNormalization", "t", "one", "zero", out="n"),
        *q, *w, node("MatMul", "u", "k", out="o"), *after,
        helper.make_node("Transpose", ["p"], ["b"], name="back", perm=[0, 2, 1]),
        node("Reshape", "b", "image"),
    ]  # fmt: skip
    return middle, {**constants, **more, **last}


def dropped():
    """Return what the host has not beside what it has: Dropout does nothing, batch norms stay."""
    names = {k: np.abs(RNG.standard_normal(4)).astype(np.float32) for k in "ijkl"}
    middle = [
        node("LRN", "r", size=3, out="lrn"), node("Dropout", "lrn", out="drop"),
        node("BatchNormalization", "drop", *"ijkl"),
    ]  # fmt: skip
    return between(middle, names, scale=0.0531371)


MIDDLE = {
    "Dropout": dropped,
    "Softmax": lambda: between([node("Softmax", "r", axis=1)]),
    "LRN": lambda: between([node("LRN", "r", size=3)]),
    "MatMul of tokens behind a norm": lambda: between(*matrix()),
}  # fmt: skip


def compared(folder, nodes, constants, host, shape=SHAPE, outputs=("y",)):
    """Return the largest difference from onnxruntime's results, and the program."""
    path = save(folder, nodes, shape, constants, outputs=outputs)
    program = tw.compile(path, None, tw.Target(engine=ENGINE), host=host)
    scale = np.float32(constants.get("a.scale", 1))
    x = (integers(3, *shape, low=-40, high=40).astype(np.float32)) * scale
    (wanted,) = by_runtime(str(path), x)
    (have,) = tw.simulate(program, x, backend="golden").dequantized()
    return float(np.abs(have - wanted).max()), program


@pytest.mark.parametrize("case", MIDDLE)
def test_the_middle_on_the_host(case, tmp_path):
    apart, program = compared(tmp_path, *MIDDLE[case](), "anywhere")
    assert isinstance(program, tw.HostedProgram)
    # Softmax has a kernel of integers in onnxruntime, which may be a step of its own off.
    assert apart <= (0.06 if case == "Softmax" else 1e-6)


@pytest.mark.parametrize("case", MIDDLE)
def test_the_middle_is_refused_with_the_way_out(case, tmp_path):
    nodes, constants = MIDDLE[case]()
    path = save(tmp_path, nodes, SHAPE, constants)
    with pytest.raises(tw.UnsupportedError, match='host="anywhere"'):
        tw.read_onnx(path)
    with pytest.raises(tw.UnsupportedError) as caught:
        tw.read_onnx(path, host="never")
    assert "anywhere" not in str(caught.value)


def test_what_is_before_the_first_quantizer_is_the_hosts(tmp_path):
    before, c0 = quantizers("a", "b", 0.0283113, np.int8(-3))
    w, c1 = weights("w", integers(4, 4, 1, 1), 0.006137)
    after, c2 = quantizers("y", "c", 0.0517371, np.int8(1))
    nodes = [
        node("Sub", "x", "mean", out="b"),
        *before,
        *w,
        node("Conv", "a", "w", out="c"),
        *after,
    ]
    constants = {**c0, **c1, **c2, "mean": np.float32([[[0.11]], [[0.2]], [[-0.3]], [[0.07]]])}
    apart, program = compared(tmp_path, nodes, constants, "edges")
    assert isinstance(program, tw.HostedProgram)
    assert apart <= 1e-6


def test_what_is_behind_the_last_quantizer_is_the_hosts(tmp_path):
    before, c0 = quantizers("a", "x", 0.0283113, np.int8(-3))
    w, c1 = weights("w", integers(4, 4, 1, 1), 0.006137)
    after, c2 = quantizers("b", "c", 0.0517371, np.int8(1))
    nodes = [*before, *w, node("Conv", "a", "w", out="c"), *after, node("Tanh", "b", out="y")]
    apart, program = compared(tmp_path, nodes, {**c0, **c1, **c2}, "edges")
    assert isinstance(program, tw.HostedProgram)
    assert apart <= 1e-6


def added(constant, function="Add"):
    w, constants = weights("k", constant, 0.0137)
    constants["k.zero"] = np.array(0, constant.dtype)
    return between([*w, node(function, "r", "k")], constants)


def squeezed(signed):
    kind, zero = (np.int8, -128) if signed else (np.uint8, 0)
    g, c0 = quantizers("g", "p", 0.0311, np.int8(4))
    s, c1 = quantizers("s", "t", 1 / 255, kind(zero))
    middle = [
        node("GlobalAveragePool", "r", out="p"), *g, node("Sigmoid", "g", out="t"), *s,
        node("Mul", "r", "s"),
    ]  # fmt: skip
    return between(middle, {**c0, **c1}, scale=0.02713)


def pixel_by_pixel():
    """Return a SiLU of one pixel, whose factors have zero points too."""
    g, c0 = quantizers("g", "p", 0.0311, np.int8(4))
    s, c1 = quantizers("s", "t", 1 / 255, np.int8(-128))
    h, c2 = quantizers("h", "u", 0.0137, np.int8(-60))
    middle = [
        node("GlobalAveragePool", "r", out="p"), *g, node("Sigmoid", "g", out="t"), *s,
        node("Mul", "g", "s", out="u"), *h, node("Mul", "r", "h"),
    ]  # fmt: skip
    return between(middle, {**c0, **c1, **c2}, scale=0.02713)


def from_the_left():
    w, constants = weights("k", integers(4, 4), 0.00617)
    names = {"flat": [0, 4, -1], "image": [0, 4, 6, 10]}
    constants |= {k: np.array(v, np.int64) for k, v in names.items()}
    q, more = quantizers("u", "f", 0.0371913, np.int8(5))
    middle = [
        node("Reshape", "r", "flat", out="f"), *q, *w, node("MatMul", "k", "u", out="b"),
        node("Reshape", "b", "image"),
    ]  # fmt: skip
    return between(middle, {**constants, **more})


def dilated():
    w, constants = weights("k", integers(4, 4, 2, 2), 0.00217)
    middle = [*w, node("ConvTranspose", "r", "k", dilations=[2, 3], strides=[1, 2])]
    return between(middle, constants)


def scalar():
    """Return a scale that is computed from a constant without dimensions."""
    names = {"one": np.float32(0.7), "one.scale": np.float32(0.003), "one.zero": np.int8(-11)}
    middle = [
        helper.make_node("QuantizeLinear", ["one", "one.scale", "one.zero"], ["i"], name="oq"),
        helper.make_node("DequantizeLinear", ["i", "one.scale", "one.zero"], ["o"], name="od"),
        node("Mul", "r", "o"),
    ]
    return between(middle, names)


ENGINES = {
    "Add of a map": lambda: added(integers(4, 6, 10)),
    "Add of uint8 channels": lambda: added(integers(4, 1, 1, low=0, high=255, kind=np.uint8)),
    "Sub of rows": lambda: added(integers(6, 1), "Sub"),
    "Mul by columns": lambda: added(integers(10), "Mul"),
    "squeeze and excite, int8": lambda: squeezed(True),
    "squeeze and excite, uint8": lambda: squeezed(False),
    "SiLU of one pixel": pixel_by_pixel,
    "MatMul from the left": from_the_left,
    "dilated ConvTranspose": dilated,
    "MaxPool, ceil_mode beyond half a window": lambda: between(
        [node("MaxPool", "r", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, ceil_mode=1)]
    ),
    "Transpose": lambda: between([node("Transpose", "r", perm=[0, 3, 2, 1])], to=10),
    "a constant without dimensions": scalar,
}  # fmt: skip


@pytest.mark.parametrize("case", ENGINES)
def test_on_the_engine(case, tmp_path):
    apart, program = compared(tmp_path, *ENGINES[case](), "never")
    assert isinstance(program, tw.Program)
    assert apart <= 1e-6


def test_a_norm_of_several_operators_is_the_hosts(tmp_path):
    # Its variance was put on a grid of 8 bits: -6 dB were left.
    constants = {"w": RNG.standard_normal((8, 4, 1, 1)), "v": RNG.standard_normal((4, 8, 1, 1))}
    constants |= {"two": 2.0, "e": 1e-5}
    constants = {name: np.asarray(value, np.float32) for name, value in constants.items()}
    nodes = [
        node("Conv", "x", "w", out="c"), node("ReduceMean", "c", out="a", axes=[1]),
        node("Sub", "c", "a", out="d"), node("Pow", "d", "two", out="p"),
        node("ReduceMean", "p", out="b", axes=[1]), node("Add", "b", "e", out="f"),
        node("Sqrt", "f", out="g"), node("Div", "d", "g", out="n"),
        node("Conv", "n", "v", out="y"),
    ]  # fmt: skip
    path = save(tmp_path, nodes, SHAPE, constants)
    x = RNG.standard_normal((8, *SHAPE)).astype(np.float32)
    network = tw.quantize(path, [torch.from_numpy(x)], host="anywhere")
    (wanted,) = by_runtime(str(path), x)
    noise = network(torch.from_numpy(x)).numpy() - wanted
    assert 10 * np.log10((wanted**2).sum() / (noise**2).sum()) > 25
    (part,) = [op for op in network.graph.ops if isinstance(op, q.Host)]
    assert len(part.model.operators) == 7
