"""The command queue: a fetcher that keeps to its depth, a unit that takes commands at its pace."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, receive, reset
from tilewright.isa import Unit

COMMANDS = 60
BEATS = Unit.COMPUTE.least_bytes // CONFIG.bus_bytes


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def commands_leave_in_order_once_they_are_committed(dut, seed):
    queue, rng = Part(dut, "queue"), random.Random(seed)
    slow_fetcher, slow_unit = rng.choice(((0.1, 0.9), (0.7, 0.1), (0.4, 0.4)))
    beats = [rng.getrandbits(CONFIG.bus_width) for _ in range(COMMANDS * BEATS)]
    taken, committed = [], 0
    queue.clear("i_valid", "i_commit", "o_ready")
    await reset(dut)

    async def fetch():
        nonlocal committed
        sent = 0
        while sent < COMMANDS:
            room = min(CONFIG.queue_depth - (sent - len(taken)), COMMANDS - sent)
            if not room:
                await RisingEdge(dut.clk)
                continue
            count = rng.randint(1, room)
            last = (sent + count) * BEATS - 1
            together = rng.random() < 0.5  # the commit and the last beat
            for beat in range(sent * BEATS, last + 1):
                while rng.random() < slow_fetcher:
                    await RisingEdge(dut.clk)
                queue.i_valid.value, queue.i_data.value = 1, beats[beat]
                queue.i_commit.value = beat == last and together
                queue.i_count.value = count
                await RisingEdge(dut.clk)
                queue.clear("i_valid", "i_commit")
            if not together:
                while rng.random() < slow_fetcher:
                    await RisingEdge(dut.clk)
                queue.i_commit.value = 1
                await RisingEdge(dut.clk)
                queue.i_commit.value = 0
            sent += count
            committed = sent

    async def watch():
        while True:
            await ReadOnly()
            assert not queue.overflow.value
            assert len(taken) <= committed, "a command left before its commit"
            await RisingEdge(dut.clk)

    cocotb.start_soon(fetch())
    cocotb.start_soon(watch())
    await receive(queue, "o", COMMANDS, rng, slow_unit, taken)
    for index, command in enumerate(taken):
        mine = beats[index * BEATS : (index + 1) * BEATS]
        expected = b"".join(beat.to_bytes(CONFIG.bus_bytes, "little") for beat in mine)
        assert command == int.from_bytes(expected, "little"), f"command {index}"
    for _ in range(20):
        await RisingEdge(dut.clk)
        assert not queue.o_valid.value
