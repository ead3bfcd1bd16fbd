"""Exact timing of store commands, burst by burst."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from functools import lru_cache

from tilewright.hdl.bus.bursts import Bursts
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.store.unit import StoreUnit
from tilewright.isa import EngineConfig, Store
from tilewright.sim.timing.bursts import Block, Pace, pace_of, row_beats
from tilewright.sim.timing.memory import Burst, Memory, Room, settle


def store_cycles(config: EngineConfig, memory: Memory, command: Store) -> int:
    """Return the cycles from a store command's start to its done pulse, on an idle bus."""
    return _fixed(config, memory, _block(config, command).alike(config))


def store_work(config: EngineConfig, command: Store) -> tuple[Block, Pace, int]:
    """Return what of a store command its cycles depend on."""
    block = _block(config, command)
    return block, pace_of(config, block), StoreUnit.first_beat(config)


def _block(config: EngineConfig, command: Store) -> Block:
    return Block(
        command.address,
        command.groups,
        command.group_stride,
        command.height,
        command.width,
        row_beats(config, command.width),
    )


@lru_cache(maxsize=1 << 14)
def _fixed(config: EngineConfig, memory: Memory, block: Block) -> int:
    return int(settle(_store_bursts(config, block), memory))


def _store_bursts(config: EngineConfig, block: Block) -> Generator[Burst, int, int]:
    """Ask for a block's bursts one by one; return the cycles from the start to the done pulse."""
    pace = pace_of(config, block)
    asked = StoreUnit.FIRST_ADDRESS - Bursts.NEXT
    written = StoreUnit.first_beat(config)
    confirmed = -1
    confirmations: list[int] = []
    for index, (address, first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= Writer.PENDING:
            asked = max(asked, confirmations[index - Writer.PENDING] + Writer.REUSE)
        begin = max(written + pace.of(first), asked + 1)
        last = first + beats - 1
        written = begin + pace.before(last + 1) - pace.before(first + 1)
        served = yield Burst(address, beats, True, written)
        confirmed = max(served, confirmed + 1)
        confirmations.append(confirmed)
    return confirmed + StoreUnit.DRAIN


def store_bursts(
    config: EngineConfig, command: Store, start: int
) -> Generator[Burst | Sequence[int], Room | int, int]:
    """Ask for a command's bursts one by one, each with its beats; return as the fixed ones do.

    Cycles are those of the run, in cycle ``start`` of which the command starts.
    The answer to a burst is the room for its beats, that to the cycles in which they are given is
    the cycle of its confirmation.
    """
    block, pace, first_beat = store_work(config, command)
    asked = start + StoreUnit.FIRST_ADDRESS - Bursts.NEXT
    written = start + first_beat
    confirmed = start - 1
    confirmations: list[int] = []
    for index, (address, first, beats, added) in enumerate(block.bursts(config)):
        asked += Bursts.NEXT + added
        if index >= Writer.PENDING:
            asked = max(asked, confirmations[index - Writer.PENDING] + Writer.REUSE)
        room = yield Burst(address, beats, True, asked)
        assert isinstance(room, Room)
        asked = room.accepted
        given: Sequence[int]
        begin = max(written + 1, asked + 1, room.beats[0])
        if pace.steady and room.beats[-1] <= begin:  # one after another
            given = range(begin, begin + beats)
            written = begin + beats - 1
        else:
            found = []
            for beat, free in enumerate(room.beats, first):
                written = max(written + pace.of(beat), asked + 1, free)
                found.append(written)
            given = found
        answer = yield given
        assert isinstance(answer, int)
        confirmed = max(answer, confirmed + 1)
        confirmations.append(confirmed)
    return confirmed + StoreUnit.DRAIN
