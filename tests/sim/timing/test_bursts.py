"""Which bursts carry a block, and how fast their beats are taken."""

import random

from tilewright.isa import EngineConfig
from tilewright.sim.timing.bursts import Block, Pace, pace_of, row_beats

CONFIG = EngineConfig(rows=4, cols=3, bus_width=64, burst_beats=8)


def random_block(rng):
    words = rng.randint(1, 40)
    beats = row_beats(CONFIG, words)
    height = rng.randint(1, 6)
    stride = CONFIG.bus_bytes * (height * beats + rng.randint(0, 9))
    return Block(
        CONFIG.bus_bytes * rng.randrange(1000), rng.randint(1, 4), stride, height, words, beats
    )


def test_bursts_cover_a_block_once_and_cross_no_boundary():
    for seed in range(300):
        block = random_block(random.Random(seed))
        beats = [
            address + CONFIG.bus_bytes * i
            for address, _, count, _ in block.bursts(CONFIG)
            for i in range(count)
        ]
        expected = [
            block.address + group * block.stride + CONFIG.bus_bytes * i
            for group in range(block.groups)
            for i in range(block.height * block.row_beats)
        ]
        assert beats == expected, f"seed {seed}"
        page, counted = CONFIG.burst_beats * CONFIG.bus_bytes, 0
        for address, first, count, _ in block.bursts(CONFIG):
            assert first == counted, f"seed {seed}"
            assert address // page == (address + count * CONFIG.bus_bytes - 1) // page
            counted += count
        added = sum(added for *_, added in block.bursts(CONFIG))
        assert added == block.groups * (block.height - 1), f"seed {seed}"


def test_a_block_like_another_has_bursts_like_it():
    page = CONFIG.burst_beats * CONFIG.bus_bytes
    for seed in range(100):
        block = random_block(random.Random(seed))
        alike = block.alike(CONFIG)
        assert max(alike.address, alike.stride) < page
        mine, theirs = ([burst[1:] for burst in b.bursts(CONFIG)] for b in (block, alike))
        assert mine == theirs, f"seed {seed}"


def test_the_pace_is_the_sum_of_its_beats():
    for seed in range(100):
        rng = random.Random(seed)
        pace = Pace(rng.randint(1, 5), rng.randint(1, 4), rng.randint(1, 4), rng.randint(0, 1))
        total = 0
        for beat in range(30):
            assert pace.before(beat) == total, f"seed {seed}"
            total += pace.of(beat)


def test_a_row_that_ends_in_the_lane_of_the_next_ones_first_word_waits():
    for words in range(1, 20):
        block = Block(0, 1, 0, 2, words, row_beats(CONFIG, words))
        waits = (words - 1) % CONFIG.cols == 0
        assert pace_of(CONFIG, block, lanes=True).wait == waits
        assert pace_of(CONFIG, block).wait == 0
