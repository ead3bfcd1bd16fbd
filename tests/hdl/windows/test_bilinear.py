"""Interpolation against fractions, at the ends of its range and on ties."""

import random
from fractions import Fraction

import pytest
from amaranth.sim import Simulator

from tilewright.hdl.windows.bilinear import Bilinear


def reference(pixels, zero, fx, fy, mask, fraction, mask_fraction):
    """Return the result."""
    one = 1 << fraction
    rows = [one - fy, fy]
    columns = [one - fx, fx]
    total = sum(rows[i] * columns[j] * (pixels[i][j] - zero) for i in range(2) for j in range(2))
    return (zero + round(Fraction(mask * total, one * one << mask_fraction))) & 0xFF


def run(dut, zero, items):
    """Return the results of a stream of operands."""
    got = []

    async def bench(ctx):
        ctx.set(dut.zero, zero)
        for now in range(len(items) + dut.LATENCY):
            if now >= dut.LATENCY:
                got.append(ctx.get(dut.o))
            if now < len(items):
                for i in range(2):
                    for j in range(2):
                        ctx.set(getattr(dut, f"p_{i}{j}"), items[now][0][i][j])
            for port, late, field in (
                (dut.fx, dut.FX, 1),
                (dut.fy, dut.FY, 2),
                (dut.mask, dut.MASK, 3),
            ):
                if 0 <= now - late < len(items):
                    ctx.set(port, items[now - late][field])
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return got


@pytest.mark.parametrize(("fraction", "mask_fraction"), [(8, 8), (4, 0), (0, 5), (0, 0)])
@pytest.mark.parametrize(("low", "high", "zero"), [(-128, 127, -128), (0, 255, 255), (0, 255, 7)])
def test_matches_fractions(low, high, zero, fraction, mask_fraction):
    rng = random.Random(f"{low} {zero} {fraction} {mask_fraction}")
    one, top = 1 << fraction, 1 << mask_fraction

    def pixel():
        return rng.choice((low, high, zero, rng.randint(low, high)))

    items = []
    for _ in range(800):
        part = 1 << rng.randint(0, fraction)  # the fraction's unit: large ones give ties
        fx, fy = (rng.randrange(0, one, part) for _ in range(2))
        mask = rng.choice((0, top, top // 2, rng.randint(0, top)))
        items.append(([[pixel(), pixel()], [pixel(), pixel()]], fx, fy, mask))
    expected = [reference(pixels, zero, *rest, fraction, mask_fraction) for pixels, *rest in items]
    got = run(Bilinear(fraction=fraction, mask_fraction=mask_fraction), zero, items)
    wrong = [n for n in range(len(items)) if got[n] != expected[n]]
    assert not wrong, [(items[n], got[n], expected[n]) for n in wrong[:3]]
