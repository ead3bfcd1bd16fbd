"""Sums whose weights are mostly zero, in parts: boxes of windows that leave out what is zero."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby, pairwise

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.parts import (
    SectionParts,
    can_be_cut,
    part_weights,
    pass_loops,
    too_far_before,
)
from tilewright.compiler.schedule.array.section import Section
from tilewright.isa import EngineConfig
from tilewright.isa.parts import MOST_GROUPS, MOST_TAPS, Part, PassLoops
from tilewright.isa.passes import kernel_group_lead

#: Of the cycles of all passes, those that parts must save.
_WORTH = 0.1


def sparse_sections(
    ops: Iterable[ArrayOp], config: EngineConfig, command: int
) -> dict[Section, SectionParts] | None:
    """Return parts of all sections that have all weights but zeros; None if they are not worth it.

    Parameters
    ----------
    command : cycles that the array loses between two commands
    """
    result: dict[Section, SectionParts] = {}
    spent = whole = 0
    for op in ops:
        if not can_be_cut(op) or op.windows.positions or op.reduction.maximum:
            return None
        lost = command + kernel_group_lead(config, op.windows.lead_parts(config))
        accesses, least = op.windows.parts(config), config.drain_cycles
        for section in op.sections:
            loops = pass_loops(op, config, section)
            used = used_windows(section, loops)
            room = (config.weight_depth - config.param_words) // loops.segment
            boxes = [
                part
                for box in used_boxes(used, lost // max(loops.segment, accesses))
                for part in _pieces(op, config, box, room)
            ]
            if room < 1:
                return None
            full = Part(
                groups=range(loops.groups), rows=range(loops.rows), columns=range(loops.columns)
            )
            whole += section.n_kg * max(loops.shape(full).cycles(accesses), least)
            spent += section.n_kg * sum(
                max(loops.shape(box).cycles(accesses), least) + lost for box in boxes
            )
            result[section] = tuple(part_weights(op, config, section, box) for box in boxes)
    return result if spent < (1 - _WORTH) * whole else None


def used_windows(section: Section, loops: PassLoops) -> NDArray[np.bool_]:
    """Return the windows with weights other than zero: (channel groups, kernel rows, columns)."""
    some = np.asarray(section.weights.any(axis=(0, 2)))
    taps, last = loops.rows * loops.columns, loops.last_segment
    body = (loops.groups - 1) * taps * loops.segment
    first = some[:body].reshape(loops.groups - 1, taps, loops.segment).any(2)
    rest = some[body:].reshape(1, taps, last).any(2)
    return np.concatenate([first, rest]).reshape(loops.groups, loops.rows, loops.columns)


def used_boxes(used: NDArray[np.bool_], gap: int) -> Iterator[Part]:
    """Yield boxes that do not overlap and have all windows that are used; one if none is.

    ``gap``: windows of a channel group that are not used and still cheaper than another box.
    """
    if not used.any():
        yield Part(groups=range(1), rows=range(1), columns=range(1))
        return
    for groups in _groups(used, gap):
        rows = [_columns(row, gap // len(groups)) for row in used[groups.start]]
        first = 0
        for columns, alike in groupby(rows):
            end = first + len(list(alike))
            for some in columns:
                yield Part(groups=groups, rows=range(first, end), columns=some)
            first = end


def _groups(used: NDArray[np.bool_], gap: int) -> Iterator[range]:
    """Yield runs of channel groups that use the same windows, with short gaps of none inside."""
    patterns = [windows.tobytes() for windows in used]
    counts = used.reshape(len(used), -1).sum(1)
    run: range | None = None
    for group in np.flatnonzero(counts).tolist():
        if run is not None:
            hole = (group - run.stop) * counts[group]
            if patterns[group] == patterns[run.start] and (hole <= gap or not hole):
                run = range(run.start, group + 1)
                continue
            yield run
        run = range(group, group + 1)
    if run is not None:
        yield run


def _columns(used: NDArray[np.bool_], gap: int) -> tuple[range, ...]:
    """Return runs of columns that are used, with gaps between them that are longer than ``gap``."""
    places = np.flatnonzero(used)
    if not places.size:
        return ()
    cuts = np.flatnonzero(np.diff(places) > gap + 1) + 1
    return tuple(range(int(p[0]), int(p[-1]) + 1) for p in np.split(places, cuts))


def _pieces(op: ArrayOp, config: EngineConfig, box: Part, room: int) -> Iterator[Part]:
    """Cut a box so that a command can say it, and its weights have room."""
    most = min(len(box.columns), MOST_TAPS, max(1, room))
    while most > 1 and too_far_before(op, config, most):
        most //= 2
    for columns in _cut(box.columns, most):
        for rows in _cut(box.rows, max(1, min(MOST_TAPS, room // len(columns)))):
            windows = len(rows) * len(columns)
            for groups in _cut(box.groups, max(1, min(MOST_GROUPS, room // windows))):
                yield replace(box, groups=groups, rows=rows, columns=columns)


def _cut(whole: range, most: int) -> Iterator[range]:
    ends = [*range(whole.start, whole.stop, most), whole.stop]
    return (range(a, b) for a, b in pairwise(ends))
