"""Handwritten digits, from training to the generated hardware: the job of ``make demo``.

Trains a small int8 network with Brevitas on scikit-learn's digits (8 x 8 pixels), compiles it for
the ULX3S-85F, generates the engine's Verilog, runs held-out images through it in Verilator, and
compares every output element with PyTorch's.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import asdict
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
from tilewright.cli import layer_table
from tilewright.compiler.frontend import float64_outputs

BUILD = Path(__file__).parents[1] / "build" / "demo"
BOARD = "ulx3s-85f"
IMAGES = 24
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


def fit(model: nn.Module, epochs: int, rate: float, tick: Any) -> None:
    """Train on the training images; leaves the model in evaluation mode."""
    images, labels, _, _ = digits()
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


def trained(tick: Any = lambda: None, *, epochs: tuple[int, int] = (40, 6)) -> nn.Module:
    """Return the trained network, from the build folder if this very code has trained it before."""
    torch.set_num_threads(1)  # these layers are so small that a second thread only costs time
    brevitas.config.IGNORE_MISSING_KEYS = True  # floats know nothing of scales
    key = hashlib.sha256(Path(__file__).read_bytes() + repr(epochs).encode()).hexdigest()[:16]
    path = BUILD / f"weights-{key}.pt"
    net = DigitsNet(quantized=True)
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
        return net.eval()
    torch.manual_seed(0)
    start = DigitsNet(quantized=False)
    fit(start, epochs[0], 1e-2, tick)
    net.load_state_dict(start.state_dict(), strict=False)
    fit(net, epochs[1], 1e-3, tick)
    BUILD.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    torch.save(net.state_dict(), temporary)
    temporary.replace(path)
    return net


def model_and_inputs() -> tuple[nn.Module, Tensor]:
    """For ``tilewright compile examples/digits.py:model_and_inputs``."""
    return trained(), digits()[2][:1]


def main() -> int:
    """Run the demo; 0 if not one output element differs."""
    bars = (TextColumn("{task.description:<28}"), BarColumn(), MofNCompleteColumn())
    with Progress(*bars, TimeElapsedColumn(), console=console) as progress:

        def step(description: str, total: int | None = None) -> Any:
            task = progress.add_task(description, total=total)

            def done() -> None:
                progress.update(task, total=total or 1, completed=total or 1)

            return task, done

        task, done = step("train", 46)
        net = trained(lambda: progress.advance(task))
        done()
        _, _, images, labels = digits()
        target = tw.Target.from_board(BOARD)

        _, done = step("compile")
        program = tw.compile(net, images[:1], target)
        program.save(BUILD / "digits.tw")
        done()

        _, done = step("generate Verilog")
        verilog = tw.generate_verilog(target, BUILD)
        done()

        held_out = images[:IMAGES]
        task, done = step("simulate commands", IMAGES)
        isa = tw.simulate(
            program, held_out, progress=lambda n, _: progress.update(task, completed=n)
        )
        done()
        task, done = step("build and run the RTL", IMAGES)
        rtl = tw.simulate(
            program,
            held_out,
            backend="rtl",
            progress=lambda n, _: progress.update(task, completed=n),
        )
        done()
        task, done = step("synthesize with Yosys")
        synthesis = tw.synthesize(target, BUILD / "yosys")
        done()

    expected = float64_outputs(net, held_out, program.graph)
    compared = sum(array.size for array in expected)
    differ = sum(int((a != b).sum()) for a, b in zip(expected, rtl.outputs, strict=True))
    guesses = rtl.outputs[0].reshape(len(held_out), -1).argmax(1)
    rtl_accuracy = float((guesses == labels[:IMAGES].numpy()).mean())
    same_cycles = isa.dones == rtl.dones and isa.cycles == rtl.cycles
    assert rtl.cycles is not None
    rate = target.clock_mhz * 1e6 / rtl.cycles

    console.print(layer_table(rtl.layers))
    table = Table(show_header=False)
    table.add_row("engine", f"{target.engine.rows} x {target.engine.cols} on {BOARD}")
    table.add_row("Verilog", f"{verilog.relative_to(BUILD.parents[1])}")
    table.add_row(
        "accuracy in PyTorch", f"{accuracy(net, images, labels):.1%} of {len(images)} images"
    )
    table.add_row("same, the RTL's images", f"{accuracy(net, held_out, labels[:IMAGES]):.1%}")
    table.add_row("accuracy in RTL", f"{rtl_accuracy:.1%} of {IMAGES} images")
    table.add_row("output elements compared", f"{compared}")
    table.add_row("of these, different", f"{differ}")
    table.add_row("cycles per image", f"{rtl.cycles:,} (predicted: {isa.cycles:,})")
    table.add_row("frames per second", f"{rate:,.0f} at {target.clock_mhz:g} MHz")
    for name, count in synthesis.resources.items():
        table.add_row(f"{name} (Yosys)", f"{count:,}")
    console.print(table)
    report = {
        "board": BOARD,
        "engine": asdict(target.engine),
        "images": IMAGES,
        "accuracy_pytorch": accuracy(net, images, labels),
        "accuracy_rtl": rtl_accuracy,
        "elements_compared": compared,
        "elements_different": differ,
        "cycles": rtl.cycles,
        "cycles_predicted": isa.cycles,
        "every_command_as_predicted": same_cycles,
        "frames_per_second": rate,
        "layers": [asdict(layer) for layer in rtl.layers],
        "counters": dict(rtl.counters),
        "synthesis": json.loads(synthesis.to_json()),
    }
    path = BUILD / "report.json"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(report, indent=1) + "\n")
    temporary.replace(path)
    console.print(f"report: {path.relative_to(BUILD.parents[1])}")
    if differ or not same_cycles:
        console.print("the RTL does not do what was predicted", style="bold red")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
