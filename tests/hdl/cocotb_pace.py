"""When segments run, and the accesses and weight bursts of each, against plain Python."""

import random
from itertools import pairwise
from math import gcd

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.compute_cases import passes, random_compute, segments
from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, pack, reset, send, unpack
from tilewright.hdl.sequence.pace import access_layout, burst_layout
from tilewright.hdl.sequence.taps import segment_layout
from tilewright.isa import encode


def expected_of(command):
    """Return the accesses and the weight bursts of a command."""
    accesses, bursts = [], []
    parts = gcd(command.stride_x, CONFIG.cols)
    for one_pass in passes(command, CONFIG):
        if one_pass["first_of_kg"]:
            bursts.append({"parameters": 1, "count": CONFIG.param_words})
        for segment in segments(command, CONFIG, one_pass):
            accesses += [
                {name: {**segment, "part": part}[name] for name, _ in access_layout(CONFIG)}
                for part in range(parts)
            ]
            burst = {**segment, "parameters": 0, "product": 0}
            bursts.append({name: burst[name] for name, _ in burst_layout(CONFIG)})
    return accesses, bursts


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def every_segment_has_its_accesses_and_its_weights(dut, seed):
    pace, rng = Part(dut, "pace"), random.Random(seed)
    pace.clear("i_valid")
    await reset(dut)
    accesses, bursts, times = [], [], []

    async def watch():
        cycle = 0
        while True:
            await ReadOnly()
            if pace.access_valid.value:
                accesses.append(unpack(access_layout(CONFIG), int(pace.access.value)))
            if pace.burst_valid.value:
                burst = unpack(burst_layout(CONFIG), int(pace.burst.value))
                # Of a parameter burst nothing else counts.
                keep = ("parameters", "count") if burst["parameters"] else burst
                bursts.append({name: burst[name] for name in keep})
                times.append(cycle)
            cycle += 1
            await RisingEdge(dut.clk)

    cocotb.start_soon(watch())
    for index in range(12):
        command = random_compute(rng, CONFIG)
        pace.command.value = int.from_bytes(encode(command), "little") % (1 << len(pace.command))
        for log in (accesses, bursts, times):
            log.clear()
        for _ in range(4):  # what is derived from the command follows it
            await RisingEdge(dut.clk)
        words = [
            pack(segment_layout(CONFIG), segment)
            for one_pass in passes(command, CONFIG)
            for segment in segments(command, CONFIG, one_pass)
        ]
        await send(pace, "i", words, rng, rng.choice((0.0, 0.5, 0.9)))
        for _ in range(2):
            await RisingEdge(dut.clk)
        while not pace.idle.value:
            await RisingEdge(dut.clk)
        assert (accesses, bursts) == expected_of(command), f"command {index}: {command}"
        # The array has time for every step, the drain for every pass.
        for burst, (now, following) in zip(bursts, pairwise(times), strict=False):
            assert following - now >= burst["count"]
        begins = [time for burst, time in zip(bursts, times, strict=True) if burst.get("first")]
        for now, following in pairwise(begins):
            assert following - now >= CONFIG.drain_cycles
