"""Memories behind AXI4: on chip, through the host's port; outside, a controller and its parts."""

from amaranth.hdl import Module, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tests.hdl.examples import run
from tests.hdl.memory.sdram_bench import Bench, Request
from tilewright.hdl.families.generic import Family
from tilewright.hdl.memory import large
from tilewright.hdl.memory.banks import Banks
from tilewright.hdl.memory.block import OnChipMemory
from tilewright.hdl.memory.chip import CHIPS
from tilewright.hdl.memory.engine import SDRAMEngine
from tilewright.hdl.memory.keeper import Keeper
from tilewright.hdl.memory.large import LargeMemory
from tilewright.hdl.memory.late import LatePins
from tilewright.hdl.memory.mover import Mover
from tilewright.hdl.memory.opener import Opener
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.pieces import Pieces
from tilewright.hdl.memory.pins import Command, SDRAMPins
from tilewright.hdl.memory.sdram import SDRAMController
from tilewright.hdl.memory.share import HostShare
from tilewright.isa import EngineConfig

#: 50 MHz: a row is there in a cycle, closed in one, and every other time is short too.
PARAMETERS = SDRAMParameters(
    chip=CHIPS["IS42S16160G-7"], clock_mhz=50.0, data_width=32, buffer_beats=8
)
GEOMETRY, CYCLES = PARAMETERS.geometry, PARAMETERS.cycles


class WithLargeMemory(Family):
    """A made-up family, whose large memory is no primitive and can be simulated."""

    large_bytes = 64

    def large_memory(self, m, word, given, enable, shown):
        m.submodules.memory = memory = Memory(shape=unsigned(32), depth=16, init=[])
        write, read = memory.write_port(), memory.read_port()
        m.d.comb += [write.addr.eq(word), write.data.eq(given), write.en.eq(enable)]
        m.d.comb += [read.addr.eq(word), read.en.eq(~enable), shown.eq(read.data)]


class ChipsData(wiring.Component):
    """What reads a chip's data into ``seen``, and says whether it drives by a command."""

    sdram: Out(SDRAMPins(PARAMETERS.chip))
    drives: In(1)
    seen: Out(16)

    def elaborate(self, platform):
        m = Module()
        m.d.comb += [self.sdram.dq_oe.eq(self.drives), self.seen.eq(self.sdram.dq_i)]
        return m


def test_late_pins():
    dut = LatePins(ChipsData(), 3)  # two cycles there, one back

    async def bench(ctx):
        assert ctx.get(dut.sdram.ras_n)  # as it is without a command
        ctx.set(dut.drives, 1)
        ctx.set(dut.sdram.dq_i, 0xCAFE)
        assert ctx.get(dut.seen) == 0
        await ctx.tick()
        assert ctx.get(dut.seen) == 0xCAFE
        assert not ctx.get(dut.sdram.dq_oe)
        await ctx.tick()
        assert ctx.get(dut.sdram.dq_oe)

    run(dut, bench)


def test_on_chip_memory():
    dut = OnChipMemory(data_width=64, size_bytes=256)

    async def bench(ctx):
        ctx.set(dut.host.addr, 12)
        ctx.set(dut.host.data, 0xCAFE)
        ctx.set(dut.host.write, 1)
        ctx.set(dut.host.valid, 1)
        assert ctx.get(dut.host.ready)
        await ctx.tick()
        ctx.set(dut.host.addr, 12 + 256)  # addresses wrap
        ctx.set(dut.host.write, 0)
        await ctx.tick().repeat(dut.HOST_LATENCY)
        assert ctx.get(dut.host.ready)
        assert ctx.get(dut.host.o) == 0xCAFE

    run(dut, bench)


def test_large_memory(monkeypatch):
    monkeypatch.setattr(large, "get_family", lambda dsp: WithLargeMemory())
    dut = LargeMemory(dsp="made up")

    async def bench(ctx):
        for name, value in {"addr": 8, "data": 0xCAFE, "write": 1, "valid": 1}.items():
            ctx.set(getattr(dut.host, name), value)
        assert ctx.get(dut.host.ready)
        await ctx.tick()
        ctx.set(dut.host.write, 0)
        await ctx.tick()
        assert ctx.get(dut.host.ready)
        assert ctx.get(dut.host.o) == 0xCAFE
        await ctx.tick()
        ctx.set(dut.host.valid, 0)
        ctx.set(dut.axi.araddr, 8)  # and through the bus
        ctx.set(dut.axi.arvalid, 1)
        ctx.set(dut.axi.rready, 1)
        while not ctx.get(dut.axi.rvalid):
            await ctx.tick()
            ctx.set(dut.axi.arvalid, 0)
        assert (ctx.get(dut.axi.rdata), ctx.get(dut.axi.rlast)) == (0xCAFE, 1)

    run(dut, bench)


def test_pieces():
    """A burst of six beats from the last but one of four is cut behind it, and after four more."""
    dut = Pieces(GEOMETRY)

    async def bench(ctx):
        ctx.set(dut.i.payload.address, 2 * 4 + 1024)  # in bank 1: rows have 1024 bytes
        ctx.set(dut.i.payload.len, 5)
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        pieces = []
        while not pieces or not pieces[-1][-1]:
            if ctx.get(dut.o.valid):
                piece = dut.o.payload
                names = ("bank", "column", "beats", "last")
                pieces.append(tuple(ctx.get(piece[name]) for name in names))
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert pieces == [(1, 4, 2, 0), (1, 8, 4, 1)]  # a beat is two columns

    run(dut, bench)


def test_banks():
    dut = Banks(GEOMETRY, CYCLES)

    async def bench(ctx):
        ctx.set(dut.mine, 0b0100)
        ctx.set(dut.row, 77)
        assert not ctx.get(dut.hit)
        ctx.set(dut.open, 1)
        await ctx.tick()
        ctx.set(dut.open, 0)
        assert ctx.get(dut.hit)
        assert not ctx.get(dut.closable), "it was opened just now"
        ctx.set(dut.row, 78)
        assert (ctx.get(dut.hit), ctx.get(dut.occupied)) == (0, 1)
        await ctx.tick().repeat(dut.close_after(GEOMETRY, CYCLES)[0])
        assert ctx.get(dut.closable)

    run(dut, bench)


def test_opener():
    """Of two pieces in one bank, the second one's row takes the place of the first one's."""
    dut = Opener(GEOMETRY, CYCLES)

    async def bench(ctx):
        ctx.set(dut.enable, 1)
        ctx.set(dut.o.ready, 1)
        given = []
        for row in (5, 6):
            ctx.set(dut.i.payload.piece.row, row)
            ctx.set(dut.i.valid, 1)
            while not ctx.get(dut.o.valid):
                if ctx.get(dut.command) != Command.NOP:
                    given.append((Command(ctx.get(dut.command)).name, ctx.get(dut.a)))
                await ctx.tick()
                ctx.set(dut.i.valid, 0)
            await ctx.tick()
        assert given == [("ACTIVE", 5), ("PRECHARGE", 0), ("ACTIVE", 6)]

    run(dut, bench)


def test_mover():
    """Two beats are read, each of two words that come a fixed time after their command."""
    dut = Mover(GEOMETRY, CYCLES, 0)

    async def bench(ctx):
        piece = dut.i.payload.piece
        for name, value in {"column": 6, "bank": 3, "beats": 2, "last": 1}.items():
            ctx.set(piece[name], value)
        ctx.set(dut.i.valid, 1)
        await ctx.tick()
        ctx.set(dut.i.valid, 0)
        columns, beats = [], []
        for cycle in range(20):
            if ctx.get(dut.column):
                columns.append((ctx.get(dut.bank), ctx.get(dut.a)))
            if ctx.get(dut.read_valid):
                beats.append((ctx.get(dut.read_data), ctx.get(dut.read_last)))
            await ctx.tick()
            ctx.set(dut.dq_i, 0x100 + cycle)  # what the chip drives now
        assert columns == [(3, 6), (3, 8)]
        (first, _), (second, last) = beats
        assert second - first == 0x00020002  # two cycles later, both words
        assert last

    run(dut, bench)


def test_keeper():
    """The chip is initialized, and refreshed when that is asked for."""
    dut = Keeper(GEOMETRY, CYCLES, 5)

    async def bench(ctx):
        async def commands():
            given = []
            while ctx.get(dut.busy):
                if ctx.get(dut.command) != Command.NOP:
                    given.append(Command(ctx.get(dut.command)).name)
                await ctx.tick()
            return given

        refreshes = ["REFRESH"] * dut.POWER_UP_REFRESHES
        assert await commands() == ["PRECHARGE", *refreshes, "MODE"]
        ctx.set(dut.idle, 1)
        ctx.set(dut.align, 1)
        await ctx.tick()
        ctx.set(dut.align, 0)
        assert not ctx.get(dut.may_choose)
        await ctx.tick()
        assert await commands() == ["PRECHARGE", "REFRESH"]

    run(dut, bench)


def test_sdram_controller():
    """Beats that are written through the bus lie in the chip, and are read from there."""
    bench = Bench(CHIPS["IS42S16160G-7"], 32, seed=0)
    assert isinstance(bench.dut, SDRAMController)
    bench.write(0, 0x40, (0x11223344, 0x55667788))
    bench.reads = [Request(150, 0x40, 2)]
    bench.simulate()
    assert bench.model.data[0x40] == 0x44
    assert bench.got == {0x40: 0x11223344, 0x44: 0x55667788}


def test_sdram_engine():
    """The chip's clock runs; as long as it is being initialized, no program may start."""
    config = EngineConfig(rows=2, cols=2, requantizers=1, bus_width=32, pipelined=False)
    dut = SDRAMEngine(config, PARAMETERS)

    async def bench(ctx):
        assert not ctx.get(dut.ready)
        assert ctx.get(dut.sdram.cke)

    run(dut, bench)


def test_host_share():
    """A word that the host wants comes when the burst of the engine is over."""
    dut = HostShare(data_width=32, flying=2)

    async def bench(ctx):
        ctx.set(dut.engine.arvalid, 1)
        ctx.set(dut.engine.araddr, 0x40)
        ctx.set(dut.axi.arready, 1)
        assert ctx.get(dut.axi.araddr) == 0x40
        await ctx.tick()
        ctx.set(dut.host.addr, 0x80)
        ctx.set(dut.host.valid, 1)
        ctx.set(dut.engine.arvalid, 0)
        await ctx.tick()
        ctx.set(dut.engine.arvalid, 1)  # the next one waits
        await ctx.tick().repeat(5)
        assert not ctx.get(dut.axi.arvalid)
        ctx.set(dut.axi.rvalid, 1)
        ctx.set(dut.axi.rlast, 1)
        ctx.set(dut.axi.rdata, 1)
        ctx.set(dut.engine.rready, 1)
        assert ctx.get(dut.engine.rvalid)
        await ctx.tick()
        ctx.set(dut.axi.rvalid, 0)
        await ctx.tick()
        assert ctx.get(dut.axi.araddr) == 0x80
        await ctx.tick()
        ctx.set(dut.axi.rvalid, 1)
        ctx.set(dut.axi.rdata, 0xCAFE)
        assert not ctx.get(dut.engine.rvalid)
        await ctx.tick()
        assert ctx.get(dut.host.ready)
        assert ctx.get(dut.host.o) == 0xCAFE

    run(dut, bench)
