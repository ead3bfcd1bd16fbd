"""Stages whose sums are in parts: how large parts are, and where sums stay."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import product

from tilewright.compiler.schedule.array.parts import (
    LaneRoom,
    SectionParts,
    can_be_cut,
    cut_section,
    least_words,
    part_height,
)
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.sparse import sparse_sections
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.plan.columns import ColumnCut
from tilewright.isa import EngineConfig
from tilewright.isa.parts import MOST_BEFORE

#: Parts of a buffer, tried in turn: more let the next be loaded while the array works with some.
_WEIGHT_SLOTS, _LANE_SLOTS = (2, 3, 4, 5, 6, 8, 12, 1), (2, 1, 4)


@dataclass
class Slots:
    """Places of equal size, of which the one used longest ago is taken for what is not there.

    Parameters
    ----------
    count : int
    """

    count: int
    _held: dict[Hashable, int] = field(default_factory=dict)

    def place(self, key: Hashable) -> tuple[int, bool]:
        """Return the place of something, from 0, and whether it is there already."""
        slot = self._held.pop(key, None)
        held = slot is not None
        if slot is None:
            slot = len(self._held)
            if slot == self.count:
                slot = self._held.pop(next(iter(self._held)))
        self._held[key] = slot
        return slot, held


@dataclass(frozen=True, kw_only=True, eq=False)
class Parts:
    """How the sums of a stage are in parts.

    The passes of a kernel group are cut into units. Each unit runs through all parts, in one order
    and then in the other, so that it begins with those that the one before ended with. Sums of a
    unit of one pass stay in the array; those of more, in the memory of partial sums.

    Parameters
    ----------
    sections : the parts of each section of the stage's operations
    weight_slots, weight_words : of the weight buffer: how many parts it holds, of so many words
    lane_slots, lanes : of the activation buffer: the inputs of so many parts, and the room of each;
        0 where inputs are on chip as a whole
    rows : of results in a unit; 0: a unit is a pass
    """

    sections: dict[Section, SectionParts]
    weight_slots: int
    weight_words: int
    lane_slots: int
    lanes: LaneRoom
    rows: int


def parts_of(
    stage: Stage, config: EngineConfig, columns: ColumnCut, *, streamed: bool
) -> Iterator[Parts]:
    """Yield ways to have the sums of a stage in parts.

    Parameters
    ----------
    columns : the strips of columns in which it runs
    streamed : the input of each part is loaded with it: its rows, and as other ways the columns
        that a pass reads
    """
    if not all(map(can_be_cut, stage.ops)):
        return
    unit = config.weights_per_byte
    known = set()
    narrow = streamed and not stage.positions  # of which columns are read that none can tell
    width = columns.widest[stage.inputs[0]]
    for weight_slots, lane_slots, some in product(
        _WEIGHT_SLOTS, _LANE_SLOTS if streamed else (0,), (width, 0) if narrow else (width,)
    ):
        weight_words = config.weight_depth // weight_slots // unit * unit
        lanes = LaneRoom(config.act_depth // lane_slots if streamed else 1 << 32, some)
        sections = _cut_all(stage, config, weight_words, lanes)
        if sections is None:
            continue
        counts = (*map(len, sections.values()), lane_slots, some, weight_slots == 1)
        if counts in known:
            continue
        known.add(counts)
        # As many slots as there is room for, of the size that is needed.
        most = max(p.kernel_words(config, 0) for parts in sections.values() for p in parts)
        most = -(-most // unit) * unit
        for rows in sorted({0, _unit_rows(stage, config, columns, sections, lanes)}):
            yield Parts(
                sections=sections,
                weight_slots=config.weight_depth // most,
                weight_words=most,
                lane_slots=lane_slots,
                lanes=lanes,
                rows=rows,
            )


def sparse_parts(
    stage: Stage, config: EngineConfig, columns: ColumnCut, command: int
) -> Iterator[Parts]:
    """Yield ways to leave out of a stage's sums what has no weights, where that is worth it.

    ``command``: cycles that the array loses between two commands.
    """
    sections = sparse_sections(stage.ops, config, command)
    if sections is None:
        return
    unit = config.weights_per_byte
    most = max(p.kernel_words(config, 0) for parts in sections.values() for p in parts)
    most = -(-most // unit) * unit
    lanes = LaneRoom(1 << 32, columns.widest[stage.inputs[0]])
    for rows in sorted({0, _unit_rows(stage, config, columns, sections, lanes)}):
        yield Parts(
            sections=sections,
            weight_slots=config.weight_depth // most,
            weight_words=most,
            lane_slots=0,
            lanes=lanes,
            rows=rows,
        )


def _cut_all(
    stage: Stage, config: EngineConfig, weight_words: int, lanes: LaneRoom
) -> dict[Section, SectionParts] | None:
    """Return the parts of all sections of a stage, or None if there is no room for some."""
    result: dict[Section, SectionParts] = {}
    for op in stage.ops:
        for section in op.sections:
            found = cut_section(op, config, section, weight_words, lanes)
            if found is None:
                return None
            result[section] = found
    return result


def too_small(stage: Stage, config: EngineConfig) -> EngineLimitError | None:
    """Return what an engine lacks for a stage even in the smallest parts; None if that is room."""
    for op in stage.ops:
        least = max(least_words(op, config, section) for section in op.sections)
        if can_be_cut(op) and least > config.weight_depth:
            return EngineLimitError(
                f"{op.name}: the weights of one channel group of {config.rows} output channels, or "
                f"their parameters, take {least} words; {at_least(config, 'weight_depth', least)}"
            )
    return None


def _unit_rows(
    stage: Stage,
    config: EngineConfig,
    columns: ColumnCut,
    sections: dict[Section, SectionParts],
    lanes: LaneRoom,
) -> int:
    """Return the rows of results whose partial sums and inputs there is room for; 0 if none."""
    rows = stage.output_type.shape[1]
    for op in stage.ops:
        windows = op.windows
        if (
            not config.partial_depth
            or not lanes.width
            or op.reduction.maximum
            or windows.positions
            or op.column_step != 1
            or windows.padding[1] > MOST_BEFORE
        ):
            return 0
        passes = op.result.words(config, 0, columns.widest[op.output])
        rows = min(rows, config.partial_depth // (passes * config.drain_cycles))
        pitch = lanes.pitch(op, config, 1)
        boxes = {(len(p.part.groups), len(p.part.rows)) for s in op.sections for p in sections[s]}
        while rows and any(g * part_height(op, r, rows) * pitch > lanes.words for g, r in boxes):
            rows -= 1
    return rows
