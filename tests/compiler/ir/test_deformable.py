"""Deformable convolution in integers, against PyTorch in float64 and against its own bound."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tilewright.compiler import ir
from tilewright.compiler.ir import deformable
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.nn.sampling import sample

torch.set_num_threads(1)
SEEDS = range(40)


def random_case(seed):
    """A layer with any geometry, its values and types; offsets often lie far outside."""
    rng = np.random.default_rng(seed)
    kernel, stride, dilation = (tuple(map(int, rng.integers(1, n, 2))) for n in (4, 4, 3))
    padding = tuple(map(int, rng.integers(0, 4, 4)))
    groups, offset_groups = (int(n) for n in rng.choice([1, 2, 4], 2))
    channels, kernels = 4, 4 * int(rng.integers(1, 3))
    size = tuple(
        max(int(rng.integers(1, 9)), (k - 1) * d + 1 - p - q)
        for k, d, p, q in zip(kernel, dilation, padding[::2], padding[1::2], strict=True)
    )
    bits, signed = int(rng.integers(2, 9)), bool(rng.integers(2))
    x_type = ir.TensorType((channels, *size), bits, signed, 0.37, 0)
    x_type = replace(x_type, zero_point=int(rng.integers(x_type.qmin, x_type.qmax + 1)))
    rows, columns = (
        (n + p + q - d * (k - 1) - 1) // s + 1
        for n, p, q, d, k, s in zip(
            size, padding[::2], padding[1::2], dilation, kernel, stride, strict=True
        )
    )
    taps = offset_groups * kernel[0] * kernel[1]
    f, b = int(rng.integers(0, 9)), int(rng.integers(1, 9))
    types = {
        "x": x_type,
        "o": ir.TensorType((2 * taps, rows, columns), 8, True, 2.0**-f, 0),
        "m": ir.TensorType((taps, rows, columns), 8, False, 2.0**-b, 0),
        "y": ir.TensorType((kernels, rows, columns), 8, True, 0.1, 0),
    }
    masked = bool(rng.integers(2))
    weight = rng.integers(-8, 8, (kernels, channels // groups, *kernel))
    op = ir.DeformConv2d(
        "deform", "x", "o", "m" if masked else None, "y", weight, 4,
        rng.integers(-99, 99, kernels), stride, padding, dilation, groups, offset_groups,
        ir.make_requantize([0.01] * kernels, 18, 0, -128, 127),
    )  # fmt: skip
    values = {n: rng.integers(t.qmin, t.qmax + 1, t.shape) for n, t in types.items() if n != "y"}
    return op, values, types


def float_samples(op, values, types, scaled):
    """Samples by the definition, in float64; padding that is not symmetric becomes pixels."""
    top, bottom, left, right = op.padding
    t = types["x"]
    x = torch.from_numpy(values["x"] - t.zero_point).double() * (t.scale if scaled else 1)
    x = F.pad(x, (left, right, top, bottom))[None]
    offset, mask = (torch.from_numpy(values[n])[None] * types[n].scale for n in "om")
    return sample(
        x, offset, None if op.mask is None else mask, op.kernel, op.stride, (0, 0), op.dilation,
        op.offset_groups,
    )[0]  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
def test_equals_pytorch(seed) -> None:
    op, values, types = random_case(seed)
    t = types["x"]
    # Offsets, fractions and integers are exact in float64; the one rounding is the same.
    samples = float_samples(op, values, types, scaled=False).round()
    samples = samples.clamp(t.qmin - t.zero_point, t.qmax - t.zero_point)
    weight, bias = (torch.tensor(n.tolist()).double() for n in (op.weight, op.bias))
    acc = F.conv2d(samples[None], weight, bias, stride=op.kernel, groups=op.groups)[0]
    acc = acc.numpy().astype(np.int64)
    got = op.compute(values, types)
    assert np.array_equal(got, requantize(acc, op.requantize)), f"seed {seed}"
    lo, hi = ir.accumulator_range(op, types)
    assert (acc.min((1, 2)) >= lo).all(), f"seed {seed}"
    assert (acc.max((1, 2)) <= hi).all(), f"seed {seed}"


@pytest.mark.parametrize("seed", SEEDS)
def test_samples_are_within_half_a_step(seed) -> None:
    """The documented bound; a mask beyond 1 may be clamped as well, so it is left out here."""
    op, values, types = random_case(seed)
    values["m"] = np.minimum(values["m"], 1 << deformable.fraction_bits(types["m"], 1))
    acc, scale = op.samples(values, types)
    t = types["x"]
    samples = (requantize(acc, scale) - t.zero_point) * t.scale
    error = np.abs(samples - float_samples(op, values, types, scaled=True).numpy()).max(initial=0)
    assert error <= t.scale / 2 * (1 + 1e-9), f"seed {seed}"
    if types["o"].scale == 1 and op.mask is None:
        assert error < 1e-9, f"seed {seed}"


@pytest.mark.parametrize("seed", SEEDS)
def test_reach_holds_every_pixel_that_counts(seed) -> None:
    """Pixels outside the reach can be anything, those at its ends cannot."""
    op, values, types = random_case(seed)
    f = deformable.fraction_bits(types["o"])
    rng = np.random.default_rng(seed)
    low, high = sorted(int(n) for n in rng.integers(-100, 101, 2))
    values["o"] = values["o"].clip(low, high)
    _, height, width = types["x"].shape
    _, rows, columns = types["y"].shape
    want = op.compute(values, types)
    outside = np.ones((height, width), bool)
    axes = []
    for axis, count in ((0, rows), (1, columns)):
        start = -op.padding[2 * axis]
        last = start + (count - 1) * op.stride[axis] + (op.kernel[axis] - 1) * op.dilation[axis]
        first, end = deformable.reach((low, high), f, start, last)
        axes.append(slice(max(first, 0), max(end, 0)))
    outside[axes[0], axes[1]] = False
    noise = values | {"x": np.where(outside, types["x"].qmax, values["x"])}
    assert np.array_equal(op.compute(noise, types), want), f"seed {seed}"


def test_reach_is_tight() -> None:
    for f, low, high in ((0, -3, 2), (2, -5, 5), (2, -4, 4), (3, 0, 1)):
        ends = [(low >> f), (high >> f) + (high % (1 << f) > 0)]
        assert deformable.reach((low, high), f, 10, 14) == (10 + ends[0], 14 + ends[1] + 1)
