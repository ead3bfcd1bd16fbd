"""Small networks for tests of schedules."""

import numpy as np

from tilewright.compiler.ir import (
    Add,
    Conv2d,
    Graph,
    Input,
    MaxPool2d,
    Output,
    Requantize,
    TensorType,
)


def conv(name, source, output, channels, *, kernel=3, stride=1, groups=1, kernels=None):
    """Return a convolution with weights of one that keeps the size of its input."""
    kernels = channels if kernels is None else kernels
    weight = np.ones((kernels, channels // groups, kernel, kernel), np.int64)
    scale = Requantize((1,) * kernels, (8,) * kernels, 0, -128, 127)
    return Conv2d(
        name, source, output, weight, 4, np.zeros(kernels, np.int64), (stride, stride),
        (kernel // 2,) * 4, (1, 1), groups, scale,
    )  # fmt: skip


def residual(channels=8, size=(12, 10)):
    """Return two convolutions whose result is added to their input, and a pool behind it."""
    kind = TensorType((channels, *size), 8, True, 1.0, 0)
    small = TensorType((channels, size[0] // 2, size[1] // 2), 8, True, 1.0, 0)
    same = Requantize((1,) * channels, (0,) * channels, 0, -128, 127)
    ops = (
        Input("input", "x"),
        conv("first", "x", "a", channels),
        conv("second", "a", "b", channels),
        Add("sum", "b", "x", "s", same, same, same, 8, True),
        MaxPool2d("pool", "s", "y", (2, 2), (2, 2), (0, 0, 0, 0), (1, 1)),
        Output("output", "y"),
    )
    return Graph("residual", {**dict.fromkeys("xabs", kind), "y": small}, ops)
