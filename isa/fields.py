"""Named bit fields: packing with overflow checks, and back."""

from __future__ import annotations

from dataclasses import dataclass

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

    @property
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


def pack(fields: tuple[Field, ...], values: dict[str, int], where: str) -> int:
    """Pack ``values`` into one integer, first field in the least significant bits."""
    word, offset = 0, 0
    for field in fields:
        word |= field.encode(values[field.name], where) << offset
        offset += field.width
    return word


def unpack(fields: tuple[Field, ...], word: int) -> dict[str, int]:
    """Return the fields of a packed integer."""
    values, offset = {}, 0
    for field in fields:
        values[field.name] = field.decode(word >> offset)
        offset += field.width
    return values
