"""Addresses behind the end of a buffer."""

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.sim import Simulator

from tilewright.hdl.buffers.ports import folded as in_hardware
from tilewright.isa import EngineConfig
from tilewright.isa.widths import folded, lane_depth

DEPTHS = (16, 17, 24, 31, 96, 100, 127)


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_address_falls_into_the_buffer(depth):
    address = np.arange(-300, 300)
    places = folded(address, depth)
    assert places.min() == 0
    assert places.max() == depth - 1
    inside = (address >= 0) & (address < depth)
    np.testing.assert_array_equal(places[inside], address[inside])
    np.testing.assert_array_equal(places[:256], folded(address[:256] + 128, depth))


def test_hardware_has_the_same_places():
    m, address, outputs = Module(), Signal(7), {}
    for depth in DEPTHS:
        outputs[depth] = Signal(7, name=f"place_{depth}")
        m.d.comb += outputs[depth].eq(in_hardware(address, depth)[: (depth - 1).bit_length()])

    async def look(ctx):
        for value in range(128):
            ctx.set(address, value)
            for depth, output in outputs.items():
                assert ctx.get(output) == folded(np.array(value), depth), (depth, value)

    simulator = Simulator(m)
    simulator.add_testbench(look)
    simulator.run()


def test_a_sampler_has_lanes_of_an_even_number_of_words():
    config = EngineConfig(rows=4, cols=3, act_depth=97)
    assert lane_depth(config) == 97
    assert lane_depth(EngineConfig(rows=4, cols=3, act_depth=97, offset_depth=64)) == 98
