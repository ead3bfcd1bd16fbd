"""Named bit fields: declared once, packed with overflow checks, and back."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from functools import cached_property
from typing import Any

from tilewright.errors import Error


class EncodeError(Error):
    """A value does not fit its field."""


@dataclass(frozen=True)
class Field:
    """One field of a command: ``width`` bits, two's complement if ``signed``."""

    name: str
    width: int
    doc: str
    signed: bool = False

    @cached_property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value."""
        if self.signed:
            return -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        return 0, (1 << self.width) - 1

    def encode(self, value: int, where: str) -> int:
        """Return the field's bits, or raise :class:`EncodeError` naming ``where``."""
        low, high = self.range
        if not low <= value <= high:
            raise EncodeError(f"{where}.{self.name} must be in {low}..{high}, not {value}")
        return value & ((1 << self.width) - 1)

    def decode(self, bits: int) -> int:
        """Return the value of the field's bits."""
        bits &= (1 << self.width) - 1
        if self.signed and bits >> (self.width - 1):
            return bits - (1 << self.width)
        return bits


def bits(
    width: int,
    doc: str,
    *,
    signed: bool = False,
    option: bool = False,
    default: int | None = None,
) -> Any:
    """Declare a field of a frozen dataclass that is packed into bits, in the order of declaration.

    Parameters
    ----------
    width : int, bits
    doc : what it says, for people
    signed : two's complement
    option : only some engines have it
    default : of the constructor's argument; None: it must be given
    """
    metadata = {"bits": (width, doc, signed, option)}
    return field(default=MISSING if default is None else default, metadata=metadata)


def declared(kind: type, *, option: bool = False) -> tuple[Field, ...]:
    """Return the layout that a dataclass declares by :func:`bits`: its options, or the others."""
    found = [(item.name, item.metadata["bits"]) for item in fields(kind)]
    return tuple(
        Field(name, width, doc, signed)
        for name, (width, doc, signed, optional) in found
        if optional is option
    )


def pack(layout: tuple[Field, ...], values: dict[str, int], where: str) -> int:
    """Pack ``values`` into one integer, first field in the least significant bits."""
    word, offset = 0, 0
    for part in layout:
        word |= part.encode(values[part.name], where) << offset
        offset += part.width
    return word


def unpack(layout: tuple[Field, ...], word: int) -> dict[str, int]:
    """Return the fields of a packed integer."""
    values, offset = {}, 0
    for part in layout:
        values[part.name] = part.decode(word >> offset)
        offset += part.width
    return values
