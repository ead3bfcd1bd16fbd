"""Partial sums against plain arithmetic: terms of several commands, totals, windows."""

import random

import pytest
from amaranth.sim import Simulator

from tilewright.hdl.drain.partial import PartialSums
from tilewright.isa import EngineConfig
from tilewright.isa.passes import PARTIAL_GAP, PARTIAL_LATENCY, drain_span, pass_span

CONFIGS = {
    "4x3": EngineConfig(rows=4, cols=3, requantizers=2, data_width=13, partial_depth=64),
    "2x2": EngineConfig(rows=2, cols=2, acc_width=24, data_width=13, partial_depth=16),
}


def random_command(rng, tile, first, last):
    """Return the fields of a command; the last divides what the terms are multiples of."""
    fields = {
        "first": int(first),
        "last": int(last),
        "last_h": tile[0],
        "tile_h": tile[0],
        "tile_w": tile[1],
        "rows_used": rng.randrange(16),
        "columns_used": rng.randrange(4),
        "scale": rng.randrange(3, 8),
        "third": int(last and rng.random() < 0.5),
        "halvings": rng.randrange(4) if last else 0,
    }
    flags = ("row_shift", "row_sign", "column_shift", "column_sign", "negative")
    return fields | {name: rng.randrange(2) for name in flags}


def added(fields, value, row, column):
    """Return what a command adds to a place of the tile."""
    if not (fields["rows_used"] >> row & 1 and fields["columns_used"] >> column & 1):
        return 0
    value <<= fields["scale"] + row * fields["row_shift"] + column * fields["column_shift"]
    odd = fields["negative"] + row * fields["row_sign"] + column * fields["column_sign"]
    return -value if odd % 2 else value


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", CONFIGS)
def test_totals_are_the_sums_of_all_terms(name, seed):
    config, rng = CONFIGS[name], random.Random(f"{name} {seed}")
    dut = PartialSums(config)
    window, heads = config.drain_cycles, config.requantizer_count

    async def one_pass(ctx, fields, sums, before, begins, ends):
        """Run one pass; return the windows that follow, as (row, column, blank, final, totals)."""
        found, shown = [], []
        length = pass_span(config, fields["tile_h"], fields["tile_w"], fields["last"])
        if ends:
            length = drain_span(config, fields["tile_h"], fields["tile_w"], fields["last"])
        for name_, value in (("start", 1), ("begins", begins), ("ends", ends)):
            ctx.set(getattr(dut, name_), value)
        for now in range(length):
            if now == 1:
                ctx.set(dut.start, 0)
                for field, value in fields.items():
                    ctx.set(dut.tile[field], value)
            # The last sums of the pass before may be there with the start.
            place = now - 1
            for i in range(heads):
                if 0 <= place < window * fields["tile_w"]:
                    ctx.set(dut.acc[i], sums[i][place % window])
                elif place >= 0 or begins:
                    ctx.set(dut.acc[i], rng.randrange(99))
                else:
                    ctx.set(dut.acc[i], before[i][-1])
            if shown and len(shown[-1][-1]) < window:
                shown[-1][-1].append([ctx.get(dut.total[i]) for i in range(heads)])
            if ctx.get(dut.launch):
                where = tuple(ctx.get(v) for v in (dut.row, dut.column, dut.blank, dut.final))
                shown.append((now, *where, []))
            await ctx.tick()
        for at, row, column, blank, final, totals in shown:
            # Windows follow the additions without a gap.
            assert (
                at
                == fields["tile_w"] * window + PARTIAL_GAP + PARTIAL_LATENCY + len(found) * window
            )
            found.append((row, column, blank, final, totals))
        return found

    async def bench(ctx):
        for _ in range(4):
            tile = rng.randint(1, 4), rng.randint(1, 2)
            count = max(1, config.partial_depth // (window * tile[1]) - rng.randrange(3))
            count = min(count, 3)
            total = {}
            for number in range(terms := rng.randint(1, 4)):
                last = number == terms - 1
                fields = random_command(rng, tile, number == 0, last)
                divisor = (-3 if fields["third"] else 1) << fields["halvings"]
                previous = []
                for index in range(count):
                    sums = [[rng.randint(-999, 999) for _ in range(window)] for _ in range(heads)]
                    if last:  # what is left of the division
                        sums = [[divisor * value for value in head] for head in sums]
                    for row in range(4):
                        for column in range(tile[1]):
                            for i, head in enumerate(sums):
                                for e, value in enumerate(head):
                                    key = index, row, column, i, e
                                    before = 0 if number == 0 else total[key]
                                    total[key] = before + added(fields, value, row, column)
                    windows = await one_pass(
                        ctx, fields, sums, previous, int(index == 0), int(index == count - 1)
                    )
                    previous = sums
                    if not last:
                        blank = [(1, 1)] if index == count - 1 else []
                        assert [w[2:4] for w in windows] == blank
                        continue
                    places = [(row, column) for row in range(tile[0]) for column in range(tile[1])]
                    assert [w[:2] for w in windows] == places
                    ends = [int(index == count - 1 and p == places[-1]) for p in places]
                    assert [w[2:4] for w in windows] == [(0, end) for end in ends]
                    half = 1 << (config.acc_width - 1)
                    for (row, column), (*_, totals) in zip(places, windows, strict=True):
                        for e, now in enumerate(totals):
                            for i, got in enumerate(now):
                                value = total[index, row, column, i, e]
                                if fields["third"]:
                                    value *= 0x55555555
                                wrapped = (value + half) % (2 * half) - half
                                assert got == wrapped >> fields["halvings"]

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
