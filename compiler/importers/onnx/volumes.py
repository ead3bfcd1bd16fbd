"""Convolutions and maxima of volumes (N, C, D, H, W)."""

from __future__ import annotations

from torch import Tensor

from tilewright.compiler.importers.onnx.call import Call
from tilewright.compiler.quantized import volumes
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.volumes import Ends, Triple


def convolved(
    call: Call, x: View, weight: Tensor, bias: Tensor | None, scale: Tensor | None, bits: int
) -> View:
    """Convolve by the node's attributes."""
    _check(call, x)
    stride, dilation = triple(call, "strides"), triple(call, "dilations")
    ends = _padding(call, x, _size(weight), stride, dilation)
    groups = call.integer("group", 1)
    if groups < 1 or weight.shape[1] * groups != x.shape[0] or len(weight) % groups:
        call.refuse(f"weights {tuple(weight.shape)} for {x.shape[0]} channels", "Check the model.")
    return volumes.conv(
        call.builder, call.where, x, weight, bias, stride, ends, dilation, groups, scale, bits
    )


def transposed(
    call: Call, x: View, weight: Tensor, bias: Tensor | None, scale: Tensor | None, bits: int
) -> View:
    """Convolve, transposed; ``weight`` (K, C / groups, T, R, S)."""
    _check(call, x)
    if call.integers("output_shape") is not None or call.text("auto_pad", "NOTSET") != "NOTSET":
        call.refuse("a transposed convolution of volumes without pads", "Give it pads only.")
    stride, beyond = triple(call, "strides"), triple(call, "output_padding", 0)
    ends = _padding(call, x, _size(weight), stride, (1, 1, 1))
    return volumes.conv_transpose(
        call.builder, call.where, x, weight, bias, stride, ends, beyond, call.integer("group", 1),
        scale, bits,
    )  # fmt: skip


def pooled(call: Call, x: View) -> View:
    """Take maxima by the node's attributes: of images, then of slices."""
    _check(call, x)
    if call.integer("ceil_mode", 0):
        call.refuse("MaxPool of volumes with ceil_mode=1", "Use ceil_mode=0.")
    kernel, stride, apart = (triple(call, n) for n in ("kernel_shape", "strides", "dilations"))
    depth, rows, columns = _padding(call, x, kernel, stride, apart)
    builder, slices = call.builder, x.shape[1]
    image = builder.max_pool(
        call.where, volumes.flat(builder, x), kernel[1:], stride[1:], (*rows, *columns), apart[1:]
    )
    made = (slices + sum(depth) - apart[0] * (kernel[0] - 1) - 1) // stride[0] + 1
    deep = volumes.deep(builder, image, slices)
    return volumes.largest(
        builder, call.where, deep, kernel[0], stride[0], depth[0], made, apart[0]
    )


def triple(call: Call, name: str, default: int = 1) -> Triple:
    """Return an attribute of one number for each dimension."""
    values = call.integers(name, (default,) * 3)
    assert values is not None
    if len(values) != 3 or min(values) < default:
        call.refuse(f"{call.operator} with {name}={list(values)}", "Check the model.")
    return values[0], values[1], values[2]


def _size(weight: Tensor) -> Triple:
    depth, rows, columns = weight.shape[2:]
    return depth, rows, columns


def _check(call: Call, x: View) -> None:
    if len(x.shape) != 4:
        call.refuse(f"{call.operator} of {('N', *x.shape)}", "Give it volumes (N, C, D, H, W).")


def _padding(call: Call, x: View, kernel: Triple, stride: Triple, dilation: Triple) -> Ends:
    """Return what is before and after each dimension, by pads or auto_pad."""
    automatic, given = call.text("auto_pad", "NOTSET"), call.integers("pads")
    if automatic == "NOTSET":
        given = (0,) * 6 if given is None else given
        if len(given) != 6 or min(given) < 0:
            call.refuse(f"{call.operator} with pads={list(given)}", "Give it pads of 0 or more.")
        return (given[0], given[3]), (given[1], given[4]), (given[2], given[5])
    if automatic == "VALID":
        return (0, 0), (0, 0), (0, 0)
    if automatic not in ("SAME_UPPER", "SAME_LOWER"):
        call.refuse(f"auto_pad={automatic!r}", "Give it pads.")
    result = []
    for n, k, s, d in zip(x.shape[1:], kernel, stride, dilation, strict=True):
        total = max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
        small, large = total // 2, total - total // 2
        result.append((small, large) if automatic == "SAME_UPPER" else (large, small))
    return result[0], result[1], result[2]
