"""Layers of few pixels: columns in halves, of which the upper one sums other input channels."""

from __future__ import annotations

from dataclasses import replace

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.reduction import Sum
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.weights import StoredWeights
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.isa import EngineConfig


def halved(config: EngineConfig, op: ArrayOp) -> ArrayOp:
    """Return an operation whose columns are split for kernel groups of which that is faster.

    Column ``cols // 2 + j`` of the array has the pixel of column j, and sums the upper half of each
    channel group (``Compute.split``). Layers whose channels stay apart, and those with windows of
    another kind, are returned as they are, as are kernel groups that are folded.
    """
    if not (
        config.split_columns
        and type(op.weights.source) is StoredWeights
        and type(op.windows) is Windows
        and type(op.reduction) is Sum
        and not op.weights.per_group
        and 1 << op.weights.arrangement.segment_log2 == config.rows
    ):
        return op
    sections = tuple(_faster(config, op, section) for section in op.sections)
    if not any(section.split for section in sections):
        return op
    arrangement = replace(op.weights.arrangement, sections=sections)
    source = replace(op.weights.source, sections=sections)
    return replace(op, weights=replace(op.weights, arrangement=arrangement, source=source))


def _faster(config: EngineConfig, op: ArrayOp, section: Section) -> Section:
    """Return a section with its columns split, if that is faster."""
    if section.fold:
        return section
    split = replace(section, split=True)
    return split if _cycles(config, op, split) < _cycles(config, op, section) else section


def _cycles(config: EngineConfig, op: ArrayOp, section: Section) -> int:
    """Return the cycles of the passes of one kernel group, with all results in one command."""
    *_, height, width = op.result.type.shape
    first, end = op.result.own_rows(0, height)
    left, right = op.result.own_columns(0, width)
    rows, columns = end - first, right - left
    own = rows * op.words(config, section, columns) * op.pass_cycles(config, section)
    return own - op.saved_cycles(config, section, rows, columns)
