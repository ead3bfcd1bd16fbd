"""Signals as they were some cycles ago."""

from amaranth.hdl import Signal

__all__ = ["delayed"]


def delayed(m, value, cycles):
    """Return a value of so many cycles before, as a signal of the domain ``sync``."""
    for _ in range(cycles):
        later = Signal(len(value))
        m.d.sync += later.eq(value)
        value = later
    return value
