"""Operators with weights."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from tilewright.compiler.importers.tflite.call import Call, float64, grid_of
from tilewright.compiler.importers.tflite.windows import dilation, kept_apart, padding, stride
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View

FloatArray = npt.NDArray[np.float64]


def _weights(
    call: Call, axis: int, kernels: int, *, data: int = 0, bias: int = 2
) -> tuple[npt.NDArray[np.int64], FloatArray, FloatArray, FloatArray | None]:
    """Return weights, their scales, those of the accumulators, and the bias in real units.

    ``axis`` : of the output channels, of which there are ``kernels``; ``data``, ``bias`` : places
    of operands.
    """
    tensor = call.tensor(1)
    weight = call.constant(1, "INT8").astype(np.int64)
    if tensor.zero_points.any():
        call.refuse(
            f"the weights {tensor.name} have the zero point {int(tensor.zero_points.max())}",
            "Convert the network anew: int8 weights of TFLite have none.",
        )
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused below, as others are
        scales = tensor.scales.astype(np.float64)
    if len(scales) not in (1, kernels) or (len(scales) > 1 and tensor.axis != axis):
        call.refuse(
            f"{len(scales)} scales along axis {tensor.axis} for {kernels} kernels",
            "Weights have one scale, or one for each kernel.",
        )
    if not (np.isfinite(scales) & (scales > 0)).all():
        call.refuse(f"a scale of {tensor.name} is {scales.min()}", "Scales are positive.")
    own = grid_of(call.where, call.tensor(data)).scale
    scales = np.broadcast_to(scales, (kernels,)).copy()
    integers = None
    if call.has(bias):
        integers = call.constant(bias, "INT32").astype(np.float64).reshape(-1)
        if len(integers) != kernels:
            call.refuse(f"{len(integers)} biases for {kernels} kernels", "There is one for each.")
    return weight, scales, scales * own, integers


def conv(call: Call) -> View:
    """CONV_2D: convolution with groups, stride and dilation."""
    x = call.channels_first()
    shape = call.tensor(1).shape
    if len(shape) != 4:
        call.refuse(f"weights of {shape}", "They are (kernels, rows, columns, channels).")
    kernels, rows, columns, per_group = shape
    if not per_group or x.shape[0] % per_group:
        call.refuse(f"{per_group} channels of weights for {x.shape[0]}", "One divides the other.")
    weight, scales, accumulators, bias = _weights(call, 0, kernels)
    kernel = (rows, columns)
    y = call.builder.conv(
        call.where,
        x,
        float64(weight.transpose(0, 3, 1, 2) * scales[:, None, None, None]),
        None if bias is None else float64(bias * accumulators),
        stride(call),
        padding(call, x.shape[1:], kernel),
        dilation(call),
        x.shape[0] // per_group,
        float64(scales),
    )
    return kept_apart(call, call.channels_last(call.quantized(y)))


def depthwise(call: Call) -> View:
    """DEPTHWISE_CONV_2D: a group for each channel."""
    x = call.channels_first()
    shape, channels = call.tensor(1).shape, x.shape[0]
    if len(shape) != 4 or shape[0] != 1 or not shape[3] or shape[3] % channels:
        call.refuse(
            f"weights of {shape} for {channels} channels",
            "They are (1, rows, columns, channels times multiplier).",
        )
    _, rows, columns, kernels = shape
    weight, scales, accumulators, bias = _weights(call, 3, kernels)
    y = call.builder.conv(
        call.where,
        x,
        float64(weight.transpose(3, 0, 1, 2) * scales[:, None, None, None]),
        None if bias is None else float64(bias * accumulators),
        stride(call),
        padding(call, x.shape[1:], (rows, columns)),
        dilation(call),
        channels,
        float64(scales),
    )
    return kept_apart(call, call.channels_last(call.quantized(y)))


def transpose_conv(call: Call) -> View:
    """TRANSPOSE_CONV: of its operands, the first is the result's shape, the second the weights."""
    x = call.builder.transposed(call.view(2), (2, 0, 1))
    shape = call.tensor(1).shape
    if len(shape) != 4 or shape[3] != x.shape[0] or not call.has(0):
        call.refuse(f"weights of {shape}", "They are (kernels, rows, columns, channels).")
    kernels, size, steps = shape[0], (shape[1], shape[2]), stride(call)
    weight, scales, accumulators, bias = _weights(call, 0, kernels, data=2, bias=3)
    wanted = call.broadcast()
    pads: list[int] = []
    for n, m, k, s in zip(x.shape[1:], wanted[:2], size, steps, strict=True):
        # As little as the padding of a convolution from the result back.
        total = max(0, (n - 1) * s + k - m) if call.option("Padding") == 0 else 0
        pads += [total // 2, total - total // 2]
    beyond = [
        m - ((n - 1) * s + k - pads[2 * i] - pads[2 * i + 1])
        for i, (n, m, k, s) in enumerate(zip(x.shape[1:], wanted[:2], size, steps, strict=True))
    ]
    if min(beyond) < 0:
        call.refuse(f"a result of {wanted}", "The file is damaged.")
    y = call.builder.conv_transpose(
        call.where,
        x,
        float64(weight.transpose(0, 3, 1, 2) * scales[:, None, None, None]),
        None if bias is None else float64(bias * accumulators),
        steps,
        (pads[0], pads[1], pads[2], pads[3]),
        (beyond[0], beyond[1]),
        1,
        float64(scales),
    )
    return call.channels_last(call.quantized(y))


def fully_connected(call: Call) -> View:
    """FULLY_CONNECTED: a matrix times all elements, or times each of several vectors."""
    if call.option("WeightsFormat"):
        call.refuse("shuffled weights", "Convert the network anew, for no processor in particular.")
    x = call.view(0)
    shape = call.tensor(1).shape
    if len(shape) != 2 or math.prod(x.shape) % max(1, shape[1]) or not math.prod(shape):
        call.refuse(f"weights of {shape} for {x.shape}", "They are (kernels, features).")
    kernels, features = shape
    weight, scales, accumulators, bias = _weights(call, 0, kernels)
    rest = x.shape[:-1]
    if math.prod(x.shape) == features:
        x, rest = call.builder.reshaped(x, (features,)), ()
    elif x.shape[-1] != features:
        call.refuse(f"vectors across {x.shape}", f"The last axis has {features} elements.")
    before = len(call.builder.ops)
    y = call.builder.linear(
        call.where,
        x,
        float64(weight * scales[:, None]),
        None if bias is None else float64(bias * accumulators),
        float64(scales),
    )
    call.builder.ops[before:] = [
        replace(op, once=True) if isinstance(op, q.Conv) and not op.moves else op
        for op in call.builder.ops[before:]
    ]
    wanted = call.result.shape[1:] if call.result.shape[0] == 1 else (*rest, kernels)
    if math.prod(wanted) != math.prod(rest) * kernels:
        call.refuse(f"a result of {call.result.shape}", f"Its vectors have {kernels} elements.")
    return call.builder.reshaped(call.quantized(y), wanted)


def batch_matmul(call: Call) -> View:
    """BATCH_MATMUL by a constant matrix, whose sums are rounded as those of convolutions."""
    shape, weight = call.tensor(1).shape, call.constant(1, "INT8").astype(np.int64)
    own = grid_of(call.where, call.tensor(1))
    if own.zero_point or call.option("AdjX") or math.prod(shape[:-2]) != 1 or len(shape) < 2:
        call.refuse("BATCH_MATMUL by several matrices, or with a zero point", "Use one matrix.")
    matrix = weight.reshape(shape[-2:])
    matrix = matrix if call.option("AdjY") else matrix.T
    x, scales = call.view(0), np.full(len(matrix), own.scale)
    if x.shape[-1] != matrix.shape[1]:
        call.refuse(f"weights of {shape} for {x.shape}", "The last axis has as many elements.")
    y = call.builder.linear(call.where, x, float64(matrix * own.scale), None, float64(scales))
    return call.builder.reshaped(call.quantized(y, call.grid), call.broadcast())
