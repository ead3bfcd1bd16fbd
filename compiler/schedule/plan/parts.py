"""Stages whose sums are in parts: how large parts are, and where sums stay."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from itertools import product

from tilewright.compiler.schedule.array.parts import (
    SectionParts,
    can_be_cut,
    cut_section,
    part_height,
    row_words,
)
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.plan.columns import ColumnCut
from tilewright.isa import EngineConfig

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
    lane_slots, lane_words : of the activation buffer: the inputs of so many parts, of so many lane
        words; 0 where inputs are on chip as a whole
    rows : of results in a unit; 0: a unit is a pass
    """

    sections: dict[Section, SectionParts]
    weight_slots: int
    weight_words: int
    lane_slots: int
    lane_words: int
    rows: int


def parts_of(
    stage: Stage, config: EngineConfig, columns: ColumnCut, *, streamed: bool
) -> Iterator[Parts]:
    """Yield ways to have the sums of a stage in parts.

    Parameters
    ----------
    columns : the strips of columns in which it runs
    streamed : the input of each part is loaded with it
    """
    if not all(map(can_be_cut, stage.ops)):
        return
    unit = config.weights_per_byte
    known = set()
    for weight_slots, lane_slots in product(_WEIGHT_SLOTS, _LANE_SLOTS if streamed else (0,)):
        weight_words = config.weight_depth // weight_slots // unit * unit
        lane_words = config.act_depth // lane_slots if streamed else 1 << 32
        sections: dict[Section, SectionParts] = {}
        for op in stage.ops:
            for section in op.sections:
                pitch = row_words(op, config, columns.widest[op.inputs[0]])
                found = cut_section(op, config, section, weight_words, lane_words // pitch)
                if found is None:
                    break
                sections[section] = found
        if len(sections) < sum(len(op.sections) for op in stage.ops):
            continue
        counts = (*map(len, sections.values()), lane_slots, weight_slots == 1)
        if counts in known:
            continue
        known.add(counts)
        # As many slots as there is room for, of the size that is needed.
        most = max(p.kernel_words(config, 0) for parts in sections.values() for p in parts)
        most = -(-most // unit) * unit
        for rows in sorted({0, _unit_rows(stage, config, columns, sections, lane_words)}):
            yield Parts(
                sections=sections,
                weight_slots=config.weight_depth // most,
                weight_words=most,
                lane_slots=lane_slots,
                lane_words=lane_words if streamed else 0,
                rows=rows,
            )


def _unit_rows(
    stage: Stage,
    config: EngineConfig,
    columns: ColumnCut,
    sections: dict[Section, SectionParts],
    lane_words: int,
) -> int:
    """Return the rows of results whose partial sums and inputs there is room for; 0 if none."""
    rows = stage.output_type.shape[1]
    for op in stage.ops:
        windows = op.windows
        if (
            not config.partial_depth
            or op.reduction.maximum
            or windows.positions
            or op.column_step != 1
            or windows.padding[1] > 1 << 9
        ):
            return 0
        passes = op.result.words(config, 0, columns.widest[op.output])
        rows = min(rows, config.partial_depth // (passes * config.drain_cycles))
        pitch = row_words(op, config, columns.widest[op.inputs[0]])
        boxes = {(len(p.part.groups), len(p.part.rows)) for s in op.sections for p in sections[s]}
        while rows and any(g * part_height(op, r, rows) * pitch > lane_words for g, r in boxes):
            rows -= 1
    return rows
