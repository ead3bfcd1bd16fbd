"""Both ends of a valid-ready stream, for cocotb; and what every bench needs."""

import random

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge


def pauses(rng, share):
    """Yield whether to pause, cycle after cycle."""
    while True:
        yield rng.random() < share


def throttle(rng, *channels):
    """Pause channels of cocotbext-axi at random."""
    for channel in channels:
        channel.set_pause_generator(pauses(rng, rng.uniform(0.1, 0.6)))


async def reset(dut):
    """Start the clock and reset the design."""
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def send(dut, prefix, items, rng, share=0.4):
    """Send items; valid is high until taken, with random gaps between."""
    valid, ready = getattr(dut, f"{prefix}_valid"), getattr(dut, f"{prefix}_ready")
    payload = getattr(dut, f"{prefix}_payload")
    for item in items:
        while rng.random() < share:
            await RisingEdge(dut.clk)
        valid.value, payload.value = 1, item
        while True:
            await ReadOnly()
            taken = bool(ready.value)
            await RisingEdge(dut.clk)
            if taken:
                break
        valid.value = 0


async def receive(dut, prefix, count, rng, share=0.4):
    """Take items with ready low at random; what is offered must stay until it is taken."""
    valid, ready = getattr(dut, f"{prefix}_valid"), getattr(dut, f"{prefix}_ready")
    payload = getattr(dut, f"{prefix}_payload")
    items, offered = [], None
    while len(items) < count:
        ready.value = int(rng.random() >= share)
        await ReadOnly()
        if valid.value:
            item = int(payload.value)
            assert offered in (None, item), "the payload changed while it was not taken"
            offered = None if ready.value else item
            if ready.value:
                items.append(item)
        else:
            assert offered is None, "valid was withdrawn"
        await RisingEdge(dut.clk)
    ready.value = 0
    return items


async def record(dut, prefix, log, *names):
    """Append the named signals to ``log`` in every cycle in which ``valid`` is high."""
    while True:
        await ReadOnly()
        if getattr(dut, f"{prefix}_valid").value:
            log.append(tuple(int(getattr(dut, f"{prefix}_{name}").value) for name in names))
        await RisingEdge(dut.clk)


def seeded(seed):
    """Return a random generator; the seed goes to the log."""
    cocotb.log.info("seed %d", seed)
    return random.Random(seed)
