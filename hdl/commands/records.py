"""Command layouts for hardware, derived from the ISA's fields."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from tilewright.isa import Command, EngineConfig
from tilewright.isa.images import IMAGE_FIELDS
from tilewright.isa.wide import WIDE_FIELDS

__all__ = ["command_layout"]


def command_layout(command: type[Command], config: EngineConfig | None = None) -> data.StructLayout:
    """Return the bit layout of a command, ``opcode`` first, as it lies in memory.

    ``config``: with the options of this engine.
    """
    members = {"opcode": unsigned(8)}
    options = command.OPTIONS if config is not None and config.compute_options else ()
    if config is not None and not config.stacked_images:
        left_out = () if config.wide_maps else WIDE_FIELDS
        options = [field for field in options if field.name not in (*IMAGE_FIELDS, *left_out)]
    for field in (*command.FIELDS, *options):
        members[field.name] = signed(field.width) if field.signed else unsigned(field.width)
    return data.StructLayout(members)
