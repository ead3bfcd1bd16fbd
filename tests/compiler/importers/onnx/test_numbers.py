"""Where float64 would give other integers than onnxruntime; and batches that nodes have in them."""

import numpy as np
import onnx
import pytest
import torch
from onnx import helper

import tilewright as tw
from tests.compiler.importers.onnx.build import quantizers, save, weights
from tests.compiler.importers.onnx.roads import by_runtime, differences

SHAPE = (4, 6, 5)


def between(folder, nodes, constants, before, after, shape=SHAPE):
    """Write a model of nodes from a to b, on the grids ``before`` and ``after``."""
    (a, first), (y, last) = quantizers("a", "x", *before), quantizers("y", "b", *after)
    return save(folder, [*a, *nodes, *y], shape, {**first, **constants, **last})


def all_steps(scale, zero):
    """Images that have every integer of a grid."""
    steps = np.resize(np.arange(-128, 128) - int(zero), (3, *SHAPE))
    return (steps * np.float32(scale)).astype(np.float32)


@pytest.mark.parametrize(
    ("operator", "before", "after"),
    [
        ("Floor", (0.0125, np.int8(0)), (0.05, np.int8(-20))),  # 80 steps are 1.0 in float32
        ("Sign", (0.05, np.int8(0)), (2 / 255, np.int8(0))),  # 127.5 in float32
        ("Ceil", (0.1, np.int8(5)), (0.13, np.int8(3))),
        ("Sigmoid", (0.05, np.int8(0)), (1 / 255, np.int8(-128))),
    ],
)
def test_functions_are_computed_in_float32(operator, before, after, tmp_path):
    # Behind a convolution, results of Sign were off by 3.
    node = helper.make_node(operator, ["a"], ["b"], name="function")
    path = between(tmp_path, [node], {}, before, after)
    different, total, _ = differences(path, all_steps(*before))
    assert different == 0, f"{different} of {total}"


def test_a_batch_norm_between_quantizers_has_fine_offsets(tmp_path):
    # With 64 for every weight, 4 of 1000 elements were off by one.
    rng = np.random.default_rng(5)
    channels = 64
    constants = {
        "scale": rng.uniform(0.5, 1.5, channels), "offset": rng.standard_normal(channels),
        "mean": rng.standard_normal(channels), "variance": rng.uniform(0.5, 2, channels),
    }  # fmt: skip
    node = helper.make_node("BatchNormalization", ["a", *constants], ["b"], name="norm")
    constants = {k: v.astype(np.float32) for k, v in constants.items()}
    before, after = (0.0371, np.int8(3)), (0.0523, np.int8(-7))
    path = between(tmp_path, [node], constants, before, after, (channels, 16, 16))
    steps = np.broadcast_to(np.arange(-128, 128).reshape(1, 1, 16, 16) - 3, (1, channels, 16, 16))
    different, total, largest = differences(path, (steps * np.float32(0.0371)).astype(np.float32))
    assert largest <= 1
    assert different <= 3, f"{different} of {total}"


BAKED = {
    "reshape": [helper.make_node("Reshape", ["c", "one"], ["y"])],
    "flatten": [helper.make_node("Flatten", ["c"], ["y"], axis=0)],
    "resize": [helper.make_node("Resize", ["c", "", "", "sizes"], ["y"], mode="nearest")],
    "matrix": [
        helper.make_node("Reshape", ["c", "one"], ["f"]),
        helper.make_node("Gemm", ["f", "g"], ["y"]),
    ],
}


@pytest.mark.parametrize("case", BAKED)
def test_a_batch_of_one_in_the_nodes(case, tmp_path):
    # "Folding constants changed its results by inf": onnxruntime was given several images at once.
    rng = np.random.default_rng(3)
    constants = {
        "w": rng.standard_normal((4, 4, 3, 3)).astype(np.float32) / 5, "one": np.array([1, -1]),
        "sizes": np.array([1, 4, 12, 10]), "g": rng.standard_normal((120, 3)).astype(np.float32),
    }  # fmt: skip
    conv = helper.make_node("Conv", ["x", "w"], ["c"], pads=[1] * 4)
    used = {name for node in BAKED[case] for name in node.input} | {"w"}
    chosen = {k: v for k, v in constants.items() if k in used}
    path = save(tmp_path, [conv, *BAKED[case]], SHAPE, chosen)
    images = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = tw.quantize(str(path), [images])
    engine = tw.EngineConfig(rows=2, cols=2)
    program = tw.compile(network, None, tw.Target(engine=engine))
    (have,) = tw.simulate(program, images.numpy(), backend="golden").dequantized()
    parts = [by_runtime(str(path), image[None].numpy())[0] for image in images]
    wanted = np.concatenate(parts)
    assert np.abs(have.reshape(wanted.shape) - wanted).max() < 0.1 * np.abs(wanted).max()


# What ``quantize_static`` and PyTorch's exporter write besides their defaults.


def axes_of_weights(axis, turned):
    """A matrix whose scales are along an axis, counted from the end, by Gemm or MatMul."""
    rng = np.random.default_rng(axis + 9)
    shape = (5, 12) if turned else (12, 5)
    nodes, constants = weights(
        "w", rng.integers(-127, 128, shape).astype(np.int8), rng.uniform(0.002, 0.01, 5), axis
    )
    layer = (
        helper.make_node("Gemm", ["a", "w"], ["b"], name="layer", transB=1)
        if turned
        else helper.make_node("MatMul", ["a", "w"], ["b"], name="layer")
    )
    return [*nodes, layer], constants


@pytest.mark.parametrize(("axis", "turned"), [(0, True), (-2, True), (1, False), (-1, False)])
def test_scales_of_weights_along_any_name_of_their_axis(axis, turned, tmp_path):
    nodes, constants = axes_of_weights(axis, turned)
    path = between(tmp_path, nodes, constants, (0.0371, np.int8(3)), (0.0923, np.int8(-7)), (12,))
    images = np.random.default_rng(1).standard_normal((20, 12)).astype(np.float32)
    assert differences(path, images)[0] == 0


def test_floats_of_16_bits_and_nodes_in_any_order(tmp_path):
    # "Changed its results by 0.00026 of their power", and "written behind it": as
    # onnxruntime's converter to float16 writes files.
    rng = np.random.default_rng(3)
    w = (rng.standard_normal((4, 4, 3, 3)) / 5).astype(np.float16)
    nodes = [
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["h", "w"], ["c"], pads=[1] * 4),
        helper.make_node("Cast", ["x"], ["h"], to=onnx.TensorProto.FLOAT16),
        helper.make_node("Cast", ["r"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    path = save(tmp_path, nodes, SHAPE, {"w": w})
    images = torch.randn(4, *SHAPE, generator=torch.Generator().manual_seed(0))
    network = tw.quantize(str(path), [images])
    (have,) = network.graph.results(network.graph.values([images.double()]))
    (wanted,) = by_runtime(str(path), images.numpy())
    assert np.abs(have.numpy() - wanted).max() < 0.05 * np.abs(wanted).max()


def test_constants_are_quantized_in_float32(tmp_path):
    # QONNX's files have weights in floats before their quantizers. Of MLPerf Tiny's autoencoder, in
    # which they were integers of TFLite's grid, some were another integer than onnxruntime's, and
    # 851 of 2560 results off by up to 2.
    scale, lengths = np.float32(0.1), np.arange(-100, 100) + 0.5
    reals = (lengths * 0.1).astype(np.float32)
    real = np.abs(reals[None].astype(np.float64) / np.float64(scale)) % 1
    assert (real != 0.5).any()  # in float64, they are none
    constants = {"w": reals.reshape(10, 20), "s": scale, "z": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["w", "s", "z"], ["q"], name="weights"),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="again"),
        helper.make_node("MatMul", ["a", "d"], ["b"], name="layer"),
    ]
    path = between(tmp_path, nodes, constants, (1.0, np.int8(0)), (0.1, np.int8(0)), (10,))
    different, total, _ = differences(path, np.eye(10, dtype=np.float32))
    assert different == 0, f"{different} of {total}"


def test_factors_go_onnxruntime_s_way_for_the_most_sums_where_none_does_for_all(tmp_path):
    # One pixel of MLPerf Tiny's MobileNet was off by one, and 1,557 elements behind it: two of its
    # channel's sums could not both go onnxruntime's way, and neither did.
    nodes, constants = weights("w", np.full((2, 1), 103, np.int8), 0.0067614424)
    nodes.append(helper.make_node("MatMul", ["a", "w"], ["b"], name="layer"))
    path = between(tmp_path, nodes, constants, (1.0, np.int8(0)), (1.0, np.int8(0)), (2,))
    ties = np.float32([[28, 0], [84, 0], [70, 70]])  # times 0.696: 19.5, 58.5, 97.5, but for 1e-6
    different, _, largest = differences(path, np.concatenate([ties, -ties]))
    assert (different, largest) == (2, 1)  # 4 with the factor as it is
