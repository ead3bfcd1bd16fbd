"""The load unit: memory to activation buffer, weight buffer and command queues."""

from collections.abc import Callable
from typing import NamedTuple

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import lane_write, weight_write, word_write
from tilewright.hdl.bus.axi import AXI4Read, join
from tilewright.hdl.bus.bursts import Bursts, row_beats_of, row_beats_width
from tilewright.hdl.bus.reader import Reader
from tilewright.hdl.commands.decode import command_view, reached, reserved
from tilewright.hdl.commands.queue import QueueWrite
from tilewright.hdl.load.kernels import KernelTransform
from tilewright.hdl.load.unpack import Unpack
from tilewright.hdl.load.verdict import LIKE_WEIGHTS, for_another, judge, load_kinds
from tilewright.hdl.load.walk import Walk
from tilewright.hdl.load.widen import Widen
from tilewright.isa import (
    Check,
    End,
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Unit,
)
from tilewright.isa.registers import Status
from tilewright.isa.widths import load_count_width

__all__ = ["LoadUnit"]


class _Parts(NamedTuple):
    """The components, in the order of data."""

    reader: Reader
    unpack: Unpack
    walk: Walk


class _State:
    """The command that runs: what it is, what is wrong with it, how far it is."""

    def __init__(self, config):
        self.wide = Signal()  # half a weight word each
        self.is_offsets = Signal()
        self.command = Signal(8 * config.command_bytes(Unit.LOAD))
        self.booting = Signal()
        self.is_act, self.is_weights, self.is_table, self.is_fetch, self.is_end = (
            Signal() for _ in range(5)
        )
        self.is_rows = Signal()  # of activations or, one for each channel, of kernels
        self.is_kernels = Signal()
        self.allowed = Signal()
        self.status, self.refused = Signal(8), Signal()
        self.moves = Signal()  # it moves data
        self.extra = Signal(len(load_kinds(config)))  # per kind: a bit above its fields is set
        self.other = Signal()  # a Check that is for another engine
        self.error, self.weighty, self.is_steps = Signal(), Signal(), Signal()
        self.failed = Signal()  # until a reset
        self.row_beats = Signal(row_beats_width(config, load_count_width(config)))
        self.over = Signal()  # nothing is left to be shown
        self.fetches = Signal()


class LoadUnit(wiring.Component):
    """Run load commands: read memory into the buffers and the command queues.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream)            commands, raw bits; taken at the start or, without
                              ``config.prefetch``, with ``done``
    boot : In(stream.Signature(BOOT))   the first fetch of a run: runs like a Fetch of the load
                              unit's commands before anything in ``i``, but without ``start`` and
                              ``done``; without ``config.prefetch``, the payload must stay
    base : In(32)             added to every address, a multiple of 4096
    done_compute, done_store : In(count_width)   commands completed, modulo 2**count_width
    axi : Out(AXI4Read)
    act_write : Out(lane_write); words for one lane are at least two cycles apart
    weight_write : Out(weight_write)
    kernel_write : Out(word_write(kernel_width * rows)); transformed weights, not together with
                              ``weight_write``; only where kernels are transformed
    table_write : Out(word_write(8))
    offset_write : Out(word_write(8 * rows)); only in engines with a sampler
    fetch : Out(QueueWrite).array(3)    by Unit
    halt : In(1)              start nothing; what is in flight is accepted, and what it writes to
                              buffers means nothing; ends with a reset
    quiet : Out(1)            nothing is in flight; with ``halt``, it stays so
    start : Out(1)            the command in ``i`` starts
    done : Out(1)             a command is complete: the next one can start in the next cycle
    busy : Out(1)             high from the cycle after start to the cycle of done
    beat : Out(1)             pulse per beat read
    finished : Out(1)         pulse: an End is complete
    error : Out(1)            pulse: ``status`` (:class:`Status`) says what is wrong; the unit does
                              nothing more until it is reset

    Timing
    ------
    A command that starts in cycle t has its first address on the bus at ``t + FIRST_ADDRESS``
    (Check and End are done at ``t + CHECK``). A word is shown at a write port one cycle after its
    last beat was accepted or after the word before it in its beat; a pixel word waits one cycle
    more if the word before it, in the cycle before, went to the same lane. ``done`` comes ``DRAIN``
    cycles after the last word. While two kernels wait to be transformed, no beat is accepted; the
    last step of the last kernel then counts as the last word. :mod:`tilewright.sim.timing.load`
    has the exact count.
    """

    FIRST_ADDRESS = 2 + Bursts.FIRST
    CHECK = 3
    DRAIN = 3
    BOOT = data.StructLayout({"address": 32, "count": 16})

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        kernels = word_write(config.kernel_width * config.rows)
        offsets = word_write(8 * config.rows)
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8 * config.command_bytes(Unit.LOAD)))),
                "boot": In(stream.Signature(self.BOOT)),
                "base": In(32),
                "done_compute": In(config.count_width),
                "done_store": In(config.count_width),
                "axi": Out(AXI4Read(data_width=config.bus_width)),
                "act_write": Out(lane_write(config)),
                "weight_write": Out(weight_write(config)),
                **({"kernel_write": Out(kernels)} if config.transform_at_load else {}),
                "table_write": Out(word_write(8)),
                **({"offset_write": Out(offsets)} if config.offset_depth else {}),
                "fetch": Out(QueueWrite(config)).array(3),
                "halt": In(1),
                "quiet": Out(1),
                "start": Out(1),
                "done": Out(1),
                "busy": Out(1),
                "beat": Out(1),
                "finished": Out(1),
                "error": Out(1),
                "status": Out(8),
            }
        )

    @property
    def config(self) -> EngineConfig:
        """The engine."""
        return self._config

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        s = _State(config)
        m.submodules.reader = reader = Reader(config)
        m.submodules.unpack = unpack = Unpack(config)
        m.submodules.walk = walk = Walk(config)
        join(m, self.axi, reader.axi)
        parts = _Parts(reader, unpack, walk)
        self._words(m, parts, s)
        self._walk(m, parts, s)
        self._write(m, parts, s)
        self._fetch(m, parts, s)
        rest, is_other = self._arrive(m, s)
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                self._wait(m, s, rest, is_other)
            with m.State("DECODE"):
                judge(m, config, s)
                self._decode(m, s)
                m.next = "LAUNCH"
            self._run(m, parts, s)
        return m

    def _words(self, m, parts, s):
        """Cut beats into words; pass kernels through their transform."""
        config = self._config
        reader, unpack, walk = parts
        act = command_view(LoadActivations, s.command)
        beats = reader.o
        if config.pixel_sizes:
            m.submodules.widen = widen = Widen(config)
            wiring.connect(m, reader.o, widen.i)
            beats = widen.o
            # In time: the first beat comes later.
            m.d.sync += widen.pixel.eq(Mux(s.is_act, act.pixel, 0))
            m.d.comb += widen.drop.eq(walk.last)
        if config.transform_at_load:
            m.submodules.kernels = kernels = KernelTransform(config)
            view = command_view(LoadKernels, s.command)
            wiring.connect(m, kernels.o, wiring.flipped(self.kernel_write))
            open_ = Signal()
            m.d.comb += [
                kernels.step_write.addr.eq(walk.addr),
                kernels.step_write.data.eq(unpack.word),
                kernels.start.eq(walk.start),
                kernels.base.eq(view.base),
                kernels.term_step.eq(view.term_step),
                kernels.steps.eq(view.steps),
                kernels.take.eq(unpack.take & s.is_kernels),
                kernels.last.eq(walk.last),
                kernels.word.eq(unpack.word),
                kernels.ends.eq(walk.final),
                open_.eq(~s.is_kernels | kernels.room),
                unpack.i.payload.eq(beats.payload),
                unpack.i.valid.eq(beats.valid & open_),
                beats.ready.eq(unpack.i.ready & open_),
                s.over.eq(Mux(s.is_kernels, kernels.final, unpack.valid & walk.final)),
            ]
            m.d.sync += kernels.step_write.valid.eq(unpack.show & s.is_steps)
        else:
            wiring.connect(m, beats, unpack.i)
            m.d.comb += s.over.eq(unpack.valid & walk.final)

    def _walk(self, m, parts, s):
        """Say what is read, and where each word goes."""
        reader, unpack, walk = parts
        act, weights = (command_view(kind, s.command) for kind in (LoadActivations, LoadWeights))
        m.d.comb += [
            self.beat.eq(reader.beat),
            self.quiet.eq(reader.quiet),
            self.status.eq(s.status),
            reader.halt.eq(self.halt | s.failed),
            reader.i.payload.address.eq(act.address + Cat(Const(0, 12), self.base[12:])),
            reader.i.payload.groups.eq(walk.groups),
            reader.i.payload.stride.eq(act.group_stride),
            reader.i.payload.height.eq(walk.height),
            reader.i.payload.row_beats.eq(s.row_beats),
            walk.lanes.eq(s.is_act),
            walk.groups.eq(Mux(s.is_act, act.groups, 1)),
            walk.height.eq(Mux(s.is_rows, act.height, 1)),
            walk.width.eq(Mux(s.is_rows, act.width, Mux(s.is_weights, weights.words, s.row_beats))),
            walk.base.eq(Mux(s.is_act, act.base, Mux(s.wide, weights.base << 1, weights.base))),
            walk.row_step.eq(act.row_step),
            walk.group_step.eq(act.group_step),
            walk.take.eq(unpack.take),
            unpack.raw.eq(s.is_fetch),
            unpack.last.eq(walk.last),
            unpack.wait.eq(walk.wait),
            self.act_write.lane.eq(walk.lane),
            self.act_write.addr.eq(walk.addr),
            self.act_write.data.eq(unpack.word),
            self.weight_write.addr.eq(Mux(s.wide, walk.addr >> 1, walk.addr)),
            self.weight_write.data.eq(unpack.word),
            self.table_write.addr.eq(walk.addr),
            self.table_write.data.eq(unpack.word),
        ]

    def _write(self, m, parts, s):
        """Show each word to the buffer that it is for; start when other units are far enough."""
        config = self._config
        _, unpack, walk = parts
        head = command_view(End, self.i.payload)  # every command begins so
        if config.offset_depth:
            m.d.comb += [
                self.offset_write.addr.eq(walk.addr),
                self.offset_write.data.eq(unpack.word),
            ]
            m.d.sync += self.offset_write.valid.eq(unpack.show & s.is_offsets)
        if config.kernel_width > 8:
            # Words go to the two halves in turns.
            m.d.comb += self.weight_write.half.eq(Mux(s.wide, Mux(walk.addr[0], 2, 1), 0))
        m.d.sync += [
            s.allowed.eq(
                self.i.valid
                & ~self.start
                & ~self.i.ready
                & reached(self.done_compute, head.wait_compute)
                & reached(self.done_store, head.wait_store)
            ),
            self.act_write.valid.eq(unpack.show & s.is_act),
            self.weight_write.valid.eq(
                unpack.show & s.is_weights & ~(s.is_table | s.is_offsets | s.is_steps)
            ),
            self.table_write.valid.eq(unpack.show & s.is_table),
            self.error.eq(s.error),
            walk.start.eq(0),
        ]

    def _fetch(self, m, parts, s):
        """Show fetched commands to their queues."""
        reader, unpack, walk = parts
        fetch = command_view(Fetch, s.command)
        for unit, port in enumerate(self.fetch):
            m.d.comb += [
                port.data.eq(unpack.beat),
                # A beat with an error is shown together with the reader's error: never commit it.
                port.commit.eq(port.valid & walk.final & ~reader.error & ~s.failed),
                port.count.eq(fetch.count),
            ]
            m.d.sync += port.valid.eq(unpack.show & s.is_fetch & (fetch.unit == unit))

    def _arrive(self, m, s):
        """Judge the command that waits, where it waits for a cycle at least; return the verdicts.

        Returns
        -------
        by kind, whether a bit above its fields is set; whether it is a Check for another engine:
        of the command that waits, or None without ``config.prefetch``, where it runs in place
        """
        config = self._config
        if config.prefetch:
            rest = reserved(self.i.payload, load_kinds(config), self._later(m))
            return rest, self._later(m)(for_another(config, self.i.payload))
        # Commands in place keep only the bits that mean something.
        self._take(m, m.d.comb, s, s.booting)
        m.d.comb += s.other.eq(for_another(config, s.command))
        return None, None

    def _take(self, m, domain, s, boots):
        """Let the command that waits be the one that runs, or the fetch of a boot."""
        fetch = command_view(Fetch, s.command)
        domain += s.command.eq(self.i.payload)
        with m.If(boots):
            domain += [
                fetch.opcode.eq(Fetch.OPCODE),
                fetch.address.eq(self.boot.payload.address),
                fetch.unit.eq(Unit.LOAD),
                fetch.count.eq(self.boot.payload.count),
            ]

    def _wait(self, m, s, rest, is_other):
        """IDLE: start the command that waits, or a boot."""
        config = self._config
        kinds = load_kinds(config)
        # Tables, offsets and steps are loaded like weights, but for where they go.
        weighty_kinds = [kind for kind in LIKE_WEIGHTS if kind in kinds]
        head = command_view(End, self.i.payload)
        m.d.comb += [
            self.busy.eq(0),
            self.boot.ready.eq(~self.halt),
            self.start.eq(~self.halt & ~self.boot.valid & s.allowed),
        ]
        opcode = Mux(self.boot.valid, Fetch.OPCODE, head.opcode)
        m.d.sync += [
            s.booting.eq(self.boot.valid),
            s.weighty.eq(Cat(opcode == kind.OPCODE for kind in weighty_kinds).any()),
            s.fetches.eq(opcode == Fetch.OPCODE),
        ]
        if config.prefetch:
            m.d.comb += self.i.ready.eq(self.start)
            self._take(m, m.d.sync, s, self.boot.valid)
            m.d.sync += [s.extra.eq(Cat(rest[kind] for kind in kinds)), s.other.eq(is_other)]
        with m.If((self.boot.valid & self.boot.ready) | self.start):
            m.next = "DECODE"

    def _decode(self, m, s):
        """DECODE: say what the command is, and of how many beats its rows are."""
        config = self._config
        fetch = command_view(Fetch, s.command)
        act, weights = (command_view(kind, s.command) for kind in (LoadActivations, LoadWeights))
        m.d.sync += [
            s.is_act.eq(act.opcode == LoadActivations.OPCODE),
            s.is_rows.eq(act.opcode == LoadActivations.OPCODE),
            s.is_weights.eq(s.weighty),
            s.is_table.eq(act.opcode == LoadTable.OPCODE),
            s.wide.eq(
                (act.opcode == LoadWeights.OPCODE) & weights.wide if config.kernel_width > 8 else 0
            ),
            s.is_offsets.eq(act.opcode == LoadOffsets.OPCODE if config.offset_depth else 0),
            s.is_fetch.eq(s.fetches),
            s.moves.eq((act.opcode != Check.OPCODE) & (act.opcode != End.OPCODE)),
            s.is_end.eq(act.opcode == End.OPCODE),
            s.row_beats.eq(row_beats_of(config, act.width)),
        ]
        if config.transform_at_load:
            kernels_next = act.opcode == LoadKernels.OPCODE
            m.d.sync += [
                s.is_steps.eq(act.opcode == LoadKernelSteps.OPCODE),
                s.is_kernels.eq(kernels_next),
                s.is_rows.eq((act.opcode == LoadActivations.OPCODE) | kernels_next),
            ]
        with m.Switch(act.pixel):
            for size in config.pixel_sizes:
                with m.Case(size.bit_length()):
                    per_beat = config.bus_bytes // size
                    beats = (act.width + (per_beat - 1)) >> (per_beat.bit_length() - 1)
                    m.d.sync += s.row_beats.eq(beats)
        with m.If(s.weighty):
            m.d.sync += s.row_beats.eq(row_beats_of(config, weights.words))
        with m.If(s.fetches):
            # Truncation is harmless: the verdict refuses more than queue_depth commands.
            beats = {unit: config.command_bytes(unit) // config.bus_bytes for unit in Unit}
            m.d.sync += s.row_beats.eq(
                Mux(
                    fetch.unit == Unit.COMPUTE,
                    fetch.count * beats[Unit.COMPUTE],
                    fetch.count * beats[Unit.LOAD],
                )
            )

    def _run(self, m, parts, s):
        """From LAUNCH on: read, until the last word is written, or something is wrong."""
        reader, _, walk = parts
        with m.State("LAUNCH"):
            m.d.sync += walk.start.eq(s.moves)  # in time: an address and its beat come later
            with m.If(s.refused):
                m.d.comb += s.error.eq(1)
                m.d.sync += s.failed.eq(1)
                m.next = "FAILED"
            with m.Elif(s.moves):
                m.d.comb += reader.i.valid.eq(1)
                m.next = "RUN"
            with m.Else():
                m.next = "DONE"
        with m.State("RUN"):
            with m.If(reader.error):
                m.d.comb += s.error.eq(1)
                m.d.sync += [s.failed.eq(1), s.status.eq(Status.READ_ERROR)]
                m.next = "FAILED"
            with m.Elif(s.over):
                m.next = "DRAIN_1"
        with m.State("DRAIN_1"):
            m.next = "DRAIN_2"
        with m.State("DRAIN_2"):
            m.next = "DONE"
        with m.State("DONE"):
            m.d.comb += [
                self.done.eq(~s.booting),
                self.finished.eq(s.is_end),
            ]
            if not self._config.prefetch:
                m.d.comb += self.i.ready.eq(~s.booting)
            m.next = "IDLE"
        with m.State("FAILED"):
            pass

    def _later(self, m: Module) -> Callable[[Value], Value]:
        """Return what gives a condition in the next cycle; without ``pipelined``, in this one."""

        def later(value: Value) -> Value:
            if not self._config.pipelined:
                return value
            register = Signal()
            m.d.sync += register.eq(value)
            return register

        return later
