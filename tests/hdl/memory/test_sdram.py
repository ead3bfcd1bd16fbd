"""The SDRAM controller against a chip that checks every rule."""

from dataclasses import replace
from itertools import pairwise

import pytest

from tests.hdl.memory.sdram_bench import Bench, Request, random_requests
from tests.hdl.memory.sdram_model import Violation
from tilewright.hdl.memory.chip import CHIPS
from tilewright.hdl.memory.parameters import SDRAMParameters

CASES = [("IS42S16160G-7", 64), ("W9825G6KH-6", 32), ("EM638325-6", 64)]
CHIP = CHIPS["IS42S16160G-7"]


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("name", "width"), CASES)
def test_memory_is_read_and_written(name, width, seed):
    bench = Bench(CHIPS[name], width, seed, pace=(1.0, 0.4)[seed])
    random_requests(bench, 12)
    data = bench.model.data
    for r in bench.reads:
        for address in range(r.address, r.address + r.beats * bench.bytes):
            data[address] = (address * 7 + (address >> 8) * 13) & 0xFF
    expected, beats = dict(data), iter(bench.beats)
    for r in bench.writes:
        for address in range(r.address, r.address + r.beats * bench.bytes, bench.bytes):
            value, strobe, _ = next(beats)
            for i in range(bench.bytes):
                if strobe >> i & 1:
                    expected[address + i] = value >> 8 * i & 0xFF
    bench.simulate()
    assert data == expected, f"seed {seed}"
    for address, beat in bench.got.items():
        want = bytes(data[address + i] for i in range(bench.bytes))
        assert beat.to_bytes(bench.bytes, "little") == want, f"seed {seed}, address {address:#x}"
    assert len(bench.cycles("r")) == sum(r.beats for r in bench.reads)


def test_reads_in_order_take_almost_every_cycle():
    bench = Bench(CHIP, 64, 0)
    bench.reads = [Request(0, 256 * n, 32) for n in range(20)]
    bench.simulate()
    beats = bench.cycles("r")
    assert beats[0] - bench.cycles("ar")[0] == 20
    assert 8 * len(beats) / (beats[-1] - beats[0]) >= 1.9


def test_writes_in_order_take_almost_every_cycle():
    bench = Bench(CHIP, 64, 0)
    for n in range(20):
        bench.write(0, 256 * n, range(32))
    bench.simulate()
    confirmed = bench.cycles("b")
    assert 256 * (len(confirmed) - 1) / (confirmed[-1] - confirmed[0]) >= 1.9


def test_refreshes_come_in_time_while_it_is_idle():
    bench = Bench(CHIP, 64, 0)
    bench.reads = [Request(8000, 0, 1)]
    bench.simulate()
    run = [c for c in bench.model.refreshed if c > bench.model.refreshed[7]]
    period = bench.parameters.cycles.refresh
    assert len(run) >= 8000 // period - 2
    assert {b - a for a, b in pairwise(run)} == {period}


SLOWER = {
    "rcd_ns": 30.0,
    "rp_ns": 30.0,
    "ras_ns": 150.0,
    "rc_ns": 200.0,
    "rfc_ns": 100.0,
    "wr_ns": 150.0,
    "refresh_ms": 8.0,
    "cas_latency": 2,
}


def one_row_after_another(chip, slow_chip):
    """Return a bench of single beats, each of another row of one bank, and then a pause."""
    bench = Bench(chip, 64, 1, slow_chip=slow_chip)
    for n in range(4):
        bench.write(0, 8192 * n, [n])
        bench.reads.append(Request(0, 8192 * (2 * n + 1), 1))
    bench.reads.append(Request(3000, 0, 1))
    return bench


@pytest.mark.parametrize("time", SLOWER)
def test_a_chip_slower_than_stated_is_noticed(time):
    """The model of the chip checks each of its times, and the controller keeps each."""
    slow = replace(CHIP, **{time: SLOWER[time]})
    with pytest.raises(Violation):
        one_row_after_another(CHIP, slow).simulate()
    one_row_after_another(slow, slow).simulate()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"clock_mhz": 150.0}, "clock_mhz must be"),
        ({"data_width": 16}, "data_width must be"),
        ({"buffer_beats": 48}, "buffer_beats must be"),
    ],
)
def test_rejects_what_does_not_fit(parameters, message):
    with pytest.raises(ValueError, match=message):
        SDRAMParameters(**{"chip": CHIP, "clock_mhz": 112.5, "data_width": 64} | parameters)
