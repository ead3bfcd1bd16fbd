"""Every attribute of every operator that the importer takes: honoured, refused, or without effect.

What ONNX adds in later opsets is missing here until somebody has looked at it.
"""

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto

import tilewright as tw
from tests.compiler.importers.onnx import test_operators
from tests.compiler.importers.onnx.build import save
from tests.compiler.importers.onnx.test_operators import (
    SHAPE,
    ints,
    node,
    normal,
    one,
    pool,
    resize,
    transposed,
)
from tilewright.compiler.importers.onnx.call import HANDLERS
from tilewright.compiler.importers.onnx.file import MIN_OPSET


def at(opset, case):
    """Return what makes a case, and its opset."""
    return opset, case


def cast(kind):
    first, back = node("Cast", "x", outputs=["c"], to=kind), node("Cast", "c", to=TensorProto.FLOAT)
    back.name = "back"
    return [first, back], {}, SHAPE


def reduced(kind, **attributes):
    return one(kind, axes=[2, 3], **attributes)


def of_all(kind, constants=None):
    """Return a reduction over no axes, which does nothing, and a function."""
    first = node(kind, "x", *(constants or {}), outputs=["m"], noop_with_empty_axes=1)
    return [first, node("Relu", "m")], constants or {}, SHAPE


def split(outputs, constants=None, **attributes):
    parts = [f"p{i}" for i in range(outputs)]
    first = node("Split", "x", *(constants or {}), outputs=parts, **attributes)
    return [first, node("Concat", *parts[::-1], axis=attributes["axis"])], constants or {}, SHAPE


def shaped(**attributes):
    """Return rows added up by a shape that is computed."""
    nodes = [
        node("Shape", "x", outputs=["s"], **attributes),
        node("Concat", "one", "s", outputs=["shape"], axis=0),
        node("Reshape", "x", "shape"),
    ]
    return nodes, {"one": ints(1)}, SHAPE


def gemm(*bias):
    constants = {"w": normal(6, 5), "b": normal(*bias)}
    return [node("Gemm", "x", "w", "b", beta=0.3)], constants, (6,)


HONOURED = {
    "AveragePool SAME_UPPER": at(17, lambda: pool(strides=[2, 2], auto_pad="SAME_UPPER")),
    "Cast": at(17, lambda: cast(TensorProto.DOUBLE)),
    "Celu": at(17, lambda: one("Celu", alpha=0.7)),
    "Clip whose ends cross": at(
        17, lambda: one("Clip", constants={"low": np.float32(0.5), "high": np.float32(-0.7)})
    ),
    "ConvTranspose kernel_shape": at(17, lambda: transposed(kernel_shape=[3, 2])),
    "Flatten": at(17, lambda: one("Flatten", axis=1)),
    "Gelu tanh": at(20, lambda: one("Gelu", approximate="tanh")),
    "Gelu": at(20, lambda: one("Gelu", approximate="none")),
    "Gemm, a row of biases": at(17, lambda: gemm(1, 5)),
    "Gemm, a column of biases": at(17, lambda: gemm(1, 1)),
    "Gemm, a number": at(17, lambda: gemm()),
    "LeakyRelu": at(17, lambda: one("LeakyRelu", alpha=0.3)),
    "MaxPool storage_order": at(17, lambda: pool("MaxPool", storage_order=1)),
    "Pad wrap": at(19, lambda: one("Pad", constants={"p": ints(0, 0, 1, 2, 0, 0, 3, 0)},
                                   mode="wrap")),
    "ReduceMax": at(17, lambda: reduced("ReduceMax", keepdims=0)),
    "ReduceMin": at(17, lambda: reduced("ReduceMin", keepdims=0)),
    "ReduceSum": at(17, lambda: one("ReduceSum", constants={"a": ints(-1)}, keepdims=0)),
    "ReduceSum of nothing": at(17, lambda: of_all("ReduceSum")),
    "ReduceMean of nothing": at(18, lambda: of_all("ReduceMean")),
    "ReduceMax of nothing": at(20, lambda: of_all("ReduceMax", {"a": ints()})),
    "ReduceMin of nothing": at(20, lambda: of_all("ReduceMin")),
    "Reshape allowzero": at(
        17, lambda: one("Reshape", constants={"s": ints(-1, 2, 14, 9)}, allowzero=1)
    ),
    "Shape": at(17, lambda: shaped(start=-3)),
    "Shape end": at(17, lambda: shaped(start=1, end=4)),
    "Swish": at(24, lambda: one("Swish", alpha=1.3)),
    "Split": at(17, lambda: split(2, {"n": ints(1, 3)}, axis=1)),
    "Split of seven in three": at(18, lambda: split(3, axis=-2, num_outputs=3)),
}  # fmt: skip

REFUSED = {
    "Cast to integers": at(17, (lambda: cast(TensorProto.INT32), "feature map to type 6")),
    "DequantizeLinear block_size": at(21, (lambda: dequantized(block_size=2), "scales of blocks")),
    "DequantizeLinear output_dtype": at(
        23, (lambda: dequantized(output_dtype=TensorProto.FLOAT16), "output_dtype=10")
    ),
    "Gelu of another kind": at(20, (lambda: one("Gelu", approximate="x"), "approximate='x'")),
    "MaxPool's places": at(
        17,
        (
            lambda: (
                [node("MaxPool", "x", outputs=["y", "i"], kernel_shape=[2, 2]),
                 node("Relu", "i", outputs=["z"])], {}, SHAPE,
            ),
            "a second result that is not computed",
        ),
    ),
    "Pad by less than nothing": at(
        17,
        (lambda: one("Pad", constants={"p": ints(0, 0, -1, 0, 0, 0, 0, 0)}), "is to be cut off"),
    ),
    "QuantizeLinear block_size": at(21, (lambda: quantized(block_size=2), "scales of blocks")),
    "QuantizeLinear output_dtype": at(
        21, (lambda: quantized(output_dtype=TensorProto.INT16), "output_dtype=5")
    ),
    "QuantizeLinear precision": at(
        23, (lambda: quantized(precision=TensorProto.FLOAT16), "precision")
    ),
    "Resize axes": at(18, (lambda: resize_of(axes=[2, 3]), "antialias or axes")),
    "Resize policy": at(
        18, (lambda: resize_of(keep_aspect_ratio_policy="not_larger"), "aspect_ratio")
    ),
    "Resize tf_crop_and_resize": at(
        17,
        (
            lambda: resize_of(
                coordinate_transformation_mode="tf_crop_and_resize", extrapolation_value=1.0
            ),
            "tf_crop",
        ),
    ),
    "Resize cubic": at(
        17, (lambda: resize_of(mode="cubic", cubic_coeff_a=-0.5, exclude_outside=1), "cubic")
    ),
}  # fmt: skip


def resize_of(**attributes):
    return resize(sizes=(9, 12), **{"mode": "linear", **attributes})


def quantized(**attributes):
    constants = {"s": np.float32(0.1)}
    zero = () if "output_dtype" in attributes else ("z",)
    constants |= dict.fromkeys(zero, np.int8(0))
    return [node("QuantizeLinear", "x", *constants, **attributes)], constants, SHAPE


def dequantized(**attributes):
    constants = {"s": np.float32(0.1), "z": np.int8(0)}
    nodes = [
        node("QuantizeLinear", "x", "s", "z", outputs=["q"]),
        node("DequantizeLinear", "q", "s", "z", **attributes),
    ]
    return nodes, constants, SHAPE


WITHOUT_EFFECT = {
    ("BatchNormalization", "momentum"): "of training",
    ("Cast", "round_mode"): "of floats of 8 bits",
    ("Cast", "saturate"): "of floats of 8 bits",
    ("Dropout", "seed"): "of training",
    ("Dropout", "ratio"): "of training",
    ("QuantizeLinear", "saturate"): "of floats of 8 bits",
}
ELSEWHERE = {
    ("DequantizeLinear", "axis"): "test_quantized: scales per channel, scales along axis 1",
    ("QuantizeLinear", "axis"): "as DequantizeLinear's, of constants",
    ("SpaceToDepth", "mode"): "of opset 28: refused as an attribute that nothing reads",
} | {
    ("QLinearConv", name): "convolved, as Conv's"
    for name in ("auto_pad", "dilations", "group", "kernel_shape", "pads", "strides")
}


def makers():
    yield from (make for _, make in HONOURED.values())
    yield from (make for _, (make, _) in REFUSED.values())
    yield from test_operators.HONOURED.values()
    yield from (make for make, _ in test_operators.REFUSED.values())


def test_every_attribute_has_been_looked_at():
    tested = {(n.op_type, a.name) for make in makers() for n in make()[0] for a in n.attribute}
    schemas = onnx.defs.get_all_schemas_with_history()
    taken = [s for s in schemas if not s.domain and s.name in HANDLERS and not s.deprecated]
    latest = {}
    for schema in taken:
        if schema.since_version <= MIN_OPSET:
            latest[schema.name] = max(latest.get(schema.name, 0), schema.since_version)
    known = {
        (schema.name, attribute)
        for schema in taken
        if schema.since_version >= latest.get(schema.name, 0)
        for attribute in schema.attributes
    }
    assert known - tested - set(WITHOUT_EFFECT) - set(ELSEWHERE) == set()


@pytest.mark.parametrize("case", HONOURED)
def test_gives_what_onnxruntime_gives(case, tmp_path):
    opset, make = HONOURED[case]
    nodes, constants, shape = make()
    network = tw.read_onnx(save(tmp_path, nodes, shape, constants, opset=opset))
    x = torch.from_numpy(normal(2, *shape)) * 2
    (view,) = network.graph.outputs
    values = view.of(network.graph.values([x.double()])).float()
    torch.testing.assert_close(values, network(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", REFUSED)
def test_is_refused_by_name(case, tmp_path):
    opset, (make, text) = REFUSED[case]
    nodes, constants, shape = make()
    outputs = [name for name in nodes[-1].output if name]
    path = save(tmp_path, nodes, shape, constants, outputs, opset=opset)
    with pytest.raises(tw.UnsupportedError, match=text) as caught:
        tw.read_onnx(path, host="never")
    assert caught.value.where in {n.name for n in nodes}
