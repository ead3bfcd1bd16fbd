"""Exact timing of load and store commands, burst by burst.

The memory accepts every address at once and answers in order. The first beat of a burst comes
``read_latency`` cycles after its address or in the cycle after the last beat before it, whichever
is later, the others as fast as they are taken. A write is confirmed ``write_latency`` cycles after
its last beat. Everything else follows from the components' documented timing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tilewright.hdl.bus.bursts import Bursts
from tilewright.hdl.bus.reader import Reader
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.load.kernels import KernelTransform
from tilewright.hdl.load.unit import LoadUnit
from tilewright.hdl.store.unit import StoreUnit
from tilewright.isa import (
    Command,
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
)


@dataclass(frozen=True)
class MemoryTiming:
    """Latencies of the memory, in cycles, at least 1."""

    read_latency: int = 20
    write_latency: int = 5


@dataclass(frozen=True)
class LoadTiming:
    """Cycles from a load command's start to its done pulse, and to a fetch's commit."""

    done: int
    commit: int


@dataclass(frozen=True)
class _Block:
    """``groups`` runs of ``height`` rows of ``words`` words each, in memory."""

    address: int
    groups: int
    stride: int
    height: int
    words: int
    row_beats: int

    def bursts(self, config: EngineConfig) -> Iterator[tuple[int, int, int]]:
        """Yield first beat (counted over the block), beats, and cycles spent adding rows."""
        first = 0
        for group in range(self.groups):
            place = (self.address + group * self.stride) // config.bus_bytes
            have, rows = self.row_beats, self.height - 1
            while have or rows:
                room = config.burst_beats - place % config.burst_beats
                added = 0
                if have < room:
                    added = min(rows, -(-(room - have) // self.row_beats))
                have += added * self.row_beats
                rows -= added
                beats = min(have, room)
                yield first, beats, added
                first += beats
                place += beats
                have -= beats


@dataclass(frozen=True)
class _Pace:
    """Cycles that beats take, where a beat holds several words: one per word.

    ``wait``: the first word of a row must wait for one cycle, because it goes to the lane of the
    last word of the row before.
    """

    row_beats: int
    per_beat: int
    last_of_row: int
    wait: int

    def before(self, beat: int) -> int:
        """Return the cycles of all beats before ``beat``."""
        rows, rest = divmod(beat, self.row_beats)
        row = (self.row_beats - 1) * self.per_beat + self.last_of_row + self.wait
        return rows * row + rest * self.per_beat + (self.wait if rest else 0)

    def of(self, beat: int) -> int:
        """Return the cycles of one beat."""
        return self.before(beat + 1) - self.before(beat)


def _pace(
    config: EngineConfig, block: _Block, *, raw: bool = False, lanes: bool = False, pixel: int = 0
) -> _Pace:
    if raw or (config.rows > config.bus_bytes and not pixel):
        return _Pace(block.row_beats, 1, 1, 0)
    per_beat = config.bus_bytes // (pixel or config.rows)
    last = block.words - (block.row_beats - 1) * per_beat
    if pixel:  # of several beats each when widened: no word is shown right after another
        each = config.rows // config.bus_bytes
        return _Pace(block.row_beats, per_beat * each, last * each, 0)
    wait = lanes and (block.words - 1) % config.cols == 0
    return _Pace(block.row_beats, per_beat, last, int(wait))


def _row_beats(config: EngineConfig, words: int, pixel: int = 0) -> int:
    return -(-words * (pixel or config.rows) // config.bus_bytes)


def load_timing(config: EngineConfig, memory: MemoryTiming, command: Command) -> LoadTiming:
    """Return the timing of a load command on an idle bus."""
    pixel = 0
    match command:
        case LoadKernels():
            return _kernels_timing(config, memory, command)
        case Fetch():
            size = config.command_bytes(Unit(command.unit))
            beats = command.count * size // config.bus_bytes
            block = _Block(command.address, 1, 0, 1, beats, beats)
        case LoadWeights() | LoadTable() | LoadOffsets() | LoadKernelSteps():
            beats = _row_beats(config, command.words)
            block = _Block(command.address, 1, 0, 1, command.words, beats)
        case LoadActivations():
            pixel = command.pixel_bytes
            beats = _row_beats(config, command.width, pixel)
            block = _Block(
                command.address,
                command.groups,
                command.group_stride,
                command.height,
                command.width,
                beats,
            )
        case _:
            return LoadTiming(LoadUnit.CHECK, LoadUnit.CHECK)
    pace = _pace(
        config,
        block,
        raw=isinstance(command, Fetch),
        lanes=isinstance(command, LoadActivations),
        pixel=pixel,
    )
    asked = LoadUnit.FIRST_ADDRESS - Bursts.NEXT
    accepted, ready = -1, -1  # the last beat so far; when the next one can be taken
    ends: list[int] = []
    for index, (first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= config.outstanding:
            asked = max(asked, ends[index - config.outstanding] + Reader.REUSE)
        begin = max(asked + memory.read_latency, accepted + 1, ready)
        # A word that comes later than it could does not find its lane occupied.
        spared = pace.wait if first % block.row_beats == 0 and begin > ready else 0
        last = first + beats - 1
        # A spared cycle shifts every beat after the first of the burst.
        accepted = begin + pace.before(last) - pace.before(first)
        if beats > 1:
            accepted -= spared
            spared = 0
        ready = accepted + pace.of(last) - spared
        ends.append(accepted)
    # Where a beat holds one word or less, it is shown in the cycle after it was accepted; pixels
    # that are widened come one cycle later.
    shown = max(ready + (pixel > 0), accepted + 1)
    return LoadTiming(shown + LoadUnit.DRAIN, shown)


def _kernels_timing(config: EngineConfig, memory: MemoryTiming, command: LoadKernels) -> LoadTiming:
    """Return the timing of kernels, which wait for those before to be transformed."""
    row_beats = _row_beats(config, command.taps)
    block = _Block(command.address, 1, 0, command.channels, command.taps, row_beats)
    pace = _pace(config, block)
    asked = LoadUnit.FIRST_ADDRESS - Bursts.NEXT
    accepted, ready = -1, -1  # as in load_timing
    transformed: list[int] = []  # cycle of each kernel's last step
    ends: list[int] = []
    for index, (first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= config.outstanding:
            asked = max(asked, ends[index - config.outstanding] + Reader.REUSE)
        begin = asked + memory.read_latency
        beat = first
        while beat < first + beats:  # a kernel, or the part of it in this burst
            channel, place = divmod(beat, row_beats)
            begin = max(begin, accepted + 1, ready)
            if place == 0 and channel >= KernelTransform.KERNELS:
                begin = max(begin, transformed[channel - KernelTransform.KERNELS] + 1)
            last = min(first + beats, (channel + 1) * row_beats) - 1
            accepted = begin + pace.before(last) - pace.before(beat)
            ready = accepted + pace.of(last)
            if (last + 1) % row_beats == 0:
                # Its last word is taken in the cycle before `ready`.
                start = max(ready, transformed[-1] + 1 if transformed else 0)
                transformed.append(start + command.steps - 1)
            beat = last + 1
        ends.append(accepted)
    shown = transformed[-1] + KernelTransform.LATENCY
    return LoadTiming(shown + LoadUnit.DRAIN, shown)


def store_cycles(config: EngineConfig, memory: MemoryTiming, command: Store) -> int:
    """Return the cycles from a store command's start to its done pulse, on an idle bus."""
    beats_per_row = _row_beats(config, command.width)
    block = _Block(
        command.address,
        command.groups,
        command.group_stride,
        command.height,
        command.width,
        beats_per_row,
    )
    pace = _pace(config, block)
    asked = StoreUnit.FIRST_ADDRESS - Bursts.NEXT
    written = StoreUnit.first_beat(config)
    confirmed = -1
    confirmations: list[int] = []
    for index, (first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= Writer.PENDING:
            asked = max(asked, confirmations[index - Writer.PENDING] + Writer.REUSE)
        begin = max(written + pace.of(first), asked + 1)
        last = first + beats - 1
        written = begin + pace.before(last + 1) - pace.before(first + 1)
        confirmed = max(written + memory.write_latency, confirmed + 1)
        confirmations.append(confirmed)
    return confirmed + StoreUnit.DRAIN


def bootstrap_commit(config: EngineConfig, memory: MemoryTiming, boot: Fetch) -> int:
    """Return the cycle, counted from the run's first, in which the first commands are visible."""
    return load_timing(config, memory, boot).commit
