"""Output channel groups of few channels: the rows beside them sum other input channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.reduction import Sum
from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.weights import StoredWeights
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.isa import EngineConfig

#: Cycles that a layer must save: about what another command takes.
_WORTH = 64


def folded(config: EngineConfig, op: ArrayOp) -> ArrayOp:
    """Return an operation whose kernel groups of few channels are folded, where that is faster.

    Of a kernel group with at most ``rows / 2**f`` channels, row ``k + h * rows / 2**f`` sums the
    input channels of the h-th of so many parts of each channel group, for output channel k. What
    rows have summed is added behind the array (``Compute.fold``). Layers whose channels stay apart,
    and those with windows of another kind, are returned as they are.
    """
    if not (
        config.folds
        and type(op.weights.source) is StoredWeights
        and type(op.windows) is Windows
        and type(op.reduction) is Sum
        and not op.weights.per_group
    ):
        return op
    sections = tuple(piece for section in op.sections for piece in _pieces(config, op, section))
    if all(piece.fold == 0 for piece in sections):
        return op
    arrangement = replace(op.weights.arrangement, sections=sections)
    source = replace(op.weights.source, sections=sections)
    return replace(op, weights=replace(op.weights, arrangement=arrangement, source=source))


def _pieces(config: EngineConfig, op: ArrayOp, section: Section) -> Iterator[Section]:
    """Cut off a section's last kernel group, folded, if that is faster."""
    *_, height, width = op.result.type.shape
    passes = height * -(-width // config.cols)
    last = _part(section, Block(section.kg + section.n_kg - 1, 1))
    now = best = op.pass_cycles(config, last)
    chosen = last
    for fold in range(1, _most(config, op, last.kg) + 1):
        candidate = _fold(config.rows, last, fold)
        cycles = op.pass_cycles(config, candidate)
        if cycles < best:
            best, chosen = cycles, candidate
    if (now - best) * passes < _WORTH:
        yield section
        return
    if section.n_kg > 1:
        yield _part(section, Block(section.kg, section.n_kg - 1))
    yield chosen


def _most(config: EngineConfig, op: ArrayOp, kg: int) -> int:
    """Return how often a kernel group can be folded."""
    slots = op.weights.arrangement.order[kg * config.rows :][: config.rows]
    used = int(np.flatnonzero(slots >= 0)[-1]) + 1 if (slots >= 0).any() else config.rows
    least = max(used, 1 << config.least_segment_log2)
    return min(config.folds, (config.rows // least).bit_length() - 1)


def _part(section: Section, block: Block) -> Section:
    """Return some kernel groups of a section."""
    first = block.kg - section.kg
    return replace(section, kg=block.kg, weights=section.weights[first : first + block.n_kg])


def _fold(rows: int, section: Section, fold: int) -> Section:
    """Return a section of one kernel group folded so often."""
    width, channels = rows >> fold, section.channels
    taps = section.steps // channels
    words, first = [], 0
    for begin in range(0, channels, rows):
        lanes = min(rows, channels - begin)
        group = section.weights[0, first : first + taps * lanes].reshape(taps, lanes, rows)
        first += taps * lanes
        words.append(_halves(group[:, :, :width], rows, width)[:, : min(lanes, width)])
    weights = np.concatenate([part.reshape(prod(part.shape[:2]), rows) for part in words])
    return replace(section, fold=fold, weights=np.ascontiguousarray(weights)[None])


def _halves(group: NDArray[np.int16], rows: int, width: int) -> NDArray[np.int16]:
    """Return the (taps, width, rows) weights of each step, of (taps, channels, width) weights."""
    taps, lanes, _ = group.shape
    whole = np.zeros((taps, rows, width), group.dtype)
    whole[:, :lanes] = group
    parts = whole.reshape(taps, rows // width, width, width)
    return parts.transpose(0, 2, 1, 3).reshape(taps, width, rows)
