"""Operators of detectors and converters' idioms: every element is the reference kernels' own."""

import numpy as np
import pytest

import tilewright as tw
from examples.mlperf_tiny.reference import Kernels, compare
from tests.compiler.importers.tflite.files import File
from tests.compiler.importers.tflite.test_operators import SAME, VALID, check, weights
from tilewright.compiler.importers.tflite import import_tflite
from tilewright.errors import UnsupportedError

GRID = (0.1, 3)
EVERY = np.arange(-128, 128, dtype=np.int8).reshape(1, 16, 16, 1)


def unary(kind, before, after, options=None, **fields):
    file = File()
    x, y = file.tensor((1, 16, 16, 1), *before), file.tensor((1, 16, 16, 1), *after, name="y")
    file.op(kind, [x], [y], options, 2 if kind == "GELU" else 1, **fields)
    return file.data([x], [y])


@pytest.mark.parametrize(
    ("kind", "options", "fields"),
    [
        ("ABS", "AbsOptions", {}),
        ("EXP", "ExpOptions", {}),
        ("LOG", None, {}),
        ("GELU", "GeluOptions", {}),
        ("GELU", "GeluOptions", {"approximate": True}),
        ("NEG", "NegOptions", {}),
    ],
)
def test_tables_have_the_kernels_integers_for_every_operand(kind, options, fields):
    rng = np.random.default_rng(8)
    for _ in range(4):
        before, after = (
            (np.float32(np.exp(rng.uniform(-4, -2))), int(rng.integers(-128, 128)))
            for _ in range(2)
        )
        if kind == "NEG":
            before = after = (before[0], 0)
        found = compare(unary(kind, before, after, options, **fields), [EVERY])
        assert (found.elements, found.different) == (256, 0), (kind, before, after)


def test_neg_with_a_zero_point_is_refused():
    with pytest.raises(UnsupportedError, match="NEG on grids with a zero point"):
        import_tflite(unary("NEG", GRID, GRID, "NegOptions"))


@pytest.mark.parametrize("constant", [False, True])
def test_minimum(constant):
    file, shape = File(), (1, 6, 8, 4)
    x, y = file.tensor(shape, *GRID), file.tensor(shape, *GRID, name="y")
    data = np.array([-90, 3, 20, 127], np.int8) if constant else None
    other = file.tensor((4,) if constant else shape, *GRID, data=data)
    file.op("MINIMUM", [x, other], [y], "MaximumMinimumOptions", 2)
    inputs = [x] if constant else [x, other]
    images = [list(_images(shape, seed, len(inputs))) for seed in range(3)]
    agree(compare(file.data(inputs, [y]), images))


def agree(found):
    assert found.elements
    assert not found.different


def _images(shape, seed, count=3):
    rng = np.random.default_rng(seed)
    return (rng.integers(-128, 128, shape).astype(np.int8) for _ in range(count))


BLOCKS = [
    # depthwise, block, kernel, pixels, padding, cut, inner padding
    (True, (2, 2), 3, (6, 8), ((2, 2), (2, 2)), ((0, 0), (0, 0)), VALID),
    (False, (2, 2), 3, (7, 9), ((2, 3), (2, 3)), ((0, 1), (0, 1)), VALID),
    (True, (3, 2), 3, (7, 9), ((3, 5), (2, 3)), ((0, 2), (0, 1)), VALID),
    (True, (2, 2), 3, (6, 8), ((0, 0), (0, 0)), ((0, 0), (0, 0)), SAME),
    (False, (2, 4), 2, (6, 8), ((0, 0), (0, 0)), ((0, 0), (0, 0)), SAME),
]


@pytest.mark.parametrize("case", range(len(BLOCKS)))
def test_pixels_in_blocks_are_a_dilation(case):
    depthwise, block, kernel, pixels, pads, cuts, how = BLOCKS[case]
    file, rng, c = File(), np.random.default_rng(case), 4
    x = file.tensor((1, *pixels, c), *GRID)
    inner = [(n + sum(p)) // b for n, p, b in zip(pixels, pads, block, strict=True)]
    count = block[0] * block[1]
    apart = file.tensor((count, *inner, c), *GRID)
    sizes, ends, cut = (
        file.tensor(np.shape(a), data=np.array(a), dtype=np.int32) for a in (block, pads, cuts)
    )
    file.op("SPACE_TO_BATCH_ND", [x, sizes, ends], [apart], "SpaceToBatchNDOptions", 2)
    shape, axis = ((1, kernel, kernel, c), 3) if depthwise else ((c, kernel, kernel, c), 0)
    w, b, size = weights(file, rng, shape, axis, GRID[0])
    left = [n - kernel + 1 if how == VALID else n for n in inner]
    summed = file.tensor((count, *left, c), size / 100, 1)
    kind, options = "CONV_2D", "Conv2DOptions"
    if depthwise:
        kind, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
    file.op(
        kind, [apart, w, b], [summed], options, padding=how, strideH=1, strideW=1,
        dilationHFactor=1, dilationWFactor=1, **({"depthMultiplier": 1} if depthwise else {}),
    )  # fmt: skip
    whole = [n * b - sum(e) for n, b, e in zip(left, block, cuts, strict=True)]
    y = file.tensor((1, *whole, c), size / 100, 1, name="y")
    file.op("BATCH_TO_SPACE_ND", [summed, sizes, cut], [y], "BatchToSpaceNDOptions", 2)
    check(file.data([x], [y]), (1, *pixels, c), case)


def test_what_is_no_convolution_between_blocks_is_refused():
    file = File()
    x, apart = file.tensor((1, 4, 4, 2), *GRID), file.tensor((4, 2, 2, 2), *GRID)
    y, z = file.tensor((4, 2, 2, 2), *GRID), file.tensor((1, 4, 4, 2), *GRID)
    sizes = file.tensor((2,), data=np.array([2, 2]), dtype=np.int32)
    ends = file.tensor((2, 2), data=np.zeros((2, 2)), dtype=np.int32)
    file.op("SPACE_TO_BATCH_ND", [x, sizes, ends], [apart], "SpaceToBatchNDOptions", 2)
    file.op("RELU", [apart], [y], version=2)
    file.op("BATCH_TO_SPACE_ND", [y, sizes, ends], [z], "BatchToSpaceNDOptions", 2)
    with pytest.raises(UnsupportedError, match="RELU between SPACE_TO_BATCH_ND"):
        import_tflite(file.data([x], [z]))


@pytest.mark.parametrize("shape", [(1, 5, 12), (1, 2, 3, 12), (1, 40, 8)])
def test_a_matrix_times_several_vectors(shape):
    # The kernel rounds a float64 product once, which convolutions do not.
    file, rng = File(), np.random.default_rng(len(shape))
    x, features = file.tensor(shape, *GRID), shape[-1]
    scale = np.float32(0.02)
    w = file.tensor((7, features), scale, 0, rng.integers(-127, 128, (7, features)))
    bias = rng.integers(-500, 500, 7)
    b = file.tensor((7,), scale * np.float32(GRID[0]), 0, bias, np.int32)
    y = file.tensor((*shape[:-1], 7), 0.51, 1, name="y")
    file.op("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions", 4, keepNumDims=True)
    agree(compare(file.data([x], [y]), list(_images(shape, 2, 20))))


def test_padding_with_a_value_of_its_own():
    file = File()
    x, y = file.tensor((1, 4, 5, 3), *GRID), file.tensor((1, 6, 7, 3), *GRID, name="y")
    ends = file.tensor((4, 2), data=[[0, 0], [1, 1], [2, 0], [0, 0]], dtype=np.int32)
    value = file.tensor((), *GRID, data=-128)
    file.op("PADV2", [x, ends, value], [y], "PadV2Options", 2)
    agree(compare(file.data([x], [y]), list(_images((1, 4, 5, 3), 3))))


def test_a_slope_for_each_channel_is_the_hosts(tmp_path):
    file, shape = File(), (1, 6, 8, 4)
    x, middle = file.tensor(shape, *GRID), file.tensor(shape, 0.07, -20)
    slopes = file.tensor((1, 1, 4), 0.01, 0, [-30, 5, 60, 127])
    file.op("PRELU", [x, slopes], [middle])
    rng = np.random.default_rng(4)
    w, b, size = weights(file, rng, (4, 1, 1, 4), 0, 0.07)
    y = file.tensor(shape, size / 100, 1, name="y")
    file.op(
        "CONV_2D", [middle, w, b], [y], "Conv2DOptions", padding=SAME, strideH=1, strideW=1,
        dilationHFactor=1, dilationWFactor=1,
    )  # fmt: skip
    data = file.data([x], [y])
    engine = tw.EngineConfig(rows=2, cols=2, multiplier_width=31, rounding="double")
    path = tmp_path / "prelu.tflite"
    path.write_bytes(data)
    model = tw.read_tflite(path, host="anywhere")
    program = tw.compile(model, None, tw.Target(engine=engine), host="anywhere")
    kernels = Kernels(data)
    for image in _images(shape, 4):
        kernels.run(image)
        own = image.transpose(0, 3, 1, 2)
        (have,) = tw.simulate(program, own, backend="golden").dequantized()
        steps = np.rint(np.asarray(have[0]) / np.float32(size / 100)) + 1
        np.testing.assert_array_equal(steps, kernels.value(y))
