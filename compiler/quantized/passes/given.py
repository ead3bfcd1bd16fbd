"""Networks that have grids already: what the passes make is given grids and weights too."""

from __future__ import annotations

from dataclasses import replace

import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.rewrite import Rewrite
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError


def with_weights(graph: Graph) -> Graph:
    """Put weights that are on no grid yet on one per output channel.

    Those that passes make are ones, or all of a channel the same: exact but for interpolation.
    """
    ops: list[q.Op] = []
    for op in graph.ops:
        if isinstance(op, q.Weighted) and op.weight_scale is None:
            if getattr(op, "moves", False):
                scale = torch.ones(len(op.weight), dtype=torch.float64)
            else:
                scale = _scales(op)
            column = scale.reshape(-1, *(1,) * (op.weight.ndim - 1))
            op = replace(op, weight=(op.weight / column).round() * column, weight_scale=scale)
        ops.append(op)
    return graph.with_ops(ops)


def _scales(op: q.Weighted) -> torch.Tensor:
    """Scales of weights; magnitudes that are equal are a power of two, so that theirs stay one."""
    levels = (1 << (op.weight_bits - 1)) - 1
    sizes = op.weight.abs().flatten(1)
    most = sizes.amax(1)
    equal = ((sizes == most[:, None]) | (sizes == 0)).all(1)
    scale = most / torch.where(equal, (levels + 1) // 2, levels)
    return torch.where(most > 0, scale, 1.0)


def with_inner_grids(graph: Graph) -> Graph:
    """Put every tensor on a grid that an operator reads which needs it so.

    What is moved keeps its grid; operands that are joined are put on one; a mean of elements lies
    on theirs, and so does what is negated, mirrored.

    Raises
    ------
    UnsupportedError  Naming the operator whose result the network puts on no grid.
    """
    readers, results = graph.readers(), {n for view in graph.outputs for n in view.sources}
    grids = {name: info.quantization for name, info in graph.tensors.items()}
    copies: dict[str, Quantization] = {}
    rewrite = Rewrite(graph)
    for op in graph.ops:
        op = rewrite.current(op)
        known = [grids[name] for name in op.inputs]
        if op.keeps_grid and not _alike(known):
            target = _joined(op, readers[op.output], grids)
            names = []
            for name, grid in zip(op.inputs, known, strict=True):
                if grid != target:
                    copy = rewrite.unique(f"{op.name}.copy")
                    name = rewrite.emit(q.Copy(op.name, (name,), copy))
                    grids[name] = copies[name] = target
                names.append(name)
            op = replace(op, inputs=tuple(names))
        rewrite.emit(op)
        if grids[op.output] is None and _read_as_integers(op, readers[op.output], results):
            grids[op.output] = copies[op.output] = _own(op, [grids[n] for n in op.inputs])
    return rewrite.finished().with_quantization(copies)


def _alike(grids: list[Quantization | None]) -> bool:
    """Whether grids are one, but for the ends of their ranges."""
    return len({None if g is None else replace(g, low=None, high=None) for g in grids}) < 2


def _read_as_integers(op: q.Op, readers: list[q.Op], results: set[str]) -> bool:
    if op.output in results or op.keeps_grid:
        return True
    return not all(
        isinstance(r, q.Copy | q.Affine)
        or (isinstance(r, q.Function) and (q.bounds(r.expression) or isinstance(op, q.Function)))
        for r in readers
    )


def _joined(op: q.Op, readers: list[q.Op], grids: dict[str, Quantization | None]) -> Quantization:
    """Return the grid behind an operator that joins, or else the coarsest of its operands'."""
    behind = [grids[r.output] for r in readers]
    if len(readers) == 1 and isinstance(readers[0], q.Copy) and behind[0] is not None:
        return behind[0]
    known = [grid for name in op.inputs if (grid := grids[name]) is not None]
    if len(known) < len(op.inputs):
        raise _lacking(op)
    return max(known, key=lambda grid: grid.scale)


def _own(op: q.Op, inputs: list[Quantization | None]) -> Quantization:
    grid = inputs[0] if inputs else None
    if grid is None:
        raise _lacking(op)
    if op.keeps_grid:
        ends = [(g.qmin, g.qmax) for g in inputs if g is not None]
        return grid.within(min(low for low, _ in ends), max(high for _, high in ends))
    if isinstance(op, q.AvgPool | q.Bilinear):
        return grid
    if isinstance(op, q.Conv | q.ConvTranspose) and not bool(op.bias.any()):
        total = op.weight.flatten(1).sum(1)
        if bool((op.weight >= 0).all()) and bool((total <= 1 + 1e-9).all()):
            return grid
        if op.weight[0].numel() == 1 and bool((op.weight == -1).all()):
            mirrored = grid.qmin + grid.qmax - grid.zero_point
            return replace(grid, zero_point=mirrored)
    raise _lacking(op)


def _lacking(op: q.Op) -> UnsupportedError:
    return UnsupportedError(
        op.name,
        f"the result of {op.kind}, which the network puts on no grid",
        "Put a quantizer behind it.",
    )
