"""A controller for SDR SDRAM behind AXI4."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.memory.keeper import Keeper
from tilewright.hdl.memory.mover import Mover
from tilewright.hdl.memory.opener import Opener
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pieces import Pieces
from tilewright.hdl.memory.pins import Command, SDRAMPins

__all__ = ["SDRAMController"]


class SDRAMController(wiring.Component):
    """Serve reads and writes in turn, each in order, with the next row opened meanwhile.

    A refresh is due every ``cycles.refresh`` cycles; it begins when the pieces that were chosen
    before are done. Refreshes start anew with ``align``, so that a run's cycles do not depend on
    when it began.

    Parameters
    ----------
    parameters : SDRAMParameters
    power_up_us : float or None, instead of the chip's own; for simulation

    Members
    -------
    axi : In(AXI4(data_width))   incrementing bursts; addresses wrap at the size of the chip
    pins : Out(SDRAMPins)
    align : In(1)                pulse, while nothing is in flight: a refresh is due now
    ready : Out(1)               the chip has been initialized

    Timing
    ------
    Stated to the cycle by :mod:`tilewright.sim.timing.memory.sdram`.
    """

    def __init__(self, parameters: SDRAMParameters, *, power_up_us: float | None = None) -> None:
        self._parameters = parameters
        self._geometry = parameters.geometry
        self._cycles = parameters.cycles
        self._buffer_beats = parameters.buffer_beats
        self._power_up = self._cycles.power_up
        if power_up_us is not None:
            self._power_up = max(1, round(power_up_us * parameters.clock_mhz))
        data_width = parameters.data_width
        super().__init__(
            {
                "axi": In(AXI4(data_width=data_width)),
                "pins": Out(SDRAMPins(parameters.chip)),
                "align": In(1),
                "ready": Out(1),
            }
        )

    @property
    def parameters(self) -> SDRAMParameters:
        """What was given."""
        return self._parameters

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        g = self._geometry
        axi = self.axi
        m.submodules.reads = reads = Pieces(g)
        m.submodules.writes = writes = Pieces(g)
        m.submodules.mover = mover = Mover(g, self._cycles, self._parameters.pad_latency)
        m.submodules.opener = opener = Opener(g, self._cycles)
        m.submodules.keeper = keeper = Keeper(g, self._cycles, self._power_up)
        m.submodules.read_beats = read_beats = SyncFIFOBuffered(
            width=g.data_width + 1, depth=self._buffer_beats
        )
        m.submodules.write_beats = write_beats = SyncFIFOBuffered(
            width=g.data_width + g.data_width // 8, depth=self._buffer_beats
        )
        m.d.comb += [
            reads.i.valid.eq(axi.arvalid),
            reads.i.payload.address.eq(axi.araddr),
            reads.i.payload.len.eq(axi.arlen),
            axi.arready.eq(reads.i.ready),
            writes.i.valid.eq(axi.awvalid),
            writes.i.payload.address.eq(axi.awaddr),
            writes.i.payload.len.eq(axi.awlen),
            axi.awready.eq(writes.i.ready),
        ]
        self._choose(m, reads, writes, opener, keeper)
        wiring.connect(m, opener.o, mover.i)
        self._beats(m, mover, read_beats, write_beats)

        # A column command has the pins first, what opens rows next.
        m.d.comb += [
            opener.banks.read.eq(mover.column & ~mover.writes),
            opener.banks.write.eq(mover.takes),
            opener.banks.column_bank.eq(mover.bank),
            opener.moving.eq(mover.busy),
            opener.moving_bank.eq(mover.bank),
            opener.enable.eq(~mover.column),
            opener.banks.close_all.eq(keeper.close_all),
            keeper.idle.eq(opener.idle & ~mover.busy & opener.banks.quiet),
            keeper.align.eq(self.align),
            self.ready.eq(keeper.ready),
        ]
        pins = self.pins
        command = Signal(3, init=Command.NOP)
        m.d.comb += [
            pins.cke.eq(1),
            Cat(pins.we_n, pins.cas_n, pins.ras_n).eq(command),
            pins.dq_o.eq(mover.dq_o),
            pins.dq_oe.eq(mover.dq_oe),
            pins.dqm.eq(mover.dqm),
            mover.dq_i.eq(pins.dq_i),
        ]
        m.d.sync += [command.eq(Command.NOP), pins.a.eq(opener.a), pins.ba.eq(opener.bank)]
        with m.If(keeper.busy):
            m.d.sync += [command.eq(keeper.command), pins.a.eq(keeper.a), pins.ba.eq(0)]
        with m.Elif(mover.column):
            m.d.sync += [
                command.eq(Mux(mover.writes, Command.WRITE, Command.READ)),
                pins.a.eq(mover.a),
                pins.ba.eq(mover.bank),
            ]
        with m.Else():
            m.d.sync += command.eq(opener.command)
        return m

    def _choose(self, m, reads, writes, opener, keeper):
        """Take the next piece: of a read whose beats have room, or of a write whose beats wait."""
        depth = self._buffer_beats
        room = Signal(range(depth + 1), init=depth)  # of the read buffer, less what was chosen
        waiting = Signal(range(depth + 1))  # written beats that no chosen piece counts on
        taken, given = Signal(), Signal()
        may_read, may_write, read, write = Signal(), Signal(), Signal(), Signal()
        write_next = Signal()
        piece = opener.i.payload
        m.d.comb += [
            taken.eq(self.axi.rvalid & self.axi.rready),
            given.eq(self.axi.wvalid & self.axi.wready),
            write.eq(may_write & (write_next | ~may_read)),
            opener.i.valid.eq((may_read | may_write) & keeper.may_choose),
            piece.writes.eq(write),
            piece.piece.eq(Mux(write, writes.o.payload, reads.o.payload)),
            read.eq(may_read & ~write),
            reads.o.ready.eq(read & opener.i.ready & keeper.may_choose),
            writes.o.ready.eq(write & opener.i.ready & keeper.may_choose),
        ]
        # Of the cycle before: after a choice, the next one is further away than that.
        m.d.sync += [
            may_read.eq(reads.o.valid & (reads.o.payload.beats <= room)),
            may_write.eq(writes.o.valid & (writes.o.payload.beats <= waiting)),
            room.eq(room + taken - Mux(reads.o.ready, reads.o.payload.beats, 0)),
            waiting.eq(waiting + given - Mux(writes.o.ready, writes.o.payload.beats, 0)),
        ]
        with m.If(opener.i.valid & opener.i.ready):
            m.d.sync += write_next.eq(read)
        with m.If(self.align):
            m.d.sync += write_next.eq(0)

    def _beats(self, m, mover, read_beats, write_beats):
        """Connect the buffers of beats to the bus and to what moves them."""
        axi = self.axi
        confirmed = Signal(range(2 * self._buffer_beats + 2))  # writes to be answered
        confirm = Signal()  # of the cycle before: a count is too much behind the mover's choice
        held = Signal(range(self._buffer_beats + 1))  # beats given whose command is to come
        # Block RAM is slow to show what it has: a register comes first. Who takes it has no part in
        # its paths.
        m.submodules.shown = shown = SkidBuffer(self._geometry.data_width + 1)
        came, came_valid = Signal.like(read_beats.r_data, reset_less=True), Signal()
        # The next beat to be written, likewise.
        beat, beat_valid = Signal.like(write_beats.r_data, reset_less=True), Signal()
        # A beat that was given, before the buffer: its command comes later than that.
        given, given_valid = Signal.like(write_beats.w_data, reset_less=True), Signal()
        m.d.comb += [
            read_beats.w_en.eq(mover.read_valid),
            read_beats.w_data.eq(Cat(mover.read_data, mover.read_last)),
            shown.i.valid.eq(came_valid),
            shown.i.payload.eq(came),
            read_beats.r_en.eq(~came_valid | shown.i.ready),
            axi.rvalid.eq(shown.o.valid),
            Cat(axi.rdata, axi.rlast).eq(shown.o.payload),
            shown.o.ready.eq(axi.rready),
            axi.wready.eq(~held[-1]),
            write_beats.w_en.eq(given_valid),
            write_beats.w_data.eq(given),
            Cat(mover.write_data, mover.write_strobe).eq(beat),
            write_beats.r_en.eq(~beat_valid | mover.takes),
            axi.bvalid.eq(confirmed != 0),
        ]
        m.d.sync += [
            given.eq(Cat(axi.wdata, axi.wstrb)),
            given_valid.eq(axi.wvalid & axi.wready),
            confirm.eq(mover.confirm),
            confirmed.eq(confirmed + confirm - (axi.bvalid & axi.bready)),
            held.eq(held + (axi.wvalid & axi.wready) - mover.takes),
        ]
        with m.If(read_beats.r_en):
            m.d.sync += [came.eq(read_beats.r_data), came_valid.eq(read_beats.r_rdy)]
        with m.If(write_beats.r_en):
            m.d.sync += [beat.eq(write_beats.r_data), beat_valid.eq(write_beats.r_rdy)]
