"""The command of the store unit."""

from __future__ import annotations

from tilewright.isa.commands.base import Command, Unit, command
from tilewright.isa.fields import bits


@command
class Store(Command):
    """Write ``groups`` x ``height`` x ``width`` pixel words from the output buffer to memory.

    They are read in order from ``base``, wrapping at the buffer's end; rows follow one another in
    memory, each padded with zeros to whole bus beats.
    """

    UNIT = Unit.STORE
    OPCODE = 1

    wait_load: int = bits(
        16, "load commands to be complete before this one starts (mod 2**16)", default=0
    )
    wait_compute: int = bits(16, "compute commands to be complete first (mod 2**16)", default=0)
    address: int = bits(32, "byte offset from the base register, a multiple of the bus width")
    groups: int = bits(16, "channel groups of `rows` channels")
    group_stride: int = bits(32, "bytes from one group to the next")
    height: int = bits(16, "rows per group")
    width: int = bits(16, "pixels per row")
    base: int = bits(16, "first pixel word in the output buffer")
