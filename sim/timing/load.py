"""Exact timing of load commands, burst by burst.

What does not come from the memory follows from the components' documented timing.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, fields
from functools import lru_cache

from tilewright.hdl.bus.bursts import Bursts
from tilewright.hdl.bus.reader import Reader
from tilewright.hdl.load.kernels import KernelTransform
from tilewright.hdl.load.unit import LoadUnit
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
    Unit,
)
from tilewright.sim.timing.bursts import Block, Pace, pace_of, row_beats
from tilewright.sim.timing.memory import Burst, Memory, Served, settle


@dataclass(frozen=True)
class LoadTiming:
    """Cycles from a load command's start to its done pulse, and to a fetch's commit."""

    done: int
    commit: int


Bursting = Generator[Burst, int | Served, LoadTiming]


@dataclass(frozen=True)
class _Load:
    """What of a command its cycles depend on.

    Parameters
    ----------
    block, pace : what is read, and how fast it is taken
    widened : words are in memory in fewer bytes than ``rows``
    steps : of the transform of kernels, which are the rows of the block; 0 for none
    """

    block: Block
    pace: Pace
    widened: bool = False
    steps: int = 0

    def bursts(self, config: EngineConfig, start: int = 0) -> Bursting:
        make = _kernel_bursts if self.steps else _word_bursts
        return make(config, self, start)


def load_timing(config: EngineConfig, memory: Memory | None, command: Command) -> LoadTiming:
    """Return the timing of a load command on an idle bus; one without bursts needs no memory."""
    load = load_work(config, command)
    if load is None:
        return LoadTiming(LoadUnit.CHECK, LoadUnit.CHECK)
    assert memory is not None
    if memory.fixed:
        alike = _Load(load.block.alike(config), load.pace, load.widened, load.steps)
        return _fixed(config, memory, alike)
    return settle(load.bursts(config), memory)


@lru_cache(maxsize=1 << 14)
def _fixed(config: EngineConfig, memory: Memory, load: _Load) -> LoadTiming:
    timing = settle(load.bursts(config), memory)
    # Others who ask alike get the same: of a graph that was made with numpy's numbers, too.
    return LoadTiming(*(int(getattr(timing, field.name)) for field in fields(timing)))


def load_bursts(config: EngineConfig, command: Command, start: int) -> Bursting | None:
    """Return what asks for a command's bursts one by one; None if it has none.

    Cycles are those of the run, in cycle ``start`` of which the command starts.
    """
    load = load_work(config, command)
    return None if load is None else load.bursts(config, start)


def fetch_beats(config: EngineConfig, memory: Memory, command: Fetch) -> list[int]:
    """Return the cycles from a Fetch's start in which its beats come to their queue."""
    load = load_work(config, command)
    assert load is not None
    bursts, accepted = load.bursts(config), -1
    cycles: list[int] = []
    try:
        burst = next(bursts)
        while True:
            served = memory.served(burst)
            begin = max(served, accepted + 1)
            accepted = begin + burst.beats - 1
            cycles += range(begin + 1, accepted + 2)
            burst = bursts.send(served)
    except StopIteration:
        return cycles


def load_work(config: EngineConfig, command: Command) -> _Load | None:
    """Return what of a load command its cycles depend on; None if it has no bursts."""
    match command:
        case LoadKernels():
            beats = row_beats(config, command.taps)
            block = Block(command.address, 1, 0, command.channels, command.taps, beats)
            return _Load(block, pace_of(config, block), steps=command.steps)
        case Fetch():
            size = config.command_bytes(Unit(command.unit))
            beats = command.count * size // config.bus_bytes
            block = Block(command.address, 1, 0, 1, beats, beats)
            return _Load(block, pace_of(config, block, raw=True))
        case LoadWeights() | LoadTable() | LoadOffsets() | LoadKernelSteps():
            beats = row_beats(config, command.words)
            block = Block(command.address, 1, 0, 1, command.words, beats)
            return _Load(block, pace_of(config, block))
        case LoadActivations():
            pixel = command.pixel_bytes
            block = Block(
                command.address,
                command.groups,
                command.group_stride,
                command.height,
                command.width,
                row_beats(config, command.width, pixel),
            )
            return _Load(block, pace_of(config, block, lanes=True, pixel=pixel), pixel > 0)
    return None


def _word_bursts(config: EngineConfig, load: _Load, start: int) -> Bursting:
    """Ask for the bursts of words that go to a buffer as they come."""
    block, pace = load.block, load.pace
    asked = start + LoadUnit.FIRST_ADDRESS - Bursts.NEXT
    # The last beat so far; when the next one can be taken.
    accepted, ready = start - 1, start - 1
    ends: list[int] = []
    for index, (address, first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= config.outstanding:
            asked = max(asked, ends[index - config.outstanding] + Reader.REUSE)
        served = yield Burst(address, beats, False, asked)
        if isinstance(served, Served):
            asked = served.accepted
            if pace.steady and served.beats[0] >= ready:  # each is taken as it comes
                served.taken, accepted = served.beats, served.beats[-1]
                ready = accepted + 1
            else:
                taken: list[int] = []
                for beat, cycle in enumerate(served.beats, first):
                    early = accepted + served.apart if taken else cycle
                    accepted = max(cycle, ready, early)
                    spared = pace.wait if beat % block.row_beats == 0 and accepted > ready else 0
                    ready = accepted + pace.of(beat) - spared
                    taken.append(accepted)
                served.taken = taken
            ends.append(accepted)
            continue
        begin = max(served, accepted + 1, ready)
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
    shown = max(ready + load.widened, accepted + 1)
    return LoadTiming(shown + LoadUnit.DRAIN, shown)


def _kernel_bursts(config: EngineConfig, load: _Load, start: int) -> Bursting:
    """Ask for the bursts of kernels, which wait for those before to be transformed."""
    block, pace, row = load.block, load.pace, load.block.row_beats
    asked = start + LoadUnit.FIRST_ADDRESS - Bursts.NEXT
    accepted, ready = start - 1, start - 1  # as of words
    transformed: list[int] = []  # cycle of each kernel's last step
    ends: list[int] = []
    for index, (address, first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= config.outstanding:
            asked = max(asked, ends[index - config.outstanding] + Reader.REUSE)
        served = yield Burst(address, beats, False, asked)
        begin = served.beats[0] if isinstance(served, Served) else served
        beat, taken = first, list[int]()
        while beat < first + beats:  # a kernel, or the part of it in this burst
            channel, place = divmod(beat, row)
            last = min(first + beats, (channel + 1) * row) - 1
            if isinstance(served, Served):  # or a beat
                asked, begin, last = served.accepted, served.beats[beat - first], beat
                if taken:
                    begin = max(begin, accepted + served.apart)
            begin = max(begin, accepted + 1, ready)
            if place == 0 and channel >= KernelTransform.KERNELS:
                begin = max(begin, transformed[channel - KernelTransform.KERNELS] + 1)
            accepted = begin + pace.before(last) - pace.before(beat)
            ready = accepted + pace.of(last)
            if (last + 1) % row == 0:
                # Its last word is taken in the cycle before `ready`.
                at = max(ready, transformed[-1] + 1) if transformed else ready
                transformed.append(at + load.steps - 1)
            taken.append(accepted)
            beat = last + 1
        if isinstance(served, Served):
            served.taken = taken
        ends.append(accepted)
    shown = transformed[-1] + KernelTransform.LATENCY
    return LoadTiming(shown + LoadUnit.DRAIN, shown)


def bootstrap_commit(config: EngineConfig, memory: Memory | None, boot: Fetch) -> int:
    """Return the cycle, counted from the run's first, in which the first commands are visible."""
    return load_timing(config, memory, boot).commit
