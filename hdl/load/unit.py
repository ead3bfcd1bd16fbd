"""The load unit: memory to activation buffer, weight buffer and command queues."""

from collections.abc import Callable

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import lane_write, weight_write, word_write
from tilewright.hdl.bus.axi import AXI4Read, join
from tilewright.hdl.bus.bursts import Bursts, row_beats_of, row_beats_width
from tilewright.hdl.bus.reader import Reader
from tilewright.hdl.commands.decode import command_view, outside, reached, reserved
from tilewright.hdl.commands.queue import QueueWrite
from tilewright.hdl.load.kernels import KernelTransform
from tilewright.hdl.load.unpack import Unpack
from tilewright.hdl.load.walk import Walk
from tilewright.hdl.load.widen import Widen
from tilewright.isa import (
    ISA_VERSION,
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
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS
from tilewright.isa.registers import Status
from tilewright.isa.widths import load_count_width

__all__ = ["LoadUnit"]


def _kinds(config):
    """Return the commands of an engine's load unit."""
    kinds = (Check, Fetch, LoadActivations, LoadWeights, LoadTable, End)
    if config.offset_depth:
        kinds += (LoadOffsets,)
    if config.transform_at_load:
        kinds += (LoadKernelSteps, LoadKernels)
    return kinds


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
                **(
                    {"offset_write": Out(word_write(8 * config.rows))}
                    if config.offset_depth
                    else {}
                ),
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
        wide = Signal()  # half a weight word each
        is_offsets = Signal()
        m.submodules.reader = reader = Reader(config)
        m.submodules.unpack = unpack = Unpack(config)
        m.submodules.walk = walk = Walk(config)
        join(m, self.axi, reader.axi)

        command = Signal(8 * config.command_bytes(Unit.LOAD))
        kinds = _kinds(config)
        fetch, act = command_view(Fetch, command), command_view(LoadActivations, command)
        weights = command_view(LoadWeights, command)
        head = command_view(End, self.i.payload)  # every command begins so
        booting = Signal()
        is_act, is_weights, is_table, is_fetch, is_end = (Signal() for _ in range(5))
        is_rows = Signal()  # of activations or, one for each channel, of kernels
        is_steps, is_kernels = Signal(), Signal()
        allowed = Signal()
        status, refused, moves = Signal(8), Signal(), Signal()
        extra = Signal(len(kinds))  # per kind of command: a bit above its fields is set
        other = Signal()  # a Check that is for another engine
        error, failed = Signal(), Signal()
        row_beats = Signal(row_beats_width(config, load_count_width(config)))

        beats = reader.o
        if config.pixel_sizes:
            m.submodules.widen = widen = Widen(config)
            wiring.connect(m, reader.o, widen.i)
            beats = widen.o
            # In time: the first beat comes later.
            m.d.sync += widen.pixel.eq(Mux(is_act, act.pixel, 0))
            m.d.comb += widen.drop.eq(walk.last)
        over = Signal()  # nothing is left to be shown
        if config.transform_at_load:
            m.submodules.kernels = kernels = KernelTransform(config)
            view = command_view(LoadKernels, command)
            wiring.connect(m, kernels.o, wiring.flipped(self.kernel_write))
            open_ = Signal()
            m.d.comb += [
                kernels.step_write.addr.eq(walk.addr),
                kernels.step_write.data.eq(unpack.word),
                kernels.start.eq(walk.start),
                kernels.base.eq(view.base),
                kernels.term_step.eq(view.term_step),
                kernels.steps.eq(view.steps),
                kernels.take.eq(unpack.take & is_kernels),
                kernels.last.eq(walk.last),
                kernels.word.eq(unpack.word),
                kernels.ends.eq(walk.final),
                open_.eq(~is_kernels | kernels.room),
                unpack.i.payload.eq(beats.payload),
                unpack.i.valid.eq(beats.valid & open_),
                beats.ready.eq(unpack.i.ready & open_),
                over.eq(Mux(is_kernels, kernels.final, unpack.valid & walk.final)),
            ]
            m.d.sync += kernels.step_write.valid.eq(unpack.show & is_steps)
        else:
            wiring.connect(m, beats, unpack.i)
            m.d.comb += over.eq(unpack.valid & walk.final)

        m.d.comb += [
            self.beat.eq(reader.beat),
            self.quiet.eq(reader.quiet),
            self.status.eq(status),
            reader.halt.eq(self.halt | failed),
            reader.i.payload.address.eq(act.address + Cat(Const(0, 12), self.base[12:])),
            reader.i.payload.groups.eq(walk.groups),
            reader.i.payload.stride.eq(act.group_stride),
            reader.i.payload.height.eq(walk.height),
            reader.i.payload.row_beats.eq(row_beats),
            walk.lanes.eq(is_act),
            walk.groups.eq(Mux(is_act, act.groups, 1)),
            walk.height.eq(Mux(is_rows, act.height, 1)),
            walk.width.eq(Mux(is_rows, act.width, Mux(is_weights, weights.words, row_beats))),
            walk.base.eq(Mux(is_act, act.base, Mux(wide, weights.base << 1, weights.base))),
            walk.row_step.eq(act.row_step),
            walk.group_step.eq(act.group_step),
            walk.take.eq(unpack.take),
            unpack.raw.eq(is_fetch),
            unpack.last.eq(walk.last),
            unpack.wait.eq(walk.wait),
            self.act_write.lane.eq(walk.lane),
            self.act_write.addr.eq(walk.addr),
            self.act_write.data.eq(unpack.word),
            self.weight_write.addr.eq(Mux(wide, walk.addr >> 1, walk.addr)),
            self.weight_write.data.eq(unpack.word),
            self.table_write.addr.eq(walk.addr),
            self.table_write.data.eq(unpack.word),
        ]
        if config.offset_depth:
            m.d.comb += [
                self.offset_write.addr.eq(walk.addr),
                self.offset_write.data.eq(unpack.word),
            ]
            m.d.sync += self.offset_write.valid.eq(unpack.show & is_offsets)
        if config.kernel_width > 8:
            # Words go to the two halves in turns.
            m.d.comb += self.weight_write.half.eq(Mux(wide, Mux(walk.addr[0], 2, 1), 0))
        m.d.sync += [
            allowed.eq(
                self.i.valid
                & ~self.start
                & ~self.i.ready
                & reached(self.done_compute, head.wait_compute)
                & reached(self.done_store, head.wait_store)
            ),
            self.act_write.valid.eq(unpack.show & is_act),
            self.weight_write.valid.eq(
                unpack.show & is_weights & ~(is_table | is_offsets | is_steps)
            ),
            self.table_write.valid.eq(unpack.show & is_table),
            self.error.eq(error),
            walk.start.eq(0),
        ]
        for unit, port in enumerate(self.fetch):
            m.d.comb += [
                port.data.eq(unpack.beat),
                # A beat with an error is shown together with the reader's error: never commit it.
                port.commit.eq(port.valid & walk.final & ~reader.error & ~failed),
                port.count.eq(fetch.count),
            ]
            m.d.sync += port.valid.eq(unpack.show & is_fetch & (fetch.unit == unit))

        # Tables, offsets and steps are loaded like weights, but for where they go.
        like_weights = (LoadWeights, LoadTable, LoadOffsets, LoadKernelSteps)
        weighty_kinds = [kind for kind in like_weights if kind in kinds]
        weighty, fetches = Signal(), Signal()

        def take(domain, boots):
            domain += command.eq(self.i.payload)
            with m.If(boots):
                domain += [
                    fetch.opcode.eq(Fetch.OPCODE),
                    fetch.address.eq(self.boot.payload.address),
                    fetch.unit.eq(Unit.LOAD),
                    fetch.count.eq(self.boot.payload.count),
                ]

        if config.prefetch:
            # A command is there at least a cycle before it starts.
            rest = reserved(self.i.payload, kinds, self._later(m))
            is_other = self._later(m)(self._other(self.i.payload))
        else:  # commands in place keep only the bits that mean something
            take(m.d.comb, booting)
            m.d.comb += other.eq(self._other(command))
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.busy.eq(0),
                    self.boot.ready.eq(~self.halt),
                    self.start.eq(~self.halt & ~self.boot.valid & allowed),
                ]
                opcode = Mux(self.boot.valid, Fetch.OPCODE, head.opcode)
                m.d.sync += [
                    booting.eq(self.boot.valid),
                    weighty.eq(Cat(opcode == kind.OPCODE for kind in weighty_kinds).any()),
                    fetches.eq(opcode == Fetch.OPCODE),
                ]
                if config.prefetch:
                    m.d.comb += self.i.ready.eq(self.start)
                    take(m.d.sync, self.boot.valid)
                    m.d.sync += [extra.eq(Cat(rest[kind] for kind in kinds)), other.eq(is_other)]
                with m.If((self.boot.valid & self.boot.ready) | self.start):
                    m.next = "DECODE"
            with m.State("DECODE"):
                self._judge(m, command, booting, extra, other, status, refused)
                m.d.sync += [
                    is_act.eq(act.opcode == LoadActivations.OPCODE),
                    is_rows.eq(act.opcode == LoadActivations.OPCODE),
                    is_weights.eq(weighty),
                    is_table.eq(act.opcode == LoadTable.OPCODE),
                    wide.eq(
                        (act.opcode == LoadWeights.OPCODE) & weights.wide
                        if config.kernel_width > 8
                        else 0
                    ),
                    is_offsets.eq(act.opcode == LoadOffsets.OPCODE if config.offset_depth else 0),
                    is_fetch.eq(fetches),
                    moves.eq((act.opcode != Check.OPCODE) & (act.opcode != End.OPCODE)),
                    is_end.eq(act.opcode == End.OPCODE),
                    row_beats.eq(row_beats_of(config, act.width)),
                ]
                if config.transform_at_load:
                    kernels_next = act.opcode == LoadKernels.OPCODE
                    m.d.sync += [
                        is_steps.eq(act.opcode == LoadKernelSteps.OPCODE),
                        is_kernels.eq(kernels_next),
                        is_rows.eq((act.opcode == LoadActivations.OPCODE) | kernels_next),
                    ]
                with m.Switch(act.pixel):
                    for size in config.pixel_sizes:
                        with m.Case(size.bit_length()):
                            per_beat = config.bus_bytes // size
                            beats = (act.width + (per_beat - 1)) >> (per_beat.bit_length() - 1)
                            m.d.sync += row_beats.eq(beats)
                with m.If(weighty):
                    m.d.sync += row_beats.eq(row_beats_of(config, weights.words))
                with m.If(fetches):
                    # Truncation is harmless: the verdict refuses more than queue_depth commands.
                    beats = {unit: config.command_bytes(unit) // config.bus_bytes for unit in Unit}
                    m.d.sync += row_beats.eq(
                        Mux(
                            fetch.unit == Unit.COMPUTE,
                            fetch.count * beats[Unit.COMPUTE],
                            fetch.count * beats[Unit.LOAD],
                        )
                    )
                m.next = "LAUNCH"
            with m.State("LAUNCH"):
                m.d.sync += walk.start.eq(moves)  # in time: an address and its beat come later
                with m.If(refused):
                    m.d.comb += error.eq(1)
                    m.d.sync += failed.eq(1)
                    m.next = "FAILED"
                with m.Elif(moves):
                    m.d.comb += reader.i.valid.eq(1)
                    m.next = "RUN"
                with m.Else():
                    m.next = "DONE"
            with m.State("RUN"):
                with m.If(reader.error):
                    m.d.comb += error.eq(1)
                    m.d.sync += [failed.eq(1), status.eq(Status.READ_ERROR)]
                    m.next = "FAILED"
                with m.Elif(over):
                    m.next = "DRAIN_1"
            with m.State("DRAIN_1"):
                m.next = "DRAIN_2"
            with m.State("DRAIN_2"):
                m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += [
                    self.done.eq(~booting),
                    self.finished.eq(is_end),
                ]
                if not config.prefetch:
                    m.d.comb += self.i.ready.eq(~booting)
                m.next = "IDLE"
            with m.State("FAILED"):
                pass
        return m

    def _later(self, m: Module) -> Callable[[Value], Value]:
        """Return what gives a condition in the next cycle; without ``pipelined``, in this one."""

        def later(value: Value) -> Value:
            if not self._config.pipelined:
                return value
            register = Signal()
            m.d.sync += register.eq(value)
            return register

        return later

    def _other(self, command: Value) -> Value:
        """Return whether ``command``, if it is a Check, is for another engine."""
        check = command_view(Check, command)
        return (check.digest != self._config.digest) | (check.version != ISA_VERSION)

    def _judge(
        self,
        m: Module,
        command: Signal,
        booting: Signal,
        extra: Signal,
        other: Signal,
        status: Signal,
        refused: Signal,
    ) -> None:
        """Set ``status`` to the one that refuses ``command``, and ``refused``, or IDLE."""
        kinds = _kinds(self._config)
        fetch = command_view(Fetch, command)
        act, weights = command_view(LoadActivations, command), command_view(LoadWeights, command)
        beat_log2 = self._config.bus_bytes.bit_length() - 1
        # All that move data have their address here.
        address, width = act.address, load_count_width(self._config)
        skewed = address[:beat_log2].any() | address[self._config.addr_width :].any()
        bad = dict(zip(kinds, extra, strict=True))
        bad[Fetch] = ~booting & bad[Fetch]  # at boot the upper bits are not ours
        bad[Fetch] |= (
            skewed
            | (fetch.unit > max(Unit))
            | (fetch.count == 0)
            | (fetch.count > self._config.queue_depth)
        )
        known = [act.pixel == size.bit_length() for size in (0, *self._config.pixel_sizes)]
        bad[LoadActivations] |= (
            skewed
            | ~Cat(known).any()
            | act.group_stride[:beat_log2].any()
            | outside(width, act.groups, act.height, act.width)
        )
        for kind in {LoadWeights, LoadTable, LoadOffsets, LoadKernelSteps} & bad.keys():
            bad[kind] |= skewed | outside(width, weights.words)
        half = weights.words[0] if self._config.kernel_width > 8 else 1
        bad[LoadWeights] |= weights.wide & half
        bad[LoadTable] |= not self._config.tables
        if self._config.transform_at_load:
            kernels = command_view(LoadKernels, command)
            bad[LoadKernelSteps] |= weights.words > MAX_KERNEL_STEPS
            bad[LoadKernels] |= (
                skewed
                | outside(width, kernels.channels)
                | (kernels.steps == 0)
                | (kernels.steps > MAX_KERNEL_STEPS)
                | (kernels.taps == 0)
                | (kernels.taps > MAX_KERNEL_TAPS)
            )
        with m.Switch(act.opcode):
            for kind in kinds:
                with m.Case(kind.OPCODE):
                    m.d.sync += status.eq(Mux(bad[kind], Status.BAD_COMMAND, Status.IDLE))
                    m.d.sync += refused.eq(bad[kind])
                    if kind is Check:
                        with m.If(~bad[kind] & other):
                            m.d.sync += [status.eq(Status.CONFIG_MISMATCH), refused.eq(1)]
            with m.Default():
                m.d.sync += [status.eq(Status.BAD_COMMAND), refused.eq(1)]
