"""Offsets in the order in which windows need them, and samples at their positions."""

import random
from fractions import Fraction
from math import floor

import cocotb
from cocotb.triggers import ReadOnly, RisingEdge

from tests.hdl.compute_cases import random_compute
from tests.hdl.configs import SAMPLING as CONFIG
from tests.hdl.streams import Part, pack, reset
from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.hdl.buffers.offsets import OffsetBuffer
from tilewright.hdl.sequence.pace import access_layout
from tilewright.hdl.windows.sampler import Sampler
from tilewright.isa import Deform, encode

ROWS, COLS = CONFIG.rows, CONFIG.cols


def random_deform(rng, command, **fields):
    """Return a Deform for a command, on buffers that hold all that it can name."""
    pitch = rng.randrange(1, 12, 2)
    values = {
        "fraction": rng.randint(0, 8),
        "mask_fraction": rng.choice((0, rng.randint(1, 8))),
        "taps": command.n_r * command.n_s,
        "shared": rng.randint(1, 3),
        "row_pitch": pitch,
        "first_row": rng.randint(0, 20),
        "rows": 0,  # the hardware does not look at it
        "row_base": rng.randrange(command.act_ring),
        "last_parts": 1,  # nor this
        "offset_base": rng.randrange(CONFIG.offset_depth),
        "offset_byte": rng.randrange(0, ROWS, 2),
        "mask_base": rng.randrange(CONFIG.offset_depth),
        "mask_byte": rng.randrange(ROWS),
        "row_step": rng.randrange(CONFIG.offset_depth),
        "group_step": rng.randrange(CONFIG.offset_depth),
    }
    return Deform(**{**values, **fields})


def bits(port, command):
    return int.from_bytes(encode(command), "little") % (1 << len(port))


@cocotb.test(timeout_time=200, timeout_unit="us")
@cocotb.parametrize(seed=range(4))
async def words_come_in_the_order_of_windows(dut, seed):
    part, rng = Part(dut, "offsets"), random.Random(seed)
    part.clear("start", "take", "last")
    await reset(dut)
    for _ in range(12):
        c = random_compute(rng, CONFIG)
        d = random_deform(rng, c)
        part.command.value, part.deform.value = bits(part.command, c), bits(part.deform, d)
        part.start.value = 1
        await RisingEdge(dut.clk)
        part.start.value = 0
        await RisingEdge(dut.clk)
        places = [(oy, ox) for _ in range(c.n_kg) for oy in range(c.n_oy) for ox in range(c.n_ox)]
        for oy, ox in places:
            for number in range(c.n_cg * d.taps):
                cg, tap = divmod(number, d.taps)
                index = cg // d.shared * d.taps + tap
                pixel = oy * d.row_step + ox * COLS
                part.take.value, part.last.value = 1, int(number == c.n_cg * d.taps - 1)
                await RisingEdge(dut.clk)
                part.take.value = 0
                for j in range(rng.choice((2, COLS))):
                    await ReadOnly()
                    for channel, base, addr, byte in (
                        (d.offset_byte + 2 * index, d.offset_base, part.addr, part.byte),
                        (d.mask_byte + index, d.mask_base, part.mask_addr, part.mask_byte),
                    ):
                        word = base + channel // ROWS * d.group_step + pixel + j
                        assert int(addr.value) == word % CONFIG.offset_depth
                        assert int(byte.value) == channel % ROWS
                    await RisingEdge(dut.clk)


class Input:
    """A feature map in the lanes, at an odd pitch; all other words are nonsense."""

    def __init__(self, rng, c, d, group):
        self.words = {}
        self.pixels = {}
        ring_rows = c.act_ring // d.row_pitch
        for row in range(ring_rows):
            for x in range(min(c.in_w, COLS * d.row_pitch)):
                place = (d.row_base + row * d.row_pitch) % c.act_ring
                address = (group + place + x // COLS) % CONFIG.act_depth
                data = rng.randbytes(ROWS)
                self.words[x % COLS, address] = self.pixels[d.first_row + row, x] = data

    def read(self, lane, half, place):
        return self.words.get((lane, 2 * place + half), b"\xa5" * ROWS)


def sample(c, d, pixels, y, x, dy, dx, mask):
    """Return the bytes at a position."""
    signed = c.signed

    def number(byte):
        return byte - 256 if signed and byte > 127 else byte

    zero = number(c.pad)
    y, x = y + Fraction(dy, 1 << d.fraction), x + Fraction(dx, 1 << d.fraction)
    total = [Fraction(0)] * ROWS
    for py, wy in ((floor(y), 1 - y % 1), (floor(y) + 1, y % 1)):
        for px, wx in ((floor(x), 1 - x % 1), (floor(x) + 1, x % 1)):
            if 0 <= py < c.in_h and 0 <= px < c.in_w and wy * wx:
                for i, byte in enumerate(pixels[py, px]):
                    total[i] += wy * wx * (number(byte) - zero)
    scale = Fraction(mask, 1 << d.mask_fraction) if d.mask_fraction else 1
    return bytes((zero + round(scale * value)) & 0xFF for value in total)


@cocotb.test(timeout_time=400, timeout_unit="us")
@cocotb.parametrize(seed=range(4))
async def samples_are_those_of_fractions(dut, seed):
    """Windows at random pace, at positions inside, outside and on the edge of the input."""
    part, rng = Part(dut, "sampler"), random.Random(seed)
    part.clear("access_valid", "i_lanes", "offsets", "masks", "byte", "mask_byte")
    await reset(dut)
    for _ in range(8):
        pitch, ring_rows = rng.randrange(1, 8, 2), rng.randrange(2, 9, 2)
        c = random_compute(rng, CONFIG, act_ring=pitch * ring_rows)
        c = random_compute(
            rng,
            CONFIG,
            act_ring=pitch * ring_rows,
            stride_x=c.stride_x,
            in_h=rng.randint(1, 2 * ring_rows),
            in_w=rng.randint(1, pitch * COLS),
        )
        d = random_deform(rng, c, row_pitch=pitch, row_base=rng.randrange(c.act_ring))
        d = random_deform(
            rng,
            c,
            row_pitch=pitch,
            row_base=d.row_base,
            first_row=rng.randint(0, max(0, c.in_h - ring_rows)),
        )
        group = rng.randrange(CONFIG.act_depth)
        there = Input(rng, c, d, group)
        part.command.value, part.deform.value = bits(part.command, c), bits(part.deform, d)
        for _ in range(4):
            await RisingEdge(dut.clk)
        expected, words, aheads = {}, {}, {}
        steps = [[None] for _ in range(rng.randint(3, 12))]
        cycle = 0
        schedule = {}
        for _ in steps:
            y, x = rng.randint(-3, c.in_h + 2), rng.randint(-8, c.in_w + 8)
            for j in range(COLS):
                access = {
                    "y": y, "group": group, "row": 0, "row_valid": 0, "x": x,
                    "word": x // COLS % CONFIG.act_depth, "lane": x % COLS, "part": j, "tap": 0,
                }  # fmt: skip
                for _ in range(1000):
                    one = 1 << d.fraction
                    near = rng.random() < 0.7
                    dy, dx = (
                        rng.randint(-2 * one, 2 * one) if near else rng.randint(-128, 127)
                        for _ in range(2)
                    )
                    dy, dx = max(-128, min(127, dy)), max(-128, min(127, dx))
                    reach = range(y + dy // one, y - (-dy // one) + 1)
                    lower, upper = d.first_row, d.first_row + ring_rows
                    if all(lower <= row < upper or not 0 <= row < c.in_h for row in reach):
                        break
                else:
                    continue
                mask = rng.randint(0, min(255, 1 << d.mask_fraction)) if d.mask_fraction else 77
                at = x + j * c.stride_x
                value = sample(c, d, there.pixels, y, at, dy, dx, mask)
                schedule[cycle + j] = access
                byte, mask_byte = rng.randrange(0, ROWS, 2), rng.randrange(ROWS)
                offset_word = bytearray(rng.randbytes(ROWS))
                offset_word[byte : byte + 2] = bytes((dy & 0xFF, dx & 0xFF))
                mask_word = bytearray(rng.randbytes(ROWS))
                mask_word[mask_byte] = mask
                words[cycle + j] = byte, mask_byte, offset_word, mask_word
                expected[cycle + j + Sampler.LATENCY] = value
                aheads[cycle + j + Sampler.LATENCY - Sampler.AHEAD] = j
            cycle += COLS + rng.choice((0, 0, 3))
        reads = [None] * (1 + ActivationBuffer.LATENCY)
        for now in range(cycle + Sampler.LATENCY + 1):
            access = schedule.get(now)
            part.access_valid.value = int(access is not None)
            if access is not None:
                part.access.value = pack(access_layout(CONFIG), access)
                part.byte.value, part.mask_byte.value = words[now][:2]
            if now - OffsetBuffer.LATENCY in words:
                _, _, offset_word, mask_word = words[now - OffsetBuffer.LATENCY]
                part.offsets.value = int.from_bytes(offset_word, "little")
                part.masks.value = int.from_bytes(mask_word, "little")
            lanes = reads.pop(0)
            if lanes is not None:
                part.i_lanes.value = int.from_bytes(b"".join(lanes), "little")
            await ReadOnly()
            addresses = int(part.addr.value)
            reads.append(
                [
                    there.read(lane, half, addresses >> 16 * (2 * lane + half) & 0xFFFF)
                    for lane in range(COLS)
                    for half in range(2)
                ]
            )
            assert bool(part.sample_valid.value) == (now in aheads)
            if now in aheads:
                assert int(part.sample_part.value) == aheads[now]
            if now in expected:
                got = int(part.sample.value).to_bytes(ROWS, "little")
                assert got == expected[now], f"cycle {now}, {d}, {c}"
            await RisingEdge(dut.clk)
