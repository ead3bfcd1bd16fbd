"""A host over USB, bit by bit at the data lines, and the board's end of the link behind it."""

from importlib.metadata import PackageNotFoundError

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator

from tests.boards.link.usb_host import Host
from tests.boards.test_system import CONFIG
from tilewright.boards.link import usb
from tilewright.boards.link.bridge import HostBridge
from tilewright.boards.link.frames import Answer, Deframer, Operation, Request
from tilewright.boards.link.usb import USBPins, USBSerial
from tilewright.boards.system import System
from tilewright.errors import Error
from tilewright.hdl.memory.host import HostPort
from tilewright.hdl.verilog import component_rtlil
from tilewright.isa.registers import IDENTITY, OFFSET

DATA = 4  # the endpoint of bytes
ADDRESS = 9
POLLS = 60  # of a reply, before it is given up
MEGAHERTZ = {"sync": 31, "usb": 12, "usb_io": 48}


class Bridged(wiring.Component):
    """A bridge behind USB; without registers."""

    usb: Out(USBPins())
    memory: Out(HostPort())

    def elaborate(self, platform):
        m = Module()
        m.submodules.usb = device = USBSerial()
        m.submodules.bridge = bridge = HostBridge(fifo_bytes=2, memory_bytes=4096)
        wiring.connect(m, device.pins, wiring.flipped(self.usb))
        wiring.connect(m, device.o, bridge.i)
        wiring.connect(m, bridge.o, device.i)
        wiring.connect(m, bridge.memory, wiring.flipped(self.memory))
        return m


def simulate(dut, *benches):
    """Run what a host does, with the device's two clocks in step and another one beside them."""
    simulator = Simulator(dut)
    for domain, megahertz in MEGAHERTZ.items():
        simulator.add_clock(1e-6 / megahertz, phase=0, domain=domain)
    for bench in benches:
        simulator.add_testbench(bench, background=bench is not benches[0])
    simulator.run()


async def enumerate_device(host):
    """Make the device ready as hosts do."""
    await host.reset()
    await host.control(0, 5, ADDRESS)
    host.address = ADDRESS
    await host.control(0, 9, 1)


async def ask(host, request, number):
    """Have a request carried out; return its reply's payload."""
    frame = bytes(request.encode(number))
    for i in range(0, len(frame), 64):
        await host.give(DATA, frame[i : i + 64])
    deframer = Deframer()
    for _ in range(POLLS):
        if found := deframer.feed(await host.take(DATA) or b""):
            assert found[0][:2] == bytes([number, Answer.DONE])
            return found[0][2:]
    raise AssertionError("no reply")


def test_bytes_cross_the_bus_the_device_and_the_bridge_and_come_back():
    dut, words, seen = Bridged(), {}, {}

    async def host(ctx):
        host = Host(ctx, dut.usb)
        await enumerate_device(host)
        seen["hello"] = await ask(host, Request(Operation.HELLO, 0x12345678, b""), 7)
        data = bytes(range(0xA0, 0xF0))  # with its frame more than a packet, and stuffed bits
        await ask(host, Request(Operation.WRITE_MEMORY, 0x40, data), 8)
        seen["read"] = await ask(host, Request(Operation.READ_MEMORY, 0x44, bytes([63])), 9)
        seen["data"] = data

    async def memory(ctx):
        port = dut.memory
        signals = port.valid, port.ready, port.write, port.addr, port.data
        async for _, _, valid, ready, write, addr, data in ctx.tick().sample(*signals):
            asked = valid and not ready
            if asked and write:
                words[addr] = data
            ctx.set(port.o, words.get(addr, 0))
            ctx.set(port.ready, asked)

    simulate(dut, host, memory)
    assert seen["hello"] == bytes([0x78, 0x56, 0x34, 0x12, 1, 12, 8])
    assert b"".join(words[a].to_bytes(4, "little") for a in sorted(words)) == seen["data"]
    assert seen["read"] == seen["data"][4:68]


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_host_over_usb_reaches_an_engine():
    system, seen = System(CONFIG, divisor=4, memory_bytes=4096, usb=True), {}

    async def bench(ctx):
        host = Host(ctx, system.usb)
        await host.reset()
        seen["device"] = await host.control(0x80, 6, 0x0100, 18)
        await host.control(0, 5, ADDRESS)
        host.address = ADDRESS
        seen["configuration"] = await host.control(0x80, 6, 0x0200, 255)
        await host.control(0, 9, 1)
        await ask(host, Request(Operation.HELLO, 1, b""), 0)
        request = Request(Operation.READ_REGISTER, OFFSET["ID"], b"")
        seen["id"] = int.from_bytes(await ask(host, request, 1), "little")

    simulate(system, bench)
    assert seen["device"][8:12] == bytes([0x09, 0x12, 0x01, 0x00])
    length = int.from_bytes(seen["configuration"][2:4], "little")
    assert len(seen["configuration"]) == length > 64  # of two packets
    assert seen["id"] == IDENTITY


def test_luna_is_needed(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(usb, "version", absent)
    with pytest.raises(Error, match=r"needs luna-usb: pip install 'tilewright\[usb\]'"):
        usb.luna_version()


def test_names_are_the_same_in_every_run():
    """LUNA names an endpoint by its address in memory."""
    once, again = (
        usb.steady(component_rtlil(Bridged(), "top")).replace("\n", " ") for _ in range(2)
    )
    assert "USBStreamInEndpoint_2" in once
    assert [word for word in once.split() if "Endpoint" in word] == [
        word for word in again.split() if "Endpoint" in word
    ]
