"""Convolutions, matrices and batch norms."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tilewright.compiler.importers.export.attention import matrices
from tilewright.compiler.importers.export.call import Call, Folded, handles, pair
from tilewright.compiler.importers.export.dynamic import with_kernels
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View


def _padding(padding: Any, kernel: Any, dilation: Any) -> q.Padding:
    if padding == "valid":
        return 0, 0, 0, 0
    if padding == "same":  # an odd pixel goes to the bottom and to the right
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2
    vertical, horizontal = pair(padding)
    return vertical, vertical, horizontal, horizontal


@handles("conv2d")
def conv2d(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> View | Folded:
    """Becomes Conv, or DynamicConv where the weights depend on the inputs."""
    if isinstance(weight, View | Folded):
        shape = (1, *weight.shape) if isinstance(weight, View) else weight.view.shape
        if len(shape) != 4:
            call.refuse(f"kernels of the shape {shape}", "Give it a tensor (K, C / g, R, S).")
        pads = _padding(padding, shape[2:], pair(dilation))
        return with_kernels(call, x, weight, bias, pair(stride), pads, pair(dilation), groups)
    w = call.constant(weight, "a convolution with weights")
    image = call.tensor(x)
    if len(image.shape) != 3:
        call.refuse(f"a convolution of (N, *{image.shape})", "Give it a tensor (N, C, H, W).")
    pads = _padding(padding, w.shape[2:], pair(dilation))
    return call.builder.conv(
        call.where, image, w, call.bias(bias), pair(stride), pads, pair(dilation), groups
    )


@handles("conv1d")
def conv1d(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> View:
    """Becomes Conv on an image of one row."""
    w = call.constant(weight, "a convolution with weights")
    line = _line(call, call.tensor(x))
    step, apart = (1, pair(stride)[0]), (1, pair(dilation)[0])
    if not isinstance(padding, str):
        padding = (0, pair(padding)[0])
    pads = _padding(padding, (1, w.shape[2]), apart)
    result = call.builder.conv(
        call.where, line, w[:, :, None], call.bias(bias), step, pads, apart, groups
    )
    return call.builder.reshaped(result, (result.shape[0], result.shape[2]))


def _line(call: Call, x: View) -> View:
    if len(x.shape) != 2:
        call.refuse(f"a sequence of the shape (N, *{x.shape})", "Give it a tensor (N, C, L).")
    return call.builder.reshaped(x, (x.shape[0], 1, x.shape[1]))


@handles("conv_transpose2d")
def conv_transpose2d(
    call: Call, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> View:  # fmt: skip
    """Becomes ConvTranspose."""
    w = call.constant(weight, "a transposed convolution with weights")
    return _transposed(
        call, call.tensor(x), w, bias, pair(stride), pair(padding), pair(output_padding), groups,
        pair(dilation),
    )  # fmt: skip


@handles("conv_transpose1d")
def conv_transpose1d(
    call: Call, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any,
    groups: int, dilation: Any,
) -> View:  # fmt: skip
    """Becomes ConvTranspose on an image of one row."""
    w = call.constant(weight, "a transposed convolution with weights")
    one = (1, pair(stride)[0]), (0, pair(padding)[0]), (0, pair(output_padding)[0])
    result = _transposed(
        call, _line(call, call.tensor(x)), w[:, :, None], bias, *one, groups, (1, pair(dilation)[0])
    )
    return call.builder.reshaped(result, (result.shape[0], result.shape[2]))


def _transposed(
    call: Call, x: View, weight: Tensor, bias: Any, stride: q.Pair, padding: q.Pair,
    output_padding: q.Pair, groups: int, dilation: q.Pair,
) -> View:  # fmt: skip
    c, per_group, r, s = weight.shape
    if dilation != (1, 1):  # the zeros between the taps
        apart = weight.new_zeros(c, per_group, (r - 1) * dilation[0] + 1, (s - 1) * dilation[1] + 1)
        apart[:, :, :: dilation[0], :: dilation[1]] = weight
        weight, (r, s) = apart, apart.shape[2:]
    own = weight.reshape(groups, c // groups, per_group, r, s).transpose(1, 2)
    own = own.reshape(groups * per_group, c // groups, r, s)
    pads = (padding[0], padding[0], padding[1], padding[1])
    return call.builder.conv_transpose(
        call.where, x, own, call.bias(bias), stride, pads, output_padding, groups
    )


@handles("linear")
def linear(call: Call, x: Any, weight: Any, bias: Any) -> View:
    """Becomes Linear, or a convolution of one tap."""
    w = call.constant(weight, "a linear layer with weights")
    return call.builder.linear(call.where, call.tensor(x), w, call.bias(bias))


@handles("matmul", "mm")
def matmul(call: Call, a: Any, b: Any) -> View:
    """Becomes a linear layer if one operand is constant, else factors of channels and sums."""
    return matrices(call, a, b)


@handles("addmm")
def addmm(call: Call, bias: Any, a: Any, b: Any, beta: float, alpha: float) -> View:
    """Becomes Linear."""
    w = call.constant(b, "a linear layer with weights")
    own = call.bias(bias)
    return call.builder.linear(
        call.where, call.tensor(a), w.T * alpha, None if own is None else own * beta
    )


@handles("batch_norm")
def batch_norm(
    call: Call, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, training: bool,
    momentum: float, eps: float, cudnn: bool,
) -> View:  # fmt: skip
    """Becomes Affine, which folds into convolutions around it."""
    if training or mean is None or variance is None:
        call.refuse(
            "a batch norm by the statistics of its input (track_running_stats=False)",
            "Use track_running_stats=True, and train or calibrate the running statistics.",
        )
    image = call.tensor(x)
    scale = 1 / torch.sqrt(call.constant(variance, "a variance").double() + eps)
    if weight is not None:
        scale = scale * call.constant(weight, "a weight").double()
    offset = -call.constant(mean, "a mean").double() * scale
    if bias is not None:
        offset = offset + call.constant(bias, "a bias").double()
    column = (-1, *(1,) * (len(image.shape) - 1))
    return call.builder.affine(call.where, image, scale.reshape(column), offset.reshape(column))


@handles("_native_batch_norm_legit_no_training")
def batch_norm_decomposed(
    call: Call,
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    momentum: float,
    eps: float,
) -> list[View]:
    """Becomes Affine, as batch_norm."""
    return [batch_norm(call, x, weight, bias, mean, variance, False, momentum, eps, False)]


def _deformable(
    call: Call, x: Any, offset: Any, mask: Any, weight: Any, bias: Any, stride: q.Pair,
    padding: q.Pair, dilation: q.Pair, groups: int, offset_groups: int,
) -> View:  # fmt: skip
    builder, where = call.builder, call.where
    w = call.constant(weight, "a deformable convolution with weights").double()
    own = call.bias(bias)
    own = torch.zeros(len(w), dtype=torch.float64) if own is None else own.double()
    names = [builder.realized(where, call.tensor(t)) for t in (x, offset)]
    if mask is not None:
        names.append(builder.realized(where, call.tensor(mask)))
    output = builder.emit(
        q.DeformConv(
            where, tuple(names), builder.unique(where), w, own, None, 8,
            stride, padding, dilation, groups, offset_groups,
        )
    )  # fmt: skip
    return View((output,), builder.shape(output))


@handles("tilewright.deform_conv2d")
def own_deform_conv2d(
    call: Call, x: Any, offset: Any, weight: Any, bias: Any, stride: Any, padding: Any,
    dilation: Any, mask: Any, groups: int, offset_groups: int,
) -> View:  # fmt: skip
    """Becomes DeformConv."""
    return _deformable(
        call, x, offset, mask, weight, bias, pair(stride), pair(padding), pair(dilation), groups,
        offset_groups,
    )  # fmt: skip


@handles("tilewright.recurrence")
def recurrence(call: Call, x: Any, weight: Any, bias: Any, columns: bool, backwards: bool) -> View:
    """Becomes Recurrence."""
    builder, where = call.builder, call.where
    w = call.constant(weight, "a recurrence with weights").double()
    own = call.bias(bias)
    own = torch.zeros(len(w), dtype=torch.float64) if own is None else own.double()
    source = builder.realized(where, call.tensor(x))
    name = builder.emit(
        q.Recurrence(where, (source,), builder.unique(where), w, own, None, 8, columns, backwards)
    )
    return View((name,), builder.shape(name))


@handles("torchvision.deform_conv2d")
def torchvision_deform_conv2d(
    call: Call, x: Any, weight: Any, offset: Any, mask: Any, bias: Any, stride_h: int,
    stride_w: int, pad_h: int, pad_w: int, dilation_h: int, dilation_w: int, groups: int,
    offset_groups: int, use_mask: bool,
) -> View:  # fmt: skip
    """Becomes DeformConv."""
    return _deformable(
        call, x, offset, mask if use_mask else None, weight, bias, (stride_h, stride_w),
        (pad_h, pad_w), (dilation_h, dilation_w), groups, offset_groups,
    )  # fmt: skip


@handles("col2im")
def fold(
    call: Call, x: Any, size: Any, kernel: Any, dilation: Any, padding: Any, stride: Any
) -> View:
    """Becomes ConvTranspose with one weight for each element of a window."""
    view = call.tensor(x)
    k, apart, pads, step = (pair(v) for v in (kernel, dilation, padding, stride))
    rows, columns = (
        (n + 2 * p - d * (m - 1) - 1) // s + 1
        for n, p, d, m, s in zip(pair(size), pads, apart, k, step, strict=True)
    )
    area = k[0] * k[1]
    channels = view.shape[0] // area
    weight = torch.eye(area, dtype=torch.float64).reshape(area, 1, *k).repeat(channels, 1, 1, 1)
    image = call.builder.reshaped(view, (view.shape[0], rows, columns))
    beyond = [
        n + 2 * p - ((m - 1) * s + d * (j - 1) + 1)
        for n, p, m, s, d, j in zip(pair(size), pads, (rows, columns), step, apart, k, strict=True)
    ]
    return _transposed(
        call, image, weight, None, step, pads, (beyond[0], beyond[1]), channels, apart
    )
