"""Both ends of a valid-ready stream, for cocotb; and what every bench needs."""

import cocotb
from amaranth.hdl import Shape
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge


class Part:
    """One of the components side by side in the design (``tests.hdl.components``).

    Its ports are attributes, under the names that they have in the component.
    """

    def __init__(self, dut, name):
        self._dut, self._name = dut, name
        self.clk, self.rst = dut.clk, dut.rst

    def __getattr__(self, port):
        return getattr(self._dut, f"{self._name}_{port}")

    def bus(self, kind, port):
        """Return a bus of cocotbext-axi."""
        return kind.from_prefix(self._dut, f"{self._name}_{port}")

    def clear(self, *ports):
        """Drive zero."""
        for port in ports:
            getattr(self, port).value = 0


def pauses(rng, share):
    """Yield whether to pause, cycle after cycle."""
    while True:
        yield rng.random() < share


def throttle(rng, *channels):
    """Pause channels of cocotbext-axi at random."""
    for channel in channels:
        channel.set_pause_generator(pauses(rng, rng.uniform(0.1, 0.6)))


async def reset(dut):
    """Start the clock and reset the design."""
    cocotb.start_soon(Clock(dut.clk, 10, unit="ns").start())
    dut.rst.value = 1
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


async def send(dut, prefix, items, rng, share=0.4):
    """Send items; valid is high until taken, with random gaps between."""
    valid, ready = getattr(dut, f"{prefix}_valid"), getattr(dut, f"{prefix}_ready")
    payload = getattr(dut, f"{prefix}_payload")
    for item in items:
        while rng.random() < share:
            await RisingEdge(dut.clk)
        valid.value, payload.value = 1, item
        while True:
            await ReadOnly()
            taken = bool(ready.value)
            await RisingEdge(dut.clk)
            if taken:
                break
        valid.value = 0


async def receive(dut, prefix, count, rng, share=0.4, items=None):
    """Take items with ready low at random; what is offered must stay until it is taken.

    They are returned, and appended to ``items`` as they come.
    """
    valid, ready = getattr(dut, f"{prefix}_valid"), getattr(dut, f"{prefix}_ready")
    payload = getattr(dut, f"{prefix}_payload")
    items = [] if items is None else items
    offered = None
    while len(items) < count:
        ready.value = int(rng.random() >= share)
        await ReadOnly()
        if valid.value:
            item = int(payload.value)
            assert offered in (None, item), "the payload changed while it was not taken"
            offered = None if ready.value else item
            if ready.value:
                items.append(item)
        else:
            assert offered is None, "valid was withdrawn"
        await RisingEdge(dut.clk)
    ready.value = 0
    return items


async def record(dut, prefix, log, *names):
    """Append the named signals to ``log`` in every cycle in which ``valid`` is high."""
    while True:
        await ReadOnly()
        if getattr(dut, f"{prefix}_valid").value:
            log.append(tuple(int(getattr(dut, f"{prefix}_{name}").value) for name in names))
        await RisingEdge(dut.clk)


def pack(layout, values):
    """Return the bits of a structure."""
    word = 0
    for name, field in layout:
        word |= (int(values[name]) & ((1 << field.width) - 1)) << field.offset
    return word


def unpack(layout, word):
    """Return the fields of a structure's bits."""
    values = {}
    for name, field in layout:
        value = word >> field.offset & ((1 << field.width) - 1)
        if Shape.cast(field.shape).signed and value >> (field.width - 1):
            value -= 1 << field.width
        values[name] = value
    return values
