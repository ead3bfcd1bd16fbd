"""The requantizer against the integer reference, at every shift and at the ends of its range."""

import numpy as np
import pytest
from amaranth.sim import Simulator

from tilewright.compiler.ir import Requantize as Scale
from tilewright.compiler.ir.arithmetic import requantize
from tilewright.hdl.drain.requantize import Requantize


@pytest.mark.parametrize(
    ("acc_width", "multiplier_width", "pipelined", "rounding", "wide"),
    [
        (32, 18, True, "half_even", False),
        (32, 18, True, "half_even", True),
        (32, 31, True, "half_even", False),
        (20, 8, True, "half_even", False),
        (24, 16, False, "half_even", False),
        (20, 8, False, "half_even", False),
        (32, 31, True, "double", False),
        (32, 31, True, "double", True),
        (24, 31, False, "double", False),
    ],
)
def test_matches_reference(acc_width, multiplier_width, pipelined, rounding, wide):
    rng = np.random.default_rng(acc_width + multiplier_width)
    dut = Requantize(
        acc_width=acc_width, multiplier_width=multiplier_width, dsp="inferred", pipelined=pipelined,
        rounding=rounding, wide=wide,
    )  # fmt: skip
    latency, late = dut.latency(pipelined), dut.late(pipelined)
    low, high = -(1 << (acc_width - 1)), (1 << (acc_width - 1)) - 1
    items = []
    for shift in range(64):
        for case in range(24):
            # Results of all sizes: most of them small enough not to saturate.
            size = min(acc_width - 1, shift + case % 12)
            total = int(rng.integers(-(1 << size), 1 << size)) if case else (low, high)[shift % 2]
            bias = int(rng.integers(max(low, total - high), min(high, total - low) + 1))
            multiplier = 1 if case % 3 else int(rng.integers(0, 1 << multiplier_width))
            items.append((total - bias, bias, multiplier, shift))
            if rounding == "double" and 28 <= shift < 48 and case:
                # What is near a tie of either rounding.
                tie = int(rng.integers(-40, 40)) << max(shift - 31, 0)
                total = min(max(tie + int(rng.integers(-2, 3)), low), high)
                items.append((total, 0, 1 << 30, shift + int(rng.integers(2))))
    twice = rounding == "double"
    items = [(*item, n % 2 if twice else 0) for n, item in enumerate(items)]
    zero_point, qmin, qmax = (-300, -32768, 32767) if wide else (-3, -128, 127)
    got = []

    async def bench(ctx):
        ctx.set(dut.zero_point, zero_point)
        ctx.set(dut.qmin, qmin)
        ctx.set(dut.qmax, qmax)
        for index in range(len(items) + latency):
            if index >= latency:
                got.append(ctx.get(dut.o))
            if wide:  # high bytes of every other result
                ctx.set(dut.high, index - late & 1)
            if index < len(items):
                names = ("acc", "bias", "multiplier", "shift", *(["once"] * twice))
                for name, value in zip(names, items[index], strict=False):
                    ctx.set(getattr(dut, name), value)
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    totals = np.array([[[acc + bias]] for acc, bias, *_ in items], np.int64)
    multipliers, shifts, once = (tuple(item[k] for item in items) for k in (2, 3, 4))
    scale = Scale(multipliers, shifts, zero_point, qmin, qmax, rounding)
    expected = requantize(totals, scale, np.array(once, bool) if twice else None).ravel()
    bytes_of = [int(value) >> 8 * (wide and n % 2) & 0xFF for n, value in enumerate(expected)]
    wrong = [n for n in range(len(items)) if got[n] != bytes_of[n]]
    assert not wrong, [(items[n], int(got[n]), int(expected[n])) for n in wrong[:3]]
    assert len(set(map(int, expected))) > 100, "saturated"
