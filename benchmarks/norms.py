"""Norms by the statistics of an image: what 8 bits leave of them, and what they cannot do worse.

    python -m benchmarks.norms [--output build/norms.json]

Each norm stands behind a convolution whose channels differ in size by 25, is quantized, compiled
and run, and compared with the float module. The bound is of the norm alone, on the integers that it
reads, element by element: every tensor is off by half a step at most, by what saturates, and by
what the errors of what it is made from do to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import torch.nn.functional as F
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import tilewright as tw
from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q
from tilewright.files import write_json

CHANNELS, SIZE, SEED = 16, 14, 31
ENGINE = tw.EngineConfig(rows=8, cols=7, weight_depth=8192, tables=4)


class _OverChannels(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class _Response(nn.Module):
    """GRN: Woo et al., 2023, arXiv:2301.00808."""

    def forward(self, x: Tensor) -> Tensor:
        size = torch.norm(x, p=2, dim=(2, 3), keepdim=True)
        return x * (size / (size.mean(1, keepdim=True) + 1e-6)) + x


class _Unit(nn.Module):
    """As SSD: every pixel's channels have length one."""

    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1)


NORMS = {
    "LayerNorm over channels": _OverChannels,
    "LayerNorm over C, H, W": lambda: nn.LayerNorm((CHANNELS, SIZE, SIZE)),
    "InstanceNorm": lambda: nn.InstanceNorm2d(CHANNELS, affine=True),
    "GroupNorm of 4": lambda: nn.GroupNorm(4, CHANNELS),
    "GRN": _Response,
    "L2Norm over channels": _Unit,
}


def network(name: str) -> tuple[nn.Module, Tensor]:
    """Return a norm behind a convolution of uneven channels, and images."""
    torch.manual_seed(SEED)
    conv = nn.Conv2d(8, CHANNELS, 3, padding=1)
    uneven = torch.logspace(-0.7, 0.7, CHANNELS)[torch.randperm(CHANNELS)]
    conv.weight.data *= uneven.reshape(-1, 1, 1, 1)
    bright = torch.rand(16, 1, SIZE, SIZE) + 0.4
    return nn.Sequential(conv, NORMS[name]()).eval(), torch.randn(16, 8, SIZE, SIZE) * bright


def bounds(graph: Graph, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return a graph's only result in reals, on its grids, and a bound of how far these are apart.

    What it reads is on a grid already. Functions must be monotone on both sides of zero, as those
    of norms are.
    """
    (source,) = graph.inputs
    grid = graph.tensors[source].quantization
    images = images if grid is None else grid.apply(images)
    exact = graph.values([images])
    rounded = graph.values([images], quantized=True)
    errors = {source: torch.zeros_like(exact[source])}
    for op in graph.ops:
        found = _propagated(op, exact, errors)
        errors[op.output] = _on_grid(graph, op.output, exact[op.output], found)
    (view,) = graph.outputs
    return view.of(exact), view.of(rounded), view.of(errors)


def _on_grid(graph: Graph, name: str, x: Tensor, error: Tensor) -> Tensor:
    """Return the error of a tensor that is put on its grid."""
    grid = graph.tensors[name].quantization
    if grid is None:
        return error
    # What is rounded lies between what the ends of the interval become.
    ends = grid.apply(x - error), grid.apply(x + error)
    return torch.maximum((x - ends[0]).abs(), (ends[1] - x).abs())


def _propagated(op: q.Op, exact: Mapping[str, Tensor], errors: Mapping[str, Tensor]) -> Tensor:
    """Return how far an operator's result is off before it is rounded."""
    values, off = [exact[n] for n in op.inputs], [errors[n] for n in op.inputs]
    match op:
        case q.Constant():
            return torch.zeros_like(exact[op.output])
        case q.Function() | q.Table():
            (x,), (e,) = values, off
            points = [x - e, x + e, torch.zeros_like(x).clamp(x - e, x + e)]
            apart = torch.stack([(op.evaluate(p) - op.evaluate(x)).abs() for p in points])
            return apart.nan_to_num(torch.inf).amax(0)
        case q.Binary(function="mul"):
            (a, b), (ea, eb) = values, off
            return a.abs() * eb + b.abs() * ea + ea * eb
        case q.Binary():
            return sum(off[1:], off[0])
        case q.Conv():
            plain = q.Conv(
                op.name, op.inputs, op.output, op.weight.abs(), torch.zeros_like(op.bias), None, 8,
                op.stride, op.padding, op.dilation, op.groups,
            )  # fmt: skip
            return plain.evaluate(*off)
    return op.evaluate(*off)  # means, moves, concatenations


def measure(name: str) -> dict[str, float]:
    """Quantize, compile and run a norm; return what is left of it, and the bound."""
    model, images = network(name)
    quantized = tw.quantize(model, [images[1:]])
    assert isinstance(quantized, tw.QuantizedModel)
    program = tw.compile(quantized, images, tw.Target(engine=ENGINE))
    golden, isa = (tw.simulate(program, images[:1], backend=b) for b in ("golden", "isa"))
    if not np.array_equal(golden.outputs[0], isa.outputs[0]):
        raise tw.Error(f"{name}: golden and isa differ")
    with torch.no_grad():
        wanted = model(images[:1]).double()
        read = model[0](images)
        alone = tw.quantize(model[1], [read[1:]])
        assert isinstance(alone, tw.QuantizedModel)
        exact, rounded, bound = bounds(alone.graph, read[:1].double())
    have = torch.from_numpy(isa.dequantized()[0]).double()

    def decibels(signal: Tensor, error: Tensor) -> float:
        return float(10 * (signal.square().sum() / error.square().sum()).log10())

    return {
        "cycles": float(isa.cycles or 0),
        "snr_db": decibels(wanted, have - wanted),
        "alone_db": decibels(exact, rounded - exact),
        "bound_db": decibels(exact, bound),
        "share_of_bound": float(((rounded - exact).abs() / bound.clamp(min=1e-12)).max()),
    }


def main(
    output: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """Measure every norm."""
    torch.set_num_threads(1)
    table = Table("norm", "cycles", "dB", "alone, dB", "bound, dB", "most of the bound")
    records = {}
    for name in NORMS:
        record = records[name] = measure(name)
        table.add_row(
            name,
            f"{record['cycles']:,.0f}",
            *(f"{record[key]:.1f}" for key in ("snr_db", "alone_db", "bound_db")),
            f"{record['share_of_bound']:.2f}",
        )
    Console().print(table)
    if output is not None:
        write_json(output, records)


if __name__ == "__main__":
    typer.run(main)
