"""Products of primitive and inferred multipliers, cycle by cycle, against Python's integers."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.array.multipliers import CASES, kinds, product_shape
from tests.hdl.streams import reset
from tilewright.hdl.array.multiplier import DualMultiplier

CYCLES = 1000


def operand(rng, shape):
    """Return a value of a shape; its ends are as likely as everything between."""
    low = -(1 << (shape.width - 1)) if shape.signed else 0
    high = low + (1 << shape.width) - 1
    ends = (low, high, 0, min(1, high), max(-1, low))
    return rng.choice(ends) if rng.random() < 0.5 else rng.randint(low, high)


def number(signal, shape):
    return signal.value.to_signed() if shape.signed else signal.value.to_unsigned()


@cocotb.test()
async def every_product_comes_after_its_latency(dut):
    await reset(dut)
    rng = random.Random(11)
    given = [[] for _ in CASES]
    for cycle in range(CYCLES):
        for n, (a_shape, b_shape, _) in enumerate(CASES):
            a, b = operand(rng, a_shape), operand(rng, b_shape)
            given[n].append((a, b))
            getattr(dut, f"a_{n}").value = a & ((1 << a_shape.width) - 1)
            getattr(dut, f"b_{n}").value = b & ((1 << b_shape.width) - 1)
        await ReadOnly()
        for n, (a_shape, b_shape, latency) in enumerate(CASES):
            if cycle < latency:
                continue
            a, b = given[n][cycle - latency]
            for kind in kinds(n):
                product = number(getattr(dut, f"{kind}_{n}"), product_shape(a_shape, b_shape))
                assert product == a * b, f"multiplier {n}, {kind}: {a} * {b}"
        await RisingEdge(dut.clk)


@cocotb.test()
async def both_products_of_one_primitive_come_after_its_latency(dut):
    await reset(dut)
    rng = random.Random(12)
    ends = [-128, -1, 0, 1, 127, 128, 255]
    given = []
    for cycle in range(CYCLES):
        a = [rng.choice(ends) if rng.random() < 0.5 else rng.randint(-128, 255) for _ in range(2)]
        b = rng.choice([-128, 127]) if rng.random() < 0.3 else rng.randint(-128, 127)
        given.append((a, b))
        dut.dual_a_0.value, dut.dual_a_1.value = (x & 511 for x in a)
        dut.dual_b.value = b & 255
        await ReadOnly()
        if cycle >= DualMultiplier.LATENCY:
            a, b = given[cycle - DualMultiplier.LATENCY]
            products = [dut.dual_p_0.value.to_signed(), dut.dual_p_1.value.to_signed()]
            assert products == [x * b for x in a], f"{a} * {b}"
        await RisingEdge(dut.clk)
