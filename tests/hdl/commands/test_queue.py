"""The command queue against a list, and its documented cycles."""

import gc
import random

import pytest
from amaranth.hdl import ResetInserter, Signal

from tests.hdl.fixed_memory import run
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.isa import EngineConfig, Unit


def beats_of(command, words, width):
    return [command >> (width * i) & ((1 << width) - 1) for i in range(words)]


@pytest.mark.parametrize("unit", Unit)
@pytest.mark.parametrize(("bus_width", "queue_depth"), [(32, 8), (64, 12), (128, 16)])
@pytest.mark.parametrize("pop", [1.0, 0.2, 0.02])
def test_matches_a_list_in_the_documented_cycles(unit, bus_width, queue_depth, pop):
    config = EngineConfig(bus_width=bus_width, queue_depth=queue_depth)
    queue = CommandQueue(config, unit)
    rng = random.Random(f"{unit} {bus_width} {pop}")

    async def testbench(ctx):
        # Beats that are on their way, their commands; (command, cycle of commit) in the queue.
        beats, batch, model, seen = [], [], [], 0
        cycle, popped, writing = 0, -1, None
        while seen < 60:
            if not beats and not batch:
                room = queue_depth - len(model)
                if room and rng.random() < 0.3:
                    count = rng.randint(1, room)
                    batch = [rng.getrandbits(8 * unit.least_bytes) for _ in range(count)]
                    beats = [b for c in batch for b in beats_of(c, queue.words, bus_width)]
            writing = bool(beats) and rng.random() < 0.8
            commit = False
            ctx.set(queue.i.valid, writing)
            if writing:
                ctx.set(queue.i.data, beats.pop(0))
                # With the last beat, or later.
                commit = not beats and rng.random() < 0.5
            elif batch and not beats:
                commit = rng.random() < 0.3
            ctx.set(queue.i.commit, commit)
            ctx.set(queue.i.count, len(batch) if commit else rng.randrange(65536))
            ready = rng.random() < pop
            ctx.set(queue.o.ready, ready)

            valid, payload = ctx.get(queue.o.valid), ctx.get(queue.o.payload)
            due = bool(model) and cycle >= max(popped, model[0][1]) + queue.words + queue.refill(
                queue.config
            )
            assert valid == due, f"cycle {cycle}"
            if valid:
                assert payload == model[0][0]
                if ready:
                    model.pop(0)
                    popped, seen = cycle, seen + 1
            if commit:
                model += [(command, cycle) for command in batch]
                batch = []
            await ctx.tick()
            assert not ctx.get(queue.overflow)
            cycle += 1

    run(queue, testbench)


def test_overflow_is_reported_and_reset_recovers():
    config = EngineConfig(bus_width=128, queue_depth=8)
    queue, reset = CommandQueue(config, Unit.LOAD), Signal()

    async def testbench(ctx):
        ctx.set(queue.i.valid, 1)
        for _ in range(config.queue_depth * queue.words):
            await ctx.tick()
            assert not ctx.get(queue.overflow)
        await ctx.tick()
        assert ctx.get(queue.overflow)
        ctx.set(queue.i.valid, 0)
        await ctx.tick()
        assert not ctx.get(queue.overflow)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        for beat in (5, 6):
            ctx.set(queue.i.valid, 1)
            ctx.set(queue.i.data, beat)
            ctx.set(queue.i.commit, beat == 6)
            ctx.set(queue.i.count, 1)
            await ctx.tick()
        ctx.set(queue.i.valid, 0)
        ctx.set(queue.i.commit, 0)
        for _ in range(10):
            await ctx.tick()
        assert ctx.get(queue.o.valid)
        assert ctx.get(queue.o.payload) == 6 << 128 | 5

    run(ResetInserter(reset)(queue), testbench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_rejects_what_is_no_unit():
    with pytest.raises(ValueError, match="3 is not a valid Unit"):
        CommandQueue(EngineConfig(), 3)
    gc.collect()  # of the half-made component, while its warning is filtered
