"""Builds a quantized graph: what importers call, on tensors of any shape."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.ops.elementwise import BinaryFunction
from tilewright.compiler.quantized.pairs import combined
from tilewright.compiler.quantized.types import Quantization, Shape, TensorInfo
from tilewright.compiler.quantized.views import (
    Layout,
    canonical,
    joined,
    layout_of,
    moved,
    padding_of,
)
from tilewright.errors import UnsupportedError
from tilewright.isa.ranges import Rounding

_MOST_GROUPS = 64
"""Times that a matrix stands in a program, for channels that it multiplies in groups."""


class Builder:
    """Collects operators in topological order; ``where`` of its methods names the layer."""

    def __init__(self) -> None:
        self.tensors: dict[str, TensorInfo] = {}
        self.inputs: list[str] = []
        self.input_shapes: list[tuple[int, ...]] = []
        self.ops: list[q.Op] = []
        self._same: dict[Hashable, str] = {}

    def graph(self, name: str, outputs: Sequence[View], rounding: Rounding = "half_even") -> Graph:
        """Return the graph with these results."""
        graph = Graph(
            name, self.tensors, tuple(self.inputs), tuple(self.input_shapes), (), tuple(outputs),
            rounding,
        )  # fmt: skip
        return graph.with_ops(self.ops)

    def sizes(self) -> dict[str, int]:
        """Elements of every tensor."""
        return {name: math.prod(info.shape) for name, info in self.tensors.items()}

    def shape(self, name: str) -> Shape:
        """Shape of a tensor."""
        return self.tensors[name].shape

    def unique(self, where: str) -> str:
        """Return a new tensor's name."""
        name, count = where, 1
        while name in self.tensors:
            count += 1
            name = f"{where}#{count}"
        return name

    def input(self, name: str, shape: Sequence[int]) -> View:
        """Add an argument of the model, of ``shape`` without the batch."""
        tensor = self.unique(name)
        self.tensors[tensor] = TensorInfo(canonical(shape))
        self.inputs.append(tensor)
        self.input_shapes.append(tuple(shape))
        return View((tensor,), tuple(shape))

    def emit(self, op: q.Op, grid: Quantization | None = None) -> str:
        """Append an operator whose output is on ``grid``; returns its output's name."""
        shape = op.shape([self.shape(name) for name in op.inputs])
        if min(shape) < 1:
            raise UnsupportedError(
                op.name, f"an output of the shape {shape}", "Give the model larger inputs."
            )
        self.tensors[op.output] = TensorInfo(shape, grid)
        self.ops.append(op)
        return op.output

    def once(
        self, key: Hashable, make: Callable[[], q.Op], grid: Quantization | None = None
    ) -> str:
        """Append an operator unless the same one is there already."""
        if key not in self._same:
            self._same[key] = self.emit(make(), grid)
        return self._same[key]

    # Views.

    def constant(self, where: str, value: Tensor, shape: Sequence[int]) -> View:
        """Add a tensor that does not depend on the inputs."""
        value = value.detach().double().reshape(canonical(shape))
        name = self.emit(q.Constant(where, (), self.unique(where), value))
        return View((name,), tuple(shape))

    def move(
        self, views: Sequence[View], place: Callable[[list[np.ndarray[Any, Any]]], Any]
    ) -> View:
        """Return a view of elements of ``views``; ``place`` moves arrays of their places."""
        sizes = self.sizes()
        base, indices = joined(views, sizes)
        return moved(base, np.require(place(indices), np.int64, "W"), sizes)

    def transposed(self, view: View, order: Sequence[int]) -> View:
        """Return a view with its dimensions in another order."""
        return self.move([view], lambda places: places[0].transpose(order))

    def taken(self, view: View, places: Sequence[int], axis: int) -> View:
        """Return a view of some places along an axis."""
        return self.move([view], _taking(list(places), axis))

    def reshaped(self, view: View, shape: Sequence[int]) -> View:
        """Return a view in another shape."""
        if view.index is None:
            return View(view.sources, tuple(shape))
        return self.move([view], lambda places: places[0].reshape(shape))

    def realized(self, where: str, view: View) -> str:
        """Return the tensor of ``canonical(view.shape)`` that holds a view's elements."""
        shape = canonical(view.shape)
        if view.index is None and self.shape(view.sources[0]) == shape:
            return view.sources[0]
        index = np.arange(math.prod(shape)) if view.index is None else view.index
        index = index.reshape(shape)
        key = ("move", view.sources, shape, index.tobytes())
        return self.once(
            key, lambda: q.Move(where, view.sources, self.unique(f"{where}.moved"), index)
        )

    # Elements.

    def quantized(self, where: str, view: View, grid: Quantization) -> View:
        """Put a tensor on a grid that the network says; see the package's description."""
        # What is on it already, with zeros around it say, is left to the layer that reads it.
        if all(self.tensors[name].quantization == grid for name in view.sources):
            return view
        view = self.whole(where, view)
        (source,) = view.sources
        output = self.once(
            ("quantized", source, grid),
            lambda: q.Copy(where, (source,), self.unique(where)),
            grid,
        )
        return View((output,), view.shape, view.index)

    def function(self, where: str, view: View, expression: q.Expression) -> View:
        """Apply a function to every element."""
        view = self.whole(where, view)
        source = view.sources[0]
        output = self.once(
            (source, str(expression)),
            lambda: q.Function(where, (source,), self.unique(where), expression),
        )
        return View((output,), view.shape, view.index)

    def whole(self, where: str, view: View) -> View:
        """Return a view that an operation on all of its one source serves as well."""
        if view.index is None:
            return view
        if len(view.sources) == 1 and view.index.min() >= 0:
            used = len(np.unique(view.index))
            if used == math.prod(self.shape(view.sources[0])):
                return view
        return self.settled(where, view)

    def layout(self, view: View) -> Layout | None:
        """Return how a view is whole channels of its sources, if it is."""
        return layout_of(view, [self.shape(name) for name in view.sources])

    def maps(self, view: View, layout: Layout) -> View:
        """Return a view as the channels (K, H, W) that it consists of."""
        channels, _ = layout.sizes(view.shape)
        turned = self.transposed(view, layout.order)
        return self.reshaped(turned, (math.prod(channels), *layout.pixels))

    def from_maps(self, maps: View, layout: Layout, shape: Sequence[int]) -> View:
        """Return channels (K, H, W) as a view of ``shape``, of which ``layout`` is one."""
        channels, pixels = layout.sizes(shape)
        return self.transposed(self.reshaped(maps, (*channels, *pixels)), layout.back())

    def settled(self, where: str, view: View) -> View:
        """Return a view of a tensor that consists of the view's elements and no others.

        Whole channels stay channels, in whatever order the view has them.
        """
        layout = self.layout(view)
        if layout is None:
            return View((self.realized(where, view),), view.shape)
        maps = self.maps(view, layout)
        own = View((self.realized(where, maps),), maps.shape)
        return self.from_maps(own, layout, view.shape)

    def table(self, where: str, view: View, grid: Quantization, values: Tensor) -> View:
        """Replace every element on ``grid`` by what ``values`` (2**bits,) has for its integer."""
        view = self.whole(where, view)
        (source,) = view.sources
        name = self.unique(where)
        output = self.emit(
            q.Table(where, (source,), name, values, grid.scale, grid.zero_point, grid.signed)
        )
        return View((output,), view.shape, view.index)

    def affine(self, where: str, view: View, scale: Tensor, offset: Tensor) -> View:
        """``scale * x + offset``; both of the view's shape or broadcast to it."""
        pair = [t.detach().double().broadcast_to(view.shape) for t in (scale, offset)]
        constants = [float(t.reshape(-1)[0]) for t in pair]
        if all(bool((t == c).all()) for t, c in zip(pair, constants, strict=True)):
            product = q.Apply("mul", (q.X, constants[0])) if constants[0] != 1 else q.X
            total = q.Apply("add", (product, constants[1])) if constants[1] != 0 else product
            return view if total is q.X else self.function(where, view, total)
        view = self.whole(where, view)
        if view.index is not None and view.index.size > math.prod(self.shape(view.sources[0])):
            # An element that is there twice may be scaled in two ways.
            view = self.settled(where, view)
        source = view.sources[0]
        shape = self.shape(source)
        if view.index is None:
            pair = [t.reshape(shape) for t in pair]
        else:
            places = torch.from_numpy(view.index.reshape(-1))
            flat = [torch.zeros(math.prod(shape), dtype=torch.float64) for _ in pair]
            for f, t in zip(flat, pair, strict=True):
                f[places] = t.reshape(-1)
            pair = [f.reshape(shape) for f in flat]
        factor, shift = pair
        if not bool((factor == factor[:, :1, :1]).all()):
            constant = self.constant(f"{where}.constant", factor, shape)
            names = (source, constant.sources[0])
            source = self.emit(q.Binary(where, names, self.unique(where), "mul"))
            factor = torch.ones_like(factor)
        flat_shift = bool((shift == shift[:, :1, :1]).all())
        own = shift[:, 0, 0] if flat_shift else torch.zeros(shape[0], dtype=torch.float64)
        one = bool((factor == 1).all()) and bool((own == 0).all())
        output = source
        if not one:
            output = self.emit(q.Affine(where, (source,), self.unique(where), factor[:, 0, 0], own))
        if not flat_shift:
            constant = self.constant(f"{where}.constant", shift, shape)
            output = self.emit(
                q.Binary(where, (output, constant.sources[0]), self.unique(where), "add")
            )
        return View((output,), view.shape, view.index)

    def binary(self, where: str, function: BinaryFunction, a: View, b: View) -> View:
        """Combine two tensors element by element."""
        return combined(self, where, function, a, b)

    def prelu(self, where: str, view: View, slope: Tensor) -> View:
        """Scale what is negative by ``slope``, one per channel (the first dimension)."""
        if slope.numel() == 1:
            return self.function(where, view, q.Apply("leaky_relu", (q.X, float(slope))))
        source = self.realized(where, view)
        positive = self.function(where, View((source,), view.shape), q.Apply("relu", (q.X,)))
        channels = self.shape(source)[0]
        if slope.numel() != channels:
            raise UnsupportedError(
                where, f"{slope.numel()} slopes for {channels} channels", "Give each channel one."
            )
        both = self.emit(
            q.Concat(where, (source, positive.sources[0]), self.unique(f"{where}.both"))
        )
        slope = slope.detach().double().reshape(-1)
        weight = torch.cat([torch.diag(slope), torch.diag(1 - slope)], 1)
        output = self.conv(where, View((both,), self.shape(both)), weight[:, :, None, None], None)
        return View(output.sources, view.shape)

    # Weights.

    def conv(
        self,
        where: str,
        view: View,
        weight: Tensor,
        bias: Tensor | None,
        stride: q.Pair = (1, 1),
        padding: q.Padding = (0, 0, 0, 0),
        dilation: q.Pair = (1, 1),
        groups: int = 1,
        scale: Tensor | None = None,
        bits: int = 8,
    ) -> View:
        """Convolve (C, H, W); zeros around the view become padding.

        ``scale`` (K,), ``bits``: of weights that are multiples of it; None, not quantized yet.
        """
        source = view.sources[0]
        pads = padding_of(view, self.shape(source)) if len(view.shape) == 3 else None
        if pads is not None:
            padding = tuple(a + b for a, b in zip(padding, pads, strict=True))  # type: ignore[assignment]
            view = View((source,), self.shape(source))
        name = self.realized(where, view)
        op = q.Conv(
            where, (name,), self.unique(where), *_parameters(weight, bias), scale, bits,
            stride, padding, dilation, groups,
        )  # fmt: skip
        output = self.emit(op)
        return View((output,), self.shape(output))

    def conv_transpose(
        self,
        where: str,
        view: View,
        weight: Tensor,
        bias: Tensor | None,
        stride: q.Pair,
        padding: q.Padding,
        output_padding: q.Pair,
        groups: int,
        scale: Tensor | None = None,
        bits: int = 8,
    ) -> View:
        """Convolve (C, H, W), transposed; ``weight`` (K, C / groups, R, S)."""
        op = q.ConvTranspose(
            where, (self.realized(where, view),), self.unique(where), *_parameters(weight, bias),
            scale, bits, stride, padding, output_padding, groups,
        )  # fmt: skip
        output = self.emit(op)
        return View((output,), self.shape(output))

    def linear(
        self,
        where: str,
        view: View,
        weight: Tensor,
        bias: Tensor | None,
        scale: Tensor | None = None,
        bits: int = 8,
    ) -> View:
        """Multiply the last dimension by ``weight`` (K, F)."""
        if len(view.shape) > 1:
            return self._pointwise(where, view, weight, bias, scale, bits)
        weight, bias = _parameters(weight, bias)
        # Whatever the view moves, the weights' columns move instead.
        result: View | None = None
        index = np.arange(view.shape[0]) if view.index is None else view.index
        offset = 0
        for source in view.sources:
            size = math.prod(self.shape(source))
            inside = (index >= offset) & (index < offset + size)
            columns = torch.from_numpy(index[inside] - offset)
            own = torch.zeros(len(weight), size, dtype=torch.float64)
            own.index_add_(1, columns, weight[:, torch.from_numpy(np.flatnonzero(inside))])
            part = bias if result is None else torch.zeros_like(bias)
            output = self.emit(
                q.Linear(where, (source,), self.unique(where), own, part, scale, bits)
            )
            term = View((output,), (len(weight),))
            result = term if result is None else self.binary(where, "add", result, term)
            offset += size
        assert result is not None
        return result

    def _pointwise(
        self,
        where: str,
        view: View,
        weight: Tensor,
        bias: Tensor | None,
        scale: Tensor | None,
        bits: int,
    ) -> View:
        """Multiply by a convolution of one tap, over whatever the other dimensions are."""
        rest, last = view.shape[:-1], len(view.shape) - 1
        tap = weight[:, :, None, None]
        layout = self.layout(view)
        outer = () if layout is None else layout.order[: layout.channels]
        groups = math.prod(view.shape[axis] for axis in outer if axis != last)
        if layout is not None and last in outer and groups <= _MOST_GROUPS:
            # Channels, of which the same weights take some after others.
            order = (*(a for a in outer if a != last), last, *layout.order[layout.channels :])
            layout = Layout(order, layout.channels, layout.pixels)
            repeated = [None if t is None else t.repeat(groups) for t in (bias, scale)]
            result = self.conv(
                where, self.maps(view, layout), tap.repeat(groups, 1, 1, 1), repeated[0],
                groups=groups, scale=repeated[1], bits=bits,
            )  # fmt: skip
            return self.from_maps(result, layout, (*rest, weight.shape[0]))
        first = self.transposed(view, (last, *range(last)))
        x = self.reshaped(first, (view.shape[-1], 1, math.prod(rest)))
        result = self.conv(where, x, tap, bias, scale=scale, bits=bits)
        back = self.reshaped(result, (weight.shape[0], *rest))
        return self.transposed(back, (*range(1, last + 1), 0))

    # Windows.

    def max_pool(
        self,
        where: str,
        view: View,
        kernel: q.Pair,
        stride: q.Pair,
        padding: q.Padding,
        dilation: q.Pair = (1, 1),
    ) -> View:
        """Take the maximum over windows of (C, H, W)."""
        name = self.realized(where, view)
        output = self.emit(
            q.MaxPool(where, (name,), self.unique(where), kernel, stride, padding, dilation)
        )
        return View((output,), self.shape(output))

    def avg_pool(
        self,
        where: str,
        view: View,
        kernel: q.Pair,
        stride: q.Pair,
        padding: q.Padding,
        divisor: float,
        whole: bool = False,
    ) -> View:
        """Sum windows of (C, H, W) and divide; padding counts as zeros."""
        name = self.realized(where, view)
        output = self.emit(
            q.AvgPool(where, (name,), self.unique(where), kernel, stride, padding, divisor, whole)
        )
        return View((output,), self.shape(output))

    def resample(self, where: str, view: View, rows: Tensor, columns: Tensor) -> View:
        """``rows @ x @ columns.T`` of (C, H, W)."""
        name = self.realized(where, view)
        matrices = rows.detach().double(), columns.detach().double()
        output = self.emit(q.Resample(where, (name,), self.unique(where), *matrices))
        return View((output,), self.shape(output))

    def bilinear(self, where: str, view: View, factor: q.Pair) -> View:
        """Interpolate (C, H, W) by whole factors, pixels as areas."""
        name = self.realized(where, view)
        output = self.emit(q.Bilinear(where, (name,), self.unique(where), factor))
        return View((output,), self.shape(output))


def _taking(places: Any, axis: int) -> Callable[[list[np.ndarray[Any, Any]]], Any]:
    """Return what takes some places along an axis."""
    return lambda arrays: arrays[0].take(places, axis)


def _parameters(weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    weight = weight.detach().double()
    if bias is None:
        bias = torch.zeros(weight.shape[0], dtype=torch.float64)
    return weight, bias.detach().double()
