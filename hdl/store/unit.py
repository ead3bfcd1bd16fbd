"""The store unit: output buffer to memory."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4Write, join
from tilewright.hdl.bus.bursts import Bursts, row_beats_of, row_beats_width
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.commands.decode import command_view, outside, reached, reserved
from tilewright.hdl.store.pack import Pack
from tilewright.isa import EngineConfig, Store, Unit
from tilewright.isa.registers import Status
from tilewright.isa.widths import out_addr_width, store_count_width

__all__ = ["StoreUnit"]


class StoreUnit(wiring.Component):
    """Run store commands: write pixel words of the output buffer to memory.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream)            commands, raw bits; taken at the start or, without
                              ``config.prefetch``, with ``done``
    base : In(32)             added to every address, a multiple of 4096
    done_load, done_compute : In(count_width)   commands completed, modulo 2**count_width
    out_addr : Out(out_addr_width)   pixel word wanted; also driven between commands
    out_enable : Out(1)       read it; else the buffer must keep the word before
    out_data : In(8 * rows)   that word, ``Pack.out_latency(config)`` cycles later
    axi : Out(AXI4Write)
    halt : In(1)              start no command and no burst; finish the bursts that have begun; ends
                              with a reset
    quiet : Out(1)            no burst is under way; with ``halt``, it stays so
    start : Out(1)            the command in ``i`` starts
    done : Out(1)             a command is complete, its last byte confirmed by memory: the next one
                              can start in the next cycle
    busy : Out(1)             high from the cycle after start to the cycle of done
    beat : Out(1)             pulse per beat written
    error : Out(1)            pulse: ``status`` (:class:`Status`) says what is wrong; the unit
                              starts nothing more until it is reset
    status : Out(8)

    Timing
    ------
    A command that starts in cycle t has its first address on the bus at ``t + FIRST_ADDRESS``, its
    first beat there ``t + first_beat(config) + n`` at the earliest, where n is the number of words
    in it (1 if a word is a beat or more). ``done`` comes ``DRAIN`` cycles after memory confirmed
    the last burst. :mod:`tilewright.sim.timing.store` has the exact count.
    """

    FIRST_ADDRESS = 2 + Bursts.FIRST
    DRAIN = 2

    @classmethod
    def first_beat(cls, config: EngineConfig) -> int:
        """Return the cycles from a start to the first word's arrival at its beat."""
        return 1 + Pack.first(config)

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8 * config.command_bytes(Unit.STORE)))),
                "base": In(32),
                "done_load": In(config.count_width),
                "done_compute": In(config.count_width),
                "out_addr": Out(out_addr_width(config)),
                "out_enable": Out(1),
                "out_data": In(8 * config.rows),
                "axi": Out(AXI4Write(data_width=config.bus_width)),
                "halt": In(1),
                "quiet": Out(1),
                "start": Out(1),
                "done": Out(1),
                "busy": Out(1),
                "beat": Out(1),
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
        m.submodules.writer = writer = Writer(config)
        m.submodules.pack = pack = Pack(config)
        wiring.connect(m, pack.o, writer.i_beats)
        join(m, self.axi, writer.axi)

        bits = Signal(8 * config.command_bytes(Unit.STORE)) if config.prefetch else self.i.payload
        command = command_view(Store, bits)
        status, error, failed = Signal(8), Signal(), Signal()
        row_beats = Signal(row_beats_width(config, store_count_width(config)))
        bad = Signal()
        self._describe(m, command, writer, pack, row_beats)
        m.d.comb += [
            self.beat.eq(writer.beat),
            self.quiet.eq(writer.quiet),
            self.status.eq(status),
            writer.halt.eq(self.halt | failed),
            bad.eq(self._is_bad(command, bits)),
        ]
        m.d.sync += self.error.eq(error)
        allowed = self._allowed(m)
        m.d.comb += self.busy.eq(1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += [
                    self.busy.eq(0),
                    self.start.eq(~self.halt & allowed),
                ]
                if config.prefetch:
                    m.d.comb += self.i.ready.eq(self.start)
                    m.d.sync += bits.eq(self.i.payload)
                with m.If(self.start):
                    m.next = "DECODE"
            with m.State("DECODE"):
                m.d.comb += pack.start.eq(1)
                m.d.sync += [
                    status.eq(Mux(bad, Status.BAD_COMMAND, Status.IDLE)),
                    row_beats.eq(row_beats_of(config, command.width)),
                ]
                m.next = "LAUNCH"
            with m.State("LAUNCH"):
                with m.If(status != Status.IDLE):
                    m.d.comb += error.eq(1)
                    m.d.sync += failed.eq(1)
                    m.next = "FAILED"
                with m.Else():
                    m.d.comb += writer.i.valid.eq(1)
                    m.next = "RUN"
            with m.State("RUN"):
                with m.If(writer.error):
                    m.d.comb += error.eq(1)
                    m.d.sync += [failed.eq(1), status.eq(Status.WRITE_ERROR)]
                    m.next = "FAILED"
                with m.Elif(writer.complete):
                    m.next = "DONE"
            with m.State("DONE"):
                m.d.comb += self.done.eq(1)
                if not config.prefetch:
                    m.d.comb += self.i.ready.eq(1)
                m.next = "IDLE"
            with m.State("FAILED"):
                pass
        return m

    def _describe(self, m, command, writer, pack, row_beats):
        """Tell the writer where the bytes go, and the packer which words they come from."""
        m.d.comb += [
            writer.i.payload.address.eq(command.address + Cat(Const(0, 12), self.base[12:])),
            writer.i.payload.groups.eq(command.groups),
            writer.i.payload.stride.eq(command.group_stride),
            writer.i.payload.height.eq(command.height),
            writer.i.payload.row_beats.eq(row_beats),
            pack.base.eq(command.base),
            pack.height.eq(command.height),
            pack.width.eq(command.width),
            pack.out_data.eq(self.out_data),
            self.out_addr.eq(pack.out_addr),
            self.out_enable.eq(pack.out_enable),
        ]

    def _is_bad(self, command, bits):
        """Return whether the command says what none may say."""
        config = self._config
        beat_log2 = config.bus_bytes.bit_length() - 1
        return (
            (command.opcode != Store.OPCODE)
            | (reserved(bits, [Store])[Store] if config.prefetch else 0)
            | command.address[:beat_log2].any()
            | command.address[config.addr_width :].any()
            | command.group_stride[:beat_log2].any()
            | outside(store_count_width(config), command.groups, command.height, command.width)
        )

    def _allowed(self, m):
        """Return whether the command in ``i`` waits for nothing, as of the cycle before."""
        head = command_view(Store, self.i.payload)
        allowed = Signal()
        m.d.sync += allowed.eq(
            self.i.valid
            & ~self.start
            & ~self.i.ready
            & reached(self.done_load, head.wait_load)
            & reached(self.done_compute, head.wait_compute)
        )
        return allowed
