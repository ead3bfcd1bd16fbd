"""A stage's output as compute commands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from tilewright.compiler.codegen.buffers.activations import ActivationBuffer
from tilewright.compiler.codegen.buffers.results import ResultBuffer
from tilewright.compiler.codegen.hazards import Span, ring_spans
from tilewright.compiler.codegen.loads import Loader, ring_rows, unwrapped
from tilewright.compiler.codegen.parts import NOWHERE, PartRunner, Target
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.codegen.stores import Storer
from tilewright.compiler.schedule import ArrayOp, Block, Section, Stage
from tilewright.compiler.schedule.array.area import Area
from tilewright.compiler.schedule.array.result import NOT_KEPT, NOT_STORED
from tilewright.compiler.schedule.array.weights import WeightSource
from tilewright.compiler.schedule.array.windows import PositionPlace
from tilewright.compiler.schedule.array.work import Chunk, Work, evenly
from tilewright.compiler.schedule.plan.parts import Parts
from tilewright.isa import Compute
from tilewright.isa.words import can_pair, share_words


@dataclass(frozen=True)
class _Chunk:
    """Kernel groups and an area of a stage's output that go through the buffers together."""

    turn: Block
    area: Area


class Computer:
    """Emit compute commands, with the loads that only they need, and the stores of their results.

    Parameters
    ----------
    recorder, loader, storer : of the same program
    activations : the rings of the present group
    """

    def __init__(
        self, recorder: Recorder, loader: Loader, storer: Storer, activations: ActivationBuffer
    ) -> None:
        self.config = recorder.config
        self._recorder = recorder
        self._loader = loader
        self._storer = storer
        self._activations = activations
        self._results = ResultBuffer(self.config.out_depth)
        self._runner = PartRunner(recorder, loader, activations)
        self._parts: Parts | None = None

    def begin(self, parts: Parts | None) -> None:
        """Begin a group, whose stage's sums may be in parts."""
        self._parts = parts
        if parts is not None:
            self._runner.begin(parts)

    def area(
        self,
        stage: Stage,
        block: Block,
        area: Area,
        *,
        bases: Mapping[WeightSource, int],
        stored: bool,
    ) -> None:
        """Compute an area of kernel groups ``block`` of a stage's output.

        Parameters
        ----------
        bases : the first word of the block's weights in the buffer; none where sums are in parts
        stored : results go to memory too
        """
        for chunk in self._chunks(stage, block, area, stored=stored):
            words = chunk.turn.n_kg * chunk.area.rows * chunk.area.width
            out_base = self._results.place(words) if stored else None
            for op in stage.ops:
                first_word = bases.get(op.weights.source, 0)
                for section in op.sections:
                    self._section(op, section, block, chunk, first_word, out_base)
            if out_base is not None:
                self._storer.area(stage.ops[0], chunk.turn, chunk.area, out_base)

    def _chunks(self, stage: Stage, block: Block, area: Area, *, stored: bool) -> list[_Chunk]:
        """Cut an area and kernel groups so that the buffers hold each part."""
        op, ring = stage.ops[0], self._activations.rings.get(stage.output)
        whole = Chunk(area.rows, block.n_kg, area.width)
        most = op.chunk(self.config, whole, stored=stored)
        unit = op.row_unit(self.config, most)
        turns = [
            Block(kg, min(size, block.end - kg))
            for size in (evenly(block.n_kg, most.n_kg),)
            for kg in range(block.kg, block.end, size)
        ]
        areas = [
            Area(first, min(first + size, end), left, min(left + most.columns, area.right))
            for begin, end in unwrapped(area.start, area.stop, ring.rows if ring else area.stop)
            for size in (evenly(end - begin, most.rows, unit),)
            for first in range(begin, end, size)
            for left in range(area.left, area.right, most.columns)
        ]
        chunks = [_Chunk(turn, area) for turn in turns for area in areas]
        if op.windows.row_by_row:
            chunks.sort(key=lambda chunk: (chunk.area.start, chunk.area.left))
        return chunks

    def _section(
        self,
        op: ArrayOp,
        section: Section,
        block: Block,
        chunk: _Chunk,
        first_word: int,
        out_base: int | None,
    ) -> None:
        """Emit the command for what a section has of a chunk, if anything.

        ``block`` : whose weights begin at ``first_word``; ``out_base`` : where the chunk's results
        begin in the output buffer, or None.
        """
        mine, area = section.common(chunk.turn), chunk.area
        first, end = op.result.own_rows(area.start, area.stop)
        columns = op.result.own_columns(area.left, area.right)
        if mine is None or first >= end or columns[0] >= columns[1]:
            return
        cg = op.windows.planes * op.weights.first_channel_group(section, mine.kg)
        work = Work(
            section=section,
            block=mine,
            turn=chunk.turn,
            start=area.start,
            stop=area.stop,
            first=first,
            end=end,
            left=area.left,
            right=area.right,
            columns=columns,
            origin=self._activations.origin(op.output),
            held=self._activations.held(op.inputs),
            cg=cg,
            rings=()
            if self._parts is not None and self._parts.lane_slots
            else self._activations.operands(op.windows.operands),
        )
        if self._parts is not None:
            self._in_parts(op, work, out_base)
            return
        weight_word = first_word + op.weights.first_word(self.config, block, mine.kg)
        table = 0 if op.result.table is None else 1 + self._loader.table(op.layer, op.result.table)
        target = self._target(op, work, out_base)
        command = self._command(op, work, weight_word, table, target)
        if op.saved_cycles(self.config, section, command.n_oy, command.out_w):
            command = share_words(self.config, command)
        reads = self._input_spans(op, work)
        if table:
            reads.append(Span("tables", table - 1, 1))
        reads += self._lead(op, work, command)
        words = mine.n_kg * (self.config.param_words + section.words)
        reads += ring_spans("weights", weight_word, words, self.config.weight_depth)
        cycles = op.pass_cycles(self.config, section)
        self._recorder.append_compute(op, cycles, command, reads, target.writes)

    def _in_parts(self, op: ArrayOp, work: Work, out_base: int | None) -> None:
        """Emit the commands for work whose sums are in parts."""
        table = 0 if op.result.table is None else 1 + self._loader.table(op.layer, op.result.table)

        def build(op: ArrayOp, work: Work, target: Target) -> Compute:
            return self._command(op, replace(work, section=work.section.whole), 0, table, target)

        def where(op: ArrayOp, work: Work) -> Target:
            return self._target(op, work, out_base)

        self._runner.run(op, work, build, where, self._positions(op, work))

    def _command(
        self, op: ArrayOp, work: Work, weight_word: int, table: int, target: Target
    ) -> Compute:
        """Return the command: what each part of the operation says of it."""
        config, windows, weights = self.config, op.windows, op.weights
        return Compute(
            layer=op.layer,
            table=table,
            dst_step=op.reduction.column_step(op.result, work.columns[1] - work.columns[0]),
            pair=int(can_pair(config, op.column_step)),
            **windows.fields(config, work, per_group=weights.per_group),
            **weights.fields(config, windows, work, weight_word),
            **op.reduction.fields(work),
            **op.result.fields(config, work),
            **target.stored,
            **target.kept,
        )

    def _target(self, op: ArrayOp, work: Work, out_base: int | None) -> Target:
        """Return where the results of some work go: nowhere, where they are only sums."""
        if not op.reduction.results:
            return NOWHERE
        config, result, row_step = self.config, op.result, op.reduction.row_step(op.result, work)
        ring = self._activations.rings.get(op.output)
        stored, kept, writes = NOT_STORED, NOT_KEPT, list[Span]()
        if out_base is not None:
            words = work.rows * work.width
            stored = result.stored(config, work, out_base, row_step)
            first = out_base + (work.block.kg - work.turn.kg) * words
            writes += ring_spans("results", first, work.block.n_kg * words, config.out_depth)
        if ring is not None:
            kept = result.kept(config, work, ring, row_step)
            writes += ring_rows(ring, work.start, work.stop, work.block.kg, work.block.n_kg)
        return Target(stored, kept, writes)

    def _input_spans(self, op: ArrayOp, work: Work) -> list[Span]:
        """Return the words of the activation buffer that some work reads."""
        rows = op.windows.input_rows(work.first, work.end)
        if op.weights.per_group:
            groups = work.block.n_kg * op.windows.planes
        else:
            groups = op.segments(self.config, work.section)[0]
        return [span for ring in work.rings for span in ring_rows(ring, *rows, work.cg, groups)]

    def _lead(self, op: ArrayOp, work: Work, command: Compute) -> list[Span]:
        """Emit what must come before a command; return the words that both read."""
        places, spans = self._positions(op, work)
        lead = op.windows.lead(self.config, work, command, places)
        if lead is not None:
            self._recorder.append(lead, list(spans), [])
        return spans

    def _positions(self, op: ArrayOp, work: Work) -> tuple[tuple[PositionPlace, ...], list[Span]]:
        """Return where the positions of some work lie, and their words; load them unless held."""
        area = Area(work.start, work.stop, work.left, work.right)
        found = [self._loader.positions(op.layer, source, area) for source in op.windows.positions]
        return tuple(place for place, _ in found), [span for _, span in found]
