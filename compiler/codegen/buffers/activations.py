"""Where the rings of one group after another lie in the activation buffer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.windows import Operand
from tilewright.compiler.schedule.plan.columns import Strip
from tilewright.compiler.schedule.plan.rings import room


@dataclass
class ActivationBuffer:
    """Gives groups room in turns.

    Parameters
    ----------
    depth : int, lane words
    groups : channel groups of each value
    """

    depth: int
    groups: Mapping[str, int]
    rings: dict[str, Ring] = field(default_factory=dict)
    _strip: Strip = field(default_factory=lambda: Strip({}, {}))
    _next: int = 0

    def place(self, rings: Mapping[str, Ring], strip: Strip) -> None:
        """Give values on chip their room, behind that of what was before if it fits there.

        ``strip`` : the columns that their rows have.
        """
        self._strip = strip
        total = room(rings)
        if self._next + total > self.depth:
            self._next = 0
        self.rings = {
            value: replace(ring, base=self._next + ring.base) for value, ring in rings.items()
        }
        self._next += total

    def reserve(self, words: int) -> int:
        """Return the first lane word of room, behind that of the group before if it fits there."""
        if self._next + words > self.depth:
            self._next = 0
        self._next += words
        return self._next - words

    def stored(self, operand: Operand, first: int, count: int) -> Iterator[tuple[str, int, int]]:
        """Yield the values that have channel groups of an operand, the first of each, how many."""
        at, end = operand.first + first, operand.first + first + count
        before = 0
        for part in operand.parts:
            low, high = max(at, before), min(end, before + self.groups[part])
            if low < high:
                yield part, low - before, high - low
            before += self.groups[part]

    def origin(self, value: str) -> int:
        """Return the column with which rows of a value begin."""
        return self._strip.origins[value]

    def held(self, values: Sequence[str]) -> tuple[int, int]:
        """Return the columns that rows of values all have, from that with which all begin."""
        return self.origin(values[0]), min(self._strip.columns[value][1] for value in values)

    def operands(self, operands: Sequence[Operand]) -> list[Ring]:
        """Return the parts of each operand, which lie one behind the other, as one ring."""
        return [self._operand(operand) for operand in operands]

    def _operand(self, operand: Operand) -> Ring:
        before = -operand.first
        for part in operand.parts:
            ring = self.rings[part]
            if ring.groups:
                break
            before += self.groups[part]
        groups = sum(self.rings[part].groups for part in operand.parts)
        # Counted over the operand, its first channel group may not be on chip.
        first = before + ring.first
        return replace(ring, base=ring.base - first * ring.words, first=0, groups=first + groups)
