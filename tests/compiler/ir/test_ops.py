"""Every operator of the reference against torch.nn.functional on integer-valued float64."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tilewright.compiler import ir
from tilewright.compiler.ir.arithmetic import fits_float64, requantize
from tilewright.compiler.ir.rules import weights_fit
from tilewright.errors import Error

torch.set_num_threads(1)
SEEDS = range(40)


def scaled(acc: torch.Tensor, r: ir.Requantize) -> np.ndarray:
    """Requantize with power-of-two factors in float64, which is exact."""
    column = (-1, 1, 1)
    m = torch.tensor(r.multiplier, dtype=torch.float64).reshape(column)
    s = torch.tensor(r.shift, dtype=torch.float64).reshape(column)
    q = torch.round(acc * m / 2**s) + r.zero_point
    return q.clamp(r.qmin, r.qmax).numpy().astype(np.int64)


def random_type(rng, channels: int, size: tuple[int, int]) -> ir.TensorType:
    bits, signed = int(rng.integers(2, 9)), bool(rng.integers(2))
    t = ir.TensorType((channels, *size), bits, signed, 1.0, 0)
    return ir.TensorType(t.shape, bits, signed, 1.0, int(rng.integers(t.qmin, t.qmax + 1)))


def random_values(rng, t: ir.TensorType) -> np.ndarray:
    return rng.integers(t.qmin, t.qmax + 1, t.shape)


def random_requantize(rng, channels: int, top: int) -> ir.Requantize:
    factors = 2.0 ** -rng.integers(0, top, channels)
    zero_point = int(rng.integers(-5, 6))
    return ir.make_requantize(factors, 18, zero_point, -100, 120)


def random_window(rng) -> tuple:
    kernel = tuple(int(k) for k in rng.integers(1, 4, 2))
    stride = tuple(int(k) for k in rng.integers(1, 4, 2))
    dilation = tuple(int(k) for k in rng.integers(1, 3, 2))
    return kernel, stride, dilation


def real(x: np.ndarray, t: ir.TensorType) -> torch.Tensor:
    return torch.from_numpy(x - t.zero_point).double()[None]


@pytest.mark.parametrize("seed", SEEDS)
def test_conv2d(seed) -> None:
    rng = np.random.default_rng(seed)
    g, cg, kg = (int(v) for v in rng.integers(1, 4, 3))
    kernel, stride, dilation = random_window(rng)
    top, bottom, left, right = padding = tuple(int(v) for v in rng.integers(0, 4, 4))
    t = random_type(rng, g * cg, (int(rng.integers(5, 11)), int(rng.integers(5, 11))))
    x, w = random_values(rng, t), rng.integers(-128, 128, (g * kg, cg, *kernel))
    bias = rng.integers(-1000, 1000, g * kg)
    r = random_requantize(rng, g * kg, 12)
    op = ir.Conv2d("c", "x", "y", w, 8, bias, stride, padding, dilation, g, r)
    acc = F.conv2d(
        F.pad(real(x, t), (left, right, top, bottom)),
        torch.from_numpy(w).double(),
        torch.from_numpy(bias).double(),
        stride,
        0,
        dilation,
        g,
    )[0]
    assert np.array_equal(op.accumulate({"x": x}, {"x": t}), acc.numpy()), f"seed {seed}"
    assert np.array_equal(op.compute({op.input: x}, {op.input: t}), scaled(acc, r)), f"seed {seed}"
    assert op.shape({"x": t}) == tuple(acc.shape)
    # The interval analysis holds for these values, and its bound is reached.
    lo, hi = ir.accumulator_range(op, {"x": t})
    assert (acc.amin((1, 2)).numpy() >= lo).all(), f"seed {seed}"
    assert (acc.amax((1, 2)).numpy() <= hi).all(), f"seed {seed}"


@pytest.mark.parametrize("seed", range(20))
def test_rounded_conv2d_is_its_formula(seed) -> None:
    """Any factors, tile by tile and pixel by pixel; and its interval is tight."""
    rng = np.random.default_rng(seed)
    groups, per_group, more = (int(n) for n in rng.integers(1, 4, 3))
    terms = int(rng.integers(1, 9))
    m, stride, kernel = (tuple(map(int, rng.integers(1, 4, 2))) for _ in range(3))
    tile = [(a - 1) * b + c for a, b, c in zip(m, stride, kernel, strict=True)]
    padding = tuple(int(p) for p in rng.integers(0, 3, 4))
    t = random_type(rng, groups * per_group, tuple(map(int, rng.integers(3, 12, 2))))
    k = groups * more
    op = ir.RoundedConv2d(
        "tiles", "x", "y", rng.integers(-2000, 2000, (terms, k, per_group)),
        rng.integers(-5, 6, (terms, *tile)), rng.integers(-8, 9, (terms, *m)),
        rng.integers(-10000, 10000, k), stride, padding, groups, random_requantize(rng, k, 20),
    )  # fmt: skip
    assert (op.m, op.kernel) == (m, kernel)
    x = random_values(rng, t)
    acc = op.accumulate({"x": x}, {"x": t})
    _, rows, columns = op.shape({"x": t})
    canvas = np.pad(
        x - t.zero_point, ((0, 0), (padding[0], 99), (padding[2], 99)), constant_values=0
    )
    expected = np.zeros((k, rows, columns), np.int64)
    effective = np.einsum("pij,pkc,puv->ijkcuv", op.output_factors, op.kernels, op.data_factors)
    for y, x_ in np.ndindex(rows, columns):
        top, left = y // m[0] * m[0] * stride[0], x_ // m[1] * m[1] * stride[1]
        pixels = canvas[:, top : top + tile[0], left : left + tile[1]]
        by_group = pixels.reshape(groups, 1, per_group, *tile)
        place = effective[y % m[0], x_ % m[1]].reshape(groups, more, per_group, *tile)
        expected[:, y, x_] = (place * by_group).sum((2, 3, 4)).reshape(-1) + op.bias
    np.testing.assert_array_equal(acc, expected)
    np.testing.assert_array_equal(
        op.compute({op.input: x}, {op.input: t}), requantize(acc, op.requantize)
    )
    lo, hi = ir.accumulator_range(op, {"x": t})
    ends = effective * (t.qmin - t.zero_point), effective * (t.qmax - t.zero_point)
    places = np.minimum(*ends).sum((3, 4, 5)), np.maximum(*ends).sum((3, 4, 5))
    np.testing.assert_array_equal(lo, places[0].min((0, 1)) + op.bias)
    np.testing.assert_array_equal(hi, places[1].max((0, 1)) + op.bias)


@pytest.mark.parametrize("seed", SEEDS)
def test_conv_transpose2d(seed) -> None:
    rng = np.random.default_rng(seed)
    g, cg, kg = (int(v) for v in rng.integers(1, 4, 3))
    kernel = tuple(int(v) for v in rng.integers(1, 5, 2))
    stride = tuple(int(v) for v in rng.integers(1, 4, 2))
    vertical, horizontal = (int(rng.integers(0, k)) for k in kernel)
    output_padding = tuple(int(rng.integers(0, s)) for s in stride)
    t = random_type(rng, g * cg, (int(rng.integers(4, 8)), int(rng.integers(4, 8))))
    x, w = random_values(rng, t), rng.integers(-128, 128, (g * cg, kg, *kernel))
    bias = rng.integers(-1000, 1000, g * kg)
    r = random_requantize(rng, g * kg, 12)
    # PyTorch keeps (C, K / groups, R, S); inputs of a group come first in its slice.
    ours = w.reshape(g, cg, kg, *kernel).transpose(0, 2, 1, 3, 4).reshape(g * kg, cg, *kernel)
    # One row or column less at the end than at the beginning, which PyTorch cannot express.
    bottom, right = max(vertical - 1, 0), max(horizontal - 1, 0)
    op = ir.ConvTranspose2d(
        "c", "x", "y", ours, 8, bias, stride, (vertical, bottom, horizontal, right),
        output_padding, g, r,
    )  # fmt: skip
    whole = F.conv_transpose2d(
        real(x, t),
        torch.from_numpy(w).double(),
        torch.from_numpy(bias).double(),
        stride,
        0,
        0,
        g,
    )
    appended = F.pad(
        whole - torch.from_numpy(bias)[:, None, None], (0, max(stride), 0, max(stride))
    )
    appended += torch.from_numpy(bias)[:, None, None]
    rows = whole.shape[2] - bottom + output_padding[0]
    columns = whole.shape[3] - right + output_padding[1]
    acc = appended[0, :, vertical:rows, horizontal:columns]
    assert np.array_equal(op.accumulate({"x": x}, {"x": t}), acc.numpy())
    assert np.array_equal(op.compute({op.input: x}, {op.input: t}), scaled(acc, r)), f"seed {seed}"
    assert op.shape({"x": t}) == tuple(acc.shape)
    lo, hi = ir.accumulator_range(op, {"x": t})
    assert (acc.amin((1, 2)).numpy() >= lo).all(), f"seed {seed}"
    assert (acc.amax((1, 2)).numpy() <= hi).all(), f"seed {seed}"


@pytest.mark.parametrize("seed", SEEDS)
def test_conv_transpose2d_with_the_padding_of_pytorch(seed) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride = int(rng.integers(2, 5)), int(rng.integers(1, 4))
    p, extra = int(rng.integers(0, kernel)), int(rng.integers(0, stride))
    t = random_type(rng, 3, (5, 6))
    x, w, r = (
        random_values(rng, t),
        rng.integers(-8, 8, (3, 2, kernel, kernel)),
        random_requantize(rng, 2, 4),
    )
    op = ir.ConvTranspose2d(
        "c", "x", "y", w.swapaxes(0, 1), 4, np.zeros(2, int), (stride,) * 2, (p,) * 4,
        (extra,) * 2, 1, r,
    )  # fmt: skip
    acc = F.conv_transpose2d(real(x, t), torch.from_numpy(w).double(), None, stride, p, extra)[0]
    assert np.array_equal(op.compute({op.input: x}, {op.input: t}), scaled(acc, r)), f"seed {seed}"
    assert op.shape({"x": t}) == tuple(acc.shape)


@pytest.mark.parametrize("seed", SEEDS)
def test_interval_of_a_transposed_convolution_is_tight(seed) -> None:
    rng = np.random.default_rng(seed)
    t = random_type(rng, 2, (3, 3))
    kernel, stride = tuple(rng.integers(1, 5, 2)), tuple(int(v) for v in rng.integers(1, 4, 2))
    w, bias = rng.integers(-128, 128, (1, 2, *kernel)), rng.integers(-100, 100, 1)
    r = random_requantize(rng, 1, 12)
    op = ir.ConvTranspose2d("c", "x", "y", w, 8, bias, stride, (0,) * 4, (0, 0), 1, r)
    types = {"x": ir.TensorType((2, 9, 9), t.bits, t.signed, 1.0, t.zero_point)}
    lo, hi = (int(v[0]) for v in ir.accumulator_range(op, types))
    # Each position in the middle meets its own inputs: the worst are those that suit its taps.
    reached = []
    for y in range(4 * stride[0], 5 * stride[0]):
        for z in range(4 * stride[1], 5 * stride[1]):
            for low, high in ((t.qmin, t.qmax), (t.qmax, t.qmin)):
                x = np.full((2, 9, 9), t.zero_point)
                for i, j in np.ndindex(9, 9):
                    a, b = y - i * stride[0], z - j * stride[1]
                    if 0 <= a < kernel[0] and 0 <= b < kernel[1]:
                        x[:, i, j] = np.where(w[0, :, a, b] > 0, high, low)
                acc = op.accumulate({"x": x}, {"x": types["x"]})
                reached.append(int(acc[0, y, z]))
    assert (min(reached), max(reached)) == (lo, hi), f"seed {seed}"


@pytest.mark.parametrize("seed", SEEDS)
def test_interval_analysis_is_tight(seed) -> None:
    rng = np.random.default_rng(seed)
    t = random_type(rng, 3, (2, 2))
    w, bias = rng.integers(-128, 128, (1, 3, 2, 2)), rng.integers(-1000, 1000, 1)
    r = random_requantize(rng, 1, 12)
    op = ir.Conv2d("c", "x", "y", w, 8, bias, (1, 1), (0, 0, 0, 0), (1, 1), 1, r)
    lo, hi = ir.accumulator_range(op, {"x": t})
    worst = [np.where(w[0] > 0, a, b) for a, b in ((t.qmin, t.qmax), (t.qmax, t.qmin))]
    reached = [int(op.accumulate({"x": x}, {"x": t}).item()) for x in worst]
    assert reached == [lo[0], hi[0]], f"seed {seed}"
    bits = ir.accumulator_bits(op, {"x": t})
    assert -(1 << (bits - 1)) <= reached[0] <= reached[1] < 1 << (bits - 1)
    assert reached[0] < -(1 << (bits - 2)) or reached[1] >= 1 << (bits - 2)


@pytest.mark.parametrize("seed", SEEDS)
def test_linear(seed) -> None:
    rng = np.random.default_rng(seed)
    t = random_type(rng, 3, (2, 4))
    x, w = random_values(rng, t), rng.integers(-8, 8, (5, 24))
    bias, r = rng.integers(-1000, 1000, 5), random_requantize(rng, 5, 8)
    op = ir.Linear("l", "x", "y", w, 4, bias, r)
    flat = real(x, t).flatten(1)
    acc = F.linear(flat, torch.from_numpy(w).double(), torch.from_numpy(bias).double())[0]
    assert np.array_equal(
        op.compute({op.input: x}, {op.input: t}), scaled(acc[:, None, None], r)
    ), f"seed {seed}"
    assert op.shape({"x": t}) == (5, 1, 1)
    lo, hi = ir.accumulator_range(op, {"x": t})
    assert ((acc.numpy() >= lo) & (acc.numpy() <= hi)).all()


@pytest.mark.parametrize("seed", SEEDS)
def test_max_pool2d(seed) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride, dilation = random_window(rng)
    p = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    t = random_type(rng, 3, (9, 8))
    x = random_values(rng, t)
    op = ir.MaxPool2d("m", "x", "y", kernel, stride, (p[0], p[0], p[1], p[1]), dilation)
    expected = F.max_pool2d(torch.from_numpy(x).double(), kernel, stride, p, dilation)
    assert np.array_equal(op.compute({op.input: x}, {op.input: t}), expected.numpy()), (
        f"seed {seed}"
    )
    assert op.shape({"x": t}) == tuple(expected.shape)


@pytest.mark.parametrize("seed", SEEDS)
def test_avg_pool2d(seed) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride, _ = random_window(rng)
    p = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    t = random_type(rng, 3, (9, 8))
    x, r = random_values(rng, t), random_requantize(rng, 3, 5)
    op = ir.AvgPool2d("a", "x", "y", kernel, stride, (p[0], p[0], p[1], p[1]), r)
    acc = F.avg_pool2d(real(x, t), kernel, stride, p, divisor_override=1)[0]
    assert np.array_equal(op.compute({op.input: x}, {op.input: t}), scaled(acc, r)), f"seed {seed}"
    assert op.shape({"x": t}) == tuple(acc.shape)
    lo, hi = ir.accumulator_range(op, {"x": t})
    assert acc.min() >= lo[0]
    assert acc.max() <= hi[0]


@pytest.mark.parametrize("seed", SEEDS)
def test_add_and_rescale(seed) -> None:
    rng = np.random.default_rng(seed)
    ta, tb = random_type(rng, 3, (4, 5)), random_type(rng, 3, (4, 5))
    a, b = random_values(rng, ta), random_values(rng, tb)
    ra, rb, r = (random_requantize(rng, 3, 3) for _ in range(3))
    op = ir.Add("s", "a", "b", "y", ra, rb, r, 8, True)
    shared = torch.from_numpy(
        scaled(real(a, ta)[0], ra) - ra.zero_point + scaled(real(b, tb)[0], rb) - rb.zero_point
    )
    assert np.array_equal(op.compute({"a": a, "b": b}, {"a": ta, "b": tb}), scaled(shared, r)), (
        f"seed {seed}"
    )
    one = ir.Rescale("r", "a", "y", r)
    assert np.array_equal(
        one.compute({one.input: a}, {one.input: ta}), scaled(real(a, ta)[0], r)
    ), f"seed {seed}"
    for o in (op, one):
        lo, hi = ir.accumulator_range(o, {"a": ta, "b": tb})
        values = shared if o is op else real(a, ta)
        assert values.min() >= lo.min()
        assert values.max() <= hi.max()


def linear(weight: np.ndarray) -> ir.Linear:
    """Return a layer whose results are its sums, of a grid that is wide enough."""
    channels = len(weight)
    one = ir.Requantize((1,) * channels, (0,) * channels, 0, -(2**31), 2**31 - 1)
    return ir.Linear("fc", "x", "y", weight, 8, np.zeros(channels, np.int64), one)


def test_weights_are_bytes_and_their_sums_are_not() -> None:
    layer = linear(np.full((3, 700), -128))
    assert layer.weight.dtype == np.int8
    types = {"x": ir.TensorType((700, 1, 1), 8, False, 1.0, 3)}
    low, high = layer.accumulator(types)
    assert low.tolist() == [-128 * 252 * 700] * 3
    assert high.tolist() == [128 * 3 * 700] * 3
    x = np.full((700, 1, 1), 255)
    assert layer.accumulate({"x": x}, types).ravel().tolist() == low.tolist()
    assert fits_float64(layer.weight, np.array([2**53 // (128 * 700)]))
    assert not fits_float64(layer.weight, np.array([2**53 // (128 * 700) + 1]))


def test_weights_beyond_a_byte_are_kept_and_refused() -> None:
    layer = linear(np.array([[1, 128]]))
    assert layer.weight.tolist() == [[1, 128]]
    assert "1..128 in 8 bits" in str(weights_fit.check(layer, {}))


def test_arrays_are_read_only_in_another_process_too() -> None:
    layer = pickle.loads(pickle.dumps(linear(np.array([[1, -2]]))))
    assert layer == linear(np.array([[1, -2]]))
    assert not layer.weight.flags.writeable
    assert not layer.bias.flags.writeable


def test_convolution_beyond_float64_is_exact() -> None:
    # No legal graph gets here; the reference must still not round.
    t = ir.TensorType((1, 1, 1), 16, False, 1.0, 0)
    w = np.array([[[[2**40 + 1]]]])
    r = ir.make_requantize([1.0], 18, 0, -128, 127)
    op = ir.Conv2d("c", "x", "y", w, 8, np.zeros(1, int), (1, 1), (0, 0, 0, 0), (1, 1), 1, r)
    acc = op.accumulate({"x": np.array([[[65535]]])}, {"x": t})
    assert acc.item() == (2**40 + 1) * 65535


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((1, 2, 3), np.int64), "shape"),
        (np.zeros((1, 2, 2)), "integers"),
        (np.full((1, 2, 2), 256), "in 0..255"),
        (np.full((1, 2, 2), -1), "in 0..255"),
    ],
)
def test_run_rejects_inputs(array, message) -> None:
    t = ir.TensorType((1, 2, 2), 8, False, 1.0, 0)
    graph = ir.Graph("g", {"x": t}, (ir.Input("x", "x"), ir.Output("out", "x")))
    with pytest.raises(Error, match=message):
        ir.run(graph, [array])
    with pytest.raises(Error, match="takes 1 inputs"):
        ir.run(graph, [])


@pytest.mark.parametrize("seed", range(10))
def test_upsample_bilinear(seed) -> None:
    rng = np.random.default_rng(seed)
    t = random_type(rng, 3, tuple(rng.integers(1, 6, 2)))
    x, r = random_values(rng, t), random_requantize(rng, 3, 3)
    factor = tuple(int(n) for n in rng.integers(1, 6, 2))
    op = ir.UpsampleBilinear("up", "x", "y", factor, r)
    reals = F.interpolate(real(x, t), scale_factor=factor, mode="bilinear")[0]
    acc = (4 * factor[0] * factor[1] * reals).round()
    expected = scaled(acc, r)
    assert np.array_equal(op.compute({op.input: x}, {op.input: t}), expected), f"seed {seed}"
    lo, hi = ir.accumulator_range(op, {"x": t})
    assert acc.min() >= lo.min()
    assert acc.max() <= hi.max()


@pytest.mark.parametrize("seed", range(10))
def test_movement_of_data(seed) -> None:
    """Concatenation, selection, repetition and pixel shuffles, as in torch."""
    rng = np.random.default_rng(seed)
    r = int(rng.integers(1, 4))
    t = random_type(rng, int(rng.integers(1, 4)) * r * r, tuple(r * rng.integers(1, 4, 2)))
    x, other = random_values(rng, t), random_values(rng, t)
    factor = tuple(int(n) for n in rng.integers(1, 4, 2))
    chosen = rng.integers(0, t.shape[0], int(rng.integers(1, 9)))
    tensor = torch.from_numpy(x)[None]
    cases = {
        ir.Concat("o", ("x", "z", "x"), "y"): torch.cat(
            [tensor, torch.from_numpy(other)[None], tensor], 1
        ),
        ir.SelectChannels("o", "x", "y", chosen): tensor[:, chosen],
        ir.Upsample("o", "x", "y", factor): F.interpolate(tensor.double(), scale_factor=factor),
        ir.PixelShuffle("o", "x", "y", r): F.pixel_shuffle(tensor, r),
        ir.PixelUnshuffle("o", "x", "y", r): F.pixel_unshuffle(tensor, r),
    }
    for op, expected in cases.items():
        types = {"x": t, "z": t, "y": replace(t, shape=tuple(expected.shape[1:]))}
        inputs = (ir.Input("x", "x"), ir.Input("z", "z"))
        graph = ir.Graph("g", types, (*inputs, op, ir.Output("y", "y")))
        graph.verify()
        assert np.array_equal(ir.run(graph, [x, other])["y"], expected[0].long().numpy()), op.kind
