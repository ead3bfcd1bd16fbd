"""The board's system over its serial line, as a host sees it."""

import numpy as np
import pytest
from amaranth.sim import Simulator

import tilewright as tw
from tests.hdl.bench import simulate
from tilewright.boards.link.uart import UARTReceiver
from tilewright.boards.system import System
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig, Fetch, Unit, encode
from tilewright.isa.registers import IDENTITY, OFFSET, Status

DIVISOR = 4
CONFIG = EngineConfig(
    rows=2, cols=2, act_depth=16, weight_depth=16, out_depth=16, bus_width=32, queue_depth=8,
    burst_beats=4,
)  # fmt: skip


class Host:
    """The other end of the line."""

    def __init__(self, ctx, system):
        self.ctx, self.system = ctx, system

    async def send(self, data):
        for byte in data:
            for bit in (0, *((byte >> i) & 1 for i in range(8)), 1):
                self.ctx.set(self.system.uart_rx, bit)
                await self.ctx.tick().repeat(DIVISOR)

    async def receive(self, count):
        result = []
        for _ in range(count):
            for _ in range(10_000):
                if not self.ctx.get(self.system.uart_tx):
                    break
                await self.ctx.tick()
            else:
                raise AssertionError("no answer")
            await self.ctx.tick().repeat(DIVISOR + DIVISOR // 2)
            byte = 0
            for i in range(8):
                byte |= self.ctx.get(self.system.uart_tx) << i
                await self.ctx.tick().repeat(DIVISOR)
            result.append(byte)
        return bytes(result)

    async def read(self, kind, address):
        await self.send(kind + address.to_bytes(4, "little"))
        return int.from_bytes(await self.receive(4), "little")

    async def write(self, kind, address, value):
        await self.send(kind + address.to_bytes(4, "little") + value.to_bytes(4, "little"))
        assert await self.receive(1) == b"K"


def test_host_reaches_registers_and_memory_and_sees_a_refused_program():
    system = System(CONFIG, divisor=DIVISOR, memory_bytes=4096)
    seen = {}

    async def bench(ctx):
        ctx.set(system.uart_rx, 1)
        await ctx.tick().repeat(8)
        host = Host(ctx, system)
        seen["id"] = await host.read(b"R", OFFSET["ID"])
        seen["digest"] = await host.read(b"R", OFFSET["DIGEST"])
        words = {0x10: 0x12345678, 0x14: 0xCAFEF00D}
        for address, word in words.items():
            await host.write(b"w", address, word)
        seen["memory"] = [await host.read(b"r", address) for address in words]
        await host.send(b"x")
        seen["unknown"] = await host.receive(1)
        # A program whose first command is no load command.
        bad = bytearray(encode(Fetch(address=0, unit=int(Unit.LOAD), count=1)))
        bad[0] = 99
        for offset in range(0, len(bad), 4):
            word = int.from_bytes(bad[offset : offset + 4], "little")
            await host.write(b"w", 0x100 + offset, word)
        await host.write(b"W", OFFSET["PROGRAM"], 0x100)
        await host.write(b"W", OFFSET["COUNT"], 1)
        await host.write(b"W", OFFSET["CONTROL"], 1)
        await ctx.tick().repeat(200)
        seen["status"] = await host.read(b"R", OFFSET["STATUS"])

    simulator = Simulator(system)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen["id"] == IDENTITY
    assert seen["digest"] == CONFIG.digest
    assert seen["memory"] == [0x12345678, 0xCAFEF00D]
    assert seen["unknown"] == b"?"
    assert seen["status"] & 0xFF == Status.BAD_COMMAND


def small_layer(multiplier_width):
    """Return a convolution whose program fits the board's memory."""
    rng = np.random.default_rng(5)
    values = {
        "x": TensorType((3, 6, 7), 8, True, 1.0, 3),
        "y": TensorType((5, 3, 4), 8, True, 1.0, -4),
    }
    requantize = Requantize(
        tuple(map(int, rng.integers(1 << multiplier_width - 2, 1 << multiplier_width, 5))),
        (multiplier_width + 8,) * 5,
        -4,
        -128,
        127,
    )
    conv = Conv2d(
        "layer", "x", "y", rng.integers(-128, 128, (5, 3, 3, 3)), 8,
        rng.integers(-1000, 1000, 5), (2, 2), (1, 1, 1, 1), (1, 1), 1, requantize,
    )  # fmt: skip
    graph = Graph("small", values, (Input("input", "x"), conv, Output("output", "y")))
    return graph, rng.integers(-128, 128, (3, 6, 7))


@pytest.mark.slow
@pytest.mark.parametrize("board", ["ulx3s-12f", "icebreaker"])
def test_host_runs_a_layer_on_the_system_of_the_bitstream(board, tmp_path, monkeypatch):
    target = tw.Target.from_board(board)
    graph, image = small_layer(target.engine.multiplier_width)
    program = tw.compile_graph(graph, target)
    expected = program.reference([image])[0][0]
    assert len(np.unique(expected)) > 20  # not all saturated
    vectors = tmp_path / "vectors.npz"
    np.savez(vectors, image=image, expected=expected)
    simulate(
        System(program.engine, divisor=DIVISOR),
        ["tests.boards.cocotb_system"],
        tmp_path,
        monkeypatch,
        models=[get_family(target.engine.dsp).model],
        PROGRAM=program.save(tmp_path / "small.tw"),
        VECTORS=vectors,
        DIVISOR=DIVISOR,
    )


def test_serial_line_needs_four_cycles_per_bit():
    with pytest.raises(ValueError, match="divisor must be at least 4, not 3"):
        UARTReceiver(divisor=3)


@pytest.mark.parametrize("skew", [0.97, 1.0, 1.03])
def test_serial_line_takes_a_host_whose_clock_is_off(skew):
    divisor = 16
    receiver = UARTReceiver(divisor=divisor)
    sent, received = bytes(range(0, 256, 5)), bytearray()

    async def line(ctx):
        for byte in sent:
            for bit in (0, *((byte >> i) & 1 for i in range(8)), 1):
                ctx.set(receiver.rx, bit)
                await ctx.delay(divisor * skew * 1e-6)
        await ctx.delay(divisor * 1e-6)

    async def taker(ctx):
        ctx.set(receiver.o.ready, 1)
        async for _, _, valid, payload in ctx.tick().sample(receiver.o.valid, receiver.o.payload):
            if valid:
                received.append(payload)

    simulator = Simulator(receiver)
    simulator.add_clock(1e-6)
    simulator.add_testbench(line)
    simulator.add_testbench(taker, background=True)
    simulator.run()
    assert received == sent
