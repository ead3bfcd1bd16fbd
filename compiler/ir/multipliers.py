"""Multipliers and shifts of an engine's width, where a graph has real factors: the one place."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.op import Op
from tilewright.compiler.ir.types import Ratio
from tilewright.errors import UnsupportedError


def choose_multipliers(graph: Graph, multiplier_width: int) -> Graph:
    """Return the graph with the multipliers nearest to its factors; itself, if it has none.

    Parameters
    ----------
    multiplier_width : int, bits of the requantization multipliers, 2..31

    Raises
    ------
    UnsupportedError  Naming the layer whose factor needs more bits.
    """
    ops = tuple(_chosen(op, multiplier_width) for op in graph.ops)
    if all(new is old for new, old in zip(ops, graph.ops, strict=True)):
        return graph
    return replace(graph, ops=ops)


def _chosen(op: Op, width: int) -> Op:
    found: dict[str, Any] = {}
    for field in fields(op):
        ratio = getattr(op, field.name)
        if isinstance(ratio, Ratio):
            if max(ratio.factors) > (1 << width) - 1:
                raise UnsupportedError(
                    op.name,
                    f"output scale is {max(ratio.factors):g} times finer than the accumulator's",
                    "Use a coarser output scale, or calibrate it on representative data.",
                )
            found[field.name] = ratio.chosen(width)
    return replace(op, **found) if found else op
