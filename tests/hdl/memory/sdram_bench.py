"""A controller with a chip at its pins, and a host at its bus."""

import random
from dataclasses import dataclass
from functools import partial

from amaranth.sim import Simulator

from tests.hdl.memory.sdram_model import SDRAMModel
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.sdram import SDRAMController

CLOCK_MHZ = 112.5
POWER_UP_US = 0.2
NOTHING_DRIVEN = 0xDEAD


@dataclass(frozen=True)
class Request:
    """A burst whose address is shown from ``cycle`` on, or later where one before it waits."""

    cycle: int
    address: int
    beats: int


class Bench:
    """Shows requests, gives and takes beats with a probability of ``pace`` in each cycle.

    Beats may be given before their address is taken, unless ``in_turn``. ``log`` has a row for
    each handshake: cycle, channel and, of addresses and read beats, the address.
    """

    def __init__(self, chip, width, seed, *, pace=1.0, slow_chip=None, align=None, in_turn=False):
        self.random = random.Random(seed)
        self.pace = pace
        self.align = align
        self.in_turn = in_turn
        self.parameters = SDRAMParameters(chip=chip, clock_mhz=CLOCK_MHZ, data_width=width)
        self.dut = SDRAMController(self.parameters, power_up_us=POWER_UP_US)
        self.model = SDRAMModel(slow_chip or chip, CLOCK_MHZ, power_up_us=POWER_UP_US)
        self.bytes = width // 8
        self.cycle = 0
        self.log = []
        self.reads, self.writes = [], []  # requests
        self.beats = []  # beats to be written: data, strobe, last
        self.got = {}  # of reads: address -> beat

    def write(self, cycle, address, values, strobes=None):
        """Ask for a write of beats."""
        self.writes.append(Request(cycle, address, len(values)))
        for i, value in enumerate(values):
            strobe = (1 << self.bytes) - 1 if strobes is None else strobes[i]
            self.beats.append((value, strobe, i == len(values) - 1))

    def cycles(self, channel):
        """Return the cycles of a channel's handshakes."""
        return [row[0] for row in self.log if row[1] == channel]

    def simulate(self, *others):
        """Run until every request is answered, and other test benches are done."""
        simulator = Simulator(self.dut)
        simulator.add_clock(1e-6)
        simulator.add_testbench(self._run)
        self.others = len(others)

        async def run(ctx, other):
            await other(ctx)
            self.others -= 1

        for other in others:
            simulator.add_testbench(partial(run, other=other))
        simulator.run()

    async def _run(self, ctx):
        axi = self.dut.axi
        ctx.set(axi.bready, 1)
        reads, writes, beats = list(self.reads), list(self.writes), list(self.beats)
        flying, confirmed, beat = [], 0, None
        taken = 0  # addresses of writes whose beats have not all been shown
        after = 16  # cycles in which the words of the last, confirmed write reach the chip
        while after:
            if not (
                reads or writes or beats or flying or confirmed < len(self.writes) or self.others
            ):
                after -= 1
            ready = ctx.get(self.dut.ready)
            read = self._show(ctx, axi, "ar", reads, ready)
            write = self._show(ctx, axi, "aw", writes, ready)
            begun = self.cycle > (self.align or -1)
            begun = begun and (taken > 0 or not self.in_turn)
            if beat is None and beats and begun and self.random.random() < self.pace:
                beat = beats.pop(0)
                taken -= beat[2]
                for name, value in zip(("wdata", "wstrb", "wlast"), beat, strict=True):
                    ctx.set(getattr(axi, name), value)
            ctx.set(axi.wvalid, beat is not None)
            ctx.set(axi.rready, self.random.random() < self.pace)
            ctx.set(self.dut.align, self.cycle == self.align)
            self._pins(ctx)
            if read and ctx.get(axi.arready):
                flying.append(reads.pop(0))
                self.log.append((self.cycle, "ar", flying[-1].address))
                flying[-1] = [flying[-1].address, flying[-1].beats]
            if write and ctx.get(axi.awready):
                self.log.append((self.cycle, "aw", writes.pop(0).address))
                taken += 1
            if beat is not None and ctx.get(axi.wready):
                self.log.append((self.cycle, "w"))
                beat = None
            if ctx.get(axi.rvalid) and ctx.get(axi.rready):
                address, left = flying[0]
                self.got[address] = ctx.get(axi.rdata)
                self.log.append((self.cycle, "r", address))
                assert ctx.get(axi.rlast) == (left == 1)
                assert ctx.get(axi.rresp) == 0
                flying[0] = [address + self.bytes, left - 1]
                if left == 1:
                    flying.pop(0)
            if ctx.get(axi.bvalid):
                confirmed += 1
                self.log.append((self.cycle, "b"))
                assert ctx.get(axi.bresp) == 0
            self.cycle += 1
            assert self.cycle < 100_000, "it does not end"
            await ctx.tick()
        assert confirmed == len(self.writes)

    def _show(self, ctx, axi, channel, requests, ready):
        shown = bool(requests) and ready and self.cycle >= requests[0].cycle
        if shown:
            ctx.set(getattr(axi, f"{channel}addr"), requests[0].address)
            ctx.set(getattr(axi, f"{channel}len"), requests[0].beats - 1)
        ctx.set(getattr(axi, f"{channel}valid"), shown)
        return shown

    def _pins(self, ctx):
        pins = self.dut.pins
        driven = self.model.step(
            command=ctx.get(pins.ras_n) << 2 | ctx.get(pins.cas_n) << 1 | ctx.get(pins.we_n),
            bank=ctx.get(pins.ba),
            a=ctx.get(pins.a),
            dqm=ctx.get(pins.dqm),
            dq=ctx.get(pins.dq_o),
            dq_oe=ctx.get(pins.dq_oe),
        )
        ctx.set(pins.dq_i, NOTHING_DRIVEN if driven is None else driven)


def random_requests(bench, count, *, start=0, block_beats=None):
    """Ask for reads of the chip's lower half and writes to its upper half, in few rows.

    No burst crosses a multiple of ``block_beats``, or of 4 KiB.
    """
    rng, size = bench.random, bench.bytes
    cycle = start
    block = block_beats or 4096 // size
    for _ in range(count):
        cycle += rng.choice((0, 0, 3, 40, 300))
        beats = min(block, rng.choice((1, 2, 4, 7, 16, 32, 32, 100)))
        page = rng.randrange(4) * 65536 + rng.randrange(32768 // (block * size)) * block * size
        address = page + rng.randrange(block - beats + 1) * size
        if rng.random() < 0.5:
            bench.reads.append(Request(cycle, address, beats))
        else:
            strobes = [rng.choice((rng.getrandbits(size), (1 << size) - 1)) for _ in range(beats)]
            values = [rng.getrandbits(8 * size) for _ in range(beats)]
            bench.write(cycle, bench.parameters.chip.size_bytes // 2 + address, values, strobes)
