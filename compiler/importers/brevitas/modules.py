# ruff: noqa: D401 - these docstrings tell the user what a module becomes
"""What each PyTorch or Brevitas module becomes. The docstrings generate docs/supported_ops.md."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from tilewright.compiler.importers.brevitas import deformable, movement, windows
from tilewright.compiler.importers.brevitas.calls import Call, add, doubles, flatten
from tilewright.compiler.importers.brevitas.expressions import MODULES as ELEMENTWISE
from tilewright.compiler.importers.brevitas.expressions import named
from tilewright.compiler.importers.brevitas.quantizers import (
    Weight,
    activation_bounds,
    activation_grid,
    quantized_weight,
)
from tilewright.compiler.importers.brevitas.values import Abstract, Pending, Quantized
from tilewright.compiler.quantized import ops as q
from tilewright.errors import UnsupportedError
from tilewright.nn import QuantDeformConv2d, QuantMask, QuantOffset

Handler = Callable[[Any, Call], Abstract]
MODULES: dict[type[nn.Module], Handler] = {}
"""Handler of every supported module class; subclasses must not override ``forward``."""


def handles(*classes: type[nn.Module]) -> Callable[[Handler], Handler]:
    """Register the decorated function for module classes."""

    def register(handler: Handler) -> Handler:
        MODULES.update(dict.fromkeys(classes, handler))
        return handler

    return register


def handler_for(module: nn.Module) -> Handler | None:
    """Look up the handler of the module's class, or of a base class that computes the same."""
    for cls in type(module).__mro__:
        if cls in MODULES:
            methods = ("forward", "inner_forward_impl", "_conv_forward", "forward_impl")
            same = all(getattr(type(module), m, 0) is getattr(cls, m, 0) for m in methods)
            return MODULES[cls] if same else None
    return None


@handles(qnn.QuantConv2d)
def _conv(module: Any, call: Call) -> Abstract:
    """Becomes Conv2d; batch norm, ReLU and the quantizer behind it fuse.

    Weights are symmetric, 2 to 8 bits, with one scale per tensor or per output channel. Padding is
    zeros, given as numbers, 'same' or 'valid'. The bias needs bias_quant=Int32Bias.
    """
    if module.padding_mode != "zeros":
        raise UnsupportedError(
            call.where, f"padding_mode={module.padding_mode!r}", "Use padding_mode='zeros'."
        )
    x = _input_quantized(module, call, 0)
    weight = quantized_weight(call.where, module)
    kernel = windows.pair(module.kernel_size)
    stride, dilation = windows.pair(module.stride), windows.pair(module.dilation)
    if module.is_same_padded_strided:
        padding = windows.strided_same_padding(x.shape[1:], kernel, stride, dilation)
    elif module.padding == "same":
        padding = windows.same_padding(kernel, dilation)
    elif module.padding == "valid":
        padding = (0, 0, 0, 0)
    else:
        padding = windows.symmetric_padding(module.padding)
    groups = int(module.groups)
    return _weighted(
        module, call, x, weight,
        lambda output, bias: q.Conv(
            call.where, (x.name,), output, weight.reals, bias, weight.scale, weight.bits, stride,
            padding, dilation, groups,
        ),
    )  # fmt: skip


@handles(qnn.QuantConv1d)
def _conv1d(module: Any, call: Call) -> Abstract:
    """Becomes Conv2d on an image of one row: as QuantConv2d, on (N, C, L)."""
    if module.padding_mode != "zeros":
        raise UnsupportedError(
            call.where, f"padding_mode={module.padding_mode!r}", "Use padding_mode='zeros'."
        )
    if module.is_same_padded_strided:
        raise UnsupportedError(
            call.where, "padding='same' with a stride", "Give the padding as a number."
        )
    x = _input_quantized(module, call, 0)
    weight = quantized_weight(call.where, module)
    kernel, dilation = (1, int(module.kernel_size[0])), (1, int(module.dilation[0]))
    if module.padding == "same":
        padding = windows.same_padding(kernel, dilation)
    elif module.padding == "valid":
        padding = (0, 0, 0, 0)
    else:
        padding = windows.symmetric_padding((0, module.padding[0]))
    line, stride, groups = weight.reals[:, :, None], (1, int(module.stride[0])), int(module.groups)
    return _weighted(
        module, call, x, weight,
        lambda output, bias: q.Conv(
            call.where, (x.name,), output, line, bias, weight.scale, weight.bits, stride, padding,
            dilation, groups,
        ),
    )  # fmt: skip


@handles(QuantDeformConv2d)
def _deform_conv(module: Any, call: Call) -> Abstract:
    """Becomes DeformConv2d: as QuantConv2d. QuantOffset makes its offsets, QuantMask its mask.

    Square offsets are expanded by a Conv2d of one tap.
    """
    x = _input_quantized(module, call, 0)
    reads, weight = deformable.sources(call, x), quantized_weight(call.where, module)
    return _weighted(
        module, call, x, weight,
        lambda output, bias: deformable.convolution(
            module, call.where, reads, output, weight, bias
        ),
    )  # fmt: skip


@handles(qnn.QuantConvTranspose2d)
def _conv_transpose(module: Any, call: Call) -> Abstract:
    """Becomes ConvTranspose2d: as QuantConv2d, with a dilation of 1 and no output_size.

    Brevitas runs groups only with one weight scale per tensor.
    """
    if windows.pair(module.dilation) != (1, 1):
        raise UnsupportedError(
            call.where,
            f"a transposed convolution with dilation={module.dilation}",
            "Use dilation=1, with a larger kernel that holds the zeros.",
        )
    if len(call.args) > 1:
        raise UnsupportedError(
            call.where, "an output_size", "Choose the size with output_padding instead."
        )
    x = _input_quantized(module, call, 0)
    weight = quantized_weight(call.where, module)
    return _weighted(
        module, call, x, weight,
        lambda output, bias: q.ConvTranspose(
            call.where, (x.name,), output, weight.reals, bias, weight.scale, weight.bits,
            windows.pair(module.stride), windows.symmetric_padding(module.padding),
            windows.pair(module.output_padding), int(module.groups),
        ),
    )  # fmt: skip


@handles(qnn.QuantLinear)
def _linear(module: Any, call: Call) -> Abstract:
    """Becomes Linear: as QuantConv2d, on a flattened input."""
    x = _input_quantized(module, call, 0)
    if not x.flat:
        raise UnsupportedError(
            call.where, f"its input has the shape {x.shape}", "Put nn.Flatten() before it."
        )
    weight = quantized_weight(call.where, module)
    return _weighted(
        module, call, x, weight,
        lambda output, bias: q.Linear(
            call.where, (x.name,), output, weight.reals, bias, weight.scale, weight.bits
        ),
    )  # fmt: skip


@handles(qnn.QuantIdentity, qnn.QuantReLU, QuantOffset, QuantMask)
def _activation(module: Any, call: Call) -> Abstract:
    """Gives the operator before it its grid, or becomes Rescale; at the input it becomes Input.

    Signed or unsigned, 2 to 16 bits, one scale per tensor, any integer zero point.
    """
    x = _apply_input_quant(module, call, call.tensor(0))
    bounds = activation_bounds(call.where, module.act_quant)
    grid = activation_grid(call.where, "act_quant", module.act_quant)
    if grid is None:
        return x if bounds == (-math.inf, math.inf) else call.builder.clip(call.where, x, *bounds)
    return call.builder.quantize(call.where, x, grid.clipped(*bounds))


@handles(qnn.QuantSigmoid, qnn.QuantTanh)
def _quantized_function(module: Any, call: Call) -> Abstract:
    """Becomes Lookup, after a quantizer of at most 8 bits."""
    grid = activation_grid(call.where, "act_quant", module.act_quant)
    function = "sigmoid" if isinstance(module, qnn.QuantSigmoid) else "tanh"
    x = call.builder.function(call.where, call.tensor(0), named(function))
    return x if grid is None else call.builder.quantize(call.where, x, grid)


@handles(qnn.QuantEltwiseAdd)
def _eltwise_add(module: Any, call: Call) -> Abstract:
    """Becomes Add on the grid of its input quantizer.

    Operands that are not quantized yet are put on that grid.
    """
    shared = activation_grid(call.where, "input_quant", module.input_quant)
    operands = []
    for i in (0, 1):
        x = call.tensor(i)
        if shared is not None and not isinstance(x, Quantized):
            x = call.builder.quantize(f"{call.where}.input_quant", x, shared)
        operands.append(call.builder.quantized(call.where, x))
    a, b = operands
    return _output_quantized(module, call, add(call, a, b, shared))


@handles(nn.Upsample, nn.UpsamplingNearest2d)
def _upsample(module: Any, call: Call) -> Abstract:
    """Becomes Upsample with mode 'nearest', UpsampleBilinear with 'bilinear'; integer factors."""
    return movement.upsample(call, module.mode, module.align_corners)


@handles(nn.PixelShuffle)
def _pixel_shuffle(module: Any, call: Call) -> Abstract:
    """Becomes PixelShuffle, after a quantizer."""
    return movement.pixel_shuffle(call, module.upscale_factor)


@handles(nn.PixelUnshuffle)
def _pixel_unshuffle(module: Any, call: Call) -> Abstract:
    """Becomes PixelUnshuffle, after a quantizer."""
    return movement.pixel_unshuffle(call, module.downscale_factor)


@handles(nn.ChannelShuffle)
def _channel_shuffle(module: Any, call: Call) -> Abstract:
    """Becomes SelectChannels, after a quantizer.

    Brevitas forgets the scale of what is shuffled, split or sliced: put a QuantIdentity behind it
    that shares the quantizer in front of it.
    """
    return movement.channel_shuffle(call, module.groups)


@handles(nn.BatchNorm2d, nn.BatchNorm1d)
def _batch_norm(module: Any, call: Call) -> Abstract:
    """Folds into the QuantConv2d, QuantConvTranspose2d or QuantLinear before it.

    Its scale goes into the multipliers, the rest into the bias, which is rounded to the
    accumulator's grid: an output of that layer can change by one LSB, and
    ``Program.rounded_biases`` says so.
    """
    x = call.tensor(0)
    clipped = isinstance(x, Pending) and (x.lower, x.upper) != (-math.inf, math.inf)
    if not isinstance(x, Pending) or not x.weighted or clipped:
        raise UnsupportedError(
            call.where,
            "batch norm that does not directly follow a QuantConv2d or QuantLinear without "
            "output_quant",
            "Move it behind a convolution, or replace it by a depthwise 1x1 QuantConv2d.",
        )
    if module.running_mean is None or module.running_var is None:
        raise UnsupportedError(
            call.where, "track_running_stats=False", "Use track_running_stats=True."
        )
    mean, variance = doubles(module.running_mean), doubles(module.running_var)
    scale = 1 / torch.sqrt(variance + module.eps)
    if module.weight is not None:
        scale = scale * doubles(module.weight)
    offset = -mean * scale
    if module.bias is not None:
        offset = offset + doubles(module.bias)
    where = call.where
    name = call.builder.emit(
        where, lambda output: q.Affine(where, (x.name,), output, scale, offset)
    )
    return replace(x, name=name)


@handles(nn.MaxPool2d)
def _max_pool(module: Any, call: Call) -> Abstract:
    """Becomes MaxPool2d, after a quantizer."""
    m = module
    return windows.max_pool(
        call,
        windows.MaxPoolArguments(
            m.kernel_size, m.stride, m.padding, m.dilation, m.ceil_mode, m.return_indices
        ),
    )


@handles(nn.AvgPool2d)
def _avg_pool(module: Any, call: Call) -> Abstract:
    """Becomes AvgPool2d with the quantizer behind it; zeros of the padding count."""
    m = module
    return windows.avg_pool(
        call,
        windows.AvgPoolArguments(
            m.kernel_size,
            m.stride,
            m.padding,
            m.ceil_mode,
            m.count_include_pad,
            m.divisor_override,
        ),
    )


@handles(nn.MaxPool1d)
def _max_pool1d(module: Any, call: Call) -> Abstract:
    """Becomes MaxPool2d on an image of one row."""
    m = module
    stride, padding = _line(m.stride, 1), _line(m.padding, 0)
    return windows.max_pool(
        call,
        windows.MaxPoolArguments(
            _line(m.kernel_size, 1),
            stride,
            padding,
            _line(m.dilation, 1),
            m.ceil_mode,
            m.return_indices,
        ),
    )


@handles(nn.AvgPool1d)
def _avg_pool1d(module: Any, call: Call) -> Abstract:
    """Becomes AvgPool2d on an image of one row."""
    m = module
    arguments = windows.AvgPoolArguments(
        _line(m.kernel_size, 1),
        _line(m.stride, 1),
        _line(m.padding, 0),
        m.ceil_mode,
        m.count_include_pad,
    )
    return windows.avg_pool(call, arguments)


@handles(nn.AdaptiveAvgPool1d)
def _adaptive_avg_pool1d(module: Any, call: Call) -> Abstract:
    """Becomes AvgPool2d when the output size divides the input size."""
    size = _line(module.output_size, 1)
    return windows.adaptive_avg_pool(call, size)


@handles(nn.AdaptiveAvgPool2d)
def _adaptive_avg_pool(module: Any, call: Call) -> Abstract:
    """Becomes AvgPool2d when the output size divides the input size."""
    return windows.adaptive_avg_pool(call, module.output_size)


@handles(nn.ReLU, nn.ReLU6)
def _relu(module: Any, call: Call) -> Abstract:
    """Narrows the range of the quantizer behind it."""
    upper = 6.0 if type(module) is nn.ReLU6 else math.inf
    return call.builder.clip(call.where, call.tensor(0), 0.0, upper)


@handles(*ELEMENTWISE)
def _function(module: Any, call: Call) -> Abstract:
    """Becomes Lookup, between two quantizers of at most 8 bits."""
    expression = ELEMENTWISE[_class(module)](module)
    return call.builder.function(call.where, call.tensor(0), expression)


def _class(module: nn.Module) -> type[nn.Module]:
    return next(cls for cls in type(module).__mro__ if cls in ELEMENTWISE)


@handles(nn.Flatten)
def _flatten(module: Any, call: Call) -> Abstract:
    """Folds into the QuantLinear behind it; it must keep the batch and flatten all the rest."""
    return flatten(call)


@handles(nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)
def _identity(module: Any, call: Call) -> Abstract:
    """Disappears."""
    return call.tensor(0)


def _line(value: Any, vertical: int) -> tuple[int, int]:
    """Read an argument of one dimension, as (vertical, horizontal)."""
    return vertical, int(value[0] if isinstance(value, tuple | list) else value)


def _input_quantized(module: Any, call: Call, index: int) -> Quantized:
    x = _apply_input_quant(module, call, call.tensor(index))
    return call.builder.quantized(call.where, x)


def _apply_input_quant(module: Any, call: Call, x: Abstract) -> Abstract:
    grid = activation_grid(call.where, "input_quant", module.input_quant)
    return x if grid is None else call.builder.quantize(f"{call.where}.input_quant", x, grid)


def _output_quantized(module: Any, call: Call, x: Pending) -> Abstract:
    bounds = activation_bounds(call.where, module.output_quant)
    grid = activation_grid(call.where, "output_quant", module.output_quant)
    clipped = x if bounds == (-math.inf, math.inf) else call.builder.clip(call.where, x, *bounds)
    return clipped if grid is None else call.builder.quantize(call.where, clipped, grid)


def _weighted(
    module: Any,
    call: Call,
    x: Quantized,
    weight: Weight,
    make: Callable[[str, Tensor], q.Op],
) -> Abstract:
    """Emit what ``make`` returns for the name of its output and the bias in real numbers."""
    reals = torch.zeros(len(weight.scale), dtype=torch.float64)
    if module.bias is not None:
        bias = module.bias
        if module.bias_quant.is_quant_enabled:
            proxy = module.bias_quant
            if not proxy.requires_input_scale:
                bias = proxy(bias)
            else:
                steps = bias.new_tensor((weight.scale * x.grid.scale).tolist())
                bias = proxy.tensor_quant(bias, steps)[0]
        reals = doubles(getattr(bias, "value", bias))
    name = call.builder.emit(call.where, lambda output: make(output, reals))
    return _output_quantized(
        module, call, Pending(call.where, name, call.shape, call.flat, weighted=True)
    )
