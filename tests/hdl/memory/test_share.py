"""The host's accesses between the bursts of an engine, in front of the controller and its chip."""

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tests.hdl.memory.sdram_bench import Bench, random_requests
from tilewright.hdl.bus.axi import AXI4
from tilewright.hdl.memory.chip import CHIPS
from tilewright.hdl.memory.host import HostPort
from tilewright.hdl.memory.pins import SDRAMPins
from tilewright.hdl.memory.share import HostShare

CHIP = CHIPS["IS42S16160G-7"]


class Shared(wiring.Component):
    """A controller whose bus is shared; the bench's host has the engine's side."""

    def __init__(self, controller, masks):
        self.controller = controller
        width = controller.parameters.data_width
        self.share = HostShare(data_width=width, flying=16, masks=masks)
        super().__init__(
            {
                "axi": In(AXI4(data_width=width)),
                "host": In(HostPort()),
                "pins": Out(SDRAMPins(controller.parameters.chip)),
                "align": In(1),
                "ready": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.controller = controller = self.controller
        m.submodules.share = share = self.share
        wiring.connect(m, wiring.flipped(self.axi), share.engine)
        wiring.connect(m, wiring.flipped(self.host), share.host)
        wiring.connect(m, share.axi, controller.axi)
        wiring.connect(m, controller.pins, wiring.flipped(self.pins))
        m.d.comb += [controller.align.eq(self.align), self.ready.eq(controller.ready)]
        return m


def alone(width, seed, **options):
    bench = Bench(CHIP, width, seed, **options)
    random_requests(bench, 16)
    return bench


def shared(width, seed, *, masks=True, **options):
    bench = alone(width, seed, **options)
    bench.dut = Shared(bench.dut, masks)
    if not masks:
        step, whole = bench.model.step, (1 << bench.bytes) - 1

        def unmasked(*, dqm, **pins):
            assert not dqm, f"seed {seed}: bytes are masked"
            return step(dqm=0, **pins)

        bench.model.step = unmasked
        bench.beats = [(value, whole, last) for value, _, last in bench.beats]
    return bench


async def access(ctx, port, address, data=None):
    ctx.set(port.addr, address)
    ctx.set(port.data, data or 0)
    ctx.set(port.write, data is not None)
    ctx.set(port.valid, 1)
    while not ctx.get(port.ready):
        await ctx.tick()
    word = ctx.get(port.o)
    await ctx.tick()
    ctx.set(port.valid, 0)
    return word


@pytest.mark.parametrize(
    ("width", "seed", "masks"), [(32, 0, True), (64, 1, True), (32, 4, False), (64, 5, False)]
)
def test_host_and_engine_see_the_same_bytes(width, seed, masks):
    """The engine reads the lower half and writes to the upper one; the host has words of both."""
    bench = shared(width, seed, masks=masks, pace=0.7, in_turn=True)
    rng = bench.random
    half = CHIP.size_bytes // 2
    expected, wanted = {}, iter(bench.beats)
    for r in bench.writes:
        for address in range(r.address, r.address + r.beats * bench.bytes, bench.bytes):
            value, strobe, _ = next(wanted)
            for i in range(bench.bytes):
                if strobe >> i & 1:
                    expected[address + i] = value >> 8 * i & 0xFF
    # Words that the engine neither reads nor writes, so that their order does not matter.
    words = [base + 4 * n for n in range(4) for base in (half - 64, 2 * half - 64)]
    known = {}

    async def host(ctx):
        for _ in range(60):
            await ctx.tick().repeat(rng.choice((1, 1, 20, 60)))
            address = rng.choice(words)
            if rng.random() < 0.5 or address not in known:
                known[address] = rng.getrandbits(32)
                await access(ctx, bench.dut.host, address, known[address])
            else:
                assert await access(ctx, bench.dut.host, address) == known[address], f"seed {seed}"

    data = bench.model.data
    for r in bench.reads:
        for address in range(r.address, r.address + r.beats * bench.bytes):
            data[address] = (address * 7 + (address >> 8) * 13) & 0xFF
    expected |= data
    bench.simulate(host)
    for address, word in known.items():
        expected |= {address + i: word >> 8 * i & 0xFF for i in range(4)}
    assert data == expected, f"seed {seed}"
    for address, beat in bench.got.items():
        want = bytes(data[address + i] for i in range(bench.bytes))
        assert beat.to_bytes(bench.bytes, "little") == want, f"seed {seed}, address {address:#x}"
    assert len(bench.cycles("r")) == sum(r.beats for r in bench.reads)


def test_a_host_that_keeps_quiet_costs_no_cycle():
    logs = []
    for make in (alone, shared):
        bench = make(64, 3, pace=0.8)
        bench.simulate()
        logs.append(bench.log)
    assert logs[0] == logs[1]
