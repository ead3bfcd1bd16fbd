"""Random single-layer networks, in range of everything the engine does."""

from dataclasses import replace

import numpy as np

from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    Graph,
    Input,
    Linear,
    MaxPool2d,
    Output,
    Requantize,
    Rescale,
    TensorType,
)

KINDS = (
    "conv", "depthwise", "group", "linear", "max", "avg", "add", "rescale", "large", "transposed",
)  # fmt: skip
SHARES = (0.4, 0.08, 0.1, 0.08, 0.06, 0.06, 0.04, 0.04, 0.04, 0.1)


def random_type(rng, shape, bits=None):
    bits = int(rng.integers(2, 9)) if bits is None else bits
    kind = TensorType(shape, bits, bool(rng.integers(2)), 1.0, 0)
    if rng.random() < 0.5:
        kind = replace(kind, zero_point=int(rng.integers(kind.qmin, kind.qmax + 1)))
    return kind


def random_requantize(rng, kind, multiplier_width, rounding="half_even"):
    channels = kind.shape[0]
    if rng.random() < 0.3:
        # Powers of two: ties are common, and show how rounding treats them.
        multiplier, shift = np.ones(channels, int), rng.integers(3, 12, channels)
    else:
        multiplier = rng.integers(1, 1 << multiplier_width, channels)
        shift = rng.integers(multiplier_width + 2, multiplier_width + 10, channels)
    return Requantize(
        tuple(map(int, multiplier)),
        tuple(map(int, shift)),
        kind.zero_point,
        kind.qmin,
        kind.qmax,
        rounding,
    )


def window_out(size, kernel, stride, dilation, padding):
    return (size + sum(padding) - (kernel - 1) * dilation - 1) // stride + 1


def random_layer(rng, config, most=20):
    """Return a graph of one layer and its integer inputs.

    Kernel 1..7 (rectangular), stride 1..3, padding 0..3 (asymmetric), dilation 1..3 now and then,
    channels up to three groups and rarely whole ones, any number of convolution groups with any
    number of channels each, 2..8-bit weights and activations. "large": one side of the kernel up to
    31, stride up to 4, dilation up to 18. "transposed": kernel 1..4, stride 1..3. Now and then rows
    and columns of a kernel are zero. Maps have fewer than ``most`` columns.
    """
    rows, multiplier_width = config.rows, config.multiplier_width
    kind = str(rng.choice(KINDS, p=SHARES))
    channels, kernels = (int(n) for n in rng.integers(1, 3 * rows, 2))
    height, width = int(rng.integers(1, 14)), int(rng.integers(1, most))
    kernel = tuple(int(n) for n in rng.integers(1, 8, 2))
    stride = tuple(int(n) for n in rng.integers(1, 4, 2))
    padding = tuple(int(n) for n in rng.integers(0, 4, 4))
    dilation = tuple(int(n) for n in rng.integers(1, 4, 2)) if rng.random() < 0.2 else (1, 1)
    groups = 1
    if kind == "depthwise":
        groups = channels = kernels
    elif kind == "group":
        per_group, groups = int(rng.integers(1, 7)), int(rng.integers(2, 7))
        multiple = rng.random() < 0.5
        channels = per_group * groups
        kernels = groups * (per_group if multiple else int(rng.integers(1, 7)))
    elif kind == "large":
        channels, kernels = (int(n) for n in rng.integers(1, rows, 2))
        if rng.random() < 0.5:
            groups = channels = kernels
        kernel = (int(rng.integers(1, 32)), int(rng.integers(1, 4)))
        dilation = (1, int(rng.integers(1, 19)))
        if rng.random() < 0.5:
            kernel, dilation = kernel[::-1], dilation[::-1]
        stride = tuple(int(n) for n in rng.integers(1, 5, 2))
        padding = tuple(int(n) for n in rng.integers(0, 18, 4))
    elif kind == "transposed":
        kernel = tuple(int(n) for n in rng.integers(1, 5, 2))
        padding = tuple(int(rng.integers(k)) for k in np.repeat(kernel, 2))
        dilation = (1, 1)
        if rng.random() < 0.3:
            groups = channels = kernels
        output_padding = tuple(int(rng.integers(s)) for s in stride)
        # Every crop leaves something.
        height, width = height + 3, width + 3
    elif kind in ("linear", "add", "rescale"):
        kernel, stride, dilation, padding = (1, 1), (1, 1), (1, 1), (0, 0, 0, 0)
    elif kind in ("max", "avg"):
        kernels = channels
        limits = (kernel[0] // 2, kernel[0] // 2, kernel[1] // 2, kernel[1] // 2)
        padding = tuple(map(min, padding, limits))
        dilation = (1, 1) if kind == "avg" else dilation
    if kind == "linear":
        height, width = min(height, 5), min(width, 5)
    if kind != "transposed":
        height = max(height, (kernel[0] - 1) * dilation[0] + 1 - padding[0] - padding[1])
        width = max(width, (kernel[1] - 1) * dilation[1] + 1 - padding[2] - padding[3])
    if kind in ("add", "rescale"):
        kernels = channels
    out_shape = (kernels, 1, 1)
    if kind == "transposed":
        out_shape = (
            kernels,
            (height - 1) * stride[0] + kernel[0] - sum(padding[:2]) + output_padding[0],
            (width - 1) * stride[1] + kernel[1] - sum(padding[2:]) + output_padding[1],
        )
    elif kind != "linear":
        out_shape = (
            kernels,
            window_out(height, kernel[0], stride[0], dilation[0], padding[:2]),
            window_out(width, kernel[1], stride[1], dilation[1], padding[2:]),
        )
    x = random_type(rng, (channels, height, width))
    if kind == "max" and config.weight_bits == 4:
        x = replace(x, signed=False, zero_point=0)
    y = random_type(rng, out_shape, bits=8)
    values = {"x": x, "y": y}
    rounding = config.rounding
    if rounding == "double" and rng.random() < 0.5:
        rounding = "half_away"
    requantize = random_requantize(rng, y, multiplier_width, rounding)
    weight_bits = int(rng.integers(2, config.weight_bits + 1))
    low, high = -(1 << (weight_bits - 1)), 1 << (weight_bits - 1)
    bias = rng.integers(-1000, 1000, kernels)
    match kind:
        case "conv" | "depthwise" | "group" | "large":
            weight = rng.integers(low, high, (kernels, channels // groups, *kernel))
            if rng.random() < 0.2:  # whole rows and columns of the kernel are zero
                weight[:, :, rng.random(kernel[0]) < 0.5] = 0
                weight[:, :, :, rng.random(kernel[1]) < 0.5] = 0
            op = Conv2d(
                "layer", "x", "y", weight, weight_bits, bias,
                stride, padding, dilation, groups, requantize,
            )  # fmt: skip
        case "transposed":
            weight = rng.integers(low, high, (kernels, channels // groups, *kernel))
            op = ConvTranspose2d(
                "layer", "x", "y", weight, weight_bits, bias,
                stride, padding, output_padding, groups, requantize,
            )  # fmt: skip
        case "linear":
            weight = rng.integers(low, high, (kernels, channels * height * width))
            op = Linear("layer", "x", "y", weight, weight_bits, bias, requantize)
        case "max":
            values["y"] = replace(x, shape=out_shape)
            op = MaxPool2d("layer", "x", "y", kernel, stride, padding, dilation)
        case "avg":
            op = AvgPool2d("layer", "x", "y", kernel, stride, padding, requantize)
        case "rescale":
            op = Rescale("layer", "x", "y", requantize)
        case _:
            values["z"] = random_type(rng, x.shape)
            sides = [
                Requantize(
                    (1,) * channels, (int(rng.integers(2)),) * channels, 0, -128, 127,
                    config.rounding,
                )
                for _ in range(2)
            ]  # fmt: skip
            op = Add("layer", "x", "z", "y", *sides, requantize, 8, True)
    inputs = [Input("input", "x")] + ([Input("other", "z")] if kind == "add" else [])
    graph = Graph(kind, values, (*inputs, op, Output("output", "y")))
    types = [values[i.output] for i in inputs]
    return graph, [rng.integers(t.qmin, t.qmax + 1, (1, *t.shape)) for t in types]
