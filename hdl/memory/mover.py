"""Moving the words of a piece."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.memory.opener import ChosenLayout

__all__ = ["Mover"]


class Mover(wiring.Component):
    """Read or write the beats of one piece after another, whose rows are open.

    Parameters
    ----------
    geometry : Geometry
    cycles : SDRAMCycles
    pad_latency : int, cycles that registers at the pins take, there and back

    Members
    -------
    i : In(stream.Signature(ChosenLayout))   taken with the last command of the piece before
    busy, column, writes : Out(1)   there is a piece; a command for a beat in this cycle; it writes
    takes : Out(1)            the command writes: ``write_data`` is taken
    bank : Out(2), a : Out    of that command
    confirm : Out(1)          pulse: the last beat of a burst is written
    write_data, write_strobe : In   the next beat to be written
    read_valid, read_last : Out(1), read_data : Out   a beat that was read
    dq_o, dq_oe, dqm : Out, dq_i : In   for the pins

    Timing
    ------
    The first command comes in the cycle after the piece was taken, later ones every ``words``
    cycles. A write comes ``words + CL + 1`` cycles after a read, a read ``words`` cycles after a
    write. A beat is there ``1 + CL + words + pad_latency`` cycles after its command.
    """

    def __init__(self, geometry, cycles, pad_latency):
        self._geometry = geometry
        self._cycles = cycles
        self._pad_latency = pad_latency
        chip = geometry.chip
        super().__init__(
            {
                "i": In(stream.Signature(ChosenLayout(geometry))),
                "busy": Out(1),
                "column": Out(1),
                "writes": Out(1),
                "takes": Out(1),
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
        """Build the netlist."""
        m = Module()
        words, cycles = self._geometry.words, self._cycles
        left, final = Signal(range(self._geometry.piece_beats + 1)), Signal()
        last = Signal()  # piece of its burst
        # Cycles until the next beat may be read or written.
        read_wait = Signal(range(words + 2))
        write_wait = Signal(range(words + cycles.cl + 2))
        # Whether a command comes in the next cycle, decided in this one: never two, one after the
        # other, so that a piece taken with a command cannot have one yet.
        piece, comes = Mux(self.busy, self.writes, self.i.payload.writes), Signal()
        m.d.comb += [
            comes.eq(
                ~self.column
                & (self.busy | self.i.valid)
                & Mux(piece, write_wait <= 1, read_wait <= 1)
            ),
            self.i.ready.eq(~self.busy | (self.column & final)),
            self.confirm.eq(self.takes & final & last),
        ]
        m.d.sync += [self.column.eq(comes), self.takes.eq(comes & piece)]
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
        m.d.sync += [
            self.dq_o.eq(rest[:width]),
            rest.eq(Cat(rest[width:], rest[-width:])),  # what comes last means nothing
            self.dqm.eq(masks[:lanes]),
            masks.eq(masks >> lanes),
            self.dq_oe.eq(more[0]),
            more.eq(more >> 1),
        ]
        with m.If(self.takes):
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
