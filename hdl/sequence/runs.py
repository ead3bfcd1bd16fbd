"""When a compute command starts, and when it leaves the array to the next one.

i (waits) --> known, legal, fences? --start--> command (has the array) --ends--> next
|
its last capture, and settled: the drain goes on alone
"""

from math import gcd
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Mux, Signal, Value
from amaranth.lib import data

from tilewright.hdl.commands.decode import command_view, outside, reached
from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.drain.partial import TILES, tile_code
from tilewright.isa import Compute, Deform
from tilewright.isa.images import IMAGE_FIELDS
from tilewright.isa.passes import drain_span, result_cycles
from tilewright.isa.registers import Status
from tilewright.isa.tiles import MAX_TAPS, MAX_TILE_COLUMNS, MAX_TILE_ROWS
from tilewright.isa.wide import WIDE_FIELDS
from tilewright.isa.widths import act_addr_width, result_count_width
from tilewright.isa.words import LEAST_WIDTH

__all__ = ["Run", "end_commands", "take_commands"]


class Run(NamedTuple):
    """The command that waits, the one that has the array, and a Deform before it."""

    waiting: data.View
    command: data.View  #: of the array: without ``config.prefetch``, the one that waits
    occupied: Signal  #: the array has a command
    launched: Signal  #: it is new
    ends: Signal  #: it leaves
    fenced: Signal  #: the one that waits may not start before all others are done
    deform_waits: Value  #: what waits is a Deform
    deform: data.View | None
    sampled: Signal  #: the Deform is for the command that has the array, or is next


def take_commands(m, unit, config, drain_done, overrun):
    """Start the command that waits as soon as it may; return the :class:`Run`.

    Parameters
    ----------
    m : Module, to which this is added
    unit : ComputeUnit, whose ports are used
    config : EngineConfig
    drain_done : 1 bit; the last result of a command is being written
    overrun : 1 bit; what a command did last was too early
    """
    layout = command_layout(Compute, config)
    waiting = layout(unit.i.payload[: layout.size])
    command = Signal(layout) if config.prefetch else waiting
    occupied, launched, ends = Signal(), Signal(), Signal()
    known, legal, fenced = Signal(), Signal(), Signal()
    # A Deform: the one that waits, if it is one; the one whose command runs or is next.
    is_deform, deform_done = Signal(), Signal()
    deform_waits, deform_legal, sampled = Const(0, 1), Const(0, 1), Signal()
    deform, transformed = None, Const(0, 1)
    if config.offset_depth:
        rows_log2 = (config.rows - 1).bit_length()
        waiting_deform = command_view(Deform, unit.i.payload)
        deform_waits = waiting_deform.opcode == Deform.OPCODE
        rest = unit.i.payload[command_layout(Deform).size :]
        deform_legal = (
            deform_waits
            & ~(rest.any() & config.prefetch)
            & (waiting_deform.fraction <= config.offset_fraction)
            & (waiting_deform.mask_fraction <= config.mask_fraction)
            & ~waiting_deform.offset_byte[0]
            & ~waiting_deform.offset_byte[rows_log2:].any()
            & ~waiting_deform.mask_byte[rows_log2:].any()
            & waiting_deform.row_pitch[0]
            & (waiting_deform.shared != 0)
            & (waiting_deform.last_parts != 0)
            & (waiting_deform.last_parts <= config.cols)
        )
        deform = Signal(command_layout(Deform))
        transformed = waiting.transform if config.data_width > 9 else Const(0, 1)
        if config.shared_words:
            transformed |= waiting.accesses.any()
        if config.stacked_images:
            transformed |= waiting.stacked
        if config.split_columns:
            transformed |= waiting.split
        if config.wide_maps:
            transformed |= waiting.wide_in | waiting.wide_out
        if config.multiplies_maps:
            transformed |= waiting.segment == 0
        with m.If(unit.start & is_deform):
            m.d.sync += [deform.eq(waiting_deform), sampled.eq(1)]
        with m.Elif(ends):
            m.d.sync += sampled.eq(0)
    load_ready, store_ready = Signal(), Signal()
    m.d.comb += [
        unit.status.eq(Status.BAD_COMMAND),
        unit.start.eq(known & legal & load_ready & store_ready & ~occupied & ~unit.halt & ~fenced),
        unit.i.ready.eq(unit.start if config.prefetch else ends | (unit.start & is_deform)),
        unit.stall_load.eq(known & ~occupied & ~load_ready),
        unit.stall_store.eq(known & ~occupied & load_ready & ~store_ready),
        unit.stall_command.eq(~known & ~occupied),
        unit.stall_result.eq(known & ~occupied & load_ready & store_ready & fenced),
        unit.done.eq(drain_done | deform_done),
    ]
    m.d.sync += [
        # Not before those before it are done: their number says which one it is.
        unit.error.eq((known & ~legal & ~unit.busy) | overrun),
        known.eq(unit.i.valid & ~unit.start & ~unit.i.ready),
        load_ready.eq(reached(unit.done_load, waiting.wait_load)),
        store_ready.eq(reached(unit.done_store, waiting.wait_store)),
        legal.eq(
            deform_legal
            | (_is_legal(config, waiting, unit.i.payload[layout.size :]) & ~(sampled & transformed))
        ),
        is_deform.eq(deform_waits),
        deform_done.eq(unit.start & is_deform),
        launched.eq(unit.start & ~is_deform),
    ]
    with m.If(unit.start & ~is_deform):
        m.d.sync += occupied.eq(1)
    with m.If(ends):
        m.d.sync += occupied.eq(0)
    return Run(waiting, command, occupied, launched, ends, fenced, deform_waits, deform, sampled)


def _is_legal(config, command, rest):
    """Return whether a command is a Compute of this engine; ``rest`` are the bits behind it."""
    return (
        (command.opcode == Compute.OPCODE)
        & ~(rest.any() & config.prefetch)
        & (
            command.segment_log2 >= config.least_segment_log2
            if config.least_segment_log2
            else 1  # the comparison would be constant, which linters report
        )
        & (command.segment_log2 <= (config.rows - 1).bit_length())
        & (command.table <= config.tables)
        & (~command.maximum | config.maximum)
        & ~(command.transform if config.compute_options and config.data_width == 9 else 0)
        & ~(command.partial if config.compute_options and not config.partial_depth else 0)
        & _sound(config, command)
        & _whole_windows(config, command)
    )


def _whole_windows(config, c):
    """Return whether a window that is transformed has all of its taps, each in one access."""
    if config.data_width == 9:
        return 1  # there are none
    pairs = [(r, s) for r in range(1, MAX_TAPS + 1) for s in range(1, MAX_TAPS // r + 1)]
    taps = Cat((c.n_r == r) & (c.n_s == s) & (c.taps == r * s) for r, s in pairs).any()
    alone = Cat(c.stride_x == x for x in range(1, 16) if gcd(x, config.cols) == 1).any()
    return ~c.transform | (taps & alone)


def _sound(config, c):
    """Return whether a compute command's numbers are such as the unit can count."""
    most = Const(1) << c.segment_log2
    unplaced = Cat(c.dst_step == step for step in range(0, 8, config.cols)).any()
    sound = (
        ~outside(result_count_width(config), c.n_kg, c.n_oy, c.n_ox, c.out_w)
        & ~outside(act_addr_width(config) + 1, c.n_cg)
        & ~outside(8, c.n_r, c.n_s, c.last_segment, c.stride_x, c.dst_step)
        & ((c.segment != 0) | _product(config, c))
        & (c.segment <= most)
        & (c.last_segment <= most)
        & ~(c.to_act & unplaced)
    )
    if config.shared_words:
        words = (
            ~(c.partial | c.transform | c.resume | (c.segment == 0))
            & (c.out_w >= LEAST_WIDTH)
            & (c.accesses <= config.cols)
            & (c.last_pixels != 0)
            & (c.last_pixels <= config.cols)
        )
        sound &= (c.accesses == 0) | words
    elif config.compute_options:
        sound &= c.accesses == 0
    if config.stacked_images:
        others = c.partial | c.transform | c.resume | (c.segment == 0) | c.wide_in | c.wide_out
        sound &= ~(c.stacked & others)
        if not config.wide_maps:  # whose fields lie before these
            sound &= ~Cat(c[name] for name in WIDE_FIELDS).any() | ~config.prefetch
    if config.folds:
        sound &= c.fold <= config.folds
    if config.split_columns:
        sound &= ~c.split | _whole_rows(config, c)
        before = WIDE_FIELDS if config.stacked_images else (*WIDE_FIELDS, *IMAGE_FIELDS)
        sound &= ~Cat(c[name] for name in before).any() | ~config.prefetch
    if config.wide_maps:
        alone = ~(c.maximum | (c.segment == 0))
        if config.shared_words:
            alone &= c.accesses == 0
            sound &= ~c.wide_out | (c.accesses == 0)
        sound &= ~c.wide_in | alone
    if config.cols < 16:  # else they would be constant
        for lane in (c.dst_lane, c.x0_lane, c.s_lane):
            sound &= lane < config.cols
    if config.partial_depth:
        tiles = (
            (c.last_h != 0)
            & (c.last_h <= c.tile_h)
            & (c.tile_h <= MAX_TILE_ROWS)
            & (c.tile_w != 0)
            & (c.tile_w <= MAX_TILE_COLUMNS)
            & (c.dst_step == c.tile_w)
            & (c.n_kg == 1)
        )
        sound &= ~c.partial | tiles
    return sound


def _whole_rows(config, c):
    """Return whether a command can have its columns split."""
    half, log2 = config.rows // 2, (config.rows - 1).bit_length()
    steps = (c.segment != 0) & (c.segment <= half) & (c.last_segment <= half)
    return (c.segment_log2 == log2) & steps & ~(c.maximum | c.resume | (c.fold != 0))


def _product(config, c):
    """Return whether a command of no segment is a product of two maps."""
    if not config.multiplies_maps:
        return 0
    counts = Cat(c.n_r, c.n_s, c.stride_x, c.last_segment)
    ones = Cat(Const(1, len(count)) for count in (c.n_r, c.n_s, c.stride_x, c.last_segment))
    others = c.maximum | c.resume
    if config.compute_options:
        others |= c.partial | c.transform
    return (c.n_cg == 2) & (counts == ones) & ~others


def end_commands(m, unit, config, run, *, drain, idle):
    """Say when a command leaves the array, and whether any is under way.

    Parameters
    ----------
    m, unit, config : as for :func:`take_commands`
    run : Run
    drain : Drain
    idle : 1 bit; nothing is on its way to the windows
    """
    waiting, command, occupied, ends = run.waiting, run.command, run.occupied, run.ends
    if not config.prefetch:
        m.d.comb += [ends.eq(drain.done), unit.busy.eq(occupied)]
        return

    # The drain of a command overlaps the next one.
    with m.If(~occupied):
        m.d.sync += command.eq(waiting)
    pending = Signal(8)  # commands started but not done
    m.d.comb += unit.busy.eq(occupied | (pending != 0))
    m.d.sync += [
        run.fenced.eq((waiting.fence | run.deform_waits) & (pending != 0)),
        pending.eq(pending + unit.start - unit.done),
    ]
    finished = Signal()
    settled = _settled(m, unit, config, command, drain.capture & drain.last)
    with m.If(ends):
        m.d.sync += finished.eq(0)
    with m.Elif(settled):
        m.d.sync += finished.eq(1)
    m.d.comb += ends.eq(occupied & (finished | settled) & idle)


def _settled(m, unit, config, command, captured):
    """Return whether a command need not keep the array any longer, after its last capture."""
    usual = unit.settle_cycles(config, config.single_drain_cycles)
    spans = {
        tile: unit.settle_cycles(config, drain_span(config, *tile))
        for tile in TILES
        if config.partial_depth
    }
    wide = unit.settle_cycles(config, result_cycles(config, pair=False, wide=config.wide_maps))
    longest = max([usual, wide, *spans.values()])
    if not longest:
        return captured
    cycles = Signal(range(longest + 1), init=usual)
    if config.partial_depth:
        with m.Switch(Cat(command.tile_h, command.tile_w, command.last, command.partial)):
            for tile, span in spans.items():
                with m.Case(tile_code(*tile)):
                    m.d.sync += cycles.eq(span)
            with m.Default():
                m.d.sync += cycles.eq(usual)
    elif config.wide_maps:
        m.d.sync += cycles.eq(Mux(command.wide_out, wide, usual))
    settled, left = Signal(), Signal.like(cycles, init=0)
    m.d.comb += settled.eq((left == 1) | (captured & (cycles == 0)))
    with m.If(captured):
        m.d.sync += left.eq(cycles)
    with m.Elif(left != 0):
        m.d.sync += left.eq(left - 1)
    return settled
