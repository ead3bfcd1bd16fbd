"""A controller for SDR SDRAM behind AXI4."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.memory.banks import Banks
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pieces import PieceLayout, Pieces
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

    POWER_UP_REFRESHES = 8

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
        m.submodules.mover = mover = _Mover(g, self._cycles, self._parameters.pad_latency)
        m.submodules.opener = opener = _Opener(g, self._cycles)
        m.submodules.keeper = keeper = _Keeper(g, self._cycles, self._power_up)
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
            opener.banks.write.eq(mover.column & mover.writes),
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
        held = Signal(range(self._buffer_beats + 1))  # beats given whose command is to come
        # The next beat to be written, ahead of block RAM's slow output.
        beat, beat_valid = Signal.like(write_beats.r_data, reset_less=True), Signal()
        m.d.comb += [
            read_beats.w_en.eq(mover.read_valid),
            read_beats.w_data.eq(Cat(mover.read_data, mover.read_last)),
            axi.rvalid.eq(read_beats.r_rdy),
            Cat(axi.rdata, axi.rlast).eq(read_beats.r_data),
            read_beats.r_en.eq(axi.rready),
            axi.wready.eq(~held[-1]),
            write_beats.w_en.eq(axi.wvalid & axi.wready),
            write_beats.w_data.eq(Cat(axi.wdata, axi.wstrb)),
            Cat(mover.write_data, mover.write_strobe).eq(beat),
            write_beats.r_en.eq(~beat_valid | (mover.column & mover.writes)),
            axi.bvalid.eq(confirmed != 0),
        ]
        m.d.sync += [
            confirmed.eq(confirmed + mover.confirm - (axi.bvalid & axi.bready)),
            held.eq(held + (axi.wvalid & axi.wready) - (mover.column & mover.writes)),
        ]
        with m.If(write_beats.r_en):
            m.d.sync += [beat.eq(write_beats.r_data), beat_valid.eq(write_beats.r_rdy)]


class _ChosenLayout(data.StructLayout):
    def __init__(self, geometry):
        super().__init__({"piece": PieceLayout(geometry), "writes": 1})


class _Opener(wiring.Component):
    """Open the row of the next piece, closing another one where need be."""

    def __init__(self, geometry, cycles):
        self._geometry = geometry
        self._cycles = cycles
        layout = _ChosenLayout(geometry)
        self.banks = Banks(geometry, cycles)
        super().__init__(
            {
                "i": In(stream.Signature(layout)),
                "o": Out(stream.Signature(layout)),
                "enable": In(1),
                "moving": In(1),
                "moving_bank": In(2),
                "idle": Out(1),
                "command": Out(3),
                "a": Out(max(geometry.chip.row_width, 11)),
                "bank": Out(2),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.banks = banks = self.banks
        cycles = self._cycles
        chosen = self.o.payload
        wait = Signal(range(max(cycles.rp, cycles.rcd)))
        m.d.comb += [
            banks.bank.eq(chosen.piece.bank),
            banks.row.eq(chosen.piece.row),
            self.bank.eq(chosen.piece.bank),
            self.a.eq(chosen.piece.row),
            self.command.eq(Command.NOP),
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.FSM():
            with m.State("EMPTY"):
                m.d.comb += [self.i.ready.eq(1), self.idle.eq(1)]
                m.d.sync += chosen.eq(self.i.payload)
                with m.If(self.i.valid):
                    m.next = "LOOK"
            with m.State("LOOK"):
                with m.If(banks.hit):
                    m.next = "READY"
                with m.Elif(~banks.occupied):
                    m.next = "OPEN"
                with m.Elif(~(self.moving & (self.moving_bank == chosen.piece.bank))):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += self.a.eq(0)  # this bank only
                with m.If(banks.closable & self.enable):
                    m.d.comb += [self.command.eq(Command.PRECHARGE), banks.close.eq(1)]
                    m.d.sync += wait.eq(cycles.rp - 1)
                    m.next = "OPEN"
            with m.State("OPEN"):
                with m.If((wait == 0) & self.enable):
                    m.d.comb += [self.command.eq(Command.ACTIVE), banks.open.eq(1)]
                    # READY takes a cycle, and the column command comes in the next.
                    m.d.sync += wait.eq(max(cycles.rcd - 3, 0))
                    m.next = "OPENED" if cycles.rcd > 2 else "READY"
            with m.State("OPENED"):
                with m.If(wait == 0):
                    m.next = "READY"
            with m.State("READY"):
                m.d.comb += self.o.valid.eq(1)
                with m.If(self.o.ready):
                    m.next = "EMPTY"
        return m


class _Mover(wiring.Component):
    """Read or write the beats of one piece after another, whose rows are open."""

    def __init__(self, geometry, cycles, pad_latency):
        self._geometry = geometry
        self._cycles = cycles
        self._pad_latency = pad_latency
        chip = geometry.chip
        super().__init__(
            {
                "i": In(stream.Signature(_ChosenLayout(geometry))),
                "busy": Out(1),
                "column": Out(1),
                "writes": Out(1),
                "bank": Out(2),
                "a": Out(chip.column_width),
                "confirm": Out(1),
                "write_data": In(geometry.data_width),
                "write_strobe": In(geometry.data_width // 8),
                "read_valid": Out(1),
                "read_last": Out(1),
                "read_data": Out(geometry.data_width),
                "dq_o": Out(chip.data_width),
                "dq_oe": Out(1),
                "dqm": Out(chip.data_width // 8),
                "dq_i": In(chip.data_width),
            }
        )

    def elaborate(self, platform):
        m = Module()
        words, cycles = self._geometry.words, self._cycles
        left, final = Signal(range(self._geometry.piece_beats + 1)), Signal()
        last = Signal()  # piece of its burst
        # Cycles until the next beat may be read or written.
        read_wait = Signal(range(words + 2))
        write_wait = Signal(range(words + cycles.cl + 2))
        m.d.comb += [
            self.column.eq(self.busy & Mux(self.writes, write_wait == 0, read_wait == 0)),
            self.i.ready.eq(~self.busy | (self.column & final)),
            self.confirm.eq(self.column & self.writes & final & last),
        ]
        with m.If(read_wait != 0):
            m.d.sync += read_wait.eq(read_wait - 1)
        with m.If(write_wait != 0):
            m.d.sync += write_wait.eq(write_wait - 1)
        with m.If(self.column):
            m.d.sync += [
                self.a.eq(self.a + words),
                left.eq(left - 1),
                final.eq(left == 2),
                # After a read, the chip's last word and a cycle in which nobody drives come before
                # a write's first one.
                read_wait.eq(words - 1),
                write_wait.eq(Mux(self.writes, words - 1, words + cycles.cl)),
            ]
        with m.If(self.i.ready):
            piece = self.i.payload.piece
            m.d.sync += [
                self.busy.eq(self.i.valid),
                self.writes.eq(self.i.payload.writes),
                self.bank.eq(piece.bank),
                self.a.eq(piece.column),
                left.eq(piece.beats),
                final.eq(piece.beats == 1),
                last.eq(piece.last),
            ]
        self._write(m, words)
        self._read(m, words, final & last)
        return m

    def _write(self, m, words):
        """Put the words of a beat to the pins, the first with its command."""
        width, lanes = len(self.dq_o), len(self.dqm)
        rest = Signal((words - 1) * width)
        masks = Signal((words - 1) * lanes)
        more = Signal(words - 1)
        write = Signal()
        m.d.comb += write.eq(self.column & self.writes)
        m.d.sync += [
            self.dq_o.eq(rest[:width]),
            rest.eq(rest >> width),
            self.dqm.eq(masks[:lanes]),
            masks.eq(masks >> lanes),
            self.dq_oe.eq(more[0]),
            more.eq(more >> 1),
        ]
        with m.If(write):
            m.d.sync += [
                self.dq_o.eq(self.write_data[:width]),
                rest.eq(self.write_data[width:]),
                self.dqm.eq(~self.write_strobe[:lanes]),
                masks.eq(~self.write_strobe[lanes:]),
                self.dq_oe.eq(1),
                more.eq(~0),
            ]

    def _read(self, m, words, last):
        """Collect the words of a beat, which come a fixed time after its command."""
        width = len(self.dq_i)
        # From the command's register to the word's register, and the further words.
        latency = 1 + self._cycles.cl + words + self._pad_latency
        asked, lasts = Signal(latency), Signal(latency)
        shift = Signal(words * width, reset_less=True)
        m.d.sync += [
            asked.eq(Cat(self.column & ~self.writes, asked)),
            lasts.eq(Cat(last, lasts)),
            shift.eq(Cat(shift[width:], self.dq_i)),
        ]
        m.d.comb += [
            self.read_valid.eq(asked[-1]),
            self.read_last.eq(lasts[-1]),
            self.read_data.eq(shift),
        ]


class _Keeper(wiring.Component):
    """Initialize the chip, and refresh it when it is time."""

    def __init__(self, geometry, cycles, power_up):
        self._geometry = geometry
        self._cycles = cycles
        self._power_up = power_up
        super().__init__(
            {
                "align": In(1),
                "idle": In(1),
                "may_choose": Out(1),
                "ready": Out(1),
                "busy": Out(1),
                "close_all": Out(1),
                "command": Out(3),
                "a": Out(max(geometry.chip.row_width, 11)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        cycles = self._cycles
        until = Signal(range(cycles.refresh), init=cycles.refresh - 1)
        due = Signal()
        wait = Signal(range(max(self._power_up, cycles.rfc + 1)), init=self._power_up - 1)
        left = Signal(range(SDRAMController.POWER_UP_REFRESHES + 1))
        m.d.comb += [
            self.busy.eq(1),
            self.command.eq(Command.NOP),
            self.a.eq(1 << 10),  # of PRECHARGE: all banks
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.FSM(init="POWER UP"):
            with m.State("POWER UP"):
                m.d.sync += left.eq(SDRAMController.POWER_UP_REFRESHES)
                with m.If(wait == 0):
                    m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [self.command.eq(Command.PRECHARGE), self.close_all.eq(1)]
                m.d.sync += wait.eq(cycles.rp - 1)
                m.next = "REFRESH"
            with m.State("REFRESH"):
                with m.If(wait == 0):
                    m.d.comb += self.command.eq(Command.REFRESH)
                    m.d.sync += [wait.eq(cycles.rfc - 1), left.eq(left - 1), due.eq(0)]
                    m.next = "REFRESHED"
            with m.State("REFRESHED"):
                with m.If(wait == 0):
                    with m.If(left != 0):
                        m.next = "REFRESH"
                    with m.Elif(self.ready):
                        m.next = "RUN"
                    with m.Else():
                        m.next = "MODE"
            with m.State("MODE"):
                words = self._geometry.words
                # Burst length, sequential, CAS latency; bursts are written as they are read.
                mode = (words.bit_length() - 1) | cycles.cl << 4
                m.d.comb += [self.command.eq(Command.MODE), self.a.eq(Const(mode, len(self.a)))]
                m.d.sync += [wait.eq(cycles.mrd - 1), self.ready.eq(1)]
                m.next = "REFRESHED"
            with m.State("RUN"):
                m.d.comb += [self.busy.eq(0), self.may_choose.eq(~due)]
                with m.If(due & self.idle):
                    m.d.sync += left.eq(1)
                    m.next = "CLOSE"
        # Last, so that what falls due while another refresh begins is not lost.
        with m.If((until == 0) | self.align):
            m.d.sync += [until.eq(cycles.refresh - 1), due.eq(1)]
        with m.Else():
            m.d.sync += until.eq(until - 1)
        return m
