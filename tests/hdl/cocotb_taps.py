"""The inner loops of compute commands, against loops in plain Python."""

import random
from itertools import pairwise
from math import gcd

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.compute_cases import passes, random_compute, segments
from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, pack, reset, send, unpack
from tilewright.compiler.isa import encode
from tilewright.hdl.passes import pass_layout
from tilewright.hdl.taps import access_layout, burst_layout


def expected_of(command):
    """Return the accesses and the weight bursts of a command."""
    accesses, bursts = [], []
    parts = gcd(command.stride_x, CONFIG.cols)
    for one_pass in passes(command, CONFIG):
        flags = {
            name: one_pass[name] for name in ("first_of_command", "first_of_kg", "last_of_command")
        }
        if one_pass["first_of_kg"]:
            bursts.append({"parameters": 1, "count": CONFIG.param_words})
        for tap in segments(command, CONFIG, one_pass):
            place = {name: tap[name] for name in ("group", "row", "row_valid", "x", "word", "lane")}
            accesses += [{**place, "part": part} for part in range(parts)]
            burst = {name: tap[name] for name in ("count", "first", "last")}
            bursts.append({"parameters": 0, **burst, **flags})
    return accesses, bursts


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def segments_come_loop_by_loop(dut, seed):
    taps, rng = Part(dut, "taps"), random.Random(seed)
    taps.clear("i_valid")
    await reset(dut)
    accesses, bursts, times = [], [], []

    async def watch():
        cycle = 0
        while True:
            await ReadOnly()
            if taps.access_valid.value:
                accesses.append(unpack(access_layout(CONFIG), int(taps.access.value)))
            if taps.burst_valid.value:
                burst = unpack(burst_layout(CONFIG), int(taps.burst.value))
                # Of a parameter burst nothing else counts.
                keep = ("parameters", "count") if burst["parameters"] else burst
                bursts.append({name: burst[name] for name in keep})
                times.append(cycle)
            cycle += 1
            await RisingEdge(dut.clk)

    cocotb.start_soon(watch())
    for index in range(12):
        command = random_compute(rng, CONFIG)
        taps.command.value = int.from_bytes(encode(command), "little") % (1 << len(taps.command))
        for log in (accesses, bursts, times):
            log.clear()
        for _ in range(4):  # what is derived from the command follows it
            await RisingEdge(dut.clk)
        words = [pack(pass_layout(CONFIG), one_pass) for one_pass in passes(command, CONFIG)]
        await send(taps, "i", words, rng, rng.choice((0.0, 0.5, 0.95)))
        await RisingEdge(dut.clk)
        while not taps.idle.value:
            await RisingEdge(dut.clk)
        assert (accesses, bursts) == expected_of(command), f"command {index}: {command}"
        # The array has time for every step, the drain for every pass.
        for burst, (now, following) in zip(bursts, pairwise(times), strict=False):
            assert following - now >= burst["count"]
        begins = [time for burst, time in zip(bursts, times, strict=True) if burst.get("first")]
        for now, following in pairwise(begins):
            assert following - now >= CONFIG.drain_cycles
