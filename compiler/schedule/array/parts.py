"""Sums in parts: what a kernel group reduces over, cut so that each part fits on chip."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
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
from tilewright.isa.parts import MOST_BEFORE, MOST_GROUPS, MOST_TAPS, Part, PassLoops, window_span
from tilewright.isa.passes import PassShape


@dataclass(frozen=True, kw_only=True, eq=False)
class PartWeights(WeightSource):
    """The weights of a part of what a section reduces over, one block for each kernel group.

    Parameters
    ----------
    section : Section, with all weights
    part : Part, of its loops
    loops : PassLoops
    bare : there is no room for parameters beside weights: they come with a part that closes
    closing : that part, the last one, has one step, which changes nothing
    idempotent : a step that is repeated changes nothing; else one whose weights are zero
    """

    section: Section
    part: Part
    loops: PassLoops
    bare: bool = False
    closing: bool = False
    idempotent: bool = False

    @property
    def shape(self) -> PassShape:
        """What its passes run through."""
        shape = self.loops.shape(self.part)
        return replace(shape, last_segment=1) if self.closing else shape

    def kernel_words(self, config: EngineConfig, kg: int) -> int:
        """Return the weight words of a kernel group, its parameters included."""
        return (0 if self.bare else config.param_words) + self.shape.steps

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a kernel group: parameters, then the part's weight words."""
        words = self.section.weights[block.kg - self.section.kg]
        words = words[self.loops.steps(self.part)]
        if self.closing:
            words = words[:1] if self.idempotent else np.zeros_like(words[:1])
        parameters = self.parameters.words(config, block.kg)[: 0 if self.bare else None]
        packed = np.concatenate([parameters, words])
        size = align(len(packed), config.weights_per_byte)
        return pack_weights(config, np.pad(packed, ((0, size - len(packed)), (0, 0))))

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
    stored = type(op.weights.source) is StoredWeights
    return stored and op.windows.divisible and not op.reduction.partial


@dataclass(frozen=True)
class LaneRoom:
    """Room for the input of a part in the activation buffer.

    Parameters
    ----------
    words : lane words
    width : columns of the input that are on chip; 0: only those that a pass of the part reads
    """

    words: int
    width: int

    def columns(self, op: ArrayOp, config: EngineConfig, kernel_columns: int) -> int:
        """Return the columns of a row on chip, for some columns of the kernel."""
        windows = op.windows
        if self.width:
            return self.width
        read = (config.cols - 1) * windows.stride[1] + (kernel_columns - 1) * windows.dilation[1]
        # What is loaded begins with a beat of the bus.
        return min(read + config.bus_bytes, windows.type.shape[2])

    def pitch(self, op: ArrayOp, config: EngineConfig, kernel_columns: int) -> int:
        """Return the lane words of such a row."""
        words = -(-self.columns(op, config, kernel_columns) // config.cols)
        return words | 1 if op.windows.pairs_of_rows else words

    def rows(self, op: ArrayOp, config: EngineConfig, kernel_columns: int) -> int:
        """Return how many such rows there is room for."""
        return self.words // self.pitch(op, config, kernel_columns)


def cut_section(
    op: ArrayOp, config: EngineConfig, section: Section, weight_words: int, lanes: LaneRoom
) -> SectionParts | None:
    """Cut what a section reduces over into the fewest parts that fit; None if none do.

    Channel groups are cut first, then kernel rows, then columns.

    Parameters
    ----------
    weight_words : of the weight buffer that a part may have, parameters included
    lanes : of the activation buffer that its input may have, for one row of results
    """
    loops = pass_loops(op, config, section)
    room = (weight_words - config.param_words) // loops.segment
    bare = room < 1
    if bare:
        room = weight_words // loops.segment if weight_words > config.param_words else 0
    boxes = _boxes(op, config, loops, room, lanes)
    if boxes is None:
        return None
    parts = tuple(replace(part_weights(op, config, section, p), bare=bare) for p in boxes)
    first = Part(groups=range(1), rows=range(1), columns=range(1))
    closing = replace(
        part_weights(op, config, section, first), closing=True, idempotent=op.reduction.maximum
    )
    return (*parts, closing) if bare else parts


def part_weights(op: ArrayOp, config: EngineConfig, section: Section, part: Part) -> PartWeights:
    """Return the weights of a part of what a section of an operation reduces over."""
    return PartWeights(
        sections=op.weights.source.sections,
        parameters=op.weights.source.parameters,
        section=section,
        part=part,
        loops=pass_loops(op, config, section),
    )


def least_words(op: ArrayOp, config: EngineConfig, section: Section) -> int:
    """Return the weight words without which a section cannot be cut."""
    return max(pass_loops(op, config, section).segment, config.param_words + 1)


def part_height(op: ArrayOp, rows: int, results: int = 1) -> int:
    """Return the rows of the input that so many kernel rows need on chip for rows of results."""
    low, high = op.windows.unclipped_part(0, results, range(rows))
    height = max(1, min(high - low, op.windows.type.shape[1]))
    return align(height, 2) if op.windows.pairs_of_rows else height


def too_far_before(op: ArrayOp, config: EngineConfig, columns: int) -> bool:
    """Return whether windows can begin where no command says, and some reach the input from there.

    ``columns`` : of the kernel, in a command
    """
    windows = op.windows
    span = window_span(config, windows.stride[1], columns, windows.dilation[1])
    return windows.padding[1] > MOST_BEFORE and span > MOST_BEFORE


def _boxes(
    op: ArrayOp, config: EngineConfig, loops: PassLoops, windows: int, lanes: LaneRoom
) -> list[Part] | None:
    """Return the fewest boxes of at most so many windows, whose input has room."""
    taps = loops.rows * loops.columns
    most_columns = _most(
        min(loops.columns, windows, MOST_TAPS),
        lambda n: (
            part_height(op, 1) <= lanes.rows(op, config, n) and not too_far_before(op, config, n)
        ),
    )
    if not most_columns:
        return None
    lane_rows = lanes.rows(op, config, most_columns)
    most_rows = _most(min(loops.rows, MOST_TAPS), lambda n: part_height(op, n) <= lane_rows)
    if (most_rows, most_columns) == (loops.rows, loops.columns) and windows >= taps:
        most = min(windows // taps, lane_rows // part_height(op, loops.rows), MOST_GROUPS)
        return [
            Part(groups=groups, rows=range(loops.rows), columns=range(loops.columns))
            for groups in _runs(loops.groups, most, op.windows.shared_groups)
        ]
    rows = min(most_rows, windows // most_columns) if most_columns == loops.columns else 1
    return [
        Part(groups=range(group, group + 1), rows=some_rows, columns=some_columns)
        for group in range(loops.groups)
        for some_rows in _runs(loops.rows, rows)
        for some_columns in _runs(loops.columns, most_columns)
    ]


def _most(limit: int, fits: Callable[[int], bool]) -> int:
    """Return the most up to a limit that fits, where more needs more room; 0 if nothing does."""
    return bisect_left(range(1, limit + 1), True, key=lambda n: not fits(n))


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
