"""The commands of the three units.

A program is three command streams, one per unit (load, compute, store). A unit runs its stream in
order; a command waits until the other units have completed as many commands as it names, so a
command can only depend on earlier ones. The load unit also fetches the commands of all three
(:class:`Fetch`), which makes command traffic part of the schedule, and its timing exact.

Encoding: opcode in the low byte, fields above it from the least significant bit, little-endian in
memory, zero up to the unit's command size.

Files: ``base`` (what all share), ``load``, ``compute``, ``deform``, ``store``.
"""

from __future__ import annotations

from tilewright.errors import Error
from tilewright.isa.commands.base import ISA_VERSION, Command, Unit, changed
from tilewright.isa.commands.compute import Compute
from tilewright.isa.commands.deform import Deform
from tilewright.isa.commands.load import (
    Check,
    End,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
)
from tilewright.isa.commands.store import Store
from tilewright.isa.fields import EncodeError, Field, pack, unpack

__all__ = [
    "COMMANDS", "ISA_VERSION", "Check", "Command", "Compute", "DecodeError", "Deform", "End",
    "Fetch", "LoadActivations", "LoadKernelSteps", "LoadKernels", "LoadOffsets", "LoadTable",
    "LoadWeights", "Store", "Unit", "changed", "decode", "disassemble", "encode",
]  # fmt: skip


class DecodeError(Error):
    """Bytes that are not a command."""


COMMANDS: tuple[type[Command], ...] = (
    Check,
    Fetch,
    LoadActivations,
    LoadWeights,
    LoadTable,
    LoadOffsets,
    LoadKernelSteps,
    LoadKernels,
    End,
    Compute,
    Deform,
    Store,
)
_OPCODE = Field("opcode", 8, "what the command does")


def encode(command: Command, size: int | None = None) -> bytes:
    """Return a command's bytes, ``size`` of them: what ``EngineConfig.command_bytes`` says.

    Raises
    ------
    EncodeError
        If a value does not fit its field, or the command uses an option that ``size`` leaves out.
    """
    if size is None:
        size = command.UNIT.least_bytes
    values = {name: int(value) for name, value in vars(command).items()}
    word = pack((*command.FIELDS, *command.OPTIONS), values, type(command).__name__)
    word = word << _OPCODE.width | command.OPCODE
    if word >> (8 * size):
        raise EncodeError(f"{type(command).__name__} uses options that the engine does not have")
    return word.to_bytes(size, "little")


def decode(unit: Unit, data: bytes, *, spare: bool = False) -> Command:
    """Return the command that ``data`` holds.

    ``spare``: take no notice of bits above the fields, as engines without ``prefetch``.

    Raises
    ------
    DecodeError
        If the opcode or a bit that must be zero is wrong.
    """
    if len(data) < unit.least_bytes:
        raise DecodeError(f"a {unit.name} command has {unit.least_bytes} bytes, not {len(data)}")
    word = int.from_bytes(data, "little")
    for kind in COMMANDS:
        if kind.UNIT is unit and kind.OPCODE == word & 0xFF:
            fields = (*kind.FIELDS, *kind.OPTIONS)
            used = _OPCODE.width + sum(field.width for field in fields)
            if word >> used and not spare:
                raise DecodeError(f"{kind.__name__}: bits above {used} must be zero")
            return kind(**unpack(fields, word >> _OPCODE.width))
    raise DecodeError(f"{unit.name} has no opcode {word & 0xFF}")


def disassemble(command: Command) -> str:
    """Return a command as one readable line."""
    options = [field for field in command.OPTIONS if getattr(command, field.name)]
    values = " ".join(f"{f.name}={getattr(command, f.name)}" for f in (*command.FIELDS, *options))
    return f"{command.UNIT.name.lower()}.{type(command).__name__} {values}"
