"""Which rows are open, and from when on they may be closed."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.memory.chip import SDRAMCycles
from tilewright.hdl.memory.pieces import Geometry

__all__ = ["Banks"]


class Banks(wiring.Component):
    """The state of a chip's four banks.

    Parameters
    ----------
    geometry : Geometry
    cycles : SDRAMCycles

    Members
    -------
    mine : In(4), row : In(row_width)   what the next piece needs: one of the banks, and a row
    hit : Out(1)              its row is open
    occupied : Out(1)         another row of its bank is open
    closable : Out(1)         its bank may be closed in this cycle
    quiet : Out(1)            every bank may be closed in this cycle
    open : In(1), close : In(1)   pulse: the next piece's row is opened, its bank is closed
    close_all : In(1)
    read : In(1), write : In(1), column_bank : In(2)   pulse: a beat is read or written

    Timing
    ------
    Pulses are seen from the next cycle on. After ``open`` a bank may be closed
    ``max(tRAS, tRC - tRP)`` cycles later, so that its next ``open`` is never too early, after
    ``read`` ``words`` cycles later, after ``write`` ``words - 1 + tWR`` cycles later.
    """

    def __init__(self, geometry, cycles):
        self._geometry = geometry
        self._cycles = cycles
        super().__init__(
            {
                "mine": In(4),
                "row": In(geometry.chip.row_width),
                "hit": Out(1),
                "occupied": Out(1),
                "closable": Out(1),
                "quiet": Out(1),
                "open": In(1),
                "close": In(1),
                "close_all": In(1),
                "read": In(1),
                "write": In(1),
                "column_bank": In(2),
            }
        )

    @staticmethod
    def close_after(geometry: Geometry, cycles: SDRAMCycles) -> tuple[int, int, int]:
        """Return the cycles from ``open``, ``read`` and ``write`` until a bank may be closed."""
        words = geometry.words
        return max(cycles.ras, cycles.rc - cycles.rp), words, words - 1 + cycles.wr

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        after_open, after_read, after_write = self.close_after(self._geometry, self._cycles)
        # Compared side by side: to choose among rows first takes longer.
        same, is_open, closable = [], [], []
        for b in range(4):
            row = Signal(self._geometry.chip.row_width, name=f"row_{b}", reset_less=True)
            opened = Signal(name=f"open_{b}")
            wait = Signal(range(max(after_open, after_write)), name=f"wait_{b}")
            free = Signal(init=1, name=f"closable_{b}")  # wait == 0, from a register
            mine, column = self.mine[b], Signal(name=f"column_{b}")
            equal = Signal(name=f"equal_{b}")
            least = Mux(self.write, after_write - 1, after_read - 1)
            m.d.comb += [
                equal.eq(row == self.row),
                column.eq((self.read | self.write) & (self.column_bank == b)),
            ]
            with m.If(wait != 0):
                m.d.sync += [wait.eq(wait - 1), free.eq(wait == 1)]
            with m.If(column & (wait <= least)):
                m.d.sync += [wait.eq(least), free.eq(0)]
            with m.If(self.open & mine):
                m.d.sync += [
                    wait.eq(after_open - 1),
                    free.eq(0),
                    row.eq(self.row),
                    opened.eq(1),
                ]
            with m.If(self.close_all | (self.close & mine)):
                m.d.sync += opened.eq(0)
            same.append(equal)
            is_open.append(opened)
            closable.append(free)
        occupied = self.mine & Cat(is_open)
        m.d.comb += [
            self.hit.eq((occupied & Cat(same)).any()),
            self.occupied.eq((occupied & ~Cat(same)).any()),
            self.closable.eq((self.mine & Cat(closable)).any()),
            self.quiet.eq(Cat(closable).all()),
        ]
        return m
