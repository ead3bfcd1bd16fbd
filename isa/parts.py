"""Parts of a compute command: one of its passes, and some of what that reduces over.

A pass adds up the products of all channel groups, kernel rows and kernel columns. Where weights or
windows of all of them do not fit on chip, several commands have a *part* each, one after another:
sums stay in the array (``Compute.resume``), or are added to partial sums (``Compute.partial``).
All of this is arithmetic on a command's fields.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.commands import Compute, Deform, changed
from tilewright.isa.config import EngineConfig
from tilewright.isa.passes import PassShape, least_last_parts
from tilewright.isa.wide import result_rows

#: What a command's counters hold: kernel rows or columns, and channel groups.
MOST_TAPS, MOST_GROUPS = 255, 4095
#: Columns in front of the input at which a command's first window can begin.
MOST_BEFORE = 512

_WORD = 1 << 16


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some of the windows of a pass.

    Parameters
    ----------
    groups, rows, columns : range, not empty, of step 1; channel groups, kernel rows and kernel
        columns, each counted from the pass's first
    """

    groups: range
    rows: range
    columns: range

    @property
    def windows(self) -> int:
        """Windows of each channel group."""
        return len(self.rows) * len(self.columns)


@dataclass(frozen=True, kw_only=True)
class PassLoops:
    """What a pass loops over, from the outermost loop to the innermost.

    Parameters
    ----------
    groups, rows, columns : channel groups, kernel rows, kernel columns
    segment, last_segment : steps of a segment, and of those of the last channel group
    """

    groups: int
    rows: int
    columns: int
    segment: int
    last_segment: int

    @property
    def countable(self) -> bool:
        """Return whether a command has counters for them."""
        return max(self.rows, self.columns) <= MOST_TAPS and self.groups <= MOST_GROUPS

    def shape(self, part: Part) -> PassShape:
        """Return what a pass that has a part only runs through."""
        ends = part.groups.stop == self.groups
        return PassShape(
            windows=part.windows,
            groups=len(part.groups),
            segment=self.segment,
            last_segment=self.last_segment if ends else self.segment,
        )

    def steps(self, part: Part) -> NDArray[np.int64]:
        """Return which of the steps of the whole pass are those of a part, in its order."""
        found = []
        row, column = np.array(part.rows)[:, None, None], np.array(part.columns)[:, None]
        for group in part.groups:
            count = self.last_segment if group == self.groups - 1 else self.segment
            first = group * self.rows * self.columns * self.segment
            steps = first + (row * self.columns + column) * count + np.arange(count)
            found.append(steps.reshape(-1))
        return np.concatenate(found)


def window_span(config: EngineConfig, stride: int, columns: int, step: int) -> int:
    """Return the columns that a pass reads of a row: ``columns`` of the kernel, ``step`` apart."""
    return (config.cols - 1) * stride + (columns - 1) * step + 1


def take_pass(
    config: EngineConfig, command: Compute, oy: int, ox: int, *, sampled: bool = False
) -> Compute:
    """Return the pass of a command of one kernel group for word ``ox`` of output row ``oy``.

    ``sampled`` : a Deform stands before it
    """
    c, cols = command, config.cols
    words, row = ox * c.dst_step, oy * result_rows(config, c)
    out = c.out_base + row * c.out_row_step + words * cols
    taken = changed(
        c,
        n_oy=1,
        n_ox=1,
        act_row=(c.act_row + oy * c.oy_step) % c.act_ring,
        y0=c.y0 + oy * c.oy_dy,
        out_w=min(cols, c.out_w - ox * cols),
        out_base=out % config.out_depth,
        dst_base=(c.dst_base + row * c.dst_row_step + words) % _WORD,
    )
    return _begin_at(config, taken, c.x0 + ox * cols * c.stride_x, move=not sampled)


def take_part(
    config: EngineConfig, command: Compute, loops: PassLoops, part: Part, *, sampled: bool = False
) -> Compute:
    """Return a command that reduces over a part only.

    Parameters
    ----------
    command : that reduces over all of ``loops``; its ``weight_base`` is kept
    sampled : a Deform stands before it
    """
    c, shape = command, loops.shape(part)
    taken = changed(
        c,
        n_cg=shape.groups,
        n_r=len(part.rows),
        n_s=len(part.columns),
        last_segment=shape.last_segment,
        act_base=(c.act_base + part.groups.start * c.cg_step) % _WORD,
        act_row=(c.act_row + part.rows.start * c.r_step) % c.act_ring,
        y0=c.y0 + part.rows.start * c.r_dy,
        low_first=c.low_first ^ (c.wide_in & part.rows.start),
    )
    return _begin_at(config, taken, c.x0 + part.columns.start * c.s_dx, move=not sampled)


def take_positions(
    config: EngineConfig,
    deform: Deform,
    command: Compute,
    *,
    loops: PassLoops,
    part: Part,
    oy: int,
    ox: int,
) -> Deform:
    """Return the Deform of a part of a pass.

    Parameters
    ----------
    deform : of the command with all passes, and all of ``loops``
    command : the part's own
    part : of all taps, whole offset groups or some of one; or of neighbouring taps of groups that
        share their offsets
    """
    taps = loops.rows * loops.columns
    tap = part.rows.start * loops.columns + part.columns.start
    first = part.groups.start // deform.shared * taps + tap
    at = oy * deform.row_step + ox * config.cols
    group, byte = divmod(deform.offset_byte + 2 * first, config.rows)
    mask_group, mask_byte = divmod(deform.mask_byte + first, config.rows)
    if not deform.mask_fraction:
        mask_group, mask_byte = 0, deform.mask_byte
    return changed(
        deform,
        taps=part.windows,
        last_parts=least_last_parts(config, command),
        offset_base=(deform.offset_base + at + group * deform.group_step) % config.offset_depth,
        offset_byte=byte,
        mask_base=(deform.mask_base + at + mask_group * deform.group_step) % config.offset_depth,
        mask_byte=mask_byte,
    )


def _begin_at(config: EngineConfig, command: Compute, x0: int, *, move: bool) -> Compute:
    """Return a command whose first window begins at another column.

    ``move`` : columns that no window reaches are left out, so that ``x0`` stays small; so it does
    where all windows are in front of the input, wherever there
    """
    c, cols = command, config.cols
    words = max(0, x0 // cols) if move else 0
    x0 -= words * cols
    if move and x0 + window_span(config, c.stride_x, c.n_s, c.s_dx) <= 0:
        x0 = max(x0, -MOST_BEFORE)
    return changed(
        c,
        x0=x0,
        x0_word=x0 // cols,
        x0_lane=x0 % cols,
        act_base=(c.act_base + words) % _WORD,
        in_w=max(0, c.in_w - words * cols),
    )
