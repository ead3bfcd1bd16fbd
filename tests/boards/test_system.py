"""The board's system over its serial line, as a host sees it."""

import pytest
from amaranth.sim import Simulator

from tilewright.boards import BOARDS, get_board
from tilewright.boards.system import System
from tilewright.boards.uart import UARTReceiver
from tilewright.compiler.isa import EngineConfig, Fetch, Unit, encode
from tilewright.compiler.isa.registers import IDENTITY, OFFSET, Status
from tilewright.errors import Error

DIVISOR = 4
CONFIG = EngineConfig(
    rows=2, cols=2, act_depth=16, weight_depth=16, out_depth=16, bus_width=32, queue_depth=4,
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


def test_unknown_board_names_those_there_are():
    with pytest.raises(Error, match="ulx3s-12f, ulx3s-85f"):
        get_board("nexys")
    assert all(name == board.name for name, board in BOARDS.items())


def test_serial_line_needs_four_cycles_per_bit():
    with pytest.raises(ValueError, match="divisor must be at least 4, not 3"):
        UARTReceiver(divisor=3)
