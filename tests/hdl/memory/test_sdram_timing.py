"""The timing of the SDRAM controller, cycle for cycle."""

import pytest

from tests.hdl.memory.sdram_bench import Bench, Request, random_requests
from tilewright.hdl.memory.chip import CHIPS
from tilewright.sim.timing.memory.sdram import SDRAMRun

ALIGN = 120


class Host:
    """A bench's host that takes beats as soon as they come, and gives them as soon as it can."""

    def __init__(self, bench):
        self.run = SDRAMRun(bench.parameters)
        self.reads, self.writes = iter(bench.reads), iter(bench.writes)
        self.free = [0, 0]  # from when on the next read's, write's address is shown
        self.taken, self.given, self.confirmed = [0], [0], []  # with align's own cycle before

    def read(self):
        if (request := next(self.reads, None)) is not None:
            self.run.read(max(request.cycle - ALIGN, self.free[0]), request.address, request.beats)

    def write(self):
        """Show the next write's address; its beats are given whether it is taken or not."""
        if (request := next(self.writes, None)) is None:
            return
        shown = max(request.cycle - ALIGN, self.free[1])
        accepted, room = self.run.write(shown, request.address, request.beats)
        self.free[1] = accepted + 1
        given = []
        for free in room:
            given.append(max(free, (given or self.given)[-1] + 1))
        self.given += given
        self.run.given(given)

    def go(self):
        self.read()
        self.write()
        while (answer := self.run.step()) is not None:
            if answer.write:
                self.confirmed += answer.beats
                self.write()
            else:
                self.free[0] = answer.accepted + 1
                taken = []
                for cycle in answer.beats:
                    taken.append(max(cycle, (taken or self.taken)[-1] + 1))
                self.taken += taken
                self.run.taken(taken)
                self.read()
        return self


def check(bench, seed):
    bench.simulate()
    host = Host(bench).go()
    for channel, predicted in (
        ("r", host.taken[1:]),
        ("w", host.given[1:]),
        ("b", host.confirmed),
    ):
        assert [c + ALIGN for c in predicted] == bench.cycles(channel), f"{channel}, seed {seed}"


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("name", "width"), [("IS42S16160G-7", 64), ("W9825G6KH-6", 32), ("EM638325-6", 64)]
)
def test_matches_the_controller(name, width, seed):
    bench = Bench(CHIPS[name], width, seed, align=ALIGN)
    random_requests(bench, 24, start=ALIGN + 1, block_beats=32)
    check(bench, seed)


def test_matches_the_controller_beside_refreshes():
    """Short reads all the time: refreshes fall due in every state of the controller."""
    bench = Bench(CHIPS["IS42S16160G-7"], 64, 0, align=ALIGN)
    rng = bench.random
    bench.reads = [Request(ALIGN + 1 + 23 * n, rng.randrange(1 << 20) * 8, 1) for n in range(160)]
    check(bench, 0)
