"""The demo and its network, through every executor."""

import importlib.util
import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from brevitas import config

import tilewright as tw
from tilewright.compiler.importers.brevitas import float64_outputs

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits.py"
SMALL = tw.EngineConfig(
    rows=8, cols=7, act_depth=256, weight_depth=2048, out_depth=128, bus_width=64, queue_depth=16
)


@pytest.fixture(scope="module")
def digits():
    spec = importlib.util.spec_from_file_location("digits_example", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def net(digits):
    return digits.trained()


def test_accuracy(digits, net):
    _, _, images, labels = digits.digits()
    assert digits.accuracy(net, images, labels) >= 0.97


def test_integer_graph_is_pytorch_for_all_images(digits, net):
    images = digits.digits()[2]
    program = tw.compile(net, images[:1], tw.Target(engine=SMALL))
    (golden,) = tw.simulate(program, images, backend="golden").outputs
    (expected,) = float64_outputs(net, images, program.graph)
    assert digits.differences([expected], [golden]) == (0, golden.size)
    # As users run it, in float32: sums of powers of two are exact there, too.
    kind = program.graph.values[program.graph.outputs[0].input]
    floats = digits.logits(net, images).detach().numpy()
    np.testing.assert_array_equal(floats / np.float32(kind.scale), golden.reshape(floats.shape))


def test_training_is_repeatable_and_leaves_no_trace(digits):
    before = torch.get_rng_state(), torch.get_num_threads(), config.IGNORE_MISSING_KEYS
    first, second = (digits.train(lambda: None, (1, 1)).state_dict() for _ in range(2))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    after = torch.get_rng_state(), torch.get_num_threads(), config.IGNORE_MISSING_KEYS
    assert torch.equal(before[0], after[0])
    assert before[1:] == after[1:]


def test_weights_are_trained_once(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "BUILD", tmp_path)
    first = digits.trained(epochs=(1, 1)).state_dict()
    monkeypatch.setattr(digits, "train", lambda *_: pytest.fail("trained again"))
    # The name depends on the training code, so look the file up by the name it got.
    (path,) = tmp_path.iterdir()
    monkeypatch.setattr(digits, "weights_path", lambda epochs: path)
    second = digits.trained(epochs=(1, 1)).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("fault", ["none", "element", "golden element", "cycle"])
def test_exit_code_tells_of_a_difference(digits, net, tmp_path, monkeypatch, fault):
    # The simulator stands in for the RTL, with a fault; nothing is built.
    simulate = tw.simulate

    def faulty(program, inputs, *, backend="isa", progress=None):
        simulated = "isa" if backend == "rtl" else backend
        result = simulate(program, inputs, backend=simulated, progress=progress)
        if (backend, fault) in {("rtl", "element"), ("golden", "golden element")}:
            result.outputs[0][-1, 3] += 1
        if (backend, fault) == ("rtl", "cycle"):
            unit, dones = next(iter(result.dones.items()))
            result = replace(result, dones={**result.dones, unit: [dones[0] + 1, *dones[1:]]})
        return result

    build = tmp_path / "build" / "demo"
    monkeypatch.setattr(digits, "BUILD", build)
    monkeypatch.setattr(digits, "trained", lambda tick: net)
    synthesis = SimpleNamespace(resources={"LUT4": 1}, to_json=lambda: "{}")
    monkeypatch.setattr(tw, "synthesize", lambda *_: synthesis)
    monkeypatch.setattr(tw, "generate_verilog", lambda target, directory: directory / "engine.v")
    monkeypatch.setattr(tw, "simulate", faulty)
    monkeypatch.setattr(digits, "RtlEngine", lambda config: None)
    assert digits.main() == (fault != "none")
    report = json.loads((build / "report.json").read_text())
    assert report["elements_compared"] == 240
    assert report["elements_different"] == (fault == "element")
    assert report["golden_elements_different"] == (fault == "golden element")
    assert report["every_command_as_predicted"] == (fault != "cycle")


def test_tools_run_side_by_side_once_there_is_verilog(digits, tmp_path, monkeypatch):
    both = threading.Barrier(2, timeout=30)
    order = []

    def verilog(target, directory):
        order.append("Verilog")

    def tool(*_):
        assert order == ["Verilog"]
        both.wait()  # for the other one, which has to run meanwhile
        return "made"

    monkeypatch.setattr(tw, "generate_verilog", verilog)
    monkeypatch.setattr(tw, "synthesize", tool)
    monkeypatch.setattr(digits, "RtlEngine", tool)
    with ThreadPoolExecutor() as pool:
        hardware = digits.start_hardware(pool, tw.Target(engine=SMALL), lambda name: lambda: None)
        assert (hardware.simulator.result(), hardware.synthesis.result()) == ("made", "made")


def test_outputs_of_another_shape_are_not_compared(digits):
    with pytest.raises(RuntimeError, match="shapes"):
        digits.differences([np.zeros((2, 3))], [np.zeros((2, 1))])


@pytest.mark.slow
def test_every_executor_gives_pytorch_outputs(digits, net):
    images = digits.digits()[2][:20]
    program = tw.compile(net, images[:1], tw.Target(engine=SMALL))
    verified = tw.verify(program, images)
    expected = float64_outputs(net, images, program.graph)
    for result in verified.results.values():
        for want, have in zip(expected, result.outputs, strict=True):
            np.testing.assert_array_equal(want.reshape(have.shape), have)
    # What the hardware counts is what the model says.
    rtl, isa = verified.results["rtl"], verified.results["isa"]
    assert rtl.counters["CYCLES"] == isa.cycles
    assert rtl.counters["BYTES_WRITTEN"] == sum(layer.bytes_written for layer in isa.layers)
    waits = {
        cause: sum(layer.stalls[cause] for layer in isa.layers) for cause in isa.layers[0].stalls
    }
    assert rtl.counters["STALL_LOAD"] == waits["weights"] + waits["activations"]
    assert rtl.counters["STALL_STORE"] == waits["stores"]
    assert rtl.counters["STALL_RESULT"] == waits["results"]
    steps = rtl.counters["COMPUTE_STEPS"]
    assert 0 < steps < isa.cycles
    with np.errstate(all="raise"):
        floats = rtl.dequantized()[0]
    logits = net(images)
    np.testing.assert_allclose(
        floats.reshape(20, -1), getattr(logits, "value", logits).detach().numpy(), atol=1e-6
    )
