"""Transposed convolutions."""

from __future__ import annotations

import numpy as np

from tilewright.compiler.ir import ConvTranspose2d
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.convolution import pack_for, useful
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.compiler.schedule.order.channels import nonzero
from tilewright.compiler.schedule.order.taps import phase_taps


def conv_transpose(ctx: Context, op: ConvTranspose2d, kind: str = "ConvTranspose2d") -> None:
    """Emit a convolution of stride 1 for every phase of the output.

    One of another kind computes nothing. Output row ``stride * q + phase`` is reached by every
    stride-th kernel row only, in reverse order; columns likewise. No multiplication with an
    inserted zero remains.
    """
    ctx.check_weights(op.name, op.weight)
    pack_for(ctx, op, op.weight)
    used = nonzero(op.weight)
    in_type, (_, out_height, out_width) = ctx.values[op.input], ctx.values[op.output].shape
    taps = [
        [phase_taps(phase, s, pad, kernel) for phase in range(min(s, size))]
        for s, pad, kernel, size in zip(
            op.stride, op.padding[::2], op.kernel, (out_height, out_width), strict=True
        )
    ]
    ops = []
    for phase_y, (rows, top) in enumerate(taps[0]):
        for phase_x, (columns, left) in enumerate(taps[1]):
            weight = op.weight[:, :, rows][:, :, :, columns]
            if not weight.size:  # nothing but the bias arrives here
                weight = np.zeros((*op.weight.shape[:2], 1, 1), np.int64)
            arrangement = ctx.weighted(op.input, weight, op.groups, used)
            pixels = len(range(phase_y, out_height, op.stride[0])) * len(
                range(phase_x, out_width, op.stride[1])
            )
            ops.append(
                ctx.operation(
                    op.name,
                    kind,
                    ctx.windows(op.input, kernel=weight.shape[2:], padding=(top, left)),
                    arrangement,
                    op.output,
                    op.requantize,
                    bias=op.bias - weight.reshape(len(weight), -1).sum(1) * in_type.zero_point,
                    macs=(kind == op.kind) * useful(weight, used) * pixels,
                    step=op.stride,
                    offset=(phase_y, phase_x),
                )
            )
    ctx.emit(*ops)


LOWERINGS = (lowering(ConvTranspose2d, conv_transpose, reads_wide=True),)
