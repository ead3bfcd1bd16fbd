"""What all commands share: units, fields, waits."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar, TypeVar, dataclass_transform

from tilewright.isa.fields import Field, bits, declared

ISA_VERSION = 6

T = TypeVar("T")


class Unit(enum.IntEnum):
    """The units, each with its own command stream; the value is the number used in commands."""

    LOAD = 0
    COMPUTE = 1
    STORE = 2

    @property
    def least_bytes(self) -> int:
        """Bytes of one command of this unit without options; see ``EngineConfig.command_bytes``."""
        return 64 if self is Unit.COMPUTE else 32


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(bits,))
def command(kind: type[T]) -> type[T]:
    """Make a frozen dataclass of a kind of command, whose layout is the order of its fields."""
    made = dataclass(frozen=True, kw_only=True)(kind)
    made.FIELDS = declared(made, option=False)  # type: ignore[attr-defined]
    made.OPTIONS = declared(made, option=True)  # type: ignore[attr-defined]
    return made


Kind = TypeVar("Kind", bound="Command")


def changed(before: Kind, **fields: int) -> Kind:
    """Return a command with other values of some fields.

    As ``dataclasses.replace``, which takes ten times as long: programs have many commands.
    """
    made = object.__new__(type(before))
    made.__dict__.update(before.__dict__, **fields)
    return made


@command
class Command:
    """Base of all commands.

    ``FIELDS``, in the order of their declaration, are the layout; ``OPTIONS`` follow in engines
    that have them: what they say is zero in all others. ``layer`` is not seen by the engine: it
    says which layer of the network a command works for.
    """

    UNIT: ClassVar[Unit]
    OPCODE: ClassVar[int]
    FIELDS: ClassVar[tuple[Field, ...]]
    OPTIONS: ClassVar[tuple[Field, ...]]

    layer: int = bits(
        12, "layer of the network that this command works for; profiling only", default=0
    )
