"""Convolutions, matrices and batch norms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.importers.onnx import volumes
from tilewright.compiler.importers.onnx.call import Call, handles
from tilewright.compiler.importers.onnx.tensors import MAX_ELEMENTS, Array
from tilewright.compiler.importers.onnx.values import Scaled, Value
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.ops import IndexArray

_SYMMETRIC = (
    "Quantize weights to signed integers around zero, as onnxruntime's quantize_static does with "
    "weight_type=QuantType.QInt8 and extra_options={'WeightSymmetric': True}."
)


@handles("Conv")
def conv(call: Call) -> View:
    """Becomes Conv."""
    return convolved(call, call.tensor(0), call.value(1), call.optional(2, "a bias"))


def convolved(call: Call, x: View, weight: Value, bias: Array | None) -> View:
    """Convolve by the node's attributes."""
    groups = call.integer("group", 1)
    w, scale, bits = weights(call, weight, 0, wide=True)
    if w.ndim == 5:
        narrow(call, w, scale)
        return volumes.convolved(call, x, w, _bias(call, bias, len(w)), scale, bits)
    image, spatial = as_image(call, x, w.ndim)
    if groups >= 1 and image.shape[0] == groups * w.shape[1]:
        image, w = in_parts(call, image, w, scale, groups)
    w = w if spatial == 2 else w[:, :, None]
    kernel = _kernel(call, w, spatial)
    stride, dilation = pairs(call, "strides", spatial), pairs(call, "dilations", spatial)
    padding = padding_of(call, image.shape[1:], kernel, stride, dilation, spatial)
    _check_groups(call, image.shape[0], w.shape[1], len(w), groups)
    result = call.builder.conv(
        call.where, image, w, _bias(call, bias, len(w)), stride, padding, dilation, groups, scale,
        bits,
    )  # fmt: skip
    return as_line(call, result, spatial)


@handles("ConvTranspose")
def conv_transpose(call: Call) -> View:
    """Becomes ConvTranspose."""
    w, scale, bits = weights(call, call.value(1), 1)
    x, groups = call.tensor(0), call.integer("group", 1)
    w = _dilated(call, w)
    c, per_group, *size = w.shape
    if groups < 1 or x.shape[0] % groups or c != x.shape[0]:
        call.refuse(f"weights {tuple(w.shape)} for {x.shape[0]} channels", "Check the model.")
    # (C, K / groups, R, S) to (K, C / groups, R, S)
    w = w.reshape(groups, c // groups, per_group, *size).transpose(1, 2)
    w = w.reshape(groups * per_group, c // groups, *size)
    if scale is not None and scale.numel() == per_group and groups > 1:
        scale = scale.repeat(groups)
    bias = _bias(call, call.optional(2, "a bias"), len(w))
    if w.ndim == 5:
        return volumes.transposed(call, x, w, bias, scale, bits)
    image, spatial = as_image(call, x, w.ndim)
    w = w if spatial == 2 else w[:, :, None]
    kernel, stride = (int(w.shape[2]), int(w.shape[3])), pairs(call, "strides", spatial)
    beyond = pairs(call, "output_padding", spatial, 0)
    padding = _transposed_padding(call, image.shape[1:], kernel, stride, beyond, spatial)
    result = call.builder.conv_transpose(
        call.where, image, w, bias, stride, padding, beyond, groups, scale, bits
    )
    return as_line(call, result, spatial)


def _dilated(call: Call, w: Tensor) -> Tensor:
    """Return a kernel with zeros between its taps, as the node's dilations have them."""
    size = tuple(int(n) for n in w.shape[2:])
    given = call.integers("kernel_shape")
    if given is not None and given != size:
        call.refuse(f"kernel_shape={list(given)} of weights {tuple(w.shape)}", "Check the model.")
    apart = call.integers("dilations", (1,) * len(size))
    assert apart is not None
    if len(apart) != len(size) or min(apart, default=1) < 1:
        call.refuse(f"{call.operator} with dilations={list(apart)}", "Check the model.")
    wide = [d * (n - 1) + 1 for n, d in zip(size, apart, strict=True)]
    if math.prod(wide) * w.shape[0] * w.shape[1] > MAX_ELEMENTS:
        call.refuse(f"{call.operator} with dilations={list(apart)}", "Use smaller ones.")
    result = w.new_zeros(*w.shape[:2], *wide)
    places = result
    for axis, step in enumerate(apart, 2):
        places = places[(*(slice(None),) * axis, slice(None, None, step))]
    places.copy_(w)
    return result


def _transposed_padding(
    call: Call, size: Sequence[int], kernel: q.Pair, stride: q.Pair, beyond: q.Pair, spatial: int
) -> q.Padding:
    wanted = call.integers("output_shape")
    automatic = call.text("auto_pad", "NOTSET")
    given = call.integers("pads")
    if automatic == "NOTSET" and wanted is None:
        return _pads(call, given, spatial)
    if automatic not in ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID") or given is not None:
        call.refuse(f"auto_pad={automatic!r} with pads or output_shape", "Give it pads only.")
    if automatic == "VALID" and wanted is None:
        return 0, 0, 0, 0
    goal = [n * s for n, s in zip(size, stride, strict=True)]
    if wanted is not None:
        goal = [*(1,) * (2 - spatial), *wanted[-spatial:]]
    result: list[int] = []
    for n, r, s, o, m in zip(size, kernel, stride, beyond, goal, strict=True):
        total = s * (n - 1) + o + r - m
        if total < 0:
            call.refuse(f"output_shape {tuple(goal)} larger than its sums", "Give it pads.")
        small, large = total // 2, total - total // 2
        # As onnxruntime and the reference do it: SAME_UPPER cuts more off the end.
        result += [small, large] if automatic == "SAME_UPPER" else [large, small]
    return result[0], result[1], result[2], result[3]


@handles("Gemm")
def gemm(call: Call) -> View:
    """Becomes Linear."""
    if call.integer("transA", 0):
        call.refuse("Gemm with transA=1", "Keep the batch as the first dimension: transA=0.")
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    turned = call.integer("transB", 0) == 0
    w, scale, bits = weights(call, call.value(1), 1 if turned else 0, wide=True)
    x, w = _in_columns(call, call.tensor(0), w.T if turned else w, scale)
    w, scale = w * alpha, None if scale is None else scale * abs(alpha)
    bias = call.optional(2, "a bias")
    if bias is not None:
        bias = np.broadcast_to(bias, (1, len(w)))[0] * beta
    return call.builder.linear(call.where, x, w, _bias(call, bias, len(w)), scale, bits)


@handles("MatMul")
def matmul(call: Call) -> View:
    """Becomes Linear, or a convolution of one tap."""
    return multiplied(call, call.value(0), call.value(1), None)


def multiplied(call: Call, a: Value, b: Value, bias: Array | None) -> View:
    """Multiply a feature map by a constant matrix, (..., F) by (F, K), or by one from the left."""
    if isinstance(a, View) and isinstance(b, View):
        call.refuse(
            f"{call.operator} of two tensors that depend on the inputs",
            "The engine keeps weights in its program; attention is for the host.",
        )
    left = isinstance(b, View)
    x, value = (b, a) if left else (a, b)
    if not isinstance(x, View):
        call.refuse(f"{call.operator} of integers", "Put DequantizeLinear before it.")
    w, scale, bits = weights(call, value, -2 if left else -1, wide=True)
    shape = tuple(w.shape)
    while w.ndim > 2 and w.shape[0] == 1:
        w = w[0]
    alone = w.ndim == 1 and not left
    w = w[:, None] if alone else w
    rank, over = len(x.shape), -2 if left else -1
    if w.ndim != 2 or rank < -over or x.shape[over] != w.shape[1 if left else 0]:
        shown = ("N", *x.shape)
        call.refuse(
            f"a product of {shape if left else shown} and {shown if left else shape}",
            "Use a matrix.",
        )
    turned = (*range(rank - 2), rank - 1, rank - 2)
    rows = call.builder.transposed(x, turned) if left else x
    rows, w = _in_columns(call, rows, w if left else w.T, scale)
    y = call.builder.linear(call.where, rows, w, _bias(call, bias, len(w)), scale, bits)
    if left:
        return call.builder.transposed(y, turned)
    return call.builder.reshaped(y, y.shape[:-1]) if alone else y


@handles("BatchNormalization")
def batch_norm(call: Call) -> View:
    """Becomes Affine, which folds into convolutions around it."""
    if call.integer("training_mode", 0):
        call.refuse("a batch norm by the statistics of its input", "Export in evaluation mode.")
    call.ignore("momentum")
    x = call.tensor(0)
    gamma, beta, mean, variance = (
        torch.from_numpy(call.constant(i, "a batch norm's parameter").astype(np.float64))
        for i in range(1, 5)
    )
    scale = gamma / torch.sqrt(variance + call.number("epsilon", 1e-5))
    offset = beta - mean * scale
    if scale.shape != x.shape[:1]:
        call.refuse(f"{scale.numel()} channels for {x.shape}", "Check the model.")
    column = (-1, *(1,) * (len(x.shape) - 1))
    return call.builder.affine(call.where, x, scale.reshape(column), offset.reshape(column))


# What layers share.


def weights(
    call: Call, value: Value, axis: int, *, wide: bool = False
) -> tuple[Tensor, Tensor | None, int]:
    """Return weights in reals, and of quantized ones the scale of each output channel and bits.

    Parameters
    ----------
    axis : int, of the output channels
    wide : whether integers may lie in -255..255 around their zero point, see ``in_parts``
    """
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f":
            call.refuse(f"weights of {value.dtype}", "Put DequantizeLinear behind them.")
        if call.model.quantized:
            call.refuse(
                "weights that are not quantized, in a network that is",
                "Quantize them, too: integers with DequantizeLinear behind them.",
            )
        return torch.from_numpy(value.astype(np.float64)), None, 8
    if not isinstance(value, Scaled):
        call.refuse(
            "weights that depend on the inputs",
            "The engine keeps weights in its program: compute them from constants only.",
        )
    low, high = int(value.integers.min()), int(value.integers.max())
    if (low < -128 or high > 127) and not (wide and -255 <= low <= high <= 255):
        call.refuse(f"weights of {low}..{high} around their zero point", _SYMMETRIC)
    scale, rank = value.scale, value.integers.ndim
    if scale.ndim and (rank < 2 or value.axis != axis % rank):
        call.refuse(
            f"weights with scales along axis {value.axis}",
            f"Use one scale per tensor, or along axis {axis % max(2, rank)}, that of the output "
            "channels.",
        )
    count = value.integers.shape[axis] if rank > 1 else 1
    each = torch.from_numpy(np.broadcast_to(scale, (count,)).copy())
    bits = next((b for b in range(2, 9) if -(1 << (b - 1)) <= low and high < 1 << (b - 1)), 8)
    return torch.from_numpy(value.real), each, bits


def narrow(call: Call, w: Tensor, scale: Tensor | None) -> None:
    """Refuse weights of more than 8 bits."""
    if len(_parts(w, scale)) > 1:
        call.refuse("weights beyond -128..127 around their zero point", _SYMMETRIC)


def in_parts(
    call: Call, x: View, w: Tensor, scale: Tensor | None, groups: int
) -> tuple[View, Tensor]:
    """Return an image and weights (K, C / groups, ...) of 8 bits.

    Where uint8 weights lie around a zero point of their own, channels are read twice: once with as
    much of each weight as 8 bits hold, once with the rest; thrice for 255, which two bytes are not.
    """
    parts = _parts(w, scale)
    if len(parts) == 1:
        return x, w

    def again(places: list[IndexArray]) -> IndexArray:
        apart = places[0].reshape(groups, -1, *x.shape[1:])
        return np.concatenate([apart] * len(parts), 1).reshape(-1, *x.shape[1:])

    return call.builder.move([x], again), torch.cat(parts, 1)


def _in_columns(call: Call, x: View, w: Tensor, scale: Tensor | None) -> tuple[View, Tensor]:
    """As ``in_parts``, of (..., F) and a matrix (K, F)."""
    parts = _parts(w, scale)
    if len(parts) == 1:
        return x, w
    source = x
    if len(x.shape) == 1 and x.index is None and len(x.sources) == 1:  # whole channels
        source = View(x.sources, call.builder.shape(x.sources[0]))
    axis = 0 if len(x.shape) == 1 else -1
    y = call.builder.move([source], lambda places: np.concatenate([places[0]] * len(parts), axis))
    if len(x.shape) == 1:
        # A linear layer adds up the weights of an element that a view has twice.
        y = call.builder.reshaped(call.builder.settled(call.where, y), (w.shape[1] * len(parts),))
    return y, torch.cat(parts, 1)


def _parts(w: Tensor, scale: Tensor | None) -> list[Tensor]:
    """Return weights of 8 bits whose sum weights are; those in reals as they are."""
    if scale is None:
        return [w]
    column = scale.reshape(-1, *(1,) * (w.ndim - 1))
    rest, parts = torch.round(w / column), list[Tensor]()
    while not parts or bool(rest.any()):
        parts.append(rest.clamp(-128, 127))
        rest = rest - parts[-1]
    return [w] if len(parts) == 1 else [part * column for part in parts]


def _bias(call: Call, bias: Array | None, count: int) -> Tensor | None:
    if bias is None:
        return None
    if bias.size != count:
        call.refuse(f"{bias.size} biases for {count} channels", "Check the model.")
    return torch.from_numpy(bias.reshape(-1).astype(np.float64))


def as_image(call: Call, x: View, rank: int) -> tuple[View, int]:
    """Return (C, H, W) of a feature map or a sequence, and its spatial dimensions."""
    spatial = rank - 2
    if spatial not in (1, 2) or len(x.shape) != spatial + 1:
        call.refuse(
            f"{call.operator} of {('N', *x.shape)} with {spatial} spatial dimensions",
            "Use feature maps (N, C, H, W) or sequences (N, C, L).",
        )
    if spatial == 2:
        return x, 2
    return call.builder.reshaped(x, (x.shape[0], 1, x.shape[1])), 1


def as_line(call: Call, x: View, spatial: int) -> View:
    """Return (C, L) of an image of one row, if that is what it was."""
    return x if spatial == 2 else call.builder.reshaped(x, (x.shape[0], x.shape[2]))


def pairs(call: Call, name: str, spatial: int, default: int = 1) -> q.Pair:
    """Return an attribute of one number for each spatial dimension; a sequence has one row."""
    values = call.integers(name, (default,) * spatial)
    assert values is not None
    if len(values) != spatial or min(values) < default:
        call.refuse(f"{call.operator} with {name}={list(values)}", "Check the model.")
    return (values[0], values[1]) if spatial == 2 else (default, values[0])


def _kernel(call: Call, w: Tensor, spatial: int) -> q.Pair:
    kernel = (int(w.shape[2]), int(w.shape[3]))
    given = call.integers("kernel_shape")
    if given is not None and given != kernel[2 - spatial :]:
        call.refuse(f"kernel_shape={list(given)} of weights {tuple(w.shape)}", "Check the model.")
    return kernel


def padding_of(
    call: Call,
    size: Sequence[int],
    kernel: q.Pair,
    stride: q.Pair,
    dilation: q.Pair,
    spatial: int,
) -> q.Padding:
    """(top, bottom, left, right) by pads or auto_pad."""
    automatic, given = call.text("auto_pad", "NOTSET"), call.integers("pads")
    if automatic == "NOTSET":
        return _pads(call, given, spatial)
    if given is not None and any(given):
        call.refuse(f"auto_pad={automatic!r} and pads={list(given)}", "Give it one of both.")
    if automatic == "VALID":
        return 0, 0, 0, 0
    if automatic not in ("SAME_UPPER", "SAME_LOWER"):
        call.refuse(f"auto_pad={automatic!r}", "Give it pads.")
    result: list[int] = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        small, large = total // 2, total - total // 2
        result += [small, large] if automatic == "SAME_UPPER" else [large, small]
    return result[0], result[1], result[2], result[3]


def _pads(call: Call, given: Sequence[int] | None, spatial: int) -> q.Padding:
    """(top, bottom, left, right) of ONNX's (begins..., ends...)."""
    if given is None:
        return 0, 0, 0, 0
    if len(given) != 2 * spatial or min(given) < 0:
        call.refuse(f"{call.operator} with pads={list(given)}", "Give it pads of 0 or more.")
    if spatial == 1:
        return 0, 0, given[0], given[1]
    return given[0], given[2], given[1], given[3]


def _check_groups(call: Call, channels: int, per_group: int, kernels: int, groups: int) -> None:
    if groups < 1 or per_group * groups != channels or kernels % groups:
        call.refuse(
            f"{kernels} kernels of {per_group} channels in {groups} groups for {channels} channels",
            "Check the model.",
        )
