"""Command layouts for hardware, derived from the ISA's fields."""

from amaranth.hdl import signed, unsigned
from amaranth.lib import data

from tilewright.isa import Command, EngineConfig
from tilewright.isa.halves import SPLIT_FIELDS
from tilewright.isa.images import IMAGE_FIELDS
from tilewright.isa.wide import WIDE_FIELDS

__all__ = ["command_layout"]


def command_layout(command: type[Command], config: EngineConfig | None = None) -> data.StructLayout:
    """Return the bit layout of a command, ``opcode`` first, as it lies in memory.

    ``config``: with the options of this engine.
    """
    members = {"opcode": unsigned(8)}
    options = command.OPTIONS if config is not None and config.compute_options else ()
    if config is not None:
        left_out: tuple[str, ...] = ()
        for names, has in (  # those that lie behind all that the engine has
            (SPLIT_FIELDS, config.split_columns),
            (IMAGE_FIELDS, config.stacked_images),
            (WIDE_FIELDS, config.wide_maps),
        ):
            if has:
                break
            left_out += names
        options = [field for field in options if field.name not in left_out]
    for field in (*command.FIELDS, *options):
        members[field.name] = signed(field.width) if field.signed else unsigned(field.width)
    return data.StructLayout(members)
