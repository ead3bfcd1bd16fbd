"""Reader and writer of blocks (and with them the burst cutter) against cocotbext-axi's memory."""

import random

import cocotb
from cocotb.triggers import RisingEdge
from cocotbext.axi import AxiRamRead, AxiRamWrite, AxiReadBus, AxiWriteBus

from tests.hdl.configs import CONFIG, MEMORY_BYTES
from tests.hdl.streams import Part, pack, receive, reset, send, throttle
from tilewright.hdl.bus.bursts import BlockLayout
from tilewright.hdl.bus.writer import BeatLayout
from tilewright.isa.widths import load_count_width, store_count_width

SIZE = CONFIG.bus_bytes


def random_block(rng, count_width):
    """Return a block, and the addresses of its beats run by run."""
    height, row_beats = rng.choice(((1, 60), (23, 1), (5, 7), (rng.randint(1, 4), 3)))
    run = height * row_beats
    block = {
        "address": rng.randrange(1024) * SIZE,
        "groups": rng.randint(1, 3),
        "stride": (run + rng.choice((0, 1, 30))) * SIZE,
        "height": height,
        "row_beats": row_beats,
    }
    runs = [
        [block["address"] + group * block["stride"] + beat * SIZE for beat in range(run)]
        for group in range(block["groups"])
    ]
    return pack(BlockLayout(CONFIG, count_width=count_width), block), runs


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def blocks_are_read_in_order(dut, seed):
    reader, rng = Part(dut, "reader"), random.Random(seed)
    reader.clear("halt", "i_valid", "o_ready")
    await reset(dut)
    ram = AxiRamRead(reader.bus(AxiReadBus, "axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    data = rng.randbytes(MEMORY_BYTES)
    ram.write(0, data)
    throttle(rng, ram.ar_channel, ram.r_channel)
    for _ in range(4):
        block, runs = random_block(rng, load_count_width(CONFIG))
        addresses = [address for run in runs for address in run]
        await send(reader, "i", [block], rng)
        beats = await receive(reader, "o", len(addresses), rng)
        assert beats == [int.from_bytes(data[a : a + SIZE], "little") for a in addresses]
        await RisingEdge(dut.clk)
        assert reader.quiet.value
        assert not reader.o_valid.value


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def blocks_are_written_and_confirmed(dut, seed):
    writer, rng = Part(dut, "writer"), random.Random(seed)
    writer.clear("halt", "i_valid", "i_beats_valid")
    await reset(dut)
    ram = AxiRamWrite(writer.bus(AxiWriteBus, "axi"), dut.clk, dut.rst, size=MEMORY_BYTES)
    expected = bytearray(rng.randbytes(MEMORY_BYTES))
    ram.write(0, bytes(expected))
    throttle(rng, ram.aw_channel, ram.w_channel, ram.b_channel)
    for _ in range(4):
        block, runs = random_block(rng, store_count_width(CONFIG))
        beats = []
        for run in runs:
            for address in run:
                data = rng.randbytes(SIZE)
                expected[address : address + SIZE] = data
                beats.append({"data": int.from_bytes(data, "little"), "last": address == run[-1]})
        layout = BeatLayout(CONFIG)
        words = [pack(layout, beat) for beat in beats]
        cocotb.start_soon(send(writer, "i", [block], rng))
        await send(writer, "i_beats", words, rng)
        while not writer.complete.value:
            await RisingEdge(dut.clk)
        # What is complete is in memory, not on its way there.
        assert ram.read(0, MEMORY_BYTES) == expected
        assert writer.quiet.value
        assert not writer.error.value
