"""Opening the row of the next piece."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.memory.banks import Banks
from tilewright.hdl.memory.pieces import PieceLayout
from tilewright.hdl.memory.pins import Command

__all__ = ["ChosenLayout", "Opener"]


class ChosenLayout(data.StructLayout):
    """A piece, and whether it is written."""

    def __init__(self, geometry):
        super().__init__({"piece": PieceLayout(geometry), "writes": 1})


class Opener(wiring.Component):
    """Open the row of the next piece, closing another one where need be.

    Parameters
    ----------
    geometry : Geometry
    cycles : SDRAMCycles

    Members
    -------
    i : In(stream.Signature(ChosenLayout)), o : Out(the same); offered when the row is open
    enable : In(1)            the pins are free for a command in this cycle
    moving : In(1), moving_bank : In(2)   words of this bank are moved: its row stays open
    idle : Out(1)             there is no piece
    command : Out(3), a : Out, bank : Out(2)   for the pins

    Timing
    ------
    Piece taken in cycle t: offered at ``t + 2`` where its row is open. Otherwise PRECHARGE at
    ``t + 2`` at the earliest, if another row is open, then ACTIVE, and offered
    ``max(1, tRCD - 1)`` cycles later.
    """

    def __init__(self, geometry, cycles):
        self._geometry = geometry
        self._cycles = cycles
        layout = ChosenLayout(geometry)
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
        """Build the netlist."""
        m = Module()
        m.submodules.banks = banks = self.banks
        cycles = self._cycles
        chosen = self.o.payload
        wait = Signal(range(max(cycles.rp, cycles.rcd)))
        mine = Signal(4)  # the chosen piece's bank, as one of four bits
        m.d.comb += [
            banks.mine.eq(mine),
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
                m.d.sync += [chosen.eq(self.i.payload), mine.eq(1 << self.i.payload.piece.bank)]
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
