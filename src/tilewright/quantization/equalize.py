"""Channels of a tensor brought to sizes that suit one grid, and the weights around it.

A channel may be divided by any positive factor where a layer computes it, if the layers that read
it multiply by the same: nothing else changes as long as what lies between is homogeneous (ReLU,
pools, sums, concatenations; Nagel et al., 2019, arXiv:1906.04721). Channels that must share a
factor are one variable. Factors are those of least predicted noise at the layers that read them:
that of the tensor's grid, as wide as its largest channel, and that of the weights' grids, which are
as wide as the largest weight of each kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops.elementwise import evaluate
from tilewright.compiler.quantized.passes import maps_multiplied
from tilewright.quantization.grids import fused_tensors, gate_of, grid_groups
from tilewright.quantization.observe import real_values
from tilewright.quantization.readers import Channels, Factor, Reader

Variables = npt.NDArray[np.int64]
_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_LEVELS = (-4, -3, -2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2, 3, 4)
_WORTH = 0.9
"""Share of the predicted noise that factors must leave, at most, to be worth having."""
_STEPS, _BETTER, _MOST_MADE = (-1, -0.5, 0.5, 1), 0.98, 32
"""Steps for the channels of one layer alone, what each must leave, and layers that are tried."""
_LARGEST = 1e4


def channels_of(
    graph: Graph, batches: Sequence[Sequence[Tensor]], advance: Callable[[], None]
) -> dict[str, Channels]:
    """Observe the channels of every tensor; ``advance`` is called after every batch."""
    largest: dict[str, Tensor] = {}
    power: dict[str, Tensor] = {}
    negative: dict[str, bool] = dict.fromkeys(graph.tensors, False)
    for batch in batches:
        for name, x in real_values(graph, batch).items():
            high = x.abs().amax((0, 2, 3)).double()
            mean = x.double().square().mean((0, 2, 3)) / len(batches)
            largest[name] = torch.maximum(largest[name], high) if name in largest else high
            power[name] = power[name] + mean if name in power else mean
            negative[name] |= bool((x < 0).any())
        advance()
    return {name: Channels(largest[name], power[name], negative[name]) for name in graph.tensors}


def equalized(
    graph: Graph, channels: Mapping[str, Channels], *, weight_bits: int, activation_bits: int
) -> tuple[Graph, dict[str, Tensor]]:
    """Return the same function with channels of other sizes, and what each is divided by.

    The factors (C,) are given for every tensor.
    """
    maps = frozenset(op.output for op in maps_multiplied(graph))
    tied = _tied(graph, maps)
    noise = _Noise(graph, channels, tied, weight_bits, activation_bits)
    factors = np.ones(tied.count)
    for component in _components(graph, tied):
        factors = _chosen(component, factors, noise)
    by_tensor = {name: torch.from_numpy(factors[tied.of[name]]) for name in graph.tensors}
    ops = [
        _product(op, by_tensor)
        if isinstance(op, q.Binary) and op.output in maps
        else _scaled(op, by_tensor)
        for op in graph.ops
    ]
    return replace(graph, ops=tuple(ops)), by_tensor


def _scaled(op: q.Op, factors: Mapping[str, Tensor]) -> q.Op:
    """``op`` of channels that were divided, to channels that are."""
    match op:
        case q.Function() if not _homogeneous(op):
            before, after = float(factors[op.inputs[0]][0]), float(factors[op.output][0])
            return replace(op, expression=_rescaled(op.expression, before, after))
        case q.Weighted() if not getattr(op, "moves", False):
            return _weighted(op, factors)
    return op


def _product(op: q.Binary, factors: Mapping[str, Tensor]) -> q.Binary:
    """Return a product of two maps of channels that were divided, to channels that are."""
    a, b = (factors[name] for name in op.inputs)
    scale = a * b / factors[op.output]
    if op.scale is not None:
        scale = scale * op.scale
    return op if bool((scale == 1).all()) else replace(op, scale=scale)


def _rescaled(function: q.Expression, before: float, after: float) -> q.Expression:
    """``f(before * x) / after``, a clip still as one."""
    if before == after == 1:
        return function
    if (bounds := q.bounds(function)) is not None:
        return q.Apply("clamp", (q.X, *(bound / after for bound in bounds)))
    inner = q.substitute(function, q.Apply("mul", (q.X, before)))
    return q.Apply("mul", (inner, 1 / after))


def _weighted(op: q.Weighted, factors: Mapping[str, Tensor]) -> q.Weighted:
    weight = op.weight * _per_weight(op, factors[op.inputs[0]])
    own = factors[op.output]
    column = own.reshape(-1, *(1,) * (weight.ndim - 1))
    return replace(op, weight=weight / column, bias=op.bias / own)


def _per_weight(op: q.Weighted, values: Tensor) -> Tensor:
    """Values of the input channels that each weight reads, to broadcast with the weights."""
    if isinstance(op, q.Linear):
        return values.repeat_interleave(op.weight.shape[1] // len(values))
    kernels, per_group = op.weight.shape[:2]
    groups = len(values) // per_group
    each = values.reshape(groups, per_group).repeat_interleave(kernels // groups, 0)
    return each.reshape(kernels, per_group, *(1,) * (op.weight.ndim - 2))


@dataclass(frozen=True)
class _Tied:
    """Variable of each channel of each tensor, and which of them must stay as they are."""

    of: Mapping[str, Variables]
    fixed: npt.NDArray[np.bool_]

    @property
    def count(self) -> int:
        return len(self.fixed)


def _tied(graph: Graph, maps: Container[str]) -> _Tied:
    """Find channels that must have one factor, and those that must have none.

    ``maps``: products of two maps, which have a factor of each channel of their own.
    """
    begins, count = {}, 0
    for name, info in graph.tensors.items():
        begins[name] = np.arange(count, count + info.shape[0])
        count += info.shape[0]
    parent, fixed = list(range(count)), np.zeros(count, bool)

    def find(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def tie(left: Variables, right: Variables) -> None:
        for i, j in zip(left.tolist(), right.tolist(), strict=True):
            parent[find(i)] = find(j)

    def fix(*names: str) -> None:
        for name in names:
            fixed[begins[name]] = True

    def together(channels: Variables) -> None:
        tie(channels[1:], channels[:-1])

    fix(*graph.inputs, *(name for view in graph.outputs for name in view.sources))
    for op in graph.ops:
        out, ins = begins[op.output], [begins[name] for name in op.inputs]
        match op:
            case q.Conv(moves=True) | q.ConvTranspose(moves=True):
                for kernel, channel in _moved(op, len(ins[0])):
                    tie(out[kernel : kernel + 1], ins[0][channel : channel + 1])
            case q.Weighted():
                fix(*op.inputs[1:])
            case q.Concat():
                tie(out, np.concatenate(ins))
            case q.Select():
                tie(out, ins[0][op.channels])
            case q.Binary(function="mul") if op.output in maps:
                pass
            case q.Binary(function="mul"):
                factor = gate_of(graph, op)
                fix(factor)
                (other,) = [n for n in op.inputs if n != factor] or [factor]
                tie(out, begins[other])
            case q.Function() if not _homogeneous(op):  # one table for all channels
                together(out)
                together(ins[0])
                if q.bounds(op.expression) is not None:
                    tie(out, ins[0])
            case _ if _homogeneous(op) and all(len(x) == len(out) for x in ins):
                for x in ins:
                    tie(out, x)
            case _:
                fix(op.output, *op.inputs)
    roots = np.array([find(i) for i in range(count)])
    held = np.zeros(count, bool)
    np.logical_or.at(held, roots, fixed)
    return _Tied({name: roots[own] for name, own in begins.items()}, held)


def _moved(op: q.Conv | q.ConvTranspose, channels: int) -> list[tuple[int, int]]:
    """Kernels of a convolution that moves elements, with the channels that they read."""
    kernels, per_group = op.weight.shape[:2]
    used = op.weight.flatten(2).abs().sum(2).nonzero().tolist()
    group = kernels // (channels // per_group)
    return [(k, k // group * per_group + i) for k, i in used]


def _homogeneous(op: q.Op) -> bool:
    """Whether ``f(s x) = s f(x)`` for every positive factor of a channel."""
    match op:
        case q.MaxPool() | q.AvgPool() | q.Bilinear() | q.Copy() | q.Join():
            return True
        case q.Binary(function="add" | "maximum"):
            return True
        case q.Function():
            x = torch.linspace(-8, 8, 65, dtype=torch.float64)
            results = [
                torch.as_tensor(evaluate(op.expression, s * x)).expand(65) / s
                for s in (1.0, 1e-3, 1e3)
            ]
            return all(bool((r - results[0]).abs().max() < 1e-9) for r in results)
    return False


@dataclass(frozen=True)
class _Component:
    """Grids whose channels share variables: names of the tensors on each."""

    groups: tuple[tuple[str, ...], ...]
    variables: Variables


def _components(graph: Graph, tied: _Tied) -> list[_Component]:
    owner: dict[int, int] = {}
    merged: dict[int, list[tuple[str, ...]]] = {}
    for index, names in enumerate(grid_groups(graph)):
        variables = {int(v) for name in names for v in tied.of[name]}
        free = {v for v in variables if not tied.fixed[v]}
        if not free:
            continue
        known = {owner[v] for v in free if v in owner}
        merged[index] = [tuple(names), *(g for k in known for g in merged.pop(k))]
        for v in free:
            owner[v] = index
        for v, k in owner.items():
            if k in known:
                owner[v] = index
    return [
        _Component(tuple(groups), np.array([v for v, k in owner.items() if k == index]))
        for index, groups in merged.items()
    ]


class _Noise:
    """Predicts what rounding costs the layers that read some tensors."""

    def __init__(
        self,
        graph: Graph,
        channels: Mapping[str, Channels],
        tied: _Tied,
        weight_bits: int,
        activation_bits: int,
    ) -> None:
        self.channels, self.tied = channels, tied
        self.weight_levels = (1 << (weight_bits - 1)) - 1
        self.activation_levels = (1 << activation_bits) - 1
        self.fused = fused_tensors(graph)
        self.readers: dict[str, list[Reader | Factor]] = {name: [] for name in graph.tensors}
        self.layers: set[str] = set()
        for op in graph.ops:
            if isinstance(op, q.Weighted) and not getattr(op, "moves", False):
                self.readers[op.inputs[0]].append(Reader.of(op, channels))
                self.layers.add(op.output)
        for op in maps_multiplied(graph):
            for name, other in zip(op.inputs, reversed(op.inputs), strict=True):
                self.readers[name].append(Factor.of(op, name, other, channels))

    def sizes(self, component: _Component) -> tuple[Tensor, Tensor]:
        """Largest value and largest weight, as a share of its kernel's, of each variable."""
        values = np.zeros(self.tied.count)
        weights = np.zeros(self.tied.count)
        for name in (n for names in component.groups for n in names):
            variables = self.tied.of[name]
            np.maximum.at(values, variables, self.channels[name].largest.numpy())
            for reader in self.readers[name]:
                np.maximum.at(weights, variables, reader.shares.numpy())
        return torch.from_numpy(values), torch.from_numpy(weights)

    def made(self, component: _Component) -> list[Tensor]:
        """Variables of each tensor that a layer of its own makes, at most ``_MOST_MADE``."""
        names = [n for names in component.groups for n in names if n in self.layers]
        return [torch.from_numpy(np.unique(self.tied.of[n])) for n in names[:_MOST_MADE]]

    def of(self, component: _Component, factors: Tensor) -> float:
        """Noise over signal, summed over the layers that read a component's tensors."""
        total = 0.0
        for names in component.groups:
            largest, negative = 0.0, False
            for name in names:
                own = factors[torch.from_numpy(self.tied.of[name])]
                largest = max(largest, float((self.channels[name].largest / own).max()))
                negative |= self.channels[name].negative
            step = largest * (1 + negative) / self.activation_levels
            for name in names:
                own = factors[torch.from_numpy(self.tied.of[name])]
                for reader in self.readers[name]:
                    total += reader.noise(own, step, self.weight_levels)
        return total


def _chosen(
    component: _Component, factors: npt.NDArray[np.float64], noise: _Noise
) -> npt.NDArray[np.float64]:
    """Return factors with those of a component's variables, where they are worth it."""
    values, weights = noise.sizes(component)
    free = torch.from_numpy(component.variables)
    free = free[(values[free] > 0) & (weights[free] > 0)]
    if not len(free):
        return factors
    best = torch.from_numpy(factors)
    least = noise.of(component, best)
    worth = _WORTH * least

    def tried(own: Tensor) -> Tensor:
        result = torch.from_numpy(factors.copy())
        result[free] = own.clamp(1 / _LARGEST, _LARGEST)
        return result

    for alpha, beta in product(_EXPONENTS, _EXPONENTS):
        own = values[free] ** alpha * weights[free] ** -beta
        new = tried(own / own.log().mean().exp())
        if (found := noise.of(component, new)) < least:
            best, least = new, found
    chosen = best
    for exponent in _LEVELS:  # beside channels that stay as they are
        new = tried(chosen[free] * 2.0**exponent)
        if (found := noise.of(component, new)) < least:
            best, least = new, found
    for own in noise.made(component):  # a layer beside the others
        some = own[torch.isin(own, free)]
        for exponent in _STEPS if len(some) else ():
            new = best.clone()
            new[some] = (new[some] * 2.0**exponent).clamp(1 / _LARGEST, _LARGEST)
            if (found := noise.of(component, new)) < _BETTER * least:
                best, least = new, found
    return best.numpy() if least < worth else factors
