"""Volumes, long kernels and sparse kernels: single layers, cycles against those of all weights.

    python -m benchmarks.forms [--output build/forms.json]

Each is a layer of random int8 weights on a 16 x 7 engine. A volume's layer stands behind one of a
single tap that has its channels in order, as in a network; its share of the peak counts the taps
that lie inside the volume. A sparse kernel is compared with the cycles that all of its weights
would take, if none were lost.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import tilewright as tw
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.files import write_json

ENGINE = tw.EngineConfig(
    rows=16, cols=7, act_depth=2048, weight_depth=8192, out_depth=1024, bus_width=64
)


@dataclass(frozen=True)
class Form:
    """A layer: its weights, the size of its maps, and what it is compared with.

    Parameters
    ----------
    weights : (K, C / groups, R, S)
    size : rows and columns
    padding : (top, bottom, left, right)
    peak : compare with the peak, by the taps inside; else with all weights
    before : (C, C, 1, 1), weights of the layer before it, if there is one
    """

    weights: NDArray[np.int64]
    size: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int = 1
    peak: bool = True
    before: NDArray[np.int64] | None = None


def volume(channels: int, slices: int, size: int) -> Form:
    """Return a 3x3x3 convolution, (C, D, H, W) to as many, as :mod:`quantized.volumes` has it."""
    rng = np.random.default_rng(0)
    kernel = rng.integers(-127, 128, (channels, channels, 3, 3, 3))
    flat = np.zeros((channels, slices, channels, slices, 3, 3), np.int64)
    for o in range(slices):
        for t in range(3):
            if 0 <= o + t - 1 < slices:
                flat[:, o, :, o + t - 1] = kernel[:, :, t]
    count = channels * slices
    one = np.kron(rng.integers(1, 128, (channels, channels)), np.eye(slices, dtype=np.int64))
    return Form(
        flat.reshape(count, count, 3, 3), (size, size), (1, 1, 1, 1), before=one[:, :, None, None]
    )


def sparse(channels: int, kernel: int, share: float, size: int) -> Form:
    """Return a kernel with some of its taps, the same for all channels."""
    rng = np.random.default_rng(0)
    taps = np.zeros(kernel * kernel, bool)
    taps[rng.permutation(kernel * kernel)[: round(share * kernel * kernel)]] = True
    weights = rng.integers(-127, 128, (channels, channels, kernel, kernel))
    weights *= taps.reshape(kernel, kernel)
    return Form(weights, (size, size), (kernel // 2,) * 4, peak=False)


def sequence(channels: int, taps: int, length: int) -> Form:
    """Return a causal depthwise kernel."""
    weights = np.random.default_rng(0).integers(-9, 10, (channels, 1, 1, taps))
    return Form(weights, (1, length), (0, 0, taps - 1, 0), groups=channels)


FORMS = {
    "3x3x3 16 channels, 8 x 28 x 28": lambda: volume(16, 8, 28),
    "3x3x3 32 channels, 8 x 28 x 28": lambda: volume(32, 8, 28),
    "3x3x3 64 channels, 4 x 14 x 14": lambda: volume(64, 4, 14),
    "17x17 64 channels, 9 % of the taps": lambda: sparse(64, 17, 0.09, 28),
    "17x17 32 channels, 9 % of the taps": lambda: sparse(32, 17, 0.09, 28),
    "9x9 64 channels, 20 % of the taps": lambda: sparse(64, 9, 0.2, 28),
    "causal, 64 taps, 16 of 512": lambda: sequence(16, 64, 512),
    "causal, 256 taps, 16 of 512": lambda: sequence(16, 256, 512),
    "causal, 1024 taps, 16 of 1024": lambda: sequence(16, 1024, 1024),
}


def measure(form: Form) -> tuple[int, float]:
    """Return a layer's cycles, and its share of the peak or how many times fewer they are."""
    per_group = form.weights.shape[1]
    channels = per_group * form.groups
    height, width = form.size
    values = {"x": TensorType((channels, height, width), 8, True, 1.0, 0)}
    ops: list[Conv2d] = []
    for weights, padding, groups in (
        *([(form.before, (0,) * 4, 1)] if form.before is not None else []),
        (form.weights, form.padding, form.groups),
    ):
        source, name = (ops[-1].output if ops else "x"), f"v{len(ops)}"
        values[name] = TensorType((len(weights), height, width), 8, True, 1.0, 0)
        keep = Requantize((1,) * len(weights), (12,) * len(weights), 0, -128, 127)
        ops.append(
            Conv2d(
                name, source, name, weights, 8, np.zeros(len(weights), np.int64), (1, 1), padding,
                (1, 1), groups, keep,
            )
        )  # fmt: skip
    graph = Graph("form", values, (Input("in", "x"), *ops, Output("out", ops[-1].output)))
    target = tw.Target(engine=ENGINE, memory=tw.MemoryTiming(20, 5))
    program = tw.compile_graph(graph, target)
    inputs = [np.random.default_rng(1).integers(-128, 128, (1, channels, height, width))]
    golden, isa = (tw.simulate(program, inputs, backend=b) for b in ("golden", "isa"))
    if not np.array_equal(golden.outputs[0], isa.outputs[0]):
        raise tw.Error("golden and isa differ")
    cycles = next(layer.cycles for layer in isa.layers if layer.name == ops[-1].name)
    if len(ops) == 1:
        cycles = isa.cycles
    assert cycles is not None
    used = np.count_nonzero(form.weights.any((2, 3))) * form.weights[0, 0].size
    macs = (used if form.peak else form.weights.size) * height * width
    return cycles, macs / (ENGINE.multipliers * cycles)


def main(
    only: Annotated[str, typer.Option(help="Only layers whose name contains this.")] = "",
    output: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """Measure every layer."""
    table = Table("layer", "cycles", "share of peak", "times fewer than all weights")
    records = {}
    for name, make in FORMS.items():
        if only not in name:
            continue
        form = make()
        cycles, ratio = measure(form)
        records[name] = {"cycles": cycles, "share" if form.peak else "times": ratio}
        ratios = (f"{ratio:.1%}", "-") if form.peak else ("-", f"{ratio:.2f}")
        table.add_row(name, f"{cycles:,}", *ratios)
        print(name, cycles, ratios, flush=True)
    Console().print(table)
    if output is not None:
        write_json(output, records)


if __name__ == "__main__":
    typer.run(main)
