"""Which tensors have more than 8 bits: those that are named, and those that stay below their dB."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from torch import Tensor

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.passes import maps_multiplied
from tilewright.errors import Error, UnsupportedError
from tilewright.quantization.grids import fused_tensors, gate_of, grid_groups
from tilewright.quantization.report import labels_of

MOST, LEAST = 16, 9
"""Bits of a wide tensor."""
_SUMS = float((1 << 31) - (1 << 28))
"""What sums of products may reach, beside a bias."""

_LINEAR = (q.Conv, q.Linear, q.AvgPool, q.Concat, q.Select, q.Copy)


class WideGroups:
    """Tensors on one grid, and how many bits they could have.

    Parameters
    ----------
    graph : in reals, as grids are chosen for it
    weight_bits : int
    """

    def __init__(self, graph: Graph, weight_bits: int) -> None:
        self._graph, self._levels = graph, (1 << (weight_bits - 1)) - 1
        self._producers, self._readers = graph.producers(), graph.readers()
        self._fused = fused_tensors(graph)
        self._products = {op.output for op in maps_multiplied(graph)}
        self._groups = {name: tuple(group) for group in grid_groups(graph) for name in group}
        self._labels = labels_of(graph)

    def named(self, layers: Collection[str]) -> dict[str, int]:
        """Return the bits of the tensors of layers, and of what shares their grids.

        Raises
        ------
        Error  If there is no such layer.
        UnsupportedError  If an operator that makes or reads one has bytes only.
        """
        known: dict[str, list[str]] = {}
        for name in self._groups:
            if name in self._labels:
                known.setdefault(self._labels[name], []).append(name)
        result: dict[str, int] = {}
        for layer in layers:
            if layer not in known:
                raise Error(
                    f"no layer {layer!r} with a grid of its own can be wide; there are "
                    f"{', '.join(known)}"
                )
            group = tuple(other for name in known[layer] for other in self._groups[name])
            if (culprit := self._only_bytes(group)) is not None:
                raise UnsupportedError(
                    layer,
                    f"more than 8 bits, which {culprit.name} ({culprit.kind}) does not take",
                    "Leave it out of wide_layers.",
                )
            bits = self._bits(group)
            if bits < LEAST:
                raise UnsupportedError(
                    layer,
                    "more than 8 bits, of which what reads it has no room for the sums",
                    "Leave it out of wide_layers.",
                )
            result |= dict.fromkeys(group, bits)
        return result

    def below(self, ratios: Mapping[str, float | None], least_db: float) -> dict[str, int]:
        """Return the bits of tensors whose ratio is lower, where more bits are possible."""
        result: dict[str, int] = {}
        for name, group in self._groups.items():
            own = ratios.get(name)
            if own is None or own >= least_db or self._only_bytes(group) is not None:
                continue
            if (bits := self._bits(group)) >= LEAST:
                result |= dict.fromkeys(group, bits)
        return result

    def _only_bytes(self, group: Sequence[str]) -> q.Op | None:
        """Return an operator that makes or reads one of some tensors as bytes, if any does."""
        for name in group:
            maker = self._producers.get(name)
            if isinstance(maker, q.Function) and maker.inputs[0] in self._fused:
                clipped = self._producers[maker.inputs[0]]
                if not self._writes(clipped):
                    return clipped
            elif maker is not None and not self._writes(maker):
                return maker
            for reader in self._readers[name]:
                if not self._reads(reader, name):
                    return reader
        return None

    def _writes(self, op: q.Op) -> bool:
        if isinstance(op, q.Binary):
            return op.function != "maximum"
        return _linear(op) or isinstance(op, q.MatMul | q.DynamicConv)

    def _reads(self, op: q.Op, name: str) -> bool:
        if isinstance(op, q.Binary) and op.function == "mul":
            # What a factor of each channel multiplies, but no factor.
            return op.output not in self._products and name != gate_of(self._graph, op)
        return _linear(op) or isinstance(op, q.ConvTranspose | q.Bilinear)

    def _bits(self, group: Sequence[str]) -> int:
        """Return the most bits with which the sums of all that reads a group fit 32."""
        most = max((self._sum(op) for name in group for op in self._readers[name]), default=1.0)
        return min(MOST, int(math.log2(_SUMS / max(most, 1.0))))

    def _sum(self, op: q.Op) -> float:
        """Return the largest sum of absolute weights of an operator, as integers."""
        if isinstance(op, q.AvgPool):
            return float(math.prod(op.kernel))
        if isinstance(op, q.Bilinear):
            return 4.0 * math.prod(op.factor)
        if isinstance(op, q.Binary) and op.function == "mul":
            return 128.0
        if not isinstance(op, q.Weighted):
            return float(len(op.inputs))
        return _largest_sum(op.weight) * self._levels


def _linear(op: q.Op) -> bool:
    """Return whether an operator reads and writes more than 8 bits."""
    if isinstance(op, q.Function):  # a clip is no table
        return q.bounds(op.expression) is not None
    return isinstance(op, _LINEAR) or (isinstance(op, q.Binary) and op.function == "add")


def _largest_sum(weight: Tensor) -> float:
    """Return the largest sum of absolute weights of an output, in units of its largest weight."""
    flat = weight.detach().abs().reshape(len(weight), -1)
    return float((flat.sum(1) / flat.amax(1).clamp(min=1e-300)).max())
