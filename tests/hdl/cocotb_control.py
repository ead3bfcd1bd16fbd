"""The control registers through cocotbext-axi's master, against a host's picture of them."""

import random

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from tests.hdl.configs import CONFIG
from tests.hdl.streams import Part, pauses, reset, throttle
from tilewright.isa import ISA_VERSION, Unit
from tilewright.isa.registers import IDENTITY, OFFSET, Status

START, RESET, STOP = 1, 2, 4
MASKS = {"BASE": 0xFFFFF000, "PROGRAM": 0xFFFFFFFF, "COUNT": 0xFFFF, "WATCHDOG": 0xFFFFFFFF}
EVENTS = (
    "finished", "overflow", "done", "busy", "steps", "stall_load", "stall_store", "stall_command",
    "stall_result", "read_beat", "write_beat", *(f"fault_{unit}_error" for unit in range(3)),
)  # fmt: skip


class Host:
    """The master, and what it believes."""

    def __init__(self, control, rng):
        self.control, self.rng = control, rng
        self.master = AxiLiteMaster(control.bus(AxiLiteBus, "axil"), control.clk, control.rst)
        write, read = self.master.write_if, self.master.read_if
        throttle(rng, write.aw_channel, write.w_channel, write.b_channel)
        throttle(rng, read.ar_channel, read.r_channel)
        self.registers = dict.fromkeys(MASKS, 0)
        self.code, self.unit, self.index = Status.IDLE, 0, 0
        self.pending, self.enable = 0, 0
        self.boots, self.resets = [], 0
        self.cycles = 0  # of the last run

    async def watch(self):
        """Keep a bus that is quiet now and then, and note what the units see."""
        control = self.control
        noise = pauses(self.rng, 0.7)
        while True:
            control.quiet.value = int(not next(noise))
            await ReadOnly()
            if control.unit_reset.value:
                self.resets += 1
                self.cycles = 0
            if control.go.value:
                boot = int(control.boot_payload.value)
                self.boots.append((boot & 0xFFFFFFFF, boot >> 32))
            self.cycles += not control.halt.value
            await RisingEdge(control.clk)

    async def write(self, name, value):
        answer = await self.master.write(OFFSET[name], value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY

    async def read(self, name):
        answer = await self.master.read(OFFSET[name], 4)
        assert answer.resp == AxiResp.OKAY
        return int.from_bytes(answer.data, "little")

    async def pulse(self, port):
        getattr(self.control, port).value = 1
        await RisingEdge(self.control.clk)
        getattr(self.control, port).value = 0

    async def until(self, condition):
        for _ in range(200):
            if condition():
                break
            await RisingEdge(self.control.clk)
        else:
            raise AssertionError("it never came")
        for _ in range(3):
            await RisingEdge(self.control.clk)

    async def start(self):
        boots = len(self.boots)
        await self.write("CONTROL", START)
        if self.code in (Status.IDLE, Status.DONE):
            await self.until(lambda: len(self.boots) > boots)
            expected = self.registers["PROGRAM"], self.registers["COUNT"]
            assert self.boots[boots:] == [expected]
            self.code, self.unit, self.index = Status.RUNNING, 0, 0

    async def reset(self):
        resets = self.resets
        await self.write("CONTROL", RESET)
        await self.until(lambda: self.resets > resets)
        self.code, self.unit, self.index, self.pending = Status.IDLE, 0, 0, 0

    def ends(self, code):
        if self.code is Status.RUNNING:
            self.code, self.pending = code, 1
            return True
        return False

    async def stop(self):
        await self.write("CONTROL", STOP)
        self.ends(Status.STOPPED)

    async def finish(self):
        await self.pulse("finished")
        self.ends(Status.DONE)

    async def fail(self):
        unit = self.rng.choice(list(Unit))
        status = self.rng.choice((Status.BAD_COMMAND, Status.READ_ERROR, Status.WRITE_ERROR))
        indices = [self.rng.getrandbits(16) for _ in Unit]
        for u in Unit:
            getattr(self.control, f"done_count_{u}").value = indices[u]
        getattr(self.control, f"fault_{unit}_status").value = status
        await self.pulse(f"fault_{unit}_error")
        if self.ends(status):
            self.unit, self.index = unit, indices[unit]

    async def configure(self):
        name = self.rng.choice(list(MASKS))
        # A watchdog that bites has a test of its own.
        value = self.rng.getrandbits(32) | (1 << 31)
        await self.write(name, value)
        self.registers[name] = value & MASKS[name]

    async def acknowledge(self):
        value = self.rng.randrange(4)
        await self.write("INTERRUPT", value)
        self.pending &= ~value
        self.enable = value >> 1

    async def check(self):
        await RisingEdge(self.control.clk)
        assert self.control.irq.value == (self.pending & self.enable)
        assert self.control.halt.value == (self.code is not Status.RUNNING)
        assert await self.read("STATUS") == self.code | self.unit << 8 | self.index << 16
        assert await self.read("INTERRUPT") == self.pending | self.enable << 1
        name = self.rng.choice(list(MASKS))
        assert await self.read(name) == self.registers[name]
        if self.code.is_error and self.code is not Status.STOPPED:
            size = Unit(self.unit).least_bytes
            assert await self.read("ERROR_ADDRESS") == self.index * size
        if self.code is not Status.RUNNING:
            for _ in range(16):  # how late counters may be
                await RisingEdge(self.control.clk)
            assert await self.read("CYCLES") == self.cycles


@cocotb.test(timeout_time=1, timeout_unit="ms")
@cocotb.parametrize(seed=range(3))
async def host_and_engine_agree(dut, seed):
    control, rng = Part(dut, "control"), random.Random(seed)
    control.clear(*EVENTS)
    control.boot_ready.value = 1
    await reset(dut)
    host = Host(control, rng)
    cocotb.start_soon(host.watch())
    assert await host.read("ID") == IDENTITY
    assert await host.read("VERSION") == ISA_VERSION
    assert await host.read("DIGEST") == CONFIG.digest
    actions = (host.start, host.start, host.start, host.finish, host.fail, host.stop, host.reset,
               host.configure, host.acknowledge)  # fmt: skip
    for step in range(50):
        action = rng.choice(actions)
        cocotb.log.info("step %d: %s when %s", step, action.__name__, host.code.name)
        await action()
        await host.check()
