"""Every component with a stream or a bus under cocotb, at random pace on all of them."""

import pytest

from tests.hdl.bench import simulate
from tests.hdl.components import components

MODULES = (
    "tests.hdl.cocotb_load",
    "tests.hdl.cocotb_store",
    "tests.hdl.cocotb_blocks",
    "tests.hdl.cocotb_widen",
    "tests.hdl.cocotb_queue",
    "tests.hdl.cocotb_control",
    "tests.hdl.cocotb_passes",
    "tests.hdl.cocotb_taps",
    "tests.hdl.cocotb_pace",
    "tests.hdl.cocotb_skid",
    "tests.hdl.cocotb_sampler",
    "tests.hdl.cocotb_compute",
    "tests.hdl.memory.cocotb_memory",
    "tests.boards.link.cocotb_bridge",
    "tests.boards.link.cocotb_uart",
)


@pytest.mark.slow
def test_components_against_independent_models(tmp_path, monkeypatch):
    """One build and one simulation; a failure names the cocotb tests with their seeds."""
    simulate(components(), MODULES, tmp_path, monkeypatch)
