"""Sums of several values, each times a whole number."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.ir import WeightedSum
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.elementwise import equally_wide, side_by_side
from tilewright.compiler.schedule.lowering.table import lowering


def weighted_sum(ctx: Context, op: WeightedSum) -> None:
    """Emit a sum over operands that are read like channel groups.

    A factor that is more than a weight can be is a sum of several: a window is the same pixel as
    often as the largest needs.
    """
    most = (1 << (ctx.config.weight_bits - 1)) - 1
    times = int(max(1, -(-np.abs(op.factors).max() // most)))
    # As even as can be: 300 of at most 127 is 100 + 100 + 100.
    weights = np.array([np.diff(factor * np.arange(times + 1) // times) for factor in op.factors])
    zero_points = [ctx.values[source].zero_point for source in op.sources]
    sources = equally_wide(ctx, op.name, op.output, op.sources)
    operands = side_by_side(ctx, op.name, op.output, sources)
    ctx.per_channel(
        op.name,
        op.kind,
        ctx.windows(*operands, kernel=(1, times), dilation=(1, 0)),
        op.output,
        op.requantize,
        taps=weights.size,
        weights=weights.reshape(-1),
        bias=op.bias - int(op.factors @ np.array(zero_points)),
        order=ctx.view(operands[0]).order,
        macs=len(op.sources) * ctx.values[op.output].numel,
    )


LOWERINGS = (lowering(WeightedSum, weighted_sum, reads_wide=True, writes_wide=True),)
