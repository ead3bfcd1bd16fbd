"""Quantizers of all kinds, in integers, against onnxruntime; and those that are refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import tilewright as tw
from tests.compiler.importers.onnx.build import quantizers, save, weights
from tests.compiler.importers.onnx.roads import by_runtime, differences

SHAPE = (4, 8, 10)
RNG = np.random.default_rng(11)


def integers(*shape, kind=np.int8, low=-127, high=127):
    return RNG.integers(low, high + 1, shape).astype(kind)


def layered(folder, middle, constants=(), out=0.11377, zero=-5, opset=17, shape=SHAPE):
    """Write a model of nodes that lead from a to c, between quantizers."""
    before, first = quantizers("a", "x")
    after, last = quantizers("y", "c", out, np.int8(zero))
    return save(
        folder, [*before, *middle, *after], shape, {**first, **dict(constants), **last}, opset=opset
    )


def conv(weight=None, scale=None, **attributes):
    weight = integers(6, 4, 3, 3) if weight is None else weight
    scale = RNG.uniform(0.001, 0.01, len(weight)) if scale is None else scale
    nodes, constants = weights("w", weight, scale)
    return [
        *nodes,
        helper.make_node("Conv", ["a", "w"], ["c"], name="conv", **attributes),
    ], constants


def biased():
    nodes, constants = weights("w", integers(6, 4, 3, 3), 0.010371)
    constants |= {
        "b.q": RNG.integers(-9000, 9000, 6).astype(np.int32),
        "b.scale": np.float32(0.05173 * 0.010371),
        "b.zero": np.int32(0),
    }
    nodes.append(helper.make_node("DequantizeLinear", ["b.q", "b.scale", "b.zero"], ["b"]))
    return [*nodes, helper.make_node("Conv", ["a", "w", "b"], ["c"], name="conv")], constants


def unsigned_weights():
    nodes, constants = weights("w", integers(6, 4, 3, 3, kind=np.uint8, low=0, high=255), 0.010371)
    constants["w.zero"] = np.uint8(128)
    return [*nodes, helper.make_node("Conv", ["a", "w"], ["c"], name="conv")], constants


def zero_points(channels, zero=3, **attributes):
    w = integers(6, channels, 3, 3, kind=np.uint8, low=0, high=255)
    nodes, constants = weights("w", w, 0.010371)
    constants["w.zero"] = np.uint8(zero)
    constants["w.q"].flat[:2] = 0, 255  # which two bytes are not
    layer = helper.make_node("Conv", ["a", "w"], ["c"], name="conv", **attributes)
    return [*nodes, layer], constants


def zero_points_of_matrix():
    nodes, constants = weights("w", integers(5, 320, kind=np.uint8, low=0, high=255), 0.003)
    constants["w.zero"] = np.uint8(200)
    flatten = helper.make_node("Flatten", ["a"], ["f"], name="flatten")
    layer = helper.make_node("Gemm", ["f", "w"], ["c"], name="gemm", transB=1)
    return [flatten, *nodes, layer], constants


def gemm():
    nodes, constants = weights("w", integers(5, 320), 0.003)
    flatten = helper.make_node("Flatten", ["a"], ["f"], name="flatten")
    layer = helper.make_node("Gemm", ["f", "w"], ["c"], name="gemm", transB=1)
    return [flatten, *nodes, layer], constants


def matmul():
    nodes, constants = weights("w", integers(320, 7), RNG.uniform(0.001, 0.01, 7), axis=1)
    flatten = helper.make_node("Flatten", ["a"], ["f"], name="flatten")
    return [
        flatten,
        *nodes,
        helper.make_node("MatMul", ["f", "w"], ["c"], name="matmul"),
    ], constants


def one(kind, *constants, **attributes):
    names = [f"k{i}" for i in range(len(constants))]
    node = helper.make_node(kind, ["a", *names], ["c"], name=kind.lower(), **attributes)
    return [node], dict(zip(names, constants, strict=True))


def halves():
    a, b = helper.make_node("Slice", ["a", "0", "2", "1"], ["l"]), ["a", "2", "4", "1"]
    first, constants = quantizers("p", "l", 0.07, np.int8(2))
    constants |= {n: np.array([int(n)], np.int64) for n in "0124"}
    join = helper.make_node("Concat", ["b", "p"], ["c"], name="concat", axis=1)
    return [a, helper.make_node("Slice", b, ["b"]), *first, join], constants


def rounded_behind():
    """Pool and clip sums before they are rounded."""
    nodes, constants = conv()
    nodes[-1].output[0] = "d"
    pool = helper.make_node("MaxPool", ["d"], ["e"], name="pool", kernel_shape=[2, 2])
    return [*nodes, pool, helper.make_node("Relu", ["e"], ["c"], name="relu")], constants


HONOURED = {
    "scales per channel": conv,
    "rounded behind a pool": rounded_behind,
    "one scale": lambda: conv(scale=0.0041371),
    "dilations, groups, pads": lambda: conv(
        integers(6, 2, 3, 3), group=2, dilations=[2, 1], pads=[2, 0, 1, 3]
    ),
    "SAME_LOWER": lambda: conv(integers(6, 4, 2, 4), auto_pad="SAME_LOWER", strides=[2, 3]),
    "bias": biased,
    "uint8 weights around 128": unsigned_weights,
    "uint8 weights around 3": lambda: zero_points(4),
    "uint8 weights around 3, groups": lambda: zero_points(2, group=2),
    "uint8 weights around 0": lambda: zero_points(4, 0),
    "uint8 weights around 255, groups": lambda: zero_points(2, 255, group=2),
    "uint8 matrix around 200": lambda: zero_points_of_matrix(),
    "Gemm": gemm,
    "MatMul, scales per column": matmul,
    "MaxPool": lambda: one("MaxPool", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1),
    "GlobalAveragePool": lambda: one("GlobalAveragePool"),
    "AveragePool": lambda: one("AveragePool", kernel_shape=[3, 3]),
    "Sigmoid": lambda: one("Sigmoid"),
    "LeakyRelu": lambda: one("LeakyRelu", alpha=0.3),
    "Add of a number": lambda: one("Add", np.float32(0.37)),
    "Mul by numbers": lambda: one("Mul", np.float32([[[0.5]], [[1.7]], [[-0.3]], [[2]]])),
    "parts of different scales": halves,
}  # fmt: skip


def images(shape=SHAPE, count=3):
    return (RNG.standard_normal((count, *shape)) * 2).astype(np.float32)


@pytest.mark.parametrize("case", HONOURED)
def test_gives_what_onnxruntime_gives(case, tmp_path):
    nodes, constants = HONOURED[case]()
    different, total, largest = differences(layered(tmp_path, nodes, constants), images())
    assert largest <= 1
    assert different <= total * 1e-3, f"{different} of {total}"


VOLUMES = {
    "Conv": lambda: conv(
        integers(6, 2, 3, 2, 3), group=2, pads=[2, 0, 1, 1, 1, 0], strides=[1, 2, 1]
    ),
    "Conv, SAME_UPPER": lambda: conv(integers(4, 4, 2, 3, 2), auto_pad="SAME_UPPER"),
    "MaxPool": lambda: one(
        "MaxPool", kernel_shape=[2, 3, 2], strides=[2, 1, 2], pads=[1, 1, 0] * 2
    ),
    "ConvTranspose": lambda: one_transposed(),
}


def one_transposed():
    nodes, constants = weights("w", integers(4, 3, 2, 3, 2), 0.0041371)
    layer = helper.make_node(
        "ConvTranspose", ["a", "w"], ["c"], name="conv", strides=[2, 1, 2], pads=[1, 1, 0, 0, 1, 0],
        output_padding=[1, 0, 0],
    )  # fmt: skip
    return [*nodes, layer], constants


@pytest.mark.parametrize("case", VOLUMES)
def test_volumes(case, tmp_path):
    shape = (4, 5, 6, 7)
    nodes, constants = VOLUMES[case]()
    path = layered(tmp_path, nodes, constants, shape=shape)
    different, total, largest = differences(path, images(shape))
    assert largest <= 1
    assert different <= total * 1e-3, f"{different} of {total}"


def four_bits(folder, kind):
    """Write a convolution with weights in nibbles."""
    low, high = (-8, 7) if kind == TensorProto.INT4 else (0, 15)
    numbers = RNG.integers(low, high + 1, (6, 4, 3, 3))
    nodes, constants = conv(np.zeros((6, 4, 3, 3), np.int8), 0.0201371)
    path = layered(folder, nodes, constants, opset=21)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        if tensor.name in ("w.q", "w.zero"):
            zero = 8 if kind == TensorProto.UINT4 else 0
            values = numbers.reshape(-1) if tensor.name == "w.q" else [zero]
            dims = numbers.shape if tensor.name == "w.q" else ()
            tensor.CopyFrom(helper.make_tensor(tensor.name, kind, dims, values))
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
def test_weights_of_four_bits(kind, tmp_path):
    path = four_bits(tmp_path, kind)
    different, _, _ = differences(path, images())
    assert different == 0
    (layer,) = [op for op in tw.read_onnx(path).graph.ops if op.name == "conv"]
    assert layer.weight_bits == 4


def test_integer_inputs_and_results(tmp_path):
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s", "z"], ["a"], name="input"),
        helper.make_node("Relu", ["a"], ["r"], name="relu"),
        helper.make_node("QuantizeLinear", ["r", "t", "u"], ["y"], name="result"),
    ]
    constants = {"s": np.float32(0.1), "z": np.int8(7), "t": np.float32(0.07), "u": np.int8(-9)}
    path = save(tmp_path, nodes, SHAPE, constants, kind=TensorProto.INT8)
    program = tw.compile(path, None, tw.Target(engine=tw.EngineConfig(rows=4, cols=4)))
    x = integers(2, *SHAPE)
    (wanted,) = by_runtime(str(path), x)
    np.testing.assert_array_equal(tw.simulate(program, x, backend="golden").outputs[0], wanted)


def test_padding_on_an_unchanged_grid_is_the_convolution_s(tmp_path):
    # quantize_static and PT2E quantize what a Pad gives: it was a layer with weights of its own.
    again, grid = quantizers("p", "padded")
    nodes, constants = weights("w", integers(6, 4, 3, 3), 0.01)
    nodes += [
        helper.make_node("Pad", ["a", "ends"], ["padded"], name="pad"),
        *again,
        helper.make_node("Conv", ["p", "w"], ["c"], name="conv", strides=[2, 2]),
    ]
    ends = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    path = layered(tmp_path, nodes, {**constants, **grid, "ends": ends})
    assert differences(path, images())[0] == 0
    program = tw.compile(path, None, tw.Target(engine=tw.EngineConfig(rows=4, cols=4)))
    assert [layer.name for layer in program.layers] == ["conv"]


def dynamic():
    node = helper.make_node("DynamicQuantizeLinear", ["a"], ["c", "s", "z"], name="dynamic")
    return [node], {}


def reinterpreted():
    q = helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"], name="q")
    dq = helper.make_node("DequantizeLinear", ["q", "t", "z"], ["c"], name="again")
    return [q, dq], {"s": np.float32(0.1), "t": np.float32(0.2), "z": np.int8(0)}


def per_channel():
    q = helper.make_node("QuantizeLinear", ["a", "s", "z"], ["q"], name="q")
    dq = helper.make_node("DequantizeLinear", ["q", "s", "z"], ["c"], name="dq")
    return [q, dq], {"s": np.ones(4, np.float32), "z": np.zeros(4, np.int8)}


def unrounded():
    nodes, constants = conv(integers(4, 4, 3, 3))
    last = helper.make_node("Sigmoid", ["c"], ["d"], name="sigmoid")
    return [*nodes, last, helper.make_node("Identity", ["d"], ["e"])], constants


def transposed_with_zero_points():
    nodes, constants = weights("w", integers(4, 6, 3, 3, kind=np.uint8, low=0, high=255), 0.01)
    constants["w.zero"] = np.uint8(3)
    layer = helper.make_node("ConvTranspose", ["a", "w"], ["c"], name="conv")
    return [*nodes, layer], constants


def wrong_axis():
    nodes, constants = weights("w", integers(6, 4, 3, 3), np.full(4, 0.01), axis=1)
    return [*nodes, helper.make_node("Conv", ["a", "w"], ["c"], name="conv")], constants


def bad_scale():
    nodes, constants = conv(scale=0.01)
    return nodes, {**constants, "w.scale": np.float32(np.nan)}


def float_weights():
    constants = {"w": RNG.standard_normal((6, 4, 3, 3)).astype(np.float32)}
    return [helper.make_node("Conv", ["a", "w"], ["c"], name="conv")], constants


REFUSED = {
    "dynamic": (dynamic, "dynamic", "quantize_static, not quantize_dynamic"),
    "another scale": (reinterpreted, "again", "the scale 0.2 and zero point 0 of integers"),
    "activations per channel": (per_channel, "q", "one scale per tensor for activations"),
    "zero point of weights": (transposed_with_zero_points, "conv", "around their zero point"),
    "scales of input channels": (wrong_axis, "conv", "scales along axis 1"),
    "a scale that is none": (bad_scale, "w", "not finite and positive"),
    "weights in floats": (float_weights, "conv", "weights that are not quantized"),
    "padding that does not count": (
        lambda: one("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        "averagepool", "windows that differ",
    ),
    "Resize that is no whole factor": (
        lambda: one("Resize", np.float32([]), np.float32([1, 1, 1.5, 1.5]), mode="linear"),
        "resize", "interpolation by weights",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_by_the_nodes_name(case, tmp_path):
    make, where, text = REFUSED[case]
    nodes, constants = make()
    with pytest.raises(tw.UnsupportedError, match=text) as caught:
        tw.read_onnx(layered(tmp_path, nodes, constants))
    assert caught.value.where == where


def test_what_is_read_unrounded_is_refused(tmp_path):
    nodes, constants = unrounded()
    before, first = quantizers("a", "x")
    after, last = quantizers("y", "e", 0.01, np.int8(0))
    path = save(tmp_path, [*before, *nodes, *after], SHAPE, {**first, **constants, **last})
    with pytest.raises(tw.UnsupportedError, match="conv: its result is not quantized where sigm"):
        tw.read_onnx(path)


def test_a_result_that_is_not_quantized_is_refused(tmp_path):
    before, first = quantizers("a", "x")
    nodes, constants = conv(integers(4, 4, 3, 3))
    path = save(tmp_path, [*before, *nodes], SHAPE, {**first, **constants}, outputs=("c",))
    with pytest.raises(tw.UnsupportedError, match="conv: its result is not quantized where the c"):
        tw.read_onnx(path)
