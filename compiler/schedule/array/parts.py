"""Sums in parts: what a kernel group reduces over, cut so that each part fits on chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.weights import (
    StoredWeights,
    WeightLoad,
    WeightSource,
    WordCopy,
)
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align, pack_weights
from tilewright.isa.parts import MOST_GROUPS, MOST_TAPS, Part, PassLoops


@dataclass(frozen=True, kw_only=True, eq=False)
class PartWeights(WeightSource):
    """The weights of a part of what a section reduces over, one block for each kernel group.

    Parameters
    ----------
    section : Section, with all weights
    part : Part, of its loops
    loops : PassLoops
    """

    section: Section
    part: Part
    loops: PassLoops

    def kernel_words(self, config: EngineConfig, kg: int) -> int:
        """Return the weight words of a kernel group, its parameters included."""
        return config.param_words + self.loops.shape(self.part).steps

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a kernel group: parameters, then the part's weight words."""
        words = self.section.weights[block.kg - self.section.kg]
        words = words[self.loops.steps(self.part)]
        parameters = self.parameters.words(config, block.kg)
        return pack_weights(config, np.concatenate([parameters, words]))

    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield how it comes into the weight buffer: all at once."""
        words, size = self.block_words(config, block), self.word_bytes(config)
        yield WordCopy(0, 0, words, words * size, self.wide)


SectionParts: TypeAlias = tuple[PartWeights, ...]
"""All parts of a section, in order."""


def pass_loops(op: ArrayOp, config: EngineConfig, section: Section) -> PassLoops:
    """Return what a pass of an operation loops over."""
    groups, segment, last = op.segments(config, section)
    rows, columns = (1, 1) if section.tap is not None else op.windows.kernel
    return PassLoops(groups=groups, rows=rows, columns=columns, segment=segment, last_segment=last)


def can_be_cut(op: ArrayOp) -> bool:
    """Return whether an operation's sums can be in parts: its weights lie in memory as they are."""
    return type(op.weights.source) is StoredWeights and not op.reduction.partial


def cut_section(
    op: ArrayOp, config: EngineConfig, section: Section, weight_words: int, lane_rows: int
) -> SectionParts | None:
    """Cut what a section reduces over into the fewest parts that fit; None if none do.

    Channel groups are cut first, then kernel rows, then columns.

    Parameters
    ----------
    weight_words : of the weight buffer that a part may have, parameters included
    lane_rows : rows of channel groups that its input may have in the activation buffer
    """
    loops = pass_loops(op, config, section)
    room = (weight_words - config.param_words) // loops.segment
    boxes = _boxes(op, loops, room, lane_rows)
    if boxes is None:
        return None
    source = op.weights.source
    return tuple(
        PartWeights(
            sections=source.sections,
            parameters=source.parameters,
            section=section,
            part=part,
            loops=loops,
        )
        for part in boxes
    )


def row_words(op: ArrayOp, config: EngineConfig, width: int) -> int:
    """Return the lane words that so many columns of the input take in a row on chip."""
    words = -(-width // config.cols)
    return words | 1 if op.windows.pairs_of_rows else words


def part_rows(op: ArrayOp, part: Part, first: int, end: int) -> tuple[int, int]:
    """Return the input rows that rows ``first .. end - 1`` of results read for a part."""
    return op.windows.part_rows(first, end, part.rows)


def part_height(op: ArrayOp, rows: int, results: int = 1) -> int:
    """Return the rows of the input that so many kernel rows need on chip for rows of results."""
    low, high = op.windows.unclipped_part(0, results, range(rows))
    height = max(1, min(high - low, op.windows.type.shape[1]))
    return align(height, 2) if op.windows.pairs_of_rows else height


def _boxes(op: ArrayOp, loops: PassLoops, windows: int, lane_rows: int) -> list[Part] | None:
    """Return the fewest boxes of at most so many windows, and rows of the input."""
    taps = loops.rows * loops.columns
    most_rows = max(
        (n for n in range(1, loops.rows + 1) if part_height(op, n) <= lane_rows), default=0
    )
    if windows < 1 or not most_rows:
        return None
    whole = loops.rows <= min(most_rows, MOST_TAPS) and loops.columns <= MOST_TAPS
    if whole and windows >= taps:
        most = min(windows // taps, lane_rows // part_height(op, loops.rows), MOST_GROUPS)
        return [
            Part(groups=groups, rows=range(loops.rows), columns=range(loops.columns))
            for groups in _runs(loops.groups, most, op.windows.shared_groups)
        ]
    columns = min(loops.columns, windows, MOST_TAPS)
    rows = 1
    if columns == loops.columns:
        rows = min(most_rows, windows // columns, MOST_TAPS)
    return [
        Part(groups=range(group, group + 1), rows=some_rows, columns=some_columns)
        for group in range(loops.groups)
        for some_rows in _runs(loops.rows, rows)
        for some_columns in _runs(loops.columns, columns)
    ]


def _runs(count: int, most: int, shared: int = 0) -> list[range]:
    """Cut ``range(count)`` evenly into the fewest runs of at most ``most``.

    ``shared`` : if not 0, whole multiples of so many, or some of one.
    """
    if shared and most >= shared:
        return [
            range(run.start * shared, min(run.stop * shared, count))
            for run in _runs(-(-count // shared), most // shared)
        ]
    whole = shared or count
    result = []
    for first in range(0, count, whole):
        size = min(whole, count - first)
        number = -(-size // most)
        cuts = [first + size * i // number for i in range(number + 1)]
        result += [range(a, b) for a, b in pairwise(cuts)]
    return result
