"""What a stage costs whose sums are in parts: a short run of loads beside the array."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.parts import PartWeights, part_height
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.plan.columns import ColumnCut
from tilewright.compiler.schedule.plan.parts import Parts, Slots
from tilewright.compiler.schedule.timing import Timing
from tilewright.isa import EngineConfig
from tilewright.isa.passes import kernel_group_lead, pass_span

#: Units of a kernel group that are gone through one by one, at most: those after are alike. Parts
#: in all of them, about.
_UNITS, _PARTS = 6, 2000


def parts_cost(
    stage: Stage,
    parts: Parts,
    config: EngineConfig,
    columns: ColumnCut,
    timing: Timing,
    steps: int,
) -> tuple[float, int]:
    """Return about the cycles of a stage whose sums are in parts, and the bytes that are loaded.

    Parameters
    ----------
    columns : strips of columns in which the stage runs
    timing : Timing, of the engine with its memory
    steps : strips of rows
    """
    cycles, size = 0.0, 0
    for op in stage.ops:
        _, height = op.result.own_rows(0, stage.output_type.shape[1])
        height = -(-height // steps)
        words = op.result.words(config, 0, columns.widest[op.output])
        rows = parts.rows or 1
        units = -(-height // rows) if parts.rows else height * words
        if not units:  # a phase of a transposed convolution that has no rows or columns
            continue
        lead = kernel_group_lead(config, op.windows.lead_parts(config)) + timing.gaps.command
        for section in op.sections:
            pieces = []
            for part in parts.sections[section]:
                busy = _pass_cycles(op, part, parts, config)
                lanes = _input_bytes(op, part, parts, config, rows) if parts.lane_slots else 0
                pieces.append(
                    _Piece(
                        cycles=busy * (rows * words if parts.rows else 1) + lead,
                        weights=part.kernel_words(config, 0) * part.word_bytes(config),
                        lanes=lanes,
                    )
                )
            alike = words if parts.lanes.width and not parts.rows else 1
            time, loaded = _kernel_group(pieces, parts, timing.rate, units, alike)
            times = steps * len(columns.strips) * section.n_kg
            cycles += times * time
            size += times * loaded
    return cycles, size


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """What a part costs: cycles of its command, bytes of its weights and of its input."""

    cycles: float
    weights: int
    lanes: int


def _pass_cycles(op: ArrayOp, part: PartWeights, parts: Parts, config: EngineConfig) -> int:
    """Return the cycles of a pass of a part."""
    least = pass_span(config, 1, 1, True) if parts.rows else config.drain_cycles
    return max(part.shape.cycles(op.windows.parts(config)), least)


def _input_bytes(
    op: ArrayOp, part: PartWeights, parts: Parts, config: EngineConfig, rows: int
) -> int:
    """Return the bytes of a part's input, for rows of results."""
    height = part_height(op, len(part.part.rows), rows)
    width = parts.lanes.columns(op, config, len(part.part.columns))
    return len(part.part.groups) * height * width * config.rows


@dataclass
class _Run:
    """A load unit and an array at work, each as soon as it can.

    Parameters
    ----------
    rate : bytes that are loaded in a cycle
    weights, lanes : what the buffers hold
    load, array : cycles after which the units are done with what they were given so far
    size : bytes loaded
    """

    rate: float
    weights: Slots
    lanes: Slots
    load: float = 0.0
    array: float = 0.0
    size: int = 0
    _free: dict[tuple[bool, int], float] = field(default_factory=dict)

    def part(self, piece: _Piece, weights: Hashable, lanes: Hashable) -> None:
        """Run a part whose weights and input have these names."""
        used, ready = [], 0.0
        for is_weights, slots, key, size in (
            (True, self.weights, weights, piece.weights),
            (False, self.lanes, lanes, piece.lanes),
        ):
            if not size:
                continue
            slot, held = slots.place(key)
            place = is_weights, slot
            used.append(place)
            if not held:
                self.load = max(self.load, self._free.get(place, 0.0)) + size / self.rate
                self.size += size
                ready = self.load
        self.array = max(self.array, ready) + piece.cycles
        self._free.update(dict.fromkeys(used, self.array))


def _kernel_group(
    pieces: list[_Piece], parts: Parts, rate: float, units: int, per_row: int
) -> tuple[float, int]:
    """Return the cycles and the loaded bytes of a kernel group that has others before it.

    ``per_row`` : units that have the same input.
    """
    run = _Run(rate, Slots(parts.weight_slots), Slots(parts.lane_slots))
    some = min(units, _UNITS, max(2, _PARTS // len(pieces)))
    marks = []
    for kg in range(2):
        for unit in range(some):
            marks.append((run.array, run.size))
            order = range(len(pieces))
            for index in order if unit % 2 == 0 else reversed(order):
                run.part(pieces[index], (kg, index), (index, unit // per_row))
    marks.append((run.array, run.size))
    first, before, last = marks[some], marks[-2], marks[-1]
    more = units - some
    return (
        last[0] - first[0] + more * (last[0] - before[0]),
        last[1] - first[1] + more * (last[1] - before[1]),
    )
