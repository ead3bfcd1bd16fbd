"""Commands as three streams that the engine fetches itself.

A queue of ``queue_depth`` commands is used as four blocks. A unit's block b is fetched when the
network's first command of its block b - 1 comes up in the load stream, or before, into the place of
block b - 4. Every wait therefore points to commands that stand earlier in the one order of all
commands, and no program can deadlock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import NamedTuple

from tilewright.compiler.codegen.recorder import Entry
from tilewright.compiler.schedule import EngineLimitError
from tilewright.compiler.schedule.limits import at_least
from tilewright.isa import Check, Command, Deform, End, EngineConfig, Fetch, Unit, encode
from tilewright.isa.commands import changed
from tilewright.isa.rules import check_command

BLOCKS = 4


class FetchBlock(NamedTuple):
    """A block of a unit's commands, fetched where this stands among the commands."""

    unit: Unit
    block: int


def replaced_by(block: int, size: int) -> int:
    """Return how many commands of a unit must be complete before a block has its place."""
    return max(0, (block - BLOCKS + 1) * size)


@dataclass(frozen=True)
class Streams:
    """The commands of each unit, and the bytes at which each stream starts."""

    commands: dict[Unit, tuple[Command, ...]]
    addresses: dict[Unit, int]
    boot_count: int

    @property
    def boot(self) -> Fetch:
        """The first fetch."""
        address = self.addresses[Unit.LOAD]
        return Fetch(address=address, unit=int(Unit.LOAD), count=self.boot_count)

    @property
    def count(self) -> int:
        """How many commands there are."""
        return sum(map(len, self.commands.values()))

    def end(self, config: EngineConfig) -> int:
        """Return the first byte behind all streams."""
        return max(
            self.addresses[unit] + len(self.commands[unit]) * config.command_bytes(unit)
            for unit in Unit
        )

    def image(self, config: EngineConfig) -> bytes:
        """Return the three streams, one after another; no command breaks a rule."""
        parts = []
        for unit in Unit:
            before = None
            for command in self.commands[unit]:
                check_command(config, command, before if isinstance(before, Deform) else None)
                parts.append(encode(command, config.command_bytes(unit)))
                before = command
        return b"".join(parts)


def build_streams(
    entries: Sequence[Entry | FetchBlock], config: EngineConfig, address: int
) -> Streams:
    """Order commands into streams that begin at byte ``address``."""
    size = config.queue_depth // BLOCKS
    totals = dict.fromkeys(Unit, 0)
    for entry in entries:
        if isinstance(entry, Entry):
            totals[entry.command.UNIT] += 1

    # Load commands beside fetches of load commands: check, end, and all other fetches.
    other_fetches = sum(-(-totals[u] // size) for u in (Unit.COMPUTE, Unit.STORE))
    load_blocks = 1
    while load_blocks * size < totals[Unit.LOAD] + other_fetches + 2 + load_blocks - 1:
        load_blocks += 1
    totals[Unit.LOAD] += other_fetches + 2 + load_blocks - 1

    addresses, end = {}, address
    for unit in Unit:
        addresses[unit] = end
        end += totals[unit] * config.command_bytes(unit)

    builder = _Builder(config, size, totals, addresses, load_blocks)
    builder.load(Check(digest=config.digest), {})
    for unit in (Unit.COMPUTE, Unit.STORE):
        builder.fetch(unit, 0)
    for entry in entries:
        if isinstance(entry, Entry):
            builder.add(entry)
        else:
            builder.fetch(*entry)
    builder.load(End(), {unit: totals[unit] for unit in (Unit.COMPUTE, Unit.STORE)})
    builder.check_counts()
    commands = {unit: tuple(stream) for unit, stream in builder.streams.items()}
    return Streams(commands, addresses, min(size, len(commands[Unit.LOAD])))


class _Builder:
    def __init__(
        self,
        config: EngineConfig,
        size: int,
        totals: dict[Unit, int],
        addresses: dict[Unit, int],
        load_blocks: int,
    ) -> None:
        self.config = config
        self.size = size
        self.totals = totals
        self.addresses = addresses
        self.load_blocks = load_blocks
        self.streams: dict[Unit, list[Command]] = {unit: [] for unit in Unit}
        self.fetched = dict.fromkeys(Unit, 0)  # blocks
        self.load_positions: list[int] = []  # of the emitter's load commands, in the stream
        # How many commands of each unit are known to be complete when a command starts: what it
        # waits for, what that waited for, and what its own predecessor knew. Waiting for all of
        # it costs nothing, and keeps the 16-bit counts close to the counters they are compared to.
        self.known: dict[Unit, list[dict[Unit, int]]] = {unit: [] for unit in Unit}

    def _place(self, command: Command, needs: dict[Unit, int]) -> int:
        """Append a command that needs ``needs[unit]`` commands complete; return its position."""
        unit = command.UNIT
        history = self.known[unit]
        known = dict(history[-1]) if history else dict.fromkeys(Unit, 0)
        for other, count in needs.items():
            if count > 0:
                known[other] = max(known[other], count)
                for third, implied in self.known[other][count - 1].items():
                    known[third] = max(known[third], implied)
        waits = {
            f"wait_{other.name.lower()}": count % 65536
            for other, count in known.items()
            if other is not unit
        }
        history.append(known)
        self.streams[unit].append(changed(command, **waits))
        return len(history) - 1

    def load(self, command: Command, needs: dict[Unit, int]) -> int:
        """Append a load command, and before it the fetch that is due; return its position."""
        block, offset = divmod(len(self.streams[Unit.LOAD]), self.size)
        if offset == 0 and block + 1 < self.load_blocks:
            self._place(self._fetch_command(Unit.LOAD, block + 1), {})
        return self._place(command, needs)

    def fetch(self, unit: Unit, block: int) -> None:
        """Fetch a block of another unit into the place of one that is done.

        Unless there is none, or it is fetched already.
        """
        if block * self.size < self.totals[unit] and block == self.fetched[unit]:
            self.fetched[unit] += 1
            self.load(self._fetch_command(unit, block), {unit: replaced_by(block, self.size)})

    def check_counts(self) -> None:
        """Refuse streams in which a count can be too far from what is waited for.

        Raises
        ------
        EngineLimitError
            If ``config.count_width`` bits are too few.
        """
        fetched_by: dict[Unit, list[int]] = {unit: [] for unit in Unit}  # of each command
        for position, command in enumerate(self.streams[Unit.LOAD]):
            if isinstance(command, Fetch):
                fetched_by[Unit(command.unit)] += [position] * command.count
        distance = 0  # of a count from the least one that is waited for, up or down
        for unit, other in permutations(Unit, 2):
            # What is known to be complete when a command of `other` starts, because of its fetch
            # too: how far `other` gets before a command of `unit` is complete.
            needed: list[int] = []
            for index, known in enumerate(self.known[other]):
                count = known[unit]
                if other is not Unit.LOAD:  # whose own order says the same
                    fetch = fetched_by[other][index]
                    count = max(count, self.known[Unit.LOAD][fetch][unit])
                    if unit is Unit.LOAD:
                        count = max(count, fetch + 1)
                needed.append(max(count, needed[-1] if needed else 0))
            ahead, before = 0, 0
            for index, known in enumerate(self.known[unit]):
                while ahead < len(needed) and needed[ahead] <= index:
                    ahead += 1
                distance = max(distance, ahead - known[other] + 1, known[other] - before)
                before = known[other]
        width = 1 + max(distance - 1, 0).bit_length()
        if width > self.config.count_width:
            raise EngineLimitError(
                f"commands run up to {distance} ahead of one another; "
                f"{at_least(self.config, 'count_width', width)}"
            )

    def _fetch_command(self, unit: Unit, block: int) -> Fetch:
        first = block * self.size
        return Fetch(
            address=self.addresses[unit] + first * self.config.command_bytes(unit),
            unit=int(unit),
            count=min(self.size, self.totals[unit] - first),
        )

    def add(self, entry: Entry) -> None:
        """Append a command of the network."""
        unit = entry.command.UNIT
        needs = {
            other: (self.load_positions[index] if other is Unit.LOAD else index) + 1
            for other, index in entry.after.items()
            if other is not unit
        }
        if unit is Unit.LOAD:
            self.load_positions.append(self.load(entry.command, needs))
            return
        block, offset = divmod(len(self.streams[unit]), self.size)
        if offset == 0:
            self.fetch(unit, block + 1)
        self._place(entry.command, needs)
