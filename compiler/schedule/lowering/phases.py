"""Convolutions of dilated rows that do not fit on chip, phase by phase.

Results of row ``p + k * dilation`` read rows of the input that are as many rows apart: phases of
both are feature maps of their own, between which nothing is added up, and whose rows are
neighbours. So there is room for a few rows of a phase where there is none for all between them.
"""

from __future__ import annotations

from dataclasses import replace

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Block
from tilewright.compiler.schedule.array.windows import Operand
from tilewright.compiler.schedule.lowering.context import Context


def by_phases(ctx: Context, op: ArrayOp) -> tuple[ArrayOp, ...]:
    """Return an operation for each phase of the results' rows, or the one, if its rows fit.

    All read and write values whose rows are counted by phases, and share their weights.
    """
    windows, step = op.windows, op.windows.dilation[0]
    divides = windows.stride[0] == 1 and windows.padding[0] % step == 0
    if step == 1 or windows.kernel[0] == 1 or not divides or _fits(ctx, op):
        return (op,)
    operands = tuple(
        Operand(tuple(_phased(ctx, part, step) for part in operand.parts), operand.first)
        for operand in windows.operands
    )
    output = ctx.fresh(_name(op.output, step))
    ctx.values[output], ctx.orders[output] = ctx.values[op.output], ctx.orders[op.output]
    ctx.aliases[op.output], ctx.phases[output] = output, step
    height, before, read = op.result.type.shape[1], 0, 0
    ops = []
    for phase in range(min(step, height)):
        results = len(range(phase, height, step))
        rows = len(range(phase, windows.type.shape[1], step))
        ops.append(
            replace(
                op,
                macs=op.macs // height * results,
                windows=replace(
                    windows,
                    operands=operands,
                    dilation=(1, windows.dilation[1]),
                    padding=(windows.padding[0] // step, windows.padding[1]),
                    band=(read, read + rows),
                ),
                result=replace(op.result, value=output, offset=(before, 0), most=results),
            )
        )
        before, read = before + results, read + rows
    return tuple(ops)


def _fits(ctx: Context, op: ArrayOp) -> bool:
    """Return whether there is room for the input of one row of a kernel group's results."""
    config, (_, height, width) = ctx.config, op.windows.type.shape
    first, end = op.windows.reach
    pitch = -(-width // config.cols)
    groups = (op.channel_groups(config, Block(kg, 1)) for kg in range(op.n_kg))
    most = max(stop - start for start, stop in groups)
    return most * min(end - first, height) * pitch <= config.act_depth


def _phased(ctx: Context, value: str, step: int) -> str:
    """Return a stored value with its rows counted by phases."""
    stored = ctx.aliases.get(value, value)
    if ctx.phases.get(stored) == step:
        return stored
    known = (v for v, other in ctx.aliases.items() if other == stored and ctx.phases.get(v) == step)
    if (found := next(known, None)) is not None:
        return found
    alias = ctx.fresh(_name(value, step))
    ctx.values[alias], ctx.orders[alias] = ctx.values[value], ctx.orders[value]
    ctx.aliases[alias], ctx.phases[alias] = stored, step
    return alias


def _name(value: str, step: int) -> str:
    return f"{value}.every_{step}_rows"
