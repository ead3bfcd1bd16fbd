"""The board's system over its serial line, as a host sees it."""

import numpy as np
import pytest
from amaranth.sim import Simulator

import tilewright as tw
from tests.hdl.bench import simulate
from tilewright.boards.link.frames import Answer, Deframer, Operation, Request
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
        self.ctx, self.system, self.sequence = ctx, system, 7

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

    async def ask(self, operation, address, payload=b""):
        """Have a request carried out; return its reply's payload."""
        await self.send(Request(operation, address, payload).encode(self.sequence))
        deframer, found = Deframer(), []
        while not found:
            found = deframer.feed(await self.receive(1))
        assert found[0][:2] == bytes([self.sequence, Answer.DONE])
        self.sequence += 1
        return found[0][2:]

    async def read(self, name):
        return int.from_bytes(await self.ask(Operation.READ_REGISTER, OFFSET[name]), "little")

    async def write(self, name, value):
        await self.ask(Operation.WRITE_REGISTER, OFFSET[name], value.to_bytes(4, "little"))


def test_host_reaches_registers_and_memory_and_sees_a_refused_program():
    system = System(CONFIG, divisor=DIVISOR, memory_bytes=4096)
    seen = {}

    async def bench(ctx):
        ctx.set(system.uart_rx, 1)
        await ctx.tick().repeat(8)
        host = Host(ctx, system)
        seen["hello"] = await host.ask(Operation.HELLO, 0x12345678)
        seen["id"], seen["digest"] = await host.read("ID"), await host.read("DIGEST")
        data = bytes(range(0x70, 0x80))
        await host.ask(Operation.WRITE_MEMORY, 0x10, data)
        seen["memory"] = await host.ask(Operation.READ_MEMORY, 0x14, bytes([7]))
        # A program whose first command is no load command.
        bad = bytearray(encode(Fetch(address=0, unit=int(Unit.LOAD), count=1)))
        bad[0] = 99
        await host.ask(Operation.WRITE_MEMORY, 0x100, bytes(bad))
        await host.write("PROGRAM", 0x100)
        await host.write("COUNT", 1)
        await host.write("CONTROL", 1)
        await ctx.tick().repeat(200)
        seen["status"] = await host.read("STATUS")

    simulator = Simulator(system)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen["id"] == IDENTITY
    assert seen["digest"] == CONFIG.digest
    assert seen["memory"] == bytes(range(0x74, 0x7C))
    assert seen["hello"] == bytes([0x78, 0x56, 0x34, 0x12, 0, 12, 8])  # no FIFO, 4096 bytes
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
