"""The timing of the SDRAM controller, cycle for cycle."""

import pytest

from tests.hdl.memory.sdram_bench import Bench, Request, random_requests
from tilewright.hdl.memory.chip import CHIPS
from tilewright.sim.timing.sdram import SDRAMTiming

ALIGN = 120


def predict(bench):
    """Return the cycles of read beats and confirmations, from when addresses and beats were shown.

    Cycles count from ``align``, as in the model.
    """
    timing = SDRAMTiming(bench.dut)
    shown = []
    for channel, requests, ask in (
        ("ar", bench.reads, timing.read),
        ("aw", bench.writes, timing.write),
    ):
        free = 0
        for request, accepted in zip(requests, bench.cycles(channel), strict=True):
            shown.append((max(request.cycle, free) - ALIGN, ask, request))
            free = accepted + 1
    events = sorted(shown, key=lambda event: event[0])
    events += [(c - ALIGN, timing.taken, None) for c in bench.cycles("r")]
    events += [(c - ALIGN, timing.given, None) for c in bench.cycles("w")]
    available, confirmed = [], []
    for cycle, tell, request in sorted(events, key=lambda event: event[0]):
        timing.advance(cycle)
        if request is None:
            tell(cycle)
        else:
            answer = available if tell == timing.read else confirmed
            tell(cycle, request.address, request.beats, answer.extend)
    timing.advance(1 << 30)
    return available, confirmed


def check(bench, seed):
    bench.simulate()
    available, confirmed = predict(bench)
    taken, last = [], -1
    for cycle in available:
        last = max(cycle, last + 1)
        taken.append(last + ALIGN)
    assert taken == bench.cycles("r"), f"seed {seed}"
    assert [c + ALIGN for c in confirmed] == bench.cycles("b"), f"seed {seed}"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("name", "width"), [("IS42S16160G-7", 64), ("W9825G6KH-6", 32), ("EM638325-6", 64)]
)
def test_matches_the_controller(name, width, seed):
    bench = Bench(CHIPS[name], width, seed, align=ALIGN)
    random_requests(bench, 16, start=ALIGN + 1)
    check(bench, seed)


def test_matches_the_controller_beside_refreshes():
    """Short reads all the time: refreshes fall due in every state of the controller."""
    bench = Bench(CHIPS["IS42S16160G-7"], 64, 0, align=ALIGN)
    rng = bench.random
    bench.reads = [Request(ALIGN + 1 + 23 * n, rng.randrange(1 << 20) * 8, 1) for n in range(160)]
    check(bench, 0)


def test_matches_the_controller_when_nobody_takes_beats():
    bench = Bench(CHIPS["IS42S16160G-7"], 64, 5, align=ALIGN, pace=0.1)
    random_requests(bench, 8, start=ALIGN + 1)
    bench.simulate()
    available, confirmed = predict(bench)
    for cycle, taken in zip(available, bench.cycles("r"), strict=True):
        assert taken >= cycle + ALIGN
    assert [c + ALIGN for c in confirmed] == bench.cycles("b")
