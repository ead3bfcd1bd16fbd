"""Files of one operator or a few: every element is the reference kernels' own."""

from pathlib import Path

import numpy as np
import pytest
import torch

from examples.mlperf_tiny.reference import Kernels, compare, integers
from tests.compiler.importers.tflite.files import File
from tilewright.compiler.importers.tflite import import_tflite
from tilewright.compiler.importers.tflite.operators import OPERATORS
from tilewright.compiler.ir import run
from tilewright.errors import UnsupportedError

SAME, VALID = 0, 1
NONE, RELU, RELU6 = 0, 1, 3


def check(data, shape, seed, *, images=3, tensors=1):
    rng = np.random.default_rng(seed)
    arrays = [rng.integers(-128, 128, shape).astype(np.int8) for _ in range(images)]
    found = compare(data, arrays)
    assert len(found.names) == tensors, found.names
    assert found.elements
    assert not found.different, f"seed {seed}: {found.different} of {found.elements} differ"


def weights(file, rng, shape, axis, in_scale, spread=40):
    """Add weights and biases with a scale for each kernel; return them and sums' typical size."""
    kernels = shape[axis]
    scales = np.exp(rng.uniform(-6, -4, kernels)).astype(np.float32)
    weight = rng.integers(-127, 128, shape)
    bias = rng.integers(-spread * 100, spread * 100, kernels)
    w = file.tensor(shape, scales, 0, weight, axis=axis)
    b = file.tensor((kernels,), scales * np.float32(in_scale), 0, bias, np.int32)
    size = np.sqrt(weight.size / kernels) * 127 * 70 * float(scales.mean()) * in_scale
    return w, b, size


CONVS = [
    # kernel, stride, dilation, padding, activation
    ((3, 3), (1, 1), (1, 1), SAME, NONE),
    ((3, 3), (2, 2), (1, 1), SAME, RELU),
    ((2, 4), (2, 1), (1, 1), SAME, RELU6),
    ((3, 2), (1, 3), (2, 2), VALID, NONE),
    ((1, 1), (2, 2), (1, 1), VALID, RELU),
]


@pytest.mark.parametrize("depthwise", [0, 1, 2])
@pytest.mark.parametrize("case", range(len(CONVS)))
def test_convolutions(case, depthwise):
    (kernel, stride, dilation, padding, activation) = CONVS[case]
    rng = np.random.default_rng(case)
    file, c, scale = File(), 5, 0.11
    x = file.tensor((1, 9, 11, c), scale, 7)
    shape, axis = ((1, *kernel, c * depthwise), 3) if depthwise else ((6, *kernel, c), 0)
    if depthwise and dilation != (1, 1) and stride != (1, 1):
        stride = (1, 1)  # which TFLite's kernel has not
    w, b, size = weights(file, rng, shape, axis, scale)
    sizes = [
        -(-n // s) if padding == SAME else (n - (k - 1) * d - 1) // s + 1
        for n, k, s, d in zip((9, 11), kernel, stride, dilation, strict=True)
    ]
    y = file.tensor((1, *sizes, shape[axis]), size / 60, -20)
    kind = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    more = {"depthMultiplier": depthwise} if depthwise else {}
    file.op(
        kind, [x, w, b], [y], "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions",
        padding=padding, strideH=stride[0], strideW=stride[1], dilationHFactor=dilation[0],
        dilationWFactor=dilation[1], fusedActivationFunction=activation, **more,
    )  # fmt: skip
    check(file.data([x], [y]), (1, 9, 11, c), case)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activation", [NONE, RELU])
def test_fully_connected(per_channel, activation):
    rng = np.random.default_rng(activation)
    file, features, kernels = File(), 60, 200
    x = file.tensor((1, features), 0.05, -3)
    # A power of two among the factors: sums on a tie, which go away from zero.
    scales = np.float32(2**-9 / 0.05) * np.ones(kernels, np.float32)
    if per_channel:
        scales[1:] = np.exp(rng.uniform(-4, -3, kernels - 1))
    scales = scales if per_channel else scales[:1]
    w = file.tensor((kernels, features), scales, 0, rng.integers(-127, 128, (kernels, features)))
    own = scales * np.float32(0.05)
    b = file.tensor((kernels,), own, 0, rng.integers(-2000, 2000, kernels), np.int32)
    y = file.tensor((1, kernels), 0.25, 5)
    file.op(
        "FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions", 4,
        fusedActivationFunction=activation,
    )  # fmt: skip
    check(file.data([x], [y]), (1, features), 1, images=20)


def test_fully_connected_after_pixels_takes_them_in_the_files_order():
    rng = np.random.default_rng(0)
    file = File()
    x, flat = file.tensor((1, 3, 4, 5), 0.1, 1), file.tensor((1, 60), 0.1, 1)
    shape = file.tensor((2,), data=[1, 60], dtype=np.int32)
    file.op("RESHAPE", [x, shape], [flat], "ReshapeOptions")
    w = file.tensor((7, 60), 0.02, 0, rng.integers(-127, 128, (7, 60)))
    y = file.tensor((1, 7), 0.3, 5)
    file.op("FULLY_CONNECTED", [flat, w, -1], [y], "FullyConnectedOptions", 4)
    check(file.data([x], [y]), (1, 3, 4, 5), 1)


@pytest.mark.parametrize("seed", range(6))
def test_additions_of_every_pair(seed):
    """Each operand takes all of its values beside all of the other's."""
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.uniform(-3, 0, 3))
    scales[2] = scales[:2].max() * rng.uniform(0.4, 2)
    if seed == 0:
        scales[:] = 0.5, 0.25, 1.0  # ties
    points = [int(p) for p in rng.integers(-128, 128, 3)]
    file = File()
    a, b, y = (file.tensor((1, 1, 256, 256), s, p) for s, p in zip(scales, points, strict=True))
    file.op("ADD", [a, b], [y], "AddOptions", 2, fusedActivationFunction=RELU * (seed % 2))
    every = np.arange(-128, 128, dtype=np.int8)
    pair = [np.broadcast_to(v, (256, 256))[None, None].copy() for v in (every, every[:, None])]
    found = compare(file.data([a, b], [y]), [pair])
    assert (found.elements, found.different) == (1 << 16, 0), f"seed {seed}"


def test_a_tensor_added_to_itself():
    file = File()
    a, y = file.tensor((1, 4, 4, 16), 0.1, 3), file.tensor((1, 4, 4, 16), 0.13, -9)
    file.op("ADD", [a, a], [y], "AddOptions", 2)
    check(file.data([a], [y]), (1, 4, 4, 16), 0)


@pytest.mark.parametrize("window", [(2, 2), (3, 3), (2, 3), (5, 7), (6, 6)])
def test_average_pools(window):
    """Of even and odd areas, with means of integers on a tie, above and below zero."""
    file = File()
    x = file.tensor((1, 12, 14, 9), 0.1, 11)
    size = (12 // window[0], 14 // window[1])
    y = file.tensor((1, *size, 9), 0.1, 11)
    file.op(
        "AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", 2, padding=VALID, strideH=window[0],
        strideW=window[1], filterHeight=window[0], filterWidth=window[1],
    )  # fmt: skip
    data = file.data([x], [y])
    check(data, (1, 12, 14, 9), 0)
    rng = np.random.default_rng(1)
    narrow = [rng.integers(-2, 2, (1, 12, 14, 9)).astype(np.int8) for _ in range(8)]
    assert compare(data, narrow).different == 0


@pytest.mark.parametrize("seed", range(6))
def test_means_over_pixels(seed):
    rng = np.random.default_rng(seed)
    h, w = (int(n) for n in rng.integers(1, 9, 2))
    scale, point = float(rng.uniform(0.01, 0.2)), int(rng.integers(-128, 128))
    same = seed % 3 == 0
    file = File()
    x = file.tensor((1, h, w, 40), scale, point)
    axes = file.tensor((2,), data=[1, 2], dtype=np.int32)
    shape = (1, 1, 1, 40) if seed % 2 else (1, 40)
    y = file.tensor(shape, scale * (1 if same else rng.uniform(0.2, 1.2)), point if same else 9)
    file.op("MEAN", [x, axes], [y], "ReducerOptions", 2, keepDims=bool(seed % 2))
    check(file.data([x], [y]), (1, h, w, 40), seed, images=6)


@pytest.mark.parametrize("kind", ["LOGISTIC", "TANH", "HARD_SWISH"])
@pytest.mark.parametrize("seed", range(5))
def test_tables_of_every_input(kind, seed):
    rng = np.random.default_rng(seed)
    scale, point = float(rng.uniform(0.005, 0.12)), int(rng.integers(-128, 128))
    result = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(kind)
    result = result or (scale * rng.uniform(0.3, 1), int(rng.integers(-128, 128)))
    file = File()
    x = file.tensor((1, 256), scale, point)
    y = file.tensor((1, 256), *result)
    file.op(kind, [x], [y])
    every = np.arange(-128, 128, dtype=np.int8)[None]
    found = compare(file.data([x], [y]), [every])
    assert (found.elements, found.different) == (256, 0), f"seed {seed}"


def test_max_pool_and_concatenation_and_padding():
    file, grid = File(), (0.1, -20)
    x = file.tensor((1, 9, 9, 3), *grid, name="x")
    pooled = file.tensor((1, 5, 5, 3), *grid, name="pooled")
    file.op(
        "MAX_POOL_2D", [x], [pooled], "Pool2DOptions", 2, padding=SAME, strideH=2, strideW=2,
        filterHeight=3, filterWidth=3, fusedActivationFunction=RELU,
    )  # fmt: skip
    half = file.tensor((1, 5, 5, 3), 0.2, 4, name="half")
    file.op("QUANTIZE", [pooled], [half], "QuantizeOptions")
    back = file.tensor((1, 5, 5, 3), *grid, name="back")
    file.op("QUANTIZE", [half], [back], "QuantizeOptions")
    both = file.tensor((1, 5, 5, 6), *grid, name="both")
    file.op("CONCATENATION", [pooled, back], [both], "ConcatenationOptions", 2, axis=3)
    ends = file.tensor((4, 2), data=[[0, 0], [1, 2], [0, 1], [0, 0]], dtype=np.int32)
    padded = file.tensor((1, 8, 6, 6), *grid, name="padded")
    file.op("PAD", [both, ends], [padded], "PadOptions", 2)
    rng = np.random.default_rng(3)
    w, b, size = weights(file, rng, (4, 3, 3, 6), 0, grid[0])
    y = file.tensor((1, 6, 4, 4), size / 60, 1, name="y")
    file.op(
        "CONV_2D", [padded, w, b], [y], "Conv2DOptions", padding=VALID, strideH=1, strideW=1,
        dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    data = file.data([x], [y])
    found = compare(data, [rng.integers(-128, 128, (1, 9, 9, 3)).astype(np.int8)])
    assert found.elements
    assert not found.different
    assert {"half", "y"} <= found.names


MOVES = [
    ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions", (4, 6, 3), (8, 18, 3), {}),
    ("SPACE_TO_DEPTH", "SpaceToDepthOptions", (4, 6, 3), (2, 3, 12), {"blockSize": 2}),
    ("DEPTH_TO_SPACE", "DepthToSpaceOptions", (4, 6, 12), (8, 12, 3), {"blockSize": 2}),
]


@pytest.mark.parametrize("case", range(len(MOVES)))
def test_moved_pixels(case):
    """Between two rescales, so that they lie where the engine has them."""
    kind, options, before, after, fields = MOVES[case]
    file, grid = File(), (0.1, -20)
    x = file.tensor((1, *before), 0.2, 7)
    source, moved = file.tensor((1, *before), *grid), file.tensor((1, *after), *grid)
    y = file.tensor((1, *after), 0.15, 3, name="y")
    file.op("QUANTIZE", [x], [source], "QuantizeOptions")
    inputs = [source]
    if kind.startswith("RESIZE"):
        inputs.append(file.tensor((2,), data=after[:2], dtype=np.int32))
    file.op(kind, inputs, [moved], options, **fields)
    file.op("QUANTIZE", [moved], [y], "QuantizeOptions")
    rng = np.random.default_rng(case)
    arrays = [rng.integers(-128, 128, (1, *before)).astype(np.int8) for _ in range(2)]
    found = compare(file.data([x], [y]), arrays)
    assert "y" in found.names
    assert not found.different


def test_boxes_of_several_maps_are_one_result():
    """As in detectors: maps of two sizes, each pixel with boxes, one behind the other."""
    rng = np.random.default_rng(0)
    file, grid = File(), (0.3, -5)
    x = file.tensor((1, 6, 6, 4), 0.1, 3)
    parts = []
    for number, stride in enumerate((1, 2)):
        w, b, _ = weights(file, rng, (8, 3, 3, 4), 0, 0.1)
        y = file.tensor((1, 6 // stride, 6 // stride, 8), *grid, name=f"map{number}")
        file.op(
            "CONV_2D", [x, w, b], [y], "Conv2DOptions", padding=SAME, strideH=stride,
            strideW=stride, dilationHFactor=1, dilationWFactor=1,
        )  # fmt: skip
        boxes = 2 * (6 // stride) ** 2
        flat = file.tensor((1, boxes, 4), *grid)
        shape = file.tensor((3,), data=[1, boxes, 4], dtype=np.int32)
        file.op("RESHAPE", [y, shape], [flat], "ReshapeOptions")
        parts.append(flat)
    all_boxes = file.tensor((1, 90, 4), *grid, name="boxes")
    file.op("CONCATENATION", parts, [all_boxes], "ConcatenationOptions", axis=1)
    arrays = [rng.integers(-128, 128, (1, 6, 6, 4)).astype(np.int8) for _ in range(2)]
    found = compare(file.data([x], [all_boxes]), arrays)
    assert "boxes" in found.names
    assert not found.different


def one_op(kind, options, shapes, grids, dtypes=(np.int8, np.int8), **fields):
    file = File()
    x, y = (file.tensor(s, *g, dtype=t) for s, g, t in zip(shapes, grids, dtypes, strict=True))
    file.op(kind, [x], [y], options, **fields)
    return file.data([x], [y])


POOL = {"padding": SAME, "strideH": 1, "strideW": 1, "filterHeight": 3, "filterWidth": 3}
SHAPES = [(1, 4, 4, 2)] * 2


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (one_op("AVERAGE_POOL_2D", "Pool2DOptions", SHAPES, [(0.1, 0)] * 2, **POOL),
         "average pool with padding"),
        (one_op("CEIL", None, SHAPES, [(0.1, 0)] * 2), "the operator CEIL. Taken are ABS"),
        (one_op("RELU", None, SHAPES, [(0.1, 128)] * 2, (np.uint8, np.uint8)), "is uint8"),
        (one_op("RELU", None, SHAPES, [(0.1, 0), ([0.1, 0.2], 0)]), "2 scales, not one"),
        (one_op("RESHAPE", "ReshapeOptions", [(1, 4), (2, 2)], [(0.1, 0)] * 2), "The batch stays"),
        (one_op("RELU", None, [(2, 4)] * 2, [(0.1, 0)] * 2), "a batch of one image"),
        (one_op("SOFTMAX", "SoftmaxOptions", [(1, 4)] * 2, [(0.1, 0)] * 2), "to the host"),
    ],
)  # fmt: skip
def test_what_is_not_taken_is_said(data, text):
    with pytest.raises(UnsupportedError, match=text):
        import_tflite(data, host="never" if "host" in text else "edges")


def test_softmax_at_the_end_is_left_to_the_host():
    file = File()
    x, y = file.tensor((1, 4), 0.1, 0), file.tensor((1, 4), 0.2, 3, name="logits")
    file.op("QUANTIZE", [x], [y], "QuantizeOptions")
    z = file.tensor((1, 4), 1 / 256, -128, name="probabilities")
    file.op("SOFTMAX", [y], [z], "SoftmaxOptions")
    imported = import_tflite(file.data([x], [z]))
    assert imported.host == (("SOFTMAX", "probabilities"),)
    assert imported.graph.tail is not None
    graph = integers(file.data([x], [z]))
    values = run(graph, [np.array([[[4]], [[-2]], [[7]], [[0]]])])
    assert values["logits"].reshape(-1).tolist() == [5, 2, 7, 3]


def test_the_page_names_every_operator():
    page = (Path(__file__).parents[4] / "docs" / "tflite.md").read_text()
    assert not [kind for kind in OPERATORS if f"`{kind}`" not in page]


@pytest.mark.parametrize("kind", ["SOFTMAX", "LOG_SOFTMAX"])
def test_the_host_is_a_step_from_the_kernel_at_most(kind):
    file = File()
    x, y = file.tensor((1, 10), 0.1, 0), file.tensor((1, 10), 0.1731, 3)
    file.op("QUANTIZE", [x], [y], "QuantizeOptions")
    grid = (1 / 256, -128) if kind == "SOFTMAX" else (16 / 256, 127)
    z = file.tensor((1, 10), *grid, name="z")
    options = {"options": "SoftmaxOptions", "beta": 1.0} if kind == "SOFTMAX" else {}
    file.op(kind, [y], [z], **options)
    data = file.data([x], [z])
    graph = import_tflite(data).graph
    kernels, rng = Kernels(data), np.random.default_rng(3)
    for _ in range(20):
        image = rng.integers(-128, 128, (1, 10)).astype(np.int8)
        kernels.run(image)
        (have,) = graph.results(graph.values([torch.from_numpy(image * 0.1)], quantized=True))
        steps = have.numpy() / grid[0] + grid[1] - kernels.value(z)
        assert np.abs(steps).max() < 1.01
