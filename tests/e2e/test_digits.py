"""The demo's network, shortly trained, through every executor."""

import runpy
from pathlib import Path

import numpy as np
import pytest

import tilewright as tw
from tilewright.compiler.frontend import float64_outputs

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"
SMALL = tw.EngineConfig(
    rows=8, cols=7, act_depth=256, weight_depth=2048, out_depth=128, bus_width=64, queue_depth=16
)


@pytest.fixture(scope="module")
def digits():
    return runpy.run_path(str(EXAMPLE))


@pytest.fixture(scope="module")
def net(digits):
    return digits["trained"](epochs=(40, 6))


def test_accuracy(digits, net):
    _, _, images, labels = digits["digits"]()
    assert digits["accuracy"](net, images, labels) >= 0.97


@pytest.mark.slow
def test_every_executor_gives_pytorch_outputs(digits, net):
    images = digits["digits"]()[2][:20]
    program = tw.compile(net, images[:1], tw.Target(engine=SMALL))
    verified = tw.verify(program, images)
    expected = float64_outputs(net, images, program.graph)
    for result in verified.results.values():
        for want, have in zip(expected, result.outputs, strict=True):
            np.testing.assert_array_equal(want, have)
    # What the hardware counts is what the model says.
    rtl, isa = verified.results["rtl"], verified.results["isa"]
    assert rtl.counters["CYCLES"] == isa.cycles
    assert rtl.counters["BYTES_WRITTEN"] == sum(layer.bytes_written for layer in isa.layers)
    waits = {
        cause: sum(layer.stalls[cause] for layer in isa.layers) for cause in isa.layers[0].stalls
    }
    assert rtl.counters["STALL_LOAD"] == waits["weights"] + waits["activations"]
    assert rtl.counters["STALL_STORE"] == waits["stores"]
    steps = rtl.counters["COMPUTE_STEPS"]
    assert 0 < steps < isa.cycles
    with np.errstate(all="raise"):
        floats = rtl.dequantized()[0]
    logits = net(images)
    np.testing.assert_allclose(
        floats.reshape(20, -1), getattr(logits, "value", logits).detach().numpy(), atol=1e-6
    )
