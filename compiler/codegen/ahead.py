"""What the load unit does while it would only wait.

The load unit runs its commands in order. The first rows of a group cannot come before the group in
front has written them, and behind those rows stood the weights of the group, which nothing but
room in their buffer holds back. Here such loads go where the unit would be idle; and commands are
fetched before a long load, if the array needs them while it lasts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tilewright.compiler.codegen.recorder import Entry
from tilewright.compiler.codegen.streams import BLOCKS, FetchBlock, replaced_by
from tilewright.compiler.schedule import Timing
from tilewright.isa import (
    Command,
    EngineConfig,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
)


def loads_ahead(
    entries: Sequence[Entry], busy: Sequence[int], config: EngineConfig, timing: Timing
) -> list[Entry | FetchBlock]:
    """Move loads of weights, kernels and tables to where the load unit waits for something else.

    Times are estimates. The order is right whatever they are: such a load stays behind all that it
    must wait for, and behind those before it, and so does a block of commands.

    Parameters
    ----------
    entries : in the order in which the network runs
    busy : cycles of the array before each compute command, and after the last one

    Returns
    -------
    the same commands, each of which still waits for earlier ones only, and among them blocks of
    compute commands that are fetched sooner than :func:`build_streams` would
    """
    order = _Order(entries, busy, config, timing)
    for position in range(len(entries)):
        order.pass_by(position)
    return _in_order(entries, order.moved)


class _Move(NamedTuple):
    """A load that goes behind another entry: its position, or a block of commands."""

    behind: int
    what: int | FetchBlock


class _Order:
    """Walk through entries, with the cycles at which each is done."""

    def __init__(
        self,
        entries: Sequence[Entry],
        busy: Sequence[int],
        config: EngineConfig,
        timing: Timing,
    ) -> None:
        self._entries, self._busy, self._timing = entries, busy, timing
        self._block = config.queue_depth // BLOCKS
        self._fetched = 1  # blocks of compute commands; the first is from the beginning
        size = self._block * config.command_bytes(Unit.COMPUTE)
        self._fetch_cycles = timing.words(-(-size // config.rows))
        self._waiting = [n for n, entry in enumerate(entries) if _moves(entry.command)]
        self._rows = [
            n
            for n, entry in enumerate(entries)
            if entry.command.UNIT is Unit.LOAD and not _moves(entry.command)
        ]
        self._next, self._next_rows = 0, 0
        self._free = 0.0  # cycle from which the load unit is
        self._last_load = -1  # position of the load before, in the new order
        self._done: dict[Unit, list[float]] = {unit: [] for unit in Unit}
        self._position: dict[Unit, list[int]] = {unit: [] for unit in Unit}
        # Loads are done in another order than they are counted in.
        numbers = [n for n, entry in enumerate(entries) if entry.command.UNIT is Unit.LOAD]
        self._load_number = {n: number for number, n in enumerate(numbers)}
        self._done[Unit.LOAD] = [0.0] * len(numbers)
        # Of each store, the last compute command of which it has results.
        self._stored = [
            entry.after.get(Unit.COMPUTE, -1)
            for entry in entries
            if entry.command.UNIT is Unit.STORE
        ]
        self.moved: list[_Move] = []

    def pass_by(self, position: int) -> None:
        """Let the entry at a position happen, and before it what fits before it."""
        entry = self._entries[position]
        unit = entry.command.UNIT
        if unit is Unit.LOAD:
            self._load(position, entry)
            return
        done, ready = self._done[unit], self._ready(entry)
        index = len(done)
        if unit is Unit.COMPUTE and index % self._block == 0:
            self._fetch(index, position)
        start = max(ready, done[-1] if done else 0)
        done.append(start + self._cycles(entry.command, index))
        self._position[unit].append(position)

    def _load(self, position: int, entry: Entry) -> None:
        """Let a load happen that is not ahead already."""
        if _moves(entry.command):
            if self._next == len(self._waiting) or self._waiting[self._next] != position:
                return
            self._next += 1
        else:
            self._next_rows += 1
            self._fill(position, self._ready(entry))
        self._take(position, position)

    def _take(self, position: int, where: int) -> None:
        """Let a load happen behind the loads before it, and before it fetches that cannot wait."""
        entry = self._entries[position]
        cycles = self._cycles(entry.command)
        self._fetch_before(max(self._free, self._ready(entry)) + cycles)
        where = max(where, self._last_load)
        if where != position:
            self.moved.append(_Move(where, position))
        self._free = max(self._free, self._ready(entry)) + cycles
        self._done[Unit.LOAD][self._load_number[position]] = self._free
        self._last_load = where

    def _fetch_before(self, end: float) -> None:
        """Fetch blocks that the array needs before a cycle, if there is room for them already."""
        done, where = self._done[Unit.COMPUTE], self._position[Unit.COMPUTE]
        while (first := self._fetched * self._block) < len(self._busy) - 1:
            index, room = len(done), replaced_by(self._fetched, self._block)
            # Half a block before the array comes to it: times are estimates.
            half = (self._busy[first - self._block] + self._busy[first]) / 2
            needed = self._reached(index) + half - self._busy[min(index, first)]
            if room > index or needed >= end or (room and done[room - 1] > self._free):
                return
            behind = max(self._last_load, where[room - 1] if room else -1)
            self.moved.append(_Move(behind, FetchBlock(Unit.COMPUTE, self._fetched)))
            self._free += self._fetch_cycles
            self._last_load = behind
            self._fetched += 1

    def _fetch(self, index: int, position: int) -> None:
        """Let loads happen before the next block of commands is fetched, if it can wait."""
        if index // self._block + 1 < self._fetched:
            return
        later = min(index + self._block, len(self._busy) - 1)
        limit = self._reached(index) + self._busy[later] - self._busy[index]
        if self._next_rows < len(self._rows):
            limit = min(limit, self._expected(self._entries[self._rows[self._next_rows]], index))
        self._fill(position, limit)
        if index // self._block + 1 == self._fetched:  # which is where it is fetched at the latest
            room = replaced_by(self._fetched, self._block)
            done = self._done[Unit.COMPUTE]
            self._free = max(self._free, done[room - 1] if room else 0.0) + self._fetch_cycles
            self._last_load = max(self._last_load, position - 1)
            self._fetched += 1

    def _reached(self, index: int) -> float:
        """Return the cycle at which a compute command can start."""
        return self._done[Unit.COMPUTE][index - 1] if index else 0.0

    def _expected(self, entry: Entry, index: int) -> float:
        """Return when a load can start, at the earliest, while the array is at a command."""
        ready = 0.0
        for unit, last in entry.after.items():
            done = self._done[unit]
            if last < len(done):
                ready = max(ready, done[last])
                continue
            # A store is done after the command whose results it has.
            last = last if unit is Unit.COMPUTE else self._stored[last]
            ahead = self._busy[last + 1] - self._busy[min(index, last + 1)]
            ready = max(ready, self._reached(index) + ahead)
        return ready

    def _fill(self, position: int, limit: float) -> None:
        """Let loads happen that are done before a cycle and wait for nothing behind a position."""
        while self._next < len(self._waiting) and self._waiting[self._next] > position:
            number = self._waiting[self._next]
            entry = self._entries[number]
            behind = self._behind(entry)
            if behind is None:
                return
            start = max(self._free, self._ready(entry))
            if start + self._cycles(entry.command) > limit:
                return
            self._take(number, behind)
            self._next += 1

    def _behind(self, entry: Entry) -> int | None:
        """Return the position behind which a load can be, or None if that is still to come."""
        behind = -1
        for unit, last in entry.after.items():
            if unit is not Unit.LOAD:
                positions = self._position[unit]
                if last >= len(positions):
                    return None
                behind = max(behind, positions[last])
        return behind

    def _ready(self, entry: Entry) -> float:
        """Return the cycle from which nothing holds a command back."""
        return max((self._done[unit][last] for unit, last in entry.after.items()), default=0.0)

    def _cycles(self, command: Command, index: int = 0) -> float:
        """Return about how long a command takes; ``index`` : of a compute command."""
        timing = self._timing
        match command:
            case LoadActivations():
                return timing.rows(
                    command.groups,
                    command.group_stride,
                    command.height,
                    command.width,
                    command.pixel,
                )
            case LoadKernels():
                return timing.kernels(command.channels, command.taps, command.steps)
            case Store():
                return timing.results(
                    command.groups, command.group_stride, command.height, command.width
                )
            case LoadWeights() | LoadTable() | LoadOffsets() | LoadKernelSteps():
                return timing.words(command.words)
        return self._busy[index + 1] - self._busy[index] + timing.gaps.command


def _moves(command: Command) -> bool:
    """Return whether a load may go ahead of others."""
    return command.UNIT is Unit.LOAD and not isinstance(command, (LoadActivations, LoadOffsets))


def _in_order(entries: Sequence[Entry], moved: Sequence[_Move]) -> list[Entry | FetchBlock]:
    """Return entries with some loads elsewhere, and waits for loads by their new numbers."""
    if not moved:
        return list(entries)
    elsewhere = {move.what for move in moved}
    keys: list[tuple[int, int, int | FetchBlock]] = [
        (n, 0, n) for n in range(len(entries)) if n not in elsewhere
    ]
    keys += [(move.behind, 1 + number, move.what) for number, move in enumerate(moved)]
    keys.sort(key=lambda key: key[:2])
    order = [what for *_, what in keys]
    loads = [n for n, entry in enumerate(entries) if entry.command.UNIT is Unit.LOAD]
    is_load = set(loads)
    ranks = {n: rank for rank, n in enumerate(what for what in order if what in is_load)}
    # Who waited for a load waited for all before it.
    last, latest = [], -1
    for position in loads:
        latest = max(latest, ranks[position])
        last.append(latest)
    found: list[Entry | FetchBlock] = []
    for what in order:
        if isinstance(what, FetchBlock):
            found.append(what)
            continue
        command, after = entries[what]
        if Unit.LOAD in after:
            after = after | {Unit.LOAD: last[after[Unit.LOAD]]}
        found.append(Entry(command, after))
    return found
