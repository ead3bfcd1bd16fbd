"""What load and store commands move, against plain loops."""

import numpy as np
import pytest

from tilewright.isa import EngineConfig, LoadActivations, LoadOffsets, LoadWeights, Store
from tilewright.isa.layout import FeatureMapLayout, pack_weights, pack_wide_weights
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.loads import run_load
from tilewright.sim.effects.stores import run_store

CONFIG = EngineConfig(
    rows=4, cols=3, act_depth=64, weight_depth=64, out_depth=64, bus_width=64, offset_depth=16,
    data_width=13, kernel_width=14, partial_depth=64,
)  # fmt: skip


def memory_with(data, address):
    memory = np.full(4096, 0xEE, np.uint8)
    memory[address : address + data.size] = data
    return memory


def test_pixels_go_to_lanes_in_turn():
    rng = np.random.default_rng(0)
    layout = FeatureMapLayout(CONFIG, 8, 3, 5)
    tensor = rng.integers(0, 256, (8, 3, 5))
    memory, buffers = memory_with(layout.pack(tensor), 64), Buffers.of(CONFIG)
    command = LoadActivations(
        address=64, groups=2, group_stride=layout.group_bytes, height=3, width=5, base=7,
        row_step=2, group_step=10,
    )  # fmt: skip
    run_load(CONFIG, command, memory, buffers)
    for channel, y, x in np.ndindex(tensor.shape):
        group, row = divmod(channel, 4)
        word = 7 + group * 10 + y * 2 + x // 3
        assert buffers.activations[word, x % 3, row] == tensor[channel, y, x]


def test_a_feature_map_comes_back_from_a_store():
    rng = np.random.default_rng(1)
    layout = FeatureMapLayout(CONFIG, 8, 3, 5)
    tensor = rng.integers(0, 256, (8, 3, 5))
    buffers = Buffers.of(CONFIG)
    place = 50  # wraps
    for group in range(2):
        for y in range(3):
            for x in range(5):
                buffers.results[place % 64] = tensor[4 * group : 4 * group + 4, y, x]
                place += 1
    memory = memory_with(np.zeros(0, np.uint8), 0)
    command = Store(
        address=128, groups=2, group_stride=layout.group_bytes, height=3, width=5, base=50
    )
    run_store(CONFIG, command, memory, buffers)
    stored = memory[128 : 128 + layout.size_bytes]
    np.testing.assert_array_equal(stored, layout.pack(tensor), err_msg="padding is zero")
    assert (memory[:128] == 0xEE).all()
    assert (memory[128 + layout.size_bytes :] == 0xEE).all()


@pytest.mark.parametrize("bits", [8, 4])
def test_weights_wrap_at_the_end_of_their_buffer(bits):
    config = EngineConfig(rows=4, cols=3, weight_bits=bits, weight_depth=64, bus_width=64)
    rng = np.random.default_rng(2)
    words = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (20, 4))
    data = pack_weights(config, words)
    buffers = Buffers.of(config)
    first = 64 - 10
    command = LoadWeights(address=8, words=data.size // 4, base=first // config.weights_per_byte)
    run_load(config, command, memory_with(data, 8), buffers)
    have = buffers.weights[(first + np.arange(20)) % 64]
    np.testing.assert_array_equal(have & ((1 << bits) - 1), words & ((1 << bits) - 1))


def test_wide_weights_have_their_high_bytes_second():
    words = np.random.default_rng(3).integers(-(1 << 13), 1 << 13, (10, 4))
    buffers = Buffers.of(CONFIG)
    command = LoadWeights(address=8, words=20, base=60, wide=1)
    run_load(CONFIG, command, memory_with(pack_wide_weights(words), 8), buffers)
    np.testing.assert_array_equal(buffers.weights[(60 + np.arange(10)) % 64], words)


def test_of_more_offsets_than_fit_the_last_remain():
    data = np.random.default_rng(4).integers(0, 256, (20, 4)).astype(np.uint8)
    buffers = Buffers.of(CONFIG)
    command = LoadOffsets(address=0, words=20, base=3)
    run_load(CONFIG, command, memory_with(data.reshape(-1), 0), buffers)
    for index in range(4, 20):
        np.testing.assert_array_equal(buffers.offsets[(3 + index) % 16], data[index])
