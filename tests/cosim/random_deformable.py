"""Random deformable layers, and small networks of them, in range of everything the engine does."""

from dataclasses import replace

import numpy as np

from tests.cosim.random_layers import random_requantize, random_type, window_out
from tilewright.compiler.ir import (
    Conv2d,
    DeformConv2d,
    Graph,
    Input,
    Output,
    Requantize,
    TensorType,
)
from tilewright.compiler.schedule.array.sampled import position_words

KINDS = ("dense", "depthwise", "group")


def numbers(rng, low, high, count=2):
    return tuple(int(n) for n in rng.integers(low, high, count))


def same(kind, low, high):
    """Keep integers, within a range."""
    channels = kind.shape[0]
    return Requantize((1,) * channels, (0,) * channels, 0, low, high)


def random_positions(rng, config, taps, size, reach):
    """Return types of offsets and masks, or None for masks, and the offsets' range.

    Offsets reach ``reach`` pixels at most, and are often bounded more tightly than their bits.
    """
    fraction = int(rng.integers(0, config.offset_fraction + 1))
    bits = int(rng.integers(2, min(8, fraction + reach.bit_length() + 1) + 1))
    offset = TensorType((2 * taps, *size), bits, True, 2.0**-fraction, 0)
    mask = None
    if config.mask_fraction >= 2 and rng.random() < 0.5:
        mask_bits = int(rng.integers(2, config.mask_fraction + 1))
        mask = TensorType((taps, *size), mask_bits, False, 2.0**-mask_bits, 0)
    limits = (offset.qmin, offset.qmax)
    if rng.random() < 0.5:
        limits = tuple(sorted(numbers(rng, offset.qmin, offset.qmax + 1)))
    return offset, mask, limits


def fits(config, taps, width, masked):
    """Return whether the offset buffer holds a row; masks have half of it."""
    words = -(-2 * taps // config.rows) * position_words(config, width)
    return words << masked <= config.offset_depth


def random_deformable(rng, config, reach=8):
    """Return a graph of one deformable layer and its integer inputs.

    Offsets and masks are inputs of the graph, and pass an operator that bounds them; by numbers
    that are often far outside the image.
    """
    kind = str(rng.choice(KINDS))
    rows = config.rows
    offset_groups = int(rng.choice([1, 1, 2, 3]))
    channels = offset_groups * int(rng.integers(1, 1 + 2 * rows // offset_groups))
    kernels, groups = int(rng.integers(1, 2 * rows)), 1
    if kind == "depthwise":
        groups = kernels = channels
    elif kind == "group":
        groups = int(rng.choice([g for g in range(1, channels + 1) if channels % g == 0]))
        kernels = groups * int(rng.integers(1, 4))
    kernel, stride, dilation = numbers(rng, 1, 4), numbers(rng, 1, 4), numbers(rng, 1, 3)
    padding = numbers(rng, 0, 4, 4)
    height, width = (
        max(int(rng.integers(1, 12)), (k - 1) * d + 1 - p - q)
        for k, d, p, q in zip(kernel, dilation, padding[::2], padding[1::2], strict=True)
    )
    size = (
        window_out(height, kernel[0], stride[0], dilation[0], padding[:2]),
        window_out(width, kernel[1], stride[1], dilation[1], padding[2:]),
    )
    taps = offset_groups * kernel[0] * kernel[1]
    offset, mask, limits = random_positions(rng, config, taps, size, reach)
    masked = mask is not None
    if not fits(config, taps, size[1], masked):
        return random_deformable(rng, config, reach)
    x = random_type(rng, (channels, height, width))
    y = random_type(rng, (kernels, *size), bits=8)
    values = {"x": x, "y": y, "offset": offset, "bounded": offset}
    if masked:
        values |= {"mask": mask}
    weight_bits = int(rng.integers(2, config.weight_bits + 1))
    low, high = -(1 << (weight_bits - 1)), 1 << (weight_bits - 1)
    weight = rng.integers(low, high, (kernels, channels // groups, *kernel))
    one = np.ones((offset.shape[0], 1, 1, 1), np.int64)
    bound = Conv2d(
        "bound", "offset", "bounded", one, 2, np.zeros(len(one), np.int64),
        (1, 1), (0, 0, 0, 0), (1, 1), len(one), same(offset, *limits),
    )  # fmt: skip
    layer = DeformConv2d(
        "layer", "x", "bounded", "mask" if masked else None, "y", weight, weight_bits,
        rng.integers(-1000, 1000, kernels), stride, padding, dilation, groups, offset_groups,
        random_requantize(rng, y, config.multiplier_width),
    )  # fmt: skip
    inputs = [Input(f"the {v}", v) for v in ("x", "offset", *(["mask"] if masked else []))]
    graph = Graph(kind, values, (*inputs, bound, layer, Output("output", "y")))
    types = [values[op.output] for op in inputs]
    return graph, [rng.integers(t.qmin, t.qmax + 1, (1, *t.shape)) for t in types]


def random_network(rng, config):
    """Return two deformable layers behind convolutions that compute offsets and masks."""
    rows = config.rows
    height, width = int(rng.integers(8, 28)), int(rng.integers(6, 14))
    values = {"x": random_type(rng, (int(rng.integers(1, rows)), height, width), bits=8)}
    ops = [Input("input", "x")]

    def convolution(name, source, kind, groups=1, kernel=3, limits=None):
        channels = values[source].shape[0]
        values[name] = kind
        requantize = random_requantize(rng, kind, config.multiplier_width)
        if limits is not None:
            requantize = replace(requantize, qmin=limits[0], qmax=limits[1])
        weight = rng.integers(-8, 8, (kind.shape[0], channels // groups, kernel, kernel))
        ops.append(
            Conv2d(
                name,
                source,
                name,
                weight,
                4,
                rng.integers(-99, 99, len(weight)),
                (1, 1),
                (kernel // 2,) * 4,
                (1, 1),
                groups,
                requantize,
            )
        )
        return name

    source = convolution("stem", "x", random_type(rng, (2 * rows, height, width), bits=8))
    for layer in ("first", "second"):
        channels = values[source].shape[0]
        kernel, offset_groups = int(rng.choice([1, 3])), int(rng.choice([1, 2]))
        if not fits(config, kernel**2 * offset_groups, width, True):
            kernel, offset_groups = 1, 1
        taps = kernel**2 * offset_groups
        offset, mask, limits = random_positions(rng, config, taps, (height, width), 2)
        offsets = convolution(f"{layer}.offset", source, offset, kernel=kernel, limits=limits)
        masks = None
        if mask is not None:
            masks = convolution(f"{layer}.mask", source, mask, kernel=1)
        depthwise = rng.random() < 0.5
        kernels = channels if depthwise else 2 * int(rng.integers(1, rows))
        kind = values[layer] = random_type(rng, (kernels, height, width), bits=8)
        weight = rng.integers(-8, 8, (kernels, 1 if depthwise else channels, kernel, kernel))
        ops.append(
            DeformConv2d(
                layer,
                source,
                offsets,
                masks,
                layer,
                weight,
                4,
                rng.integers(-99, 99, kernels),
                (1, 1),
                (kernel // 2,) * 4,
                (1, 1),
                channels if depthwise else 1,
                offset_groups,
                random_requantize(rng, kind, config.multiplier_width),
            )
        )
        source = layer
    kind = random_type(rng, (int(rng.integers(1, rows)), height, width), bits=8)
    end = convolution("end", source, kind, kernel=1)
    graph = Graph("network", values, (*ops, Output("output", end)))
    return graph, [rng.integers(values["x"].qmin, values["x"].qmax + 1, (1, *values["x"].shape))]
