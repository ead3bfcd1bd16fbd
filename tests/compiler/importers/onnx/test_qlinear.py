"""Operators of integers, one by one, against onnxruntime's kernels."""

import numpy as np
import pytest
from onnx import helper

from tests.compiler.importers.onnx.build import save
from tests.compiler.importers.onnx.roads import differences

SHAPE = (4, 6, 8)
RNG = np.random.default_rng(17)
GRIDS = {
    "x": (0.03171, 118), "y": (0.05377, 97), "z": (0.00389, 3), "c": (0.04713, 131),
    "w": (0.01031, 0), "k": (0.0217, 0),
}  # fmt: skip
SIGNED = ("w", "k")


def scale(name):
    """Return the names of a grid's scale and zero point."""
    return [f"{name}.scale", f"{name}.zero"]


def grids():
    constants = {}
    for name, (step, zero) in GRIDS.items():
        kind = np.int8 if name in SIGNED else np.uint8
        constants |= {f"{name}.scale": np.float32(step), f"{name}.zero": kind(zero)}
    return constants


def node(kind, inputs, output="r", domain="com.microsoft", **attributes):
    return helper.make_node(kind, inputs, [output], name=kind.lower(), domain=domain, **attributes)


def integers(*shape):
    return RNG.integers(-127, 128, shape).astype(np.int8)


def other():
    """Return a second tensor, on another grid."""
    reals = helper.make_node("DequantizeLinear", ["xq", *scale("x")], ["xd"], name="reals")
    table = helper.make_node("Abs", ["xd"], ["s"], name="table")
    return [reals, table, helper.make_node("QuantizeLinear", ["s", *scale("y")], ["yq"])], {}


def two(kind):
    nodes, constants = other()
    inputs = ["xq", *scale("x"), "yq", *scale("y"), *scale("c")]
    return [*nodes, node(kind, inputs)], constants, "c"


def concat():
    nodes, constants = other()
    inputs = [*scale("c"), "xq", *scale("x"), "yq", *scale("y")]
    return [*nodes, node("QLinearConcat", inputs, axis=1)], constants, "c"


def conv():
    inputs = ["xq", *scale("x"), "w", *scale("w"), *scale("c"), "b"]
    layer = node("QLinearConv", inputs, domain="", pads=[1, 0, 2, 1], group=2)
    bias = RNG.integers(-5000, 5000, 6).astype(np.int32)
    return [layer], {"w": integers(6, 2, 3, 3), "b": bias}, "c"


def matmul():
    flat = helper.make_node("Flatten", ["xq"], ["f"])
    inputs = ["f", *scale("x"), "w", *scale("w"), *scale("c")]
    layer = node("QLinearMatMul", inputs, domain="")
    return [flat, layer], {"w": integers(192, 5)}, "c"


def gemm():
    flat = helper.make_node("Flatten", ["xq"], ["f"])
    inputs = ["f", *scale("x"), "w", *scale("w"), "b", *scale("c")]
    bias = RNG.integers(-5000, 5000, 5).astype(np.int32)
    layer = node("QGemm", inputs, transB=1)
    return [flat, layer], {"w": integers(5, 192), "b": bias}, "c"


def enlarged():
    sizes = {"sizes": np.float32([1, 1, 2, 3])}
    layer = node("Resize", ["xq", "", "sizes"], domain="", mode="nearest")
    return [layer], sizes, "x"


def one(kind, result="c", **attributes):
    inputs = ["xq", *scale("x"), *scale(result)]
    return lambda: ([node(kind, inputs, **attributes)], {}, result)


CASES = {
    "QLinearConv": conv,
    "QLinearMatMul": matmul,
    "QGemm": gemm,
    "QLinearAdd": lambda: two("QLinearAdd"),
    "QLinearConcat": concat,
    "Resize": enlarged,
    "QLinearSigmoid": one("QLinearSigmoid", "z"),
    "QLinearLeakyRelu": one("QLinearLeakyRelu", alpha=0.2),
    "QLinearAveragePool": one("QLinearAveragePool", kernel_shape=[3, 3], strides=[2, 1]),
    "QLinearGlobalAveragePool": one("QLinearGlobalAveragePool", "y"),
}


@pytest.mark.parametrize("case", CASES)
def test_gives_what_onnxruntime_gives(case, tmp_path):
    nodes, constants, result = CASES[case]()
    first = helper.make_node("QuantizeLinear", ["x", *scale("x")], ["xq"], name="first")
    last = helper.make_node("DequantizeLinear", ["r", *scale(result)], ["y"], name="last")
    path = save(tmp_path, [first, *nodes, last], SHAPE, {**grids(), **constants})
    images = (RNG.standard_normal((3, *SHAPE)) * 2).astype(np.float32)
    different, total, largest = differences(path, images)
    assert largest <= 1
    assert different <= total * 1e-3, f"{different} of {total}"
