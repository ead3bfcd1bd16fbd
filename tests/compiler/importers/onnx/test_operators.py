"""Operators and attributes in reals, against onnxruntime: honoured or refused, none dropped."""

import numpy as np
import pytest
import torch
from onnx import helper

import tilewright as tw
from tests.compiler.importers.onnx.build import save

SHAPE = (4, 7, 9)
RNG = np.random.default_rng(5)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32)


def node(kind, *inputs, outputs=("y",), domain="", **attributes):
    return helper.make_node(kind, inputs, outputs, name=kind.lower(), domain=domain, **attributes)


def conv(w=(6, 4, 3, 3), **attributes):
    constants = {"w": normal(*w), "b": normal(w[0])}
    return [node("Conv", "x", "w", "b", **attributes)], constants, SHAPE


def line(**attributes):
    return [node("Conv", "x", "w", **attributes)], {"w": normal(5, 4, 3)}, (4, 11)


def transposed(w=(4, 6, 3, 2), **attributes):
    return [node("ConvTranspose", "x", "w", **attributes)], {"w": normal(*w)}, SHAPE


def pool(kind="AveragePool", **attributes):
    attributes.setdefault("kernel_shape", [3, 2])
    return [node(kind, "x", **attributes)], {}, SHAPE


def one(kind, shape=SHAPE, constants=None, **attributes):
    constants = constants or {}
    return [node(kind, "x", *constants, **attributes)], constants, shape


def resize(*, scales=None, sizes=None, **attributes):
    constants, names = {}, ["x", "", "", ""]
    if scales is not None:
        names[2], constants["scales"] = "scales", np.array([1, 1, *scales], np.float32)
    if sizes is not None:
        names[3], constants["sizes"] = "sizes", np.array([1, SHAPE[0], *sizes], np.int64)
    return [node("Resize", *names, **attributes)], constants, SHAPE


def ints(*numbers):
    return np.array(numbers, np.int64)


PADS = ints(0, 0, 1, 2, 0, 0, 3, 0)
HONOURED = {
    "dilations": lambda: conv(dilations=[2, 3]),
    "groups": lambda: conv((6, 2, 3, 3), group=2),
    "pads, each its own": lambda: conv(pads=[0, 1, 2, 3]),
    "strides": lambda: conv(strides=[2, 3], pads=[1, 0, 0, 2]),
    "auto_pad SAME_UPPER": lambda: conv((6, 4, 4, 2), auto_pad="SAME_UPPER", strides=[2, 1]),
    "auto_pad SAME_LOWER": lambda: conv((6, 4, 4, 2), auto_pad="SAME_LOWER", strides=[2, 1]),
    "auto_pad VALID": lambda: conv(auto_pad="VALID"),
    "Conv of a sequence": lambda: line(pads=[2, 1], strides=[2], dilations=[2]),
    "ConvTranspose pads": lambda: transposed(strides=[2, 3], pads=[1, 0, 0, 1]),
    "ConvTranspose output_padding": lambda: transposed(strides=[2, 3], output_padding=[1, 2]),
    "ConvTranspose dilations": lambda: transposed(strides=[2, 1], dilations=[2, 3]),
    "ConvTranspose group": lambda: transposed((4, 3, 3, 2), group=2),
    "ConvTranspose SAME_UPPER": lambda: transposed(strides=[2, 2], auto_pad="SAME_UPPER"),
    "ConvTranspose SAME_LOWER": lambda: transposed(strides=[2, 2], auto_pad="SAME_LOWER"),
    "ConvTranspose output_shape": lambda: transposed(strides=[2, 2], output_shape=[14, 17]),
    "MaxPool ceil_mode": lambda: pool("MaxPool", strides=[2, 2], ceil_mode=1),
    "MaxPool ceil_mode, pads": lambda: pool(
        "MaxPool", strides=[3, 3], ceil_mode=1, pads=[1, 0, 1, 1]
    ),
    "MaxPool dilations": lambda: pool("MaxPool", dilations=[2, 3]),
    "MaxPool SAME_LOWER": lambda: pool("MaxPool", strides=[2, 2], auto_pad="SAME_LOWER"),
    "count_include_pad": lambda: pool(pads=[1, 1, 1, 1], count_include_pad=1),
    "padding does not count": lambda: pool(pads=[1, 1, 1, 0]),
    "AveragePool ceil_mode": lambda: pool(strides=[2, 2], ceil_mode=1),
    "AveragePool ceil_mode, pads": lambda: pool(strides=[3, 2], ceil_mode=1, pads=[1, 0, 1, 1]),
    "AveragePool ceil_mode, pads count": lambda: pool(
        strides=[2, 2], ceil_mode=1, pads=[1, 0, 1, 1], count_include_pad=1
    ),
    "GlobalMaxPool": lambda: one("GlobalMaxPool"),
    "ReduceMean keepdims": lambda: one("ReduceMean", axes=[-2, -1], keepdims=0),
    "ReduceMax channels": lambda: one("ReduceMax", axes=[1]),
    "Gemm": lambda: (
        [node("Gemm", "x", "w", "b", alpha=0.5, beta=2.0, transB=1)],
        {"w": normal(5, 6), "b": normal(5)},
        (6,),
    ),
    "Gemm, one bias": lambda: (
        [node("Gemm", "x", "w", "b")], {"w": normal(6, 5), "b": normal(1)}, (6,)
    ),
    "MatMul of rows": lambda: one("MatMul", (3, 5, 6), {"w": normal(6, 4)}),
    "BatchNormalization": lambda: one(
        "BatchNormalization",
        constants={k: np.abs(normal(4)) for k in ("s", "b", "m", "v")},
        epsilon=0.01,
    ),
    "HardSigmoid": lambda: one("HardSigmoid", alpha=0.3, beta=0.4),
    "Elu": lambda: one("Elu", alpha=0.7),
    "Selu": lambda: one("Selu", alpha=1.5, gamma=1.1),
    "ThresholdedRelu": lambda: one("ThresholdedRelu", alpha=0.3),
    "Clip": lambda: one("Clip", constants={"low": np.float32(-0.5), "high": np.float32(0.7)}),
    "PRelu": lambda: one("PRelu", constants={"slope": np.abs(normal(4, 1, 1))}),
    "Sub from a constant": lambda: (
        [node("Sub", "c", "x")], {"c": normal(1, 4, 1, 1)}, SHAPE
    ),
    "DepthToSpace DCR": lambda: one("DepthToSpace", (8, 2, 3), blocksize=2),
    "DepthToSpace CRD": lambda: one("DepthToSpace", (8, 2, 3), blocksize=2, mode="CRD"),
    "SpaceToDepth": lambda: one("SpaceToDepth", (2, 4, 6), blocksize=2),
    "Pad reflect": lambda: one("Pad", constants={"p": PADS}, mode="reflect"),
    "Pad edge": lambda: one("Pad", constants={"p": PADS}, mode="edge"),
    "Slice backwards": lambda: one(
        "Slice",
        constants={"s": ints(-1, 1), "e": ints(-100, 8), "a": ints(2, 3), "t": ints(-2, 3)},
    ),
    "Transpose": lambda: one("Transpose", perm=[0, 3, 1, 2]),
    "Gather": lambda: one("Gather", constants={"i": ints(3, 0, -2)}, axis=1),
    "Tile": lambda: one("Tile", constants={"r": ints(1, 1, 2, 1)}),
    "Reshape": lambda: one("Reshape", constants={"s": ints(0, 2, -1, 9)}),
    "Flatten": lambda: one("Flatten"),
    "Resize nearest": lambda: resize(scales=(2, 3), mode="nearest"),
    "Resize nearest, asymmetric": lambda: resize(
        scales=(2, 2), mode="nearest", coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    ),
    "Resize linear": lambda: resize(scales=(2, 2), mode="linear"),
    "Resize linear, corners": lambda: resize(
        sizes=(9, 12), mode="linear", coordinate_transformation_mode="align_corners"
    ),
    "Resize linear, smaller": lambda: resize(
        sizes=(5, 4), mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", HONOURED)
def test_gives_what_onnxruntime_gives(case, tmp_path):
    nodes, constants, shape = HONOURED[case]()
    network = tw.read_onnx(save(tmp_path, nodes, shape, constants))
    count = 1 if case.startswith("Resize") else 2  # sizes of a Resize are also the batch's
    x = torch.from_numpy(normal(count, *shape)) * 2
    values = network.graph.values([x.double()])
    (view,) = network.graph.outputs
    torch.testing.assert_close(view.of(values).float(), network(x), rtol=1e-4, atol=1e-5)


REFUSED = {
    "an attribute that ONNX does not have": (lambda: conv(winograd=1), "attribute 'winograd'"),
    "pads beside auto_pad": (
        lambda: conv(auto_pad="SAME_UPPER", pads=[1, 1, 1, 1]), "auto_pad='SAME_UPPER' and pads"
    ),
    "negative pads": (lambda: conv(pads=[-1, 0, 0, 0]), r"pads=\[-1, 0, 0, 0\]"),
    "kernel_shape of other weights": (lambda: conv(kernel_shape=[5, 5]), r"kernel_shape=\[5, 5\]"),
    "group that does not divide": (lambda: conv(group=3), "in 3 groups for 4 channels"),
    "ConvTranspose dilations": (lambda: transposed(dilations=[0, 2]), r"dilations=\[0, 2\]"),
    "AveragePool dilations": (lambda: pool(dilations=[2, 2]), "AveragePool with dilations"),
    "a batch norm in training": (
        lambda: one(
            "BatchNormalization",
            constants={k: np.abs(normal(4)) for k in ("s", "b", "m", "v")},
            training_mode=1,
        ),
        "statistics of its input",
    ),
    "Gemm transA": (
        lambda: ([node("Gemm", "x", "w", transA=1)], {"w": normal(6, 5)}, (6,)), "transA=1"
    ),
    "Pad with a value": (
        lambda: one("Pad", constants={"p": ints(0, 0, 1, 1, 0, 0, 1, 1), "v": np.float32(0.5)}),
        "padding with the value 0.5",
    ),
    "Pad of the batch": (
        lambda: one("Pad", constants={"p": ints(1, 0, 0, 0, 0, 0, 0, 0)}), "leave the batch alone"
    ),
    "Resize cubic": (lambda: resize(scales=(2, 2), mode="cubic"), "mode='cubic'"),
    "Resize antialias": (
        lambda: resize(sizes=(3, 4), mode="linear", antialias=1), "antialias"
    ),
    "Transpose of the batch": (lambda: one("Transpose", perm=[1, 0, 2, 3]), "Keep the batch first"),
    "ReduceMean of the batch": (lambda: one("ReduceMean", axes=[0]), "along the batch"),
    "Softmax": (lambda: one("Softmax"), "Softmax has no way to the engine"),
    "weights from the input": (
        lambda: ([node("Conv", "x", "x")], {}, SHAPE), "weights that depend on the inputs"
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_by_the_nodes_name(case, tmp_path):
    make, text = REFUSED[case]
    nodes, constants, shape = make()
    opset = 18 if case == "Resize antialias" else 17
    with pytest.raises(tw.UnsupportedError, match=text) as caught:
        tw.read_onnx(save(tmp_path, nodes, shape, constants, opset=opset))
    assert caught.value.where == nodes[-1].name
    assert caught.value.remedy.endswith(".")
