"""Asynchronous serial: eight data bits, no parity, one stop bit."""

from amaranth.hdl import Cat, Const, Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

__all__ = ["UARTReceiver", "UARTTransmitter"]


class UARTReceiver(wiring.Component):
    """Receive bytes.

    Parameters
    ----------
    divisor : int, clock cycles per bit, at least 4

    Members
    -------
    rx : In(1); the line, high when idle
    o : Out(stream of bytes); a byte that is not taken before the next one ends is lost
    """

    def __init__(self, *, divisor):
        if divisor < 4:
            raise ValueError(f"divisor must be at least 4, not {divisor!r}")
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(unsigned(8)))})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        rx = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, rx, init=1)
        wait, bits = Signal(range(2 * self._divisor)), Signal(range(10))
        shift = Signal(8)
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(bits == 0):
            with m.If(~rx):  # the first sample is in the middle of the first data bit
                m.d.sync += [bits.eq(9), wait.eq(self._divisor + self._divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [bits.eq(bits - 1), wait.eq(self._divisor - 1)]
            with m.If(bits == 1):
                m.d.sync += [self.o.valid.eq(rx), self.o.payload.eq(shift)]
            with m.Else():
                m.d.sync += shift.eq(Cat(shift[1:], rx))
        return m


class UARTTransmitter(wiring.Component):
    """Send bytes.

    Parameters
    ----------
    divisor : int, clock cycles per bit, at least 4

    Members
    -------
    i : In(stream of bytes)
    tx : Out(1); the line, high when idle
    """

    def __init__(self, *, divisor):
        if divisor < 4:
            raise ValueError(f"divisor must be at least 4, not {divisor!r}")
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(unsigned(8))), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        wait, bits = Signal(range(self._divisor)), Signal(range(11))
        shift = Signal(9, init=0x1FF)
        m.d.comb += [self.i.ready.eq(bits == 0), self.tx.eq(shift[0])]
        with m.If(bits == 0):
            with m.If(self.i.valid):
                m.d.sync += [
                    shift.eq(Cat(Const(0, 1), self.i.payload)),
                    bits.eq(10),
                    wait.eq(self._divisor - 1),
                ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [
                shift.eq(Cat(shift[1:], Const(1, 1))),
                bits.eq(bits - 1),
                wait.eq(self._divisor - 1),
            ]
        return m
