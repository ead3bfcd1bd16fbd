"""Products of two feature maps by tables of squares, for engines that do not multiply them.

``4 a b = s**2 - d**2`` with the sum ``s = a + b`` and the difference ``d = a - b``: one convolution
makes both, a table squares them, and a convolution subtracts. Around the middle ``m`` of its range
``s**2 = (s - m)**2 + 2 m (s - m) + m**2``, of which the table holds the first part, a fourth as
large where s has one sign; the last convolution adds the others. Both factors are scaled to one
power first, which the last convolution undoes. Tables have 8 bits: some 35 dB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite

_RATIO = 1.5
"""Of the factors' powers, beyond which one of them is scaled by a step of its own."""


@dataclass(frozen=True)
class Spread:
    """Values of a tensor: root mean square, least and greatest."""

    power: float
    low: float
    high: float

    @classmethod
    def of(cls, x: Tensor) -> Spread:
        """Spread of a tensor's values."""
        return cls(float(x.square().mean().sqrt()), float(x.min()), float(x.max()))


def maps_multiplied(graph: Graph) -> list[q.Binary]:
    """Products of two tensors that both have more than one pixel."""
    return [
        op
        for op in graph.ops
        if isinstance(op, q.Binary)
        and op.function == "mul"
        and all(graph.shape(name)[1:] != (1, 1) for name in op.inputs)
    ]


def lower_products(graph: Graph, spreads: Mapping[str, Spread]) -> Graph:
    """Replace products of maps; ``spreads``: of the tensors multiplied."""
    products = {op.output for op in maps_multiplied(graph)}
    rewrite = Rewrite(graph)
    for op in graph.ops:
        names = op.inputs
        op = rewrite.current(op)
        if op.output in products:
            rewrite.replace(op.output, _squares(rewrite, op, spreads[names[0]], spreads[names[1]]))
        else:
            rewrite.emit(op)
    return rewrite.finished()


def _squares(rewrite: Rewrite, op: q.Op, a: Spread, b: Spread) -> str:
    where, channels = op.name, max(rewrite.shapes[name][0] for name in op.inputs)
    ratio = max(a.power, 1e-30) / max(b.power, 1e-30)
    factor = 1.0 if 1 / _RATIO < ratio < _RATIO else ratio
    first, second = (_repeated(rewrite, where, name, channels) for name in op.inputs)
    if factor != 1:
        scale = torch.full((channels,), factor, dtype=torch.float64)
        scaled = rewrite.unique(f"{where}.scaled")
        second = rewrite.emit(q.Affine(where, (second,), scaled, scale, torch.zeros_like(scale)))
    low, high = factor * b.low, factor * b.high
    middles = ((a.low + a.high + low + high) / 2, (a.low + a.high - low - high) / 2)
    reach = max((a.high - a.low + high - low) / 2, 1e-30)
    pairs = _interleaved(rewrite, where, (first, second), "factors")
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64).repeat(channels, 1)
    away = -torch.tensor(middles, dtype=torch.float64).repeat(channels)
    sums = _grouped(rewrite, where, pairs, signs, away, channels, "sums")
    # 2 / reach * (x**2 - reach**2 / 2), which fills -reach..reach
    square = q.Apply("mul", (q.Apply("mul", (q.X, q.X)), 2 / reach))
    table = rewrite.emit(
        q.Function(
            where, (sums,), rewrite.unique(f"{where}.squares"), q.Apply("add", (square, -reach))
        )
    )
    undo = 1 / (4 * factor)
    weights = [reach / 2 * undo, -reach / 2 * undo]
    rest = (middles[0] ** 2 - middles[1] ** 2) * undo
    source, row = table, weights
    if any(middles):
        source = rewrite.emit(q.Concat(where, (table, sums), rewrite.unique(f"{where}.terms")))
        order = np.arange(4 * channels).reshape(2, channels, 2).transpose(1, 0, 2).reshape(-1)
        terms = rewrite.unique(f"{where}.terms")
        source = rewrite.emit(q.Select(where, (source,), terms, order))
        row = [*weights, 2 * middles[0] * undo, -2 * middles[1] * undo]
    weight = torch.tensor([row], dtype=torch.float64).repeat(channels, 1)
    bias = torch.full((channels,), rest, dtype=torch.float64)
    return _grouped(rewrite, where, source, weight, bias, channels, "product")


def _repeated(rewrite: Rewrite, where: str, name: str, channels: int) -> str:
    """Give a tensor of one channel as many as it is multiplied by."""
    if rewrite.shapes[name][0] == channels:
        return name
    return rewrite.emit(
        q.Select(where, (name,), rewrite.unique(f"{where}.channels"), np.zeros(channels, np.int64))
    )


def _interleaved(rewrite: Rewrite, where: str, names: tuple[str, str], label: str) -> str:
    """Concatenate two tensors so that equal channels are neighbours."""
    channels = rewrite.shapes[names[0]][0]
    both = rewrite.emit(q.Concat(where, names, rewrite.unique(f"{where}.{label}")))
    order = np.arange(2 * channels).reshape(2, channels).T.reshape(-1)
    return rewrite.emit(q.Select(where, (both,), rewrite.unique(f"{where}.pairs"), order))


def _grouped(
    rewrite: Rewrite, where: str, source: str, weight: Tensor, bias: Tensor, groups: int, label: str
) -> str:
    return rewrite.emit(
        q.Conv(
            where, (source,), rewrite.unique(f"{where}.{label}"), weight[:, :, None, None], bias,
            None, 8, (1, 1), (0, 0, 0, 0), (1, 1), groups,
        )
    )  # fmt: skip
