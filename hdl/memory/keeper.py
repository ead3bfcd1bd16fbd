"""Keeping the chip alive: initialization and refreshes."""

from amaranth.hdl import Const, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.memory.pins import Command

__all__ = ["Keeper"]


class Keeper(wiring.Component):
    """Initialize the chip, and refresh it when it is time.

    Parameters
    ----------
    geometry : Geometry
    cycles : SDRAMCycles
    power_up : int, cycles before the first command

    Members
    -------
    align : In(1)             pulse: a refresh is due, and the next one a period later
    idle : In(1)              nothing is moved or opened, and every bank may be closed
    may_choose : Out(1)       a piece may be chosen: no refresh is due
    ready : Out(1)            the chip has been initialized
    busy : Out(1)             ``command`` and ``a`` have the pins
    close_all : Out(1)        pulse
    command : Out(3), a : Out

    Timing
    ------
    PRECHARGE comes in the cycle after the chip is idle, REFRESH ``tRP`` cycles later, and the next
    piece may be chosen ``tRFC + 1`` cycles after that.
    """

    POWER_UP_REFRESHES = 8

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
        """Build the netlist."""
        m = Module()
        cycles = self._cycles
        until = Signal(range(cycles.refresh), init=cycles.refresh - 1)
        due = Signal()
        wait = Signal(range(max(self._power_up, cycles.rfc + 1)), init=self._power_up - 1)
        left = Signal(range(self.POWER_UP_REFRESHES + 1))
        m.d.comb += [
            self.busy.eq(1),
            self.command.eq(Command.NOP),
            self.a.eq(1 << 10),  # of PRECHARGE: all banks
        ]
        with m.If(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.FSM(init="POWER UP"):
            with m.State("POWER UP"):
                m.d.sync += left.eq(self.POWER_UP_REFRESHES)
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
