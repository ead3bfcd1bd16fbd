"""Which tensors are stored, on one grid with which others, and that grid."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import torch
from torch import Tensor

from tilewright.compiler.quantized import Graph, Quantization
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops.elementwise import evaluate
from tilewright.compiler.quantized.partition import real_tensors
from tilewright.compiler.quantized.passes import maps_multiplied
from tilewright.errors import UnsupportedError
from tilewright.quantization.ranges import Histogram, Made, Rounded, Search

_APART = 1.5
"""Ratio of ranges beyond which a tensor that others read too is joined as a copy."""
_OFFSET_FRACTION_BITS = 8
_FUSING = (q.Weighted, q.Binary, q.AvgPool, q.Bilinear, q.MatMul, q.DynamicConv)


def fused_tensors(graph: Graph) -> frozenset[str]:
    """All tensors that are not stored."""
    uses, producers, readers = graph.uses(), graph.producers(), graph.readers()
    result = set()
    for name, producer in producers.items():
        if uses[name] != 1 or not isinstance(producer, _FUSING) or producer.keeps_grid:
            continue
        clips = [
            op
            for op in readers[name]
            if isinstance(op, q.Function) and q.bounds(op.expression) is not None
        ]
        if clips:
            result.add(name)
    return frozenset(result)


def with_copies(
    graph: Graph, ranges: Mapping[str, float], among: Container[str] | None = None
) -> Graph:
    """Give a small tensor that joins large ones, and is read elsewhere too, a copy for that.

    Parameters
    ----------
    ranges : largest absolute value of each tensor
    among : what joins make; by default all
    """
    uses, producers = graph.uses(), graph.producers()
    taken = set(graph.tensors)
    ops: list[q.Op] = []
    for op in graph.ops:
        if joins(op) and (among is None or op.output in among):
            largest = max(ranges[name] for name in op.inputs)
            names = []
            for name in op.inputs:
                small = ranges[name] * _APART < largest and ranges[name] > 0
                if small and _read_elsewhere(name, uses, producers):
                    copy, count = f"{name}.copy", 1
                    while copy in taken:
                        count += 1
                        copy = f"{name}.copy#{count}"
                    taken.add(copy)
                    ops.append(q.Copy(f"{op.name}.copy", (name,), copy))
                    name = copy
                names.append(name)
            op = replace(op, inputs=tuple(names))
        ops.append(op)
    return graph.with_ops(ops)


def joins(op: q.Op) -> bool:
    """Whether an operator adds or concatenates, so that its operands share a grid."""
    return len(op.inputs) > 1 and (
        op.keeps_grid or (isinstance(op, q.Binary) and op.function == "add")
    )


def joins_of_terms(graph: Graph) -> frozenset[str]:
    """Return what joins terms of sums with weights, as of ``x - mean(x)``, there or elsewhere."""
    readers = graph.readers()
    terms: set[str] = set()
    for op in graph.ops:
        if not isinstance(op, q.Concat):
            continue
        sum_: q.Op = op
        while isinstance(sum_, q.Concat | q.Select) and len(readers[sum_.output]) == 1:
            (sum_,) = readers[sum_.output]
        if (
            isinstance(sum_, q.Conv)
            and sum_.groups == len(sum_.weight) < sum_.weight[..., 0, 0].numel()
        ):
            terms.update(op.inputs)
    return frozenset(op.output for op in graph.ops if joins(op) and not terms.isdisjoint(op.inputs))


def _read_elsewhere(name: str, uses: Mapping[str, int], producers: Mapping[str, q.Op]) -> bool:
    """Whether something else reads the tensor, or one that it has its grid from."""
    while uses[name] == 1:
        producer = producers.get(name)
        if producer is None or not producer.keeps_grid or len(producer.inputs) != 1:
            return False
        (name,) = producer.inputs
    return True


class _Groups:
    """Disjoint sets of tensors."""

    def __init__(self) -> None:
        self.parent: dict[str, str] = {}

    def find(self, name: str) -> str:
        while self.parent.setdefault(name, name) != name:
            name = self.parent[name]
        return name

    def join(self, names: tuple[str, ...]) -> None:
        for name in names[1:]:
            self.parent[self.find(name)] = self.find(names[0])


def grid_groups(graph: Graph) -> list[list[str]]:
    """Return the stored tensors, those on one grid together."""
    fused, groups = fused_tensors(graph), _Groups()
    for op in graph.ops:
        if joins(op) or op.keeps_grid:
            kept = (op.output,) if op.keeps_grid else ()
            groups.join((*op.inputs, *kept))
    for view in graph.outputs:
        groups.join(view.sources)
    members: dict[str, list[str]] = {}
    real = real_tensors(graph)
    for name in graph.tensors:
        if name not in fused and name not in real:
            members.setdefault(groups.find(name), []).append(name)
    return list(members.values())


def choose_grids(
    graph: Graph,
    seen: Mapping[str, Histogram],
    *,
    bits: int,
    power_of_two: bool,
    wide: Mapping[str, int] = MappingProxyType({}),
) -> dict[str, Quantization]:
    """Grid of every stored tensor, of least squared error over those that share it.

    Operands of additions and concatenations share one, and what is moved has that of its source. It
    is signed if one of its tensors can be negative, and then has a zero point where that is better;
    factors of channels have none, nor has one of two maps in a product, nor what is multiplied by
    computed weights, nor these.

    Parameters
    ----------
    seen : values of each tensor
    wide : bits of the tensors that have more than 8, by name; they reach as far as values do, and
        have no zero point, which would be no padding
    """
    special, readers = _special(graph, seen), graph.readers()
    results = {name for view in graph.outputs for name in view.sources}
    producers = graph.producers()
    places = {name: i for i, name in enumerate(graph.tensors)}
    result: dict[str, Quantization] = {}
    for names in sorted(grid_groups(graph), key=lambda names: min(places[n] for n in names)):
        kinds = {special[name] for name in names if name in special}
        if {"offset", "mask"} <= kinds:
            raise UnsupportedError(
                names[0],
                "a tensor that is both offsets and mask of deformable convolutions",
                "Let one convolution compute each.",
            )
        rounded = []
        for name in names:
            made = _made(producers.get(name), name, seen, result)
            rounded += _rounded(name, seen, readers[name], results, made)
        if names[0] in wide:
            grid = _wide_grid(Search(rounded), wide[names[0]], power_of_two)
        else:
            grid = _grid(Search(rounded), kinds, bits, power_of_two)
        result.update(dict.fromkeys(names, grid))
    return result


def _made(
    op: q.Op | None,
    name: str,
    seen: Mapping[str, Histogram],
    grids: Mapping[str, Quantization],
) -> Made | None:
    """Return how a table makes a tensor, of what is stored before it."""
    if not isinstance(op, q.Function) or op.inputs[0] not in grids:
        return None
    source = op.inputs[0]
    function = partial(computed, op.expression, seen[name].low, seen[name].high)
    return Made(seen[source], grids[source].apply, function)


def _rounded(
    name: str,
    seen: Mapping[str, Histogram],
    readers: list[q.Op],
    results: set[str],
    made: Made | None,
) -> list[Rounded]:
    """Return a tensor as what reads it does.

    Tables forgive what their function does not see. What only moves elements, or takes maxima,
    stands for its operands.
    """
    if name not in results and only_kept(readers):
        return []
    tables = [op for op in readers if isinstance(op, q.Function)]
    found = []
    for op in tables:
        ends = seen[op.output].low, seen[op.output].high
        found.append(Rounded(seen[name], partial(computed, op.expression, *ends), made))
    if len(tables) < len(readers) or name in results or not readers:
        found.append(Rounded(seen[name], made=made))
    return found


def only_kept(readers: Sequence[q.Op]) -> bool:
    """Whether what reads a tensor only moves its elements or takes maxima."""
    return bool(readers) and all(op.keeps_grid for op in readers)


def computed(expression: q.Expression, low: float, high: float, x: Tensor) -> Tensor:
    """Compute a function as its result is kept: saturated, also at a pole."""
    value = torch.as_tensor(evaluate(expression, x), dtype=x.dtype).expand_as(x)
    return value.nan_to_num(0.0, high, low).clamp(low, high)


def _special(graph: Graph, seen: Mapping[str, Histogram]) -> dict[str, str]:
    """Tensors that the engine wants on a grid of some kind."""
    result: dict[str, str] = {}
    maps = {op.output for op in maps_multiplied(graph)}
    for op in graph.ops:
        if isinstance(op, q.DeformConv):
            result[op.inputs[1]] = "offset"
            if len(op.inputs) > 2:
                result[op.inputs[2]] = "mask"
        elif isinstance(op, q.MatMul | q.DynamicConv):
            result.setdefault(op.inputs[0], "multiplied")
            result[op.inputs[1]] = "factor"
        elif op.output in maps:
            # The engine takes a step less where one of them has no zero point.
            centred = min(op.inputs, key=lambda name: _eccentricity(seen[name]))
            result.setdefault(centred, "multiplied")
        elif isinstance(op, q.Binary) and op.function == "mul":
            result[gate_of(graph, op)] = "factor"
    return result


def gate_of(graph: Graph, op: q.Binary) -> str:
    """Return the operand of a product that is one factor per channel, or for all channels."""
    a, b = op.inputs
    return a if math.prod(graph.shape(a)) < math.prod(graph.shape(b)) else b


def _eccentricity(values: Histogram) -> float:
    """Return how far the middle of a range is from zero, as a share of it; 0 of one sign."""
    if values.low >= 0 or values.low == values.high:
        return 0.0
    return abs(values.low + values.high) / (values.high - values.low)


def _grid(search: Search, kinds: set[str], bits: int, power_of_two: bool) -> Quantization:
    if "offset" in kinds:  # signed, in steps of 2**-f pixels
        scale = search.scale((1 << (bits - 1)) - 1, power_of_two=True)
        scale = 2.0 ** max(-_OFFSET_FRACTION_BITS, min(0, round(math.log2(scale))))
        return Quantization(scale, 0, bits, True)
    if "mask" in kinds:  # unsigned, in units of 2**-b
        scale = search.scale((1 << bits) - 1, power_of_two=True)
        scale = 2.0 ** max(-8, min(-1, round(math.log2(scale))))
        return Quantization(scale, 0, bits, False)
    signed = search.negative or "factor" in kinds
    if signed and not power_of_two and not kinds:
        scale, zero_point = search.grid(bits)
        return Quantization(scale, zero_point, bits, True)
    levels = (1 << (bits - signed)) - 1
    scale = search.scale(levels, power_of_two=power_of_two)
    return Quantization(scale, 0, bits, signed)


def _wide_grid(search: Search, bits: int, power_of_two: bool) -> Quantization:
    """Return a grid whose steps are so fine that clipping nothing is best."""
    levels = (1 << (bits - search.negative)) - 1
    scale = search.maximum / levels or 1.0
    if power_of_two:
        scale = 2.0 ** math.ceil(math.log2(scale))
    return Quantization(scale, 0, bits, search.negative)
