"""Fourier transforms, and complex numbers: a real and an imaginary part, each a tensor.

A transform along a dimension is a product with a constant matrix. One that is multiplied by
constants and transformed back is a circular convolution, of one rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.importers.export.call import Call, Complex, Value, arguments, handles
from tilewright.compiler.importers.export.movement import MOVING
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.views import Layout

ATEN = torch.ops.aten
Apply = Callable[..., Value]
"""Calls an operator on real values: ``apply(target, *args, **keywords)``."""
_BOTH = ("neg", "_to_copy", "to", "div", "zeros_like", "sum", "mean")
"""Operators that do to both parts the same, if other operands are real."""
_SAME = ("resolve_conj", "resolve_neg", "lift_fresh_copy")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The transform of real values, times constants; nothing is computed until it is read.

    Parameters
    ----------
    view : the values
    axes : dimensions of an image that are transformed; of the last one half is kept
    norm : ATen's number of a normalization
    response : complex, of an image's spectrum's shape
    """

    view: View
    axes: tuple[int, ...]
    norm: int
    response: Tensor


@handles("_fft_r2c")
def from_real(call: Call, x: Any, dims: Sequence[int], norm: int, half: bool) -> Value:
    """Becomes products with matrices."""
    view = call.tensor(x)
    axes = _axes(call, view, dims)
    if half:
        shape = list(view.shape)
        shape[axes[-1]] = shape[axes[-1]] // 2 + 1
        return Spectrum(view, axes, norm, torch.ones(shape, dtype=torch.complex128))
    return _from_real(call, view, axes, norm, half)


def _from_real(call: Call, view: View, axes: Sequence[int], norm: int, half: bool) -> Complex:
    unit = torch.eye(view.shape[axes[-1]], dtype=torch.float64)
    result = _split(call, _along(call, [view], axes[-1], ATEN._fft_r2c(unit, [1], norm, half)),
                    axes[-1])  # fmt: skip
    return _turned(call, result, axes[:-1], norm, forward=True)


def _turned(call: Call, x: Complex, axes: Sequence[int], norm: int, *, forward: bool) -> Complex:
    """Transform complex values along some dimensions."""
    for axis in axes:
        count = call.tensor(x.real).shape[axis]
        parts = [call.tensor(x.real), *([] if _is_real(x) else [call.tensor(x.imag)])]
        matrix = ATEN._fft_c2c(_units(count)[: len(parts) * count], [1], norm, forward)
        x = _split(call, _along(call, parts, axis, matrix), axis)
    return x


def _to_real(call: Call, x: Value, dims: Sequence[int], norm: int, last: int) -> View:
    """Transform back to real values."""
    if isinstance(x, Spectrum) and _axes(call, x.view, dims) == x.axes and len(x.axes) <= 2:
        if last == x.view.shape[x.axes[-1]]:
            return _filtered(call, x, norm)
    z = _parts(call, x)
    axes = _axes(call, call.tensor(z.real), dims)
    z = _turned(call, z, axes[:-1], norm, forward=False)
    parts = [call.tensor(z.real), call.tensor(z.imag)]
    matrix = ATEN._fft_c2r(_units(parts[0].shape[axes[-1]]), [1], norm, last)
    return _along(call, parts, axes[-1], matrix)


def _filtered(call: Call, x: Spectrum, norm: int) -> View:
    """Return a circular convolution, whose kernel is what an impulse becomes."""
    builder, view, axes = call.builder, x.view, list(x.axes)
    others = [d for d in range(len(view.shape)) if d not in axes]
    sizes = [view.shape[d] for d in axes]
    impulse = torch.zeros(view.shape, dtype=torch.float64)
    for place in np.ndindex(*(view.shape[d] for d in others)):
        impulse.permute(*others, *axes)[(*place, *(0 for _ in axes))] = 1
    spectrum = ATEN._fft_r2c(impulse, axes, x.norm, True) * x.response
    kernel = ATEN._fft_c2r(spectrum, axes, norm, sizes[-1]).permute(*others, *axes)
    channels = math.prod(view.shape[d] for d in others)
    image = (channels, *(1,) * (2 - len(axes)), *sizes)
    weight = kernel.reshape(image).flip(1, 2)
    maps = builder.reshaped(builder.transposed(view, (*others, *axes)), image)
    around = [(0, 0), *((n - 1, 0) for n in image[1:])]
    wrapped = builder.move([maps], lambda places: np.pad(places[0], around, mode="wrap"))
    result = builder.conv(call.where, wrapped, weight[:, None], None, groups=channels)
    back = builder.reshaped(result, (*(view.shape[d] for d in others), *sizes))
    return builder.transposed(back, np.argsort([*others, *axes]).tolist())


def with_complex(call: Call, target: Any, args: Sequence[Any], keywords: dict[str, Any],
                 apply: Apply) -> Value:  # fmt: skip
    """Call an operator, some of whose arguments are complex."""
    name = call.operator.removeprefix("aten.").removesuffix("_")
    values = arguments(target, tuple(args), keywords)
    if name == "_fft_c2r":
        return _to_real(call, *values[:4])
    if name == "mul" and (filtered := _constant_factor(call, *values[:2])) is not None:
        return filtered
    computed = partial(_computed, call)
    values, args = _deep(values, computed), _deep(args, computed)
    z = values[0]
    match name:
        case "_fft_c2c":
            axes = _axes(call, call.tensor(z.real), values[1])
            return _turned(call, z, axes, values[2], forward=values[3])
        case "view_as_real":
            return apply(ATEN.stack.default, [z.real, z.imag], -1)
        case "real" | "imag":
            return z.real if name == "real" else z.imag
        case "abs":
            squares = [apply(ATEN.mul.Tensor, part, part) for part in (z.real, z.imag)]
            return apply(ATEN.sqrt.default, apply(ATEN.add.Tensor, *squares))
        case "_conj" | "conj" | "conj_physical":
            return Complex(z.real, apply(ATEN.neg.default, z.imag))
        case "mul":
            return _product(z, values[1], apply)
        case "add" | "sub":
            return Complex(*(apply(target, *(_part(v, p) for v in values)) for p in (0, 1)))
        case _ if name in _SAME:
            return z
        case _ if call.operator in MOVING or (name in _BOTH and not _is_complex(values[1:])):
            if _is_real(z):
                return Complex(apply(target, z.real, *args[1:], **keywords), 0.0)
            real, imag = (
                apply(target, *_deep(args, partial(_part, which=p)), **keywords) for p in (0, 1)
            )
            if isinstance(real, list):
                return [Complex(a, b) for a, b in zip(real, imag, strict=True)]
            return Complex(real, imag)
    call.refuse(
        f"{name} of complex numbers",
        "Compute with their real and imaginary parts, as torch.view_as_real gives them.",
    )


def _computed(call: Call, x: Any) -> Any:
    return _parts(call, x) if isinstance(x, Spectrum) else x


def _is_real(x: Value) -> bool:
    """Whether a complex value is what a real one was converted to."""
    return isinstance(x, Complex) and isinstance(x.imag, float)


@handles("complex")
def complex_of(call: Call, real: Any, imag: Any) -> Complex:
    """Becomes both parts."""
    return Complex(real, imag)


@handles("view_as_complex")
def viewed(call: Call, x: Any) -> Complex:
    """Becomes both parts."""
    view = call.tensor(x)
    halves = (call.builder.taken(view, [i], len(view.shape) - 1) for i in (0, 1))
    return Complex(*(call.builder.reshaped(v, v.shape[:-1]) for v in halves))


@handles("_fft_c2c", "_fft_c2r", "view_as_real", "imag", "_conj", "conj_physical", *_SAME)
def refused(call: Call, *values: Any) -> Value:
    """Is for complex numbers only."""
    call.refuse(f"{call.operator} of {values[0]}", "Pass a complex tensor.")


@handles("real")
def real(call: Call, x: Any) -> Value:
    """Is what a real tensor is."""
    return x


def _constant_factor(call: Call, a: Value, b: Value) -> Spectrum | None:
    """Return a spectrum times a constant, if that is what is multiplied."""
    x, factor = (a, b) if isinstance(a, Spectrum) else (b, a)
    if not isinstance(x, Spectrum) or not isinstance(factor, Tensor | int | float | complex):
        return None
    value = torch.as_tensor(factor).detach().to(torch.complex128)
    shape = (call.batch, *x.response.shape)
    if np.broadcast_shapes(tuple(value.shape), shape) != shape:
        return None
    return replace(x, response=x.response * call.beside(value, x.response.shape))


def _product(a: Value, b: Value, apply: Apply) -> Complex:
    def times(x: Value, y: Value) -> Value:
        return apply(ATEN.mul.Tensor, x, y)

    if not (_is_complex(a) and _is_complex(b)):
        x, factor = (a, b) if _is_complex(a) else (b, a)
        return Complex(times(_part(x, 0), factor), times(_part(x, 1), factor))
    (p, q), (r, s) = ((_part(x, 0), _part(x, 1)) for x in (a, b))
    return Complex(
        apply(ATEN.sub.Tensor, times(p, r), times(q, s)),
        apply(ATEN.add.Tensor, times(p, s), times(q, r)),
    )


def _is_complex(x: Any) -> bool:
    if isinstance(x, list | tuple):
        return any(map(_is_complex, x))
    return isinstance(x, Complex | complex) or (isinstance(x, Tensor) and x.is_complex())


def _part(x: Any, which: int) -> Any:
    """Return the real (0) or the imaginary part of an argument."""
    if isinstance(x, Complex):
        return (x.real, x.imag)[which]
    if isinstance(x, Tensor) and x.is_complex():
        return x.imag if which else x.real
    return x


def _deep(x: Any, function: Callable[..., Any]) -> Any:
    return [_deep(v, function) for v in x] if isinstance(x, list | tuple) else function(x)


def _parts(call: Call, x: Spectrum | Complex) -> Complex:
    """Compute a spectrum."""
    if isinstance(x, Complex):
        return x
    z = _from_real(call, x.view, x.axes, x.norm, True)
    if bool((x.response == 1).all()):
        return z
    builder, where = call.builder, call.where
    re, im = (part.contiguous() for part in (x.response.real, x.response.imag))
    none = torch.zeros(())
    terms = [[builder.affine(where, part, factor, none) for factor in (re, im)]
             for part in (z.real, z.imag)]  # fmt: skip
    return Complex(
        builder.binary(where, "sub", terms[0][0], terms[1][1]),
        builder.binary(where, "add", terms[0][1], terms[1][0]),
    )


def _axes(call: Call, view: View, dims: Sequence[int]) -> tuple[int, ...]:
    rank = len(view.shape) + 1
    axes = tuple(d % rank - 1 for d in dims)
    if -1 in axes:
        call.refuse("a transform over the batch", "Name dimensions of the images.")
    return axes


def _units(count: int) -> Tensor:
    """Return unit vectors of real parts, and of imaginary ones, (2 * count, count)."""
    unit = torch.eye(2 * count, dtype=torch.float64)
    return torch.complex(unit[:, :count], unit[:, count:])


def _along(call: Call, parts: Sequence[View], axis: int, images: Tensor) -> View:
    """Multiply along a dimension, parts one behind the other, by what unit vectors become.

    Of complex results, imaginary parts are behind real ones.
    """
    builder, rank = call.builder, len(parts[0].shape)
    matrix = torch.cat([images.real, images.imag], 1) if images.is_complex() else images
    layout = builder.layout(parts[0])
    if layout is not None and axis in (inner := layout.order[layout.channels :]):
        sizes = [parts[0].shape[d] for d in inner]
        if sizes == [n for n in layout.pixels if n > 1 or len(sizes) == 2]:
            return _along_pixels(call, parts, axis, matrix.T, layout)
    order = [*(d for d in range(rank) if d != axis), axis]
    joined = builder.move(parts, lambda places: np.concatenate(places, axis))
    result = builder.linear(call.where, builder.transposed(joined, order), matrix.T, None)
    return builder.transposed(result, np.argsort(order).tolist())


def _along_pixels(
    call: Call, parts: Sequence[View], axis: int, matrix: Tensor, layout: Layout
) -> View:
    """Do it with rows or columns of maps, which a convolution reads as wholes."""
    builder, (height, width) = call.builder, layout.pixels
    outer, inner = layout.order[: layout.channels], layout.order[layout.channels :]
    rows = height > 1 and axis == inner[0]
    maps = [builder.maps(part, layout) for part in parts]
    channels, results = maps[0].shape[0], len(matrix)
    both = builder.move(maps, lambda places: np.stack(places, 1))
    image = builder.reshaped(both, (channels * len(maps), height, width))
    kernel = (height, 1) if rows else (1, width)
    weight = matrix.reshape(results, len(maps), *kernel).repeat(channels, 1, 1, 1)
    made = builder.conv(call.where, image, weight, None, groups=channels)
    others = [d for d in inner if d != axis]
    shape = [*(parts[0].shape[d] for d in outer), results, *(parts[0].shape[d] for d in others)]
    apart = builder.reshaped(made, shape)
    return builder.transposed(apart, np.argsort([*outer, axis, *others]).tolist())


def _split(call: Call, x: View, axis: int) -> Complex:
    count = x.shape[axis] // 2
    return Complex(*(call.builder.taken(x, range(p * count, (p + 1) * count), axis)
                     for p in (0, 1)))  # fmt: skip
