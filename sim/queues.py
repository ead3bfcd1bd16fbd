"""Commands that wait for their units: how many fit, and whether they come round again."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tilewright.isa import Fetch
from tilewright.sim.errors import ExecutionError
from tilewright.sim.fetched import Fetched

if TYPE_CHECKING:
    from tilewright.sim.events import Event

#: How often a run may come to the same commands in all queues by the same Fetch. Only a program
#: that stores commands could do something else the next time.
MAX_ROUNDS = 256


@dataclass
class UnitState:
    """Where a unit stands: commands fetched but not run, and when it can take the next.

    Parameters
    ----------
    queue : commands, with the cycle of their commit
    commits : those of all commands so far
    left : cycles in which commands left the queue's register
    free : int, first cycle in which the next command can start
    judged, refused : the next command has been, with this verdict
    halted : by a refusal, its own or another unit's
    """

    queue: deque[tuple[Fetched, int]] = field(default_factory=deque)
    commits: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    free: int = 0
    events: list[Event] = field(default_factory=list)
    judged: bool = False
    refused: ExecutionError | None = None
    halted: bool = False

    @property
    def popped(self) -> int:
        """The cycle in which the last command left; -1 if none has."""
        return self.left[-1] if self.left else -1

    def add(self, commands: Iterable[Fetched], commit: int) -> None:
        """Queue commands that were fetched."""
        for command in commands:
            self.queue.append((command, commit))
            self.commits.append(commit)

    def words(self, cycle: int, each: int) -> int:
        """Return how many words of commands are in the queue's memory, of ``each`` a command.

        A command moves to the register, word by word, when the one before has left it.
        """
        total = 0
        for index in reversed(range(len(self.commits))):
            if index > len(self.left):
                total += each
                continue
            before = self.left[index - 1] if index else -1
            moved = min(max(cycle - 1 - max(before, self.commits[index]), 0), each)
            total += each - moved
            if moved == each:
                break
        return total


class Rounds:
    """Notices that a program goes round in a circle."""

    def __init__(self) -> None:
        self._fetches: Counter[tuple[int, int, int]] = Counter()
        self._seen: Counter[tuple[object, ...]] = Counter()

    def endless(self, fetch: Fetch, states: Iterable[UnitState]) -> bool:
        """Return whether it is certain, now that a Fetch has run."""
        key = fetch.address, fetch.unit, fetch.count
        self._fetches[key] += 1
        if self._fetches[key] <= MAX_ROUNDS:
            return False
        waiting = (tuple(command for command, _ in state.queue) for state in states)
        everything = key, *waiting
        self._seen[everything] += 1
        return self._seen[everything] > MAX_ROUNDS
