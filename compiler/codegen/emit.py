"""Planned groups as commands, in the order in which the network runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tilewright.compiler.codegen.hazards import Span, ring_spans
from tilewright.compiler.codegen.memory import Region
from tilewright.compiler.codegen.offsets import OffsetBuffer
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.codegen.weights import WeightLoader
from tilewright.compiler.schedule import (
    ArrayOp,
    Deformation,
    LoweredGraph,
    Operand,
    Plan,
    Section,
    Stage,
)
from tilewright.compiler.schedule.plan.group import (
    Block,
    kernel_words,
    out_rows,
)
from tilewright.compiler.schedule.plan.rings import Ring, room
from tilewright.isa import (
    Compute,
    Deform,
    LoadActivations,
    LoadOffsets,
    Store,
    least_last_parts,
)

_WORD = 1 << 16


class Emitter:
    """Write the commands of one group after another.

    The buffers are used in turns; the recorder finds what each command must wait for, so loads run
    ahead of the array as far as the buffers allow.

    Parameters
    ----------
    recorder : Recorder
    lowered : LoweredGraph
    feature_maps : where values lie
    weights : WeightLoader, with the same recorder
    """

    def __init__(
        self,
        recorder: Recorder,
        lowered: LoweredGraph,
        feature_maps: Mapping[str, Region],
        weights: WeightLoader,
    ) -> None:
        self.config = recorder.config
        self.recorder = recorder
        self.lowered = lowered
        self.feature_maps = feature_maps
        self.weights = weights
        self._offsets = OffsetBuffer(self.config.offset_depth)
        self._act_next = 0
        self._out_next = 0
        self._rings: dict[str, Ring] = {}
        self._weights: dict[tuple[ArrayOp, Block], int] = {}

    def emit(self, plan: Plan, weights: list[dict[Block, Region]]) -> None:
        """Append the commands of a group; ``weights`` has each operation's blocks in memory.

        Raises
        ------
        EngineLimitError
            If a number does not fit its field; the message names the layer.
        """
        group = plan.group
        self._weights.clear()
        weighted = [op for stage in group.stages for op in stage.weighted]
        index = {op: i for i, op in enumerate(weighted)}
        self.weights.begin(plan)
        for block, rings in zip(plan.blocks, plan.rings, strict=True):
            self._place_rings(rings)
            for step in range(1, plan.steps + 1):
                to_load = set(group.loads)
                for number, stage in enumerate(group.stages):
                    for value in stage.inputs:
                        if value in to_load:
                            to_load.remove(value)
                            rows = plan.frontier[value][step - 1 : step + 1]
                            self._load_rows(stage.ops[0], value, rows[0], rows[1])
                    rows = plan.frontier[stage.output][step - 1 : step + 1]
                    if rows[0] == rows[1]:
                        continue
                    kept = plan.resident[number] or len(plan.blocks) > 1
                    for weight_block in plan.weight_blocks[number]:
                        if len(plan.blocks) > 1 and weight_block != block:
                            continue
                        for op in stage.weighted:
                            if not (kept and (op, weight_block) in self._weights):
                                region = weights[index[op]][weight_block]
                                self._weights[op, weight_block] = self.weights.load(
                                    op, weight_block, region, kept=kept
                                )
                        self._compute_rows(plan, stage, weight_block, rows[0], rows[1])

    def _place_rings(self, rings: dict[str, Ring]) -> None:
        """Give the values on chip their room, behind that of the group before if it fits there."""
        total = room(rings)
        if self._act_next + total > self.config.act_depth:
            self._act_next = 0
        self._rings = {
            value: replace(ring, base=self._act_next + ring.base) for value, ring in rings.items()
        }
        self._act_next += total

    def _load_rows(self, op: ArrayOp, value: str, start: int, stop: int) -> None:
        """Load rows of a value into its ring."""
        ring = self._rings[value]
        if not ring.groups:
            return
        layout = self.lowered.layout(value)
        for first, end in _unwrapped(start, stop, ring.rows):
            address = (
                self.feature_maps[value].address
                + ring.first * layout.group_bytes
                + first * layout.row_bytes
            )
            self.recorder.append(
                LoadActivations(
                    layer=op.layer,
                    address=address,
                    groups=ring.groups,
                    group_stride=layout.group_bytes,
                    height=end - first,
                    width=layout.width,
                    base=ring.base + ring.offset(first),
                    row_step=ring.row,
                    group_step=ring.words,
                    pixel=layout.pixel.bit_length(),
                ),
                [
                    self.recorder.memory_span(
                        address, (end - first) * layout.row_bytes, ring.groups, layout.group_bytes
                    )
                ],
                _ring_rows(ring, first, end, ring.first, ring.groups),
            )

    def _compute_rows(self, plan: Plan, stage: Stage, block: Block, start: int, stop: int) -> None:
        """Compute rows of a stage's output, and store them if anyone needs them in memory."""
        config, ops, output = self.config, stage.ops, stage.output
        to_out, to_act = output in plan.group.stores, output in self._rings
        tile_rows, tile_kg = stop - start, block.n_kg
        if ops[0].deform:
            tile_rows = ops[0].deform.rows_at_once(config, tile_rows)
        if to_out or ops[0].term is not None:
            tile_rows, tile_kg = out_rows(ops[0], config, stop - start, block.n_kg)
        width = ops[0].output_type.shape[2]
        wrap = self._rings[output].rows if to_act else stop
        tiles = [
            (
                Block(kg, min(tile_kg, block.kg + block.n_kg - kg)),
                first,
                min(first + tile_rows, end),
            )
            for kg in range(block.kg, block.kg + block.n_kg, tile_kg)
            for begin, end in _unwrapped(start, stop, wrap)
            for first in range(begin, end, tile_rows)
        ]
        if stage.positions:
            # All kernel groups of some rows take turns, since they have the same offsets.
            tiles.sort(key=lambda tile: tile[1])
        for part, first, end in tiles:
            out_base = self._out_next
            for op in ops:
                for section in op.sections:
                    low = max(section.kg, part.kg)
                    high = min(section.kg + section.n_kg, part.kg + part.n_kg)
                    mine = op.own_rows(first, end)
                    if low < high and mine[0] < mine[1]:
                        self._compute(
                            op, section, Block(low, high - low), part, first, end,
                            self._weight_base(stage, op, block, low),
                            out_base if to_out else None, to_act,
                        )  # fmt: skip
            if to_out:
                self._store(ops[0], part, first, end, out_base)
                count = part.n_kg * (end - first) * width
                self._out_next = (out_base + count) % config.out_depth

    def _weight_base(self, stage: Stage, op: ArrayOp, block: Block, kg: int) -> int:
        """Return the word of the parameters of a kernel group.

        Of tiles, only the last term's are parameters: the others' words follow its own, and what
        lies before them is as good.
        """
        before = sum(kernel_words(op, i, self.config) for i in range(block.kg, kg))
        if op.term is None:
            return self._weights[op, block] + before
        return (
            self._weights[stage.weighted[op.term.share], block]
            + before
            + op.term.slot * op.section_of[kg].steps
        )

    def _compute(
        self,
        op: ArrayOp,
        section: Section,
        block: Block,
        part: Block,
        start: int,
        stop: int,
        first_word: int,
        out_base: int | None,
        to_act: bool,
    ) -> None:
        """Compute kernel groups ``block`` of output rows ``start .. stop - 1``.

        ``part`` is what goes through the output buffer together, from ``out_base`` on.
        """
        config = self.config
        rings = [self._operand_ring(operand) for operand in op.operands]
        ring = rings[0]
        first, end = op.own_rows(start, stop)
        out_width = op.output_type.shape[2]
        n_cg, segment, last_segment = op.segments(config, section)
        y0 = first * op.stride[0] - op.padding[0]
        x0 = -op.padding[1]
        kernel = op.kernel
        if section.tap is not None:
            r, s = divmod(section.tap, op.kernel[1])
            y0, x0, kernel = y0 + r * op.dilation[0], x0 + s * op.dilation[1], (1, 1)
        cg = op.planes * (section.cg + (block.kg - section.kg if op.per_group else 0))
        step_y = op.out_step[0]
        row = op.out_offset[0] + first * step_y - start
        if end - first == 1:
            step_y = 0
        table = 0 if op.table is None else self.weights.table(op)
        act_base = ring.base + (cg - ring.first) * ring.words
        command = Compute(
            layer=op.layer,
            maximum=int(op.maximum),
            signed=int(op.input_type.signed),
            to_act=int(to_act),
            to_out=int(out_base is not None),
            segment_log2=op.segment_log2,
            segment=segment,
            last_segment=last_segment,
            n_kg=block.n_kg,
            n_oy=end - first,
            n_ox=-(-op.columns // config.cols),
            n_cg=n_cg,
            n_r=kernel[0],
            n_s=kernel[1],
            stride_x=op.stride[1],
            weight_base=first_word % config.weight_depth,
            act_base=act_base,
            act_row=ring.offset(y0),
            act_ring=ring.words,
            kg_step=op.planes * ring.words if op.per_group else 0,
            # The second operand of an addition is read like a channel group.
            cg_step=(rings[1].base - ring.base) % _WORD if len(rings) == 2 else ring.words,
            oy_step=ring.offset(op.stride[0]),
            r_step=ring.offset(op.dilation[0]),
            y0=y0,
            oy_dy=op.stride[0],
            r_dy=op.dilation[0],
            in_h=op.input_type.shape[1],
            x0=x0,
            x0_word=x0 // config.cols,
            x0_lane=x0 % config.cols,
            s_dx=op.dilation[1],
            s_word=op.dilation[1] // config.cols,
            s_lane=op.dilation[1] % config.cols,
            in_w=op.input_type.shape[2],
            pad=op.pad & 0xFF,
            zero_point=op.zero_point,
            qmin=op.qmin,
            qmax=op.qmax,
            out_w=op.columns,
            dst_step=op.column_step,
            table=table,
        )
        if op.term is not None:
            # Results go on row by row; only the last term has any.
            step_y = 1
            last_h = min(op.tile_rows, stop - (end - 1) * op.tile_rows)
            command = replace(command, **op.term.fields(), last_h=last_h)
            if not op.term.last:
                to_act, out_base = False, None
                command = replace(command, to_act=0, to_out=0)
        changes: dict[str, int] = {}
        writes: list[Span] = []
        if out_base is not None:
            rows_of_part = stop - start
            changes |= {
                "out_base": (
                    out_base
                    + ((block.kg - part.kg) * rows_of_part + row) * out_width
                    + op.out_offset[1]
                )
                % config.out_depth,
                "out_kg_step": rows_of_part * out_width,
                "out_row_step": step_y * out_width,
            }
            writes += ring_spans(
                "results",
                out_base + (block.kg - part.kg) * rows_of_part * out_width,
                block.n_kg * rows_of_part * out_width,
                config.out_depth,
            )
        if to_act:
            target = self._rings[op.output]
            word, lane = divmod(op.out_offset[1], config.cols)
            row_base = target.base + block.kg * target.words + target.offset(start + row)
            changes |= {
                "dst_base": row_base + word,
                "dst_lane": lane,
                "dst_kg_step": target.words,
                "dst_row_step": step_y * target.row,
            }
            writes += _ring_rows(target, start, stop, block.kg, block.n_kg)
        input_rows = op.input_rows(start, stop)
        reads_spans = [
            span
            for read in rings
            for span in _ring_rows(
                read,
                *input_rows,
                cg,
                block.n_kg * op.planes if op.per_group else n_cg,
            )
        ]
        if table:
            reads_spans.append(Span("tables", table - 1, 1))
        if op.deform:
            reads_spans += self._deform(op, op.deform, section, cg, ring, start, stop, command)
        words = block.n_kg * (config.param_words + section.steps)
        reads_spans += ring_spans("weights", first_word, words, config.weight_depth)
        self.recorder.append_compute(op, section, replace(command, **changes), reads_spans, writes)

    def _deform(
        self,
        op: ArrayOp,
        deform: Deformation,
        section: Section,
        cg: int,
        ring: Ring,
        start: int,
        stop: int,
        command: Compute,
    ) -> list[Span]:
        """Let ``command`` sample, from channel group ``cg`` on; return what it reads."""
        first = cg // deform.shared * deform.positions + (section.tap or 0)
        row, end = op.input_rows(start, stop)
        half = None if deform.mask is None else 0
        base, spans = self._load_offsets(op, deform.offset, start, stop, half)
        layout = self.lowered.layout(deform.offset)
        row_step = layout.row_bytes // self.config.rows
        group, byte = divmod(2 * first, self.config.rows)
        group_step = (stop - start) * row_step
        places = {"offset_base": base + group * group_step, "offset_byte": byte}
        if deform.mask is not None:
            base, more = self._load_offsets(op, deform.mask, start, stop, 1)
            group, byte = divmod(first, self.config.rows)
            places |= {"mask_base": base + group * group_step, "mask_byte": byte}
            spans += more
        self.recorder.append(
            Deform(
                layer=op.layer,
                fraction=deform.fraction,
                mask_fraction=deform.mask_fraction,
                dy_least=deform.taken[0],
                dy_most=deform.taken[1],
                taps=command.n_r * command.n_s,
                shared=deform.shared,
                row_pitch=ring.row,
                first_row=row,
                rows=end - row,
                row_base=ring.offset(row),
                last_parts=least_last_parts(self.config, command),
                row_step=row_step,
                group_step=group_step,
                **places,
            ),
            spans,
            [],
        )
        return spans

    def _load_offsets(
        self, op: ArrayOp, value: str, start: int, stop: int, half: int | None
    ) -> tuple[int, list[Span]]:
        """Return the first word of rows of offsets or masks, and all; load them unless held."""
        config, layout = self.config, self.lowered.layout(value)
        words = (stop - start) * layout.row_bytes // config.rows
        groups = len(self.lowered.orders[value]) // config.rows
        base, held = self._offsets.place((value, start, stop), groups * words, half)
        address = self.feature_maps[value].address + start * layout.row_bytes
        for group in range(0 if held else groups):
            at = address + group * layout.group_bytes
            self.recorder.append(
                LoadOffsets(layer=op.layer, address=at, words=words, base=base + group * words),
                [
                    self.recorder.memory_span(
                        at, (stop - start) * layout.row_bytes, 1, layout.group_bytes
                    )
                ],
                [Span("offsets", base + group * words, words)],
            )
        return base, [Span("offsets", base, groups * words)]

    def _operand_ring(self, operand: Operand) -> Ring:
        """Return the parts of an operand, which lie one behind the other, as one ring."""
        before = -operand.first
        for part in operand.parts:
            ring = self._rings[part]
            if ring.groups:
                break
            before += len(self.lowered.orders[part]) // self.config.rows
        groups = sum(self._rings[part].groups for part in operand.parts)
        # Counted over the operand, its first channel group may not be on chip.
        first = before + ring.first
        return replace(ring, base=ring.base - first * ring.words, first=0, groups=first + groups)

    def _store(self, op: ArrayOp, block: Block, start: int, stop: int, out_base: int) -> None:
        config = self.config
        layout = self.lowered.layout(op.output)
        address = (
            self.feature_maps[op.output].address
            + block.kg * layout.group_bytes
            + start * layout.row_bytes
        )
        height = stop - start
        self.recorder.append(
            Store(
                layer=op.layer,
                address=address,
                groups=block.n_kg,
                group_stride=layout.group_bytes,
                height=height,
                width=layout.width,
                base=out_base,
            ),
            ring_spans("results", out_base, block.n_kg * height * layout.width, config.out_depth),
            [
                self.recorder.memory_span(
                    address, height * layout.row_bytes, block.n_kg, layout.group_bytes
                )
            ],
        )


def _ring_rows(ring: Ring, start: int, stop: int, cg: int, groups: int) -> list[Span]:
    """Return the words of rows ``start .. stop - 1`` of some channel groups."""
    base = ring.base + (cg - ring.first) * ring.words
    count = (stop - start) * ring.row
    return ring_spans(
        "activations", ring.offset(start), count, ring.words, base=base, copies=groups
    )


def _unwrapped(start: int, stop: int, rows: int) -> Iterator[tuple[int, int]]:
    """Cut rows ``start .. stop - 1`` where a ring of ``rows`` rows ends."""
    while start < stop:
        end = min(stop, (start // rows + 1) * rows)
        yield start, end
        start = end
