"""Handwritten digits, from training to the generated hardware: the job of ``make demo``.

Trains a small int8 network with Brevitas on scikit-learn's digits (8 x 8 pixels), compiles it for
the ULX3S-85F, generates the engine's Verilog, runs held-out images through it in Verilator, and
compares every output element with PyTorch's. Hardware is made while the network trains.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import brevitas.config
import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerTensorFixedPoint,
    Int32Bias,
    Uint8ActPerTensorFixedPoint,
)
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import tilewright as tw
from tilewright.boards.flow.synthesis import Synthesis
from tilewright.cli.tables import layer_table
from tilewright.compiler.importers.brevitas import float64_outputs
from tilewright.files import fresh_file, write_json
from tilewright.sim.rtl import RtlEngine

BUILD = Path(__file__).parents[1] / "build" / "demo"
BOARD = "ulx3s-85f"
IMAGES = 24
EPOCHS = (40, 6)  # in floats, then quantized
console = Console()


class DigitsNet(nn.Module):
    """Two convolutions with a shortcut, a third, two poolings, a linear layer.

    ``quantized`` chooses Brevitas layers with power-of-two scales, for which the integer network
    is exactly PyTorch's; otherwise the same network in floats, to start training from.
    """

    def __init__(self, *, quantized: bool) -> None:
        super().__init__()

        def conv(channels: int, kernels: int) -> nn.Module:
            if not quantized:
                return nn.Conv2d(channels, kernels, 3, padding=1)
            return qnn.QuantConv2d(
                channels,
                kernels,
                3,
                padding=1,
                weight_quant=Int8WeightPerTensorFixedPoint,
                bias_quant=Int32Bias,
            )

        def linear(inputs: int, outputs: int) -> nn.Module:
            if not quantized:
                return nn.Linear(inputs, outputs)
            return qnn.QuantLinear(
                inputs,
                outputs,
                bias=True,
                weight_quant=Int8WeightPerTensorFixedPoint,
                bias_quant=Int32Bias,
            )

        def relu() -> nn.Module:
            if not quantized:
                return nn.ReLU()
            return qnn.QuantReLU(act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True)

        def grid() -> nn.Module:
            if not quantized:
                return nn.Identity()
            return qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True)

        self.input = grid()
        self.conv1, self.relu1 = conv(1, 16), relu()
        self.conv2 = conv(16, 16)
        self.shared = grid()  # both operands of the addition need one scale
        self.relu2 = relu()
        self.max_pool = nn.MaxPool2d(2)
        self.conv3, self.relu3 = conv(16, 32), relu()
        self.avg_pool, self.pooled = nn.AvgPool2d(2), grid()
        self.linear, self.output = linear(32 * 4, 10), grid()

    def forward(self, x: Tensor) -> Tensor:
        """Return ten logits per image."""
        x = self.relu1(self.conv1(self.input(x)))
        x = self.relu2(self.shared(self.conv2(x)) + self.shared(x))
        x = self.relu3(self.conv3(self.max_pool(x)))
        x = self.pooled(self.avg_pool(x))
        return self.output(self.linear(torch.flatten(x, 1)))


def digits() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training images and labels, test images and labels."""
    data = load_digits()
    images = torch.tensor(data.images[:, None] / 16, dtype=torch.float32)
    labels = torch.tensor(data.target)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.25, random_state=0, stratify=data.target
    )
    return images[train], labels[train], images[test], labels[test]


def logits(model: nn.Module, images: Tensor) -> Tensor:
    """Return a model's outputs as plain floats."""
    result: Any = model(images)
    return getattr(result, "value", result)


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Return the share of images that a model gets right."""
    with torch.no_grad():
        return float((logits(model, images).argmax(1) == labels).float().mean())


def fit(
    model: nn.Module, images: Tensor, labels: Tensor, epochs: int, rate: float, tick: Any
) -> None:
    """Train on labelled images; leaves the model in evaluation mode."""
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.01)
    batches = -(-len(labels) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=epochs * batches)
    loss = nn.CrossEntropyLoss(label_smoothing=0.05)
    model.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(labels)).split(64):
            optimizer.zero_grad()
            loss(logits(model, images[batch]), labels[batch]).backward()
            optimizer.step()
            schedule.step()
        tick()
    model.eval()


def load_floats(net: nn.Module, start: nn.Module) -> None:
    """Copy a float network's weights into its quantized twin; scales stay as they are."""
    before = brevitas.config.IGNORE_MISSING_KEYS
    brevitas.config.IGNORE_MISSING_KEYS = True
    try:
        net.load_state_dict(start.state_dict(), strict=False)
    finally:
        brevitas.config.IGNORE_MISSING_KEYS = before


def train(tick: Any, epochs: tuple[int, int]) -> nn.Module:
    """Return a network trained in floats, then quantized; the caller's random state is kept."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these layers are so small that a second thread only costs time
    try:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(0)
            images, labels, _, _ = digits()
            start, net = DigitsNet(quantized=False), DigitsNet(quantized=True)
            fit(start, images, labels, epochs[0], 1e-2, tick)
            load_floats(net, start)
            fit(net, images, labels, epochs[1], 1e-3, tick)
    finally:
        torch.set_num_threads(threads)
    return net


def weights_path(epochs: tuple[int, int]) -> Path:
    """Return where weights are kept: named after all that has a say in them."""
    code = (DigitsNet.__init__, DigitsNet.forward, digits, logits, fit, load_floats, train)
    parts = [inspect.getsource(function) for function in code]
    parts += [version(name) for name in ("brevitas", "scikit-learn", "torch")]
    key = hashlib.sha256(repr((parts, epochs)).encode()).hexdigest()[:16]
    return BUILD / f"weights-{key}.pt"


def trained(tick: Any = lambda: None, *, epochs: tuple[int, int] = EPOCHS) -> nn.Module:
    """Return the trained network, from the build folder if this very code has trained it before."""
    path = weights_path(epochs)
    if path.exists():
        net = DigitsNet(quantized=True)
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    net = train(tick, epochs)
    with fresh_file(path) as fresh:
        torch.save(net.state_dict(), fresh)
    return net


def model_and_inputs() -> tuple[nn.Module, Tensor]:
    """For ``tilewright compile examples/digits.py:model_and_inputs``."""
    return trained(), digits()[2][:1]


def differences(expected: list[Any], actual: list[Any]) -> tuple[int, int]:
    """Return how many elements differ, and how many there are."""
    if [array.size for array in expected] != [array.size for array in actual]:
        raise RuntimeError("the outputs do not have the shapes of PyTorch's")
    pairs = [(a.reshape(b.shape), b) for a, b in zip(expected, actual, strict=True)]
    return sum(int((a != b).sum()) for a, b in pairs), sum(a.size for a, _ in pairs)


@dataclass(frozen=True)
class Hardware:
    """What is made of the engine while the network trains: neither needs the other."""

    verilog: Future[Path]
    simulator: Future[RtlEngine]
    synthesis: Future[Synthesis]


def start_hardware(pool: Executor, target: tw.Target, step: Callable[[str], Any]) -> Hardware:
    """Begin to make an engine's Verilog, then its simulator and its synthesis side by side.

    ``step`` is called with a name when something begins; what it returns is called when it ends.
    """

    def start(name: str, make: Callable[[], Any], *, after: Future[Any] | None = None) -> Any:
        def run() -> Any:
            if after is not None:
                after.result()
            done = step(name)
            result = make()
            done()
            return result

        return pool.submit(run)

    verilog = start("generate Verilog", lambda: tw.generate_verilog(target, BUILD))
    return Hardware(
        verilog,
        start("build the RTL's simulator", lambda: RtlEngine(target.engine), after=verilog),
        start(
            "synthesize with Yosys", lambda: tw.synthesize(target, BUILD / "yosys"), after=verilog
        ),
    )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What the demo measured."""

    isa: tw.Result
    rtl: tw.Result
    pytorch_accuracy: float  # of all images
    held_out_accuracy: float  # in PyTorch, of those that the RTL ran
    rtl_accuracy: float
    images: int
    different: int  # elements of the RTL's outputs
    compared: int
    golden_different: int
    golden_compared: int
    frames_per_second: float
    verilog: Path
    synthesis: Synthesis

    @property
    def same_cycles(self) -> bool:
        """Whether every command ran when the model said."""
        isa, rtl = self.isa, self.rtl
        return (isa.starts, isa.dones, isa.cycles) == (rtl.starts, rtl.dones, rtl.cycles)

    @property
    def passed(self) -> bool:
        """Whether no output element and no command's cycle differs."""
        return not self.different and not self.golden_different and self.same_cycles


def run(target: tw.Target) -> Outcome:
    """Train, compile and simulate, with the hardware's tools beside."""
    bars = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    with (
        Progress(*bars, TimeElapsedColumn(), console=console) as progress,
        ThreadPoolExecutor() as pool,
    ):

        def step(description: str, total: int | None = None) -> Any:
            task = progress.add_task(description, total=total)

            def done() -> None:
                shown = progress.tasks[task].total or 1
                progress.update(task, total=shown, completed=shown)

            return task, done

        hardware = start_hardware(pool, target, lambda name: step(name)[1])
        task, done = step("train", sum(EPOCHS))
        net = trained(lambda: progress.advance(task))
        done()
        _, _, images, labels = digits()

        _, done = step("compile")
        program = tw.compile(net, images[:1], target)
        program.save(BUILD / "digits.tw")
        done()

        _, done = step("integer graph, all images")
        golden = tw.simulate(program, images, backend="golden")
        golden_differ, golden_compared = differences(
            float64_outputs(net, images, program.graph), golden.outputs
        )
        done()

        held_out = images[:IMAGES]
        task, done = step("simulate commands", IMAGES)
        isa = tw.simulate(
            program, held_out, progress=lambda n, _: progress.update(task, completed=n)
        )
        done()
        hardware.simulator.result()
        task, done = step("run the RTL")
        rtl = tw.simulate(
            program,
            held_out,
            backend="rtl",
            progress=lambda n, total: progress.update(task, total=total, completed=n),
        )
        done()
        verilog, synthesis = hardware.verilog.result(), hardware.synthesis.result()

    differ, compared = differences(float64_outputs(net, held_out, program.graph), rtl.outputs)
    guesses = rtl.outputs[0].reshape(len(held_out), -1).argmax(1)
    assert rtl.cycles is not None
    return Outcome(
        isa=isa,
        rtl=rtl,
        pytorch_accuracy=accuracy(net, images, labels),
        held_out_accuracy=accuracy(net, held_out, labels[:IMAGES]),
        rtl_accuracy=float((guesses == labels[:IMAGES].numpy()).mean()),
        images=len(images),
        different=differ,
        compared=compared,
        golden_different=golden_differ,
        golden_compared=golden_compared,
        frames_per_second=target.clock_mhz * 1e6 / rtl.cycles,
        verilog=verilog,
        synthesis=synthesis,
    )


def outcome_table(target: tw.Target, outcome: Outcome) -> Table:
    """Return what a person wants to know."""
    rtl, isa = outcome.rtl, outcome.isa
    table = Table(show_header=False)
    table.add_row("engine", f"{target.engine.rows} x {target.engine.cols} on {BOARD}")
    table.add_row("Verilog", f"{outcome.verilog.relative_to(BUILD.parents[1])}")
    table.add_row(
        "accuracy in PyTorch", f"{outcome.pytorch_accuracy:.1%} of {outcome.images} images"
    )
    table.add_row("same, the RTL's images", f"{outcome.held_out_accuracy:.1%}")
    table.add_row("accuracy in RTL", f"{outcome.rtl_accuracy:.1%} of {IMAGES} images")
    table.add_row("elements, RTL to PyTorch", f"{outcome.compared:,}")
    table.add_row("of these, different", f"{outcome.different:,}")
    table.add_row("elements, golden to PyTorch", f"{outcome.golden_compared:,}")
    table.add_row("of these, different", f"{outcome.golden_different:,}")
    table.add_row("cycles per image", f"{rtl.cycles:,} (predicted: {isa.cycles:,})")
    table.add_row("every command as predicted", "yes" if outcome.same_cycles else "no")
    rate = f"{outcome.frames_per_second:,.0f} if clocked at {target.clock_mhz:g} MHz"
    table.add_row("frames per second", rate)
    table.add_row("", "its memory simulated at the pins; this run does not place and route")
    for name, count in outcome.synthesis.resources.items():
        table.add_row(f"{name} (Yosys)", f"{count:,}")
    return table


def outcome_record(target: tw.Target, outcome: Outcome) -> dict[str, Any]:
    """Return the same for a program."""
    rtl, isa = outcome.rtl, outcome.isa
    return {
        "board": BOARD,
        "engine": asdict(target.engine),
        "images": IMAGES,
        "accuracy_pytorch": outcome.pytorch_accuracy,
        "accuracy_rtl": outcome.rtl_accuracy,
        "elements_compared": outcome.compared,
        "elements_different": outcome.different,
        "golden_elements_compared": outcome.golden_compared,
        "golden_elements_different": outcome.golden_different,
        "cycles": rtl.cycles,
        "cycles_predicted": isa.cycles,
        "every_command_as_predicted": outcome.same_cycles,
        "frames_per_second": outcome.frames_per_second,
        "layers": [asdict(layer) for layer in rtl.layers],
        "counters": dict(rtl.counters),
        "synthesis": json.loads(outcome.synthesis.to_json()),
    }


def main() -> int:
    """Run the demo; 0 if no output element and no command's cycle differs."""
    target = tw.Target.from_board(BOARD)
    outcome = run(target)
    console.print(layer_table(outcome.rtl.layers))
    console.print(outcome_table(target, outcome))
    path = BUILD / "report.json"
    write_json(path, outcome_record(target, outcome))
    console.print(f"report: {path.relative_to(BUILD.parents[1])}")
    if not outcome.passed:
        console.print("FAILED: not every element or cycle is as predicted", style="bold red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
