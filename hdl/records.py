"""Command layouts for hardware, derived from the ISA's fields."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from tilewright.compiler.isa import Command

__all__ = ["command_layout"]


def command_layout(command: type[Command]) -> data.StructLayout:
    """Return the bit layout of a command, ``opcode`` first, as it lies in memory."""
    members = {"opcode": unsigned(8)}
    for field in command.FIELDS:
        members[field.name] = signed(field.width) if field.signed else unsigned(field.width)
    return data.StructLayout(members)
