"""Rows of narrow pixels to whole words, at any pace of both sides."""

import random

import cocotb
from cocotb.triggers import RisingEdge

from tests.hdl.configs import CONFIGS
from tests.hdl.streams import Part, receive, reset, send

CONFIG = CONFIGS["wide_words"]
SIZE = CONFIG.bus_bytes
BEATS = CONFIG.rows // SIZE  # of a word


def beats_of(data):
    return [int.from_bytes(data[at : at + SIZE], "little") for at in range(0, len(data), SIZE)]


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(3))
async def pixels_become_words(dut, seed):
    widen, rng = Part(dut, "widen"), random.Random(seed)
    widen.clear("i_valid", "o_ready", "drop", "pixel")
    await reset(dut)
    taken, ends = [], set()

    async def drop():
        """Say with the last beat of each row that it is that."""
        while True:
            widen.drop.value = int(len(taken) in ends)
            await RisingEdge(dut.clk)

    cocotb.start_soon(drop())
    for size in (0, *CONFIG.pixel_sizes, 0):
        widen.pixel.value = size.bit_length()
        await RisingEdge(dut.clk)
        given, expected = [], []
        taken.clear()
        ends.clear()
        for _ in range(5):
            pixels = [rng.randbytes(size or CONFIG.rows) for _ in range(rng.randint(1, 9))]
            row = b"".join(pixels)
            # What fills the row's last beat is not zero, and nothing of it may be seen.
            given += beats_of(row + rng.randbytes(-len(row) % SIZE))
            for pixel in pixels:
                expected += beats_of(pixel.ljust(CONFIG.rows, b"\0"))
            ends.add(len(expected) - 1)
        assert len(expected) % BEATS == 0
        cocotb.start_soon(send(widen, "i", given, rng, rng.choice((0.0, 0.5, 0.9))))
        await receive(widen, "o", len(expected), rng, rng.choice((0.0, 0.5, 0.9)), taken)
        assert taken == expected, f"pixels of {size} bytes"
