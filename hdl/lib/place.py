"""What of the array's rows a hard block works for: hdl says it, the floorplan keeps it together."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ATTRIBUTE", "Place"]

#: Of an instance or a memory, in RTLIL.
ATTRIBUTE = "tilewright_place"


@dataclass(frozen=True)
class Place:
    """Part ``part`` of ``parts`` that are beside each other, as the rows of the array are.

    Parameters
    ----------
    part : int, 0..parts - 1
    parts : int, at least 1
    rank : int; among those with the same share of the whole, the least comes first
    """

    part: int
    parts: int
    rank: int

    @property
    def share(self) -> float:
        """How far along the rows of the array it is, from 0 to below 1."""
        return self.part / self.parts

    @property
    def attributes(self) -> dict[str, str]:
        """Attributes of what belongs here."""
        return {ATTRIBUTE: f"{self.part} {self.parts} {self.rank}"}

    @classmethod
    def from_attribute(cls, text: str) -> Place:
        """Return the place that an attribute tells."""
        return cls(*map(int, text.split()))
