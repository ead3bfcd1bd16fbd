"""Sums in parts as compute commands, with the loads that each part needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from tilewright.compiler.codegen.buffers.activations import ActivationBuffer
from tilewright.compiler.codegen.hazards import Span, ring_spans
from tilewright.compiler.codegen.loads import Loader, ring_rows
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.schedule import ArrayOp, Block
from tilewright.compiler.schedule.array.area import Area
from tilewright.compiler.schedule.array.parts import PartWeights, part_height
from tilewright.compiler.schedule.array.result import (
    NOT_KEPT,
    NOT_STORED,
    KeptFields,
    StoredFields,
)
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.windows import PositionPlace, clipped
from tilewright.compiler.schedule.array.work import Work
from tilewright.compiler.schedule.plan.parts import Parts, Slots
from tilewright.isa import Compute
from tilewright.isa.commands import changed
from tilewright.isa.parts import take_part, take_pass, take_positions
from tilewright.isa.wide import only_sums


@dataclass(frozen=True)
class Target:
    """Where results of a command go, as it says it, and which words it writes."""

    stored: StoredFields
    kept: KeptFields
    writes: list[Span]


#: Of commands whose sums are a part of others.
NOWHERE = Target(NOT_STORED, NOT_KEPT, [])

Build = Callable[[ArrayOp, Work, Target], Compute]
"""Returns the command of some work, with no weights yet."""


@dataclass(frozen=True)
class _Unit:
    """Passes that run through all parts: those of some work, or one of them, of ``word``.

    ``row`` : its first row of results, counted from those whose positions are on chip
    """

    work: Work
    row: int
    word: int | None
    target: Target


class PartRunner:
    """Emit the commands of operations whose sums are in parts.

    Parameters
    ----------
    recorder, loader, activations : of the same program
    """

    def __init__(self, recorder: Recorder, loader: Loader, activations: ActivationBuffer) -> None:
        self.config = recorder.config
        self._recorder = recorder
        self._loader = loader
        self._activations = activations
        self._forward = True

    def begin(self, parts: Parts) -> None:
        """Make room for the weights and inputs of parts."""
        self._parts = parts
        self._weights, self._lanes = Slots(parts.weight_slots), Slots(parts.lane_slots)
        self._weight_base = self._loader.reserve(parts.weight_slots * parts.weight_words)
        self._lane_base = self._activations.reserve(parts.lane_slots * parts.lanes.words)

    def run(
        self,
        op: ArrayOp,
        work: Work,
        build: Build,
        target: Callable[[ArrayOp, Work], Target],
        positions: tuple[tuple[PositionPlace, ...], Sequence[Span]],
    ) -> None:
        """Emit the commands of some work.

        Parameters
        ----------
        build, target : return the command of some work, and where its results go
        positions : where those of the work lie, and their words
        """
        for kg in work.block.kernel_groups:
            cg = op.windows.planes * op.weights.first_channel_group(work.section, kg)
            mine = replace(work, block=Block(kg, 1), cg=cg)
            for unit in self._units(op, mine, target):
                self._unit(op, unit, kg, build, positions)
                self._forward = not self._forward

    def _units(
        self, op: ArrayOp, work: Work, target: Callable[[ArrayOp, Work], Target]
    ) -> Iterator[_Unit]:
        """Yield passes whose sums there is room for."""
        if self._parts.rows:
            for first in range(work.first, work.end, self._parts.rows):
                some = replace(work, first=first, end=min(first + self._parts.rows, work.end))
                yield _Unit(some, first - work.first, None, target(op, some))
            return
        for row in range(work.first, work.end):
            one = replace(work, first=row, end=row + 1)
            where = target(op, one)
            first, end = work.columns
            for word in range(-(-(end - first) // self.config.cols)):
                yield _Unit(one, row - work.first, word, where)

    def _unit(
        self,
        op: ArrayOp,
        unit: _Unit,
        kg: int,
        build: Build,
        positions: tuple[tuple[PositionPlace, ...], Sequence[Span]],
    ) -> None:
        """Emit a command for each part of a unit, in one order or the other."""
        config, work = self.config, unit.work
        pieces = self._parts.sections[work.section]
        body = [piece for piece in pieces if not piece.closing]
        order = body if self._forward else body[::-1]
        order += pieces[len(body) :]
        for number, piece in enumerate(order):
            last = number == len(order) - 1
            if self._parts.lane_slots:
                mine, reads = self._input(op, unit, piece)
            else:
                mine, reads = work, self._input_spans(op, work, piece)
            base, spans = self._weight_words(op, piece, kg)
            target = unit.target if last else NOWHERE
            whole = build(op, mine, target)
            lead = op.windows.lead(config, mine, whole, positions[0])
            command = self._command(whole, unit.word, piece, lead is not None)
            command = changed(
                command,
                weight_base=(base - config.param_words * piece.bare) % config.weight_depth,
                table=whole.table if last else 0,
                **self._sums(first=number == 0, last=last),
            )
            command = command if last else only_sums(command)
            if lead is not None:
                lead = take_positions(
                    config,
                    lead,
                    command,
                    loops=piece.loops,
                    part=piece.part,
                    oy=unit.row,
                    ox=unit.word or 0,
                )
                self._recorder.append(lead, list(positions[1]), [])
            reads = [*reads, *spans, *positions[1]]
            if command.table:
                reads.append(Span("tables", command.table - 1, 1))
            cycles = piece.shape.cycles(op.windows.parts(config))
            cycles = max(cycles, config.drain_cycles)
            self._recorder.append_compute(op, cycles, command, reads, target.writes)

    def _command(
        self, whole: Compute, word: int | None, piece: PartWeights, sampled: bool
    ) -> Compute:
        """Return the part's command, of all passes or of that of one word."""
        command = whole
        if word is not None:
            command = take_pass(self.config, command, 0, word, sampled=sampled)
        command = take_part(self.config, command, piece.loops, piece.part, sampled=sampled)
        return changed(command, last_segment=1) if piece.closing else command

    def _sums(self, *, first: bool, last: bool) -> dict[str, int]:
        """Return what a command says of sums."""
        if not self._parts.rows:
            return {"resume": int(not first)}
        return {
            "partial": 1,
            "first": int(first),
            "last": int(last),
            "tile_h": 1,
            "tile_w": 1,
            "last_h": 1,
            "rows_used": 1,
            "columns_used": 1,
        }

    def _weight_words(self, op: ArrayOp, piece: PartWeights, kg: int) -> tuple[int, list[Span]]:
        """Return where the weights of a part are, and their words; load them unless held."""
        config, block = self.config, Block(kg, 1)
        slot, held = self._weights.place(self._loader.weight_address(piece, block))
        base = self._weight_base + slot * self._parts.weight_words
        if not held:
            self._loader.weights_at(op.layer, piece, block, base)
        words = piece.kernel_words(config, kg)
        return base, ring_spans("weights", base, words, config.weight_depth)

    def _columns(self, op: ArrayOp, unit: _Unit, piece: PartWeights) -> tuple[int, int]:
        """Return the columns of the input that are loaded for a part, as (first, end)."""
        work, columns = unit.work, piece.part.columns
        if self._parts.lanes.width or unit.word is None:
            return work.held
        windows, cols = op.windows, self.config.cols
        first = work.columns[0] + unit.word * cols
        last = min(first + cols, work.columns[1]) - 1
        begin, step = windows.column_reach[0], windows.dilation[1]
        low, high = clipped(
            (0, windows.type.shape[2]),
            first * windows.stride[1] + begin + columns.start * step,
            last * windows.stride[1] + begin + (columns.stop - 1) * step + 1,
        )
        beat = max(self._loader.beat_pixels(value) for value in op.inputs)
        return low // beat * beat, high

    def _input(self, op: ArrayOp, unit: _Unit, piece: PartWeights) -> tuple[Work, list[Span]]:
        """Return the work with a part's input on chip, and its words; load them unless held."""
        parts, part, work = self._parts, piece.part, unit.work
        held_columns = self._columns(op, unit, piece)
        low, high = op.windows.part_rows(work.first, work.end, part.rows)
        sources = op.windows.sources(work.cg, part.groups)
        if held_columns[0] >= held_columns[1]:  # padding only
            high, held_columns = low, (0, 1)
        pitch = parts.lanes.pitch(op, self.config, len(part.columns))
        rows = part_height(op, len(part.rows), work.end - work.first)
        slot, held = self._lanes.place((self._loader.image, sources, low, high, rows, held_columns))
        base = self._lane_base + slot * parts.lanes.words
        ring = Ring(base, 0, len(part.groups), rows, pitch)
        if not held and low < high:
            at = base
            for operand, first, count in sources:
                for value, group, some in self._activations.stored(
                    op.windows.operands[operand], first, count
                ):
                    own = replace(ring, base=at, first=group, groups=some)
                    self._loader.rows(op.layer, value, own, Area(low, high, *held_columns))
                    at += some * ring.words
        operands = len(op.windows.operands)
        begin = base - part.groups.start * ring.words
        rings = [
            replace(ring, base=begin + number * ring.words, first=work.cg)
            for number in range(operands)
        ]
        mine = replace(work, rings=rings, held=held_columns)
        return mine, [Span("activations", base, ring.size)]

    def _input_spans(self, op: ArrayOp, work: Work, piece: PartWeights) -> list[Span]:
        """Return the words of the activation buffer that a part reads."""
        rows = op.windows.part_rows(work.first, work.end, piece.part.rows)
        return [
            span
            for operand, first, count in op.windows.sources(work.cg, piece.part.groups)
            for span in ring_rows(work.rings[operand], *rows, first, count)
        ]
