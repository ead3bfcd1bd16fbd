"""Cycles and utilization of single layers, whole, from memory to memory.

    python benchmarks/array.py [--rtl] [--rows 16 --cols 7 ...]

For each layer of the suite: cycles by the cycle model (and by the RTL with ``--rtl``), the floor
``ceil(K/rows) * ceil(OW/cols) * OH * C/groups * R * S``, utilization = MACs / (rows * cols *
cycles), and the least cycles that the bus needs for the layer's compulsory traffic. Prints a table
and writes JSON.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Layer:
    """A convolution of the suite; ``target`` is the least share of the peak it should reach."""

    name: str
    channels: int
    kernels: int
    size: int
    kernel: tuple[int, int] = (3, 3)
    stride: int = 1
    dilation: int = 1
    groups: int = 1
    target: float = 0.0
    on_chip: bool = False


SUITE = (
    Layer("3x3 s1 64->64 56x56", 64, 64, 56, target=0.96),
    Layer("3x3 s1 128->128 28x28", 128, 128, 28, target=0.96),
    Layer("1x1 s1 256->64 56x56", 256, 64, 56, (1, 1), target=0.93),
    Layer("3x3 s2 64->128 56x56", 64, 128, 56, stride=2, target=0.94),
    Layer("7x7 s2 3->64 224x224", 3, 64, 224, (7, 7), stride=2, target=0.94),
    *(Layer(f"3x3 d{d} 64->64 28x28", 64, 64, 28, dilation=d, target=0.92) for d in (2, 6, 12)),
    *(
        Layer(f"3x3 G={g} 128->128 28x28", 128, 128, 28, groups=128 // g, target=0.92)
        for g in (4, 8, 16)
    ),
    Layer("dw 3x3 s1 96 56x56", 96, 96, 56, groups=96, target=0.88, on_chip=True),
    Layer("dw 3x3 s2 96 56x56", 96, 96, 56, stride=2, groups=96, target=0.80, on_chip=True),
    *(
        Layer(f"dw {r}x{s} 96 56x56", 96, 96, 56, (r, s), groups=96, target=0.90, on_chip=True)
        for r, s in ((5, 5), (7, 7), (13, 13), (1, 11), (11, 1))
    ),
)


def graph_of(layer: Layer, rng: np.random.Generator) -> Graph:
    """Return a graph of the layer with random int8 weights."""
    r, s = layer.kernel
    pads = [(k - 1) * layer.dilation // 2 for k in (r, s)]
    if layer.stride == 2 and layer.kernel == (3, 3):
        pads = [1, 1]
    out = [
        (layer.size + 2 * p - (k - 1) * layer.dilation - 1) // layer.stride + 1
        for k, p in zip((r, s), pads, strict=True)
    ]
    weight = rng.integers(-127, 128, (layer.kernels, layer.channels // layer.groups, r, s))
    op = Conv2d(
        layer.name,
        "x",
        "y",
        weight,
        8,
        rng.integers(-1000, 1000, layer.kernels),
        (layer.stride, layer.stride),
        (pads[0], pads[0], pads[1], pads[1]),
        (layer.dilation, layer.dilation),
        layer.groups,
        Requantize((1,) * layer.kernels, (12,) * layer.kernels, 0, -128, 127),
    )
    values = {
        "x": TensorType((layer.channels, layer.size, layer.size), 8, True, 1.0, 0),
        "y": TensorType((layer.kernels, out[0], out[1]), 8, True, 1.0, 0),
    }
    return Graph("layer", values, (Input("input", "x"), op, Output("output", "y")))


def floor_cycles(layer: Layer, graph: Graph, config: tw.EngineConfig) -> int:
    """Return the array's least cycles for a layer, as in the design."""
    _, height, width = graph.values["y"].shape
    reduction = layer.channels // layer.groups * layer.kernel[0] * layer.kernel[1]
    groups = -(-layer.kernels // config.rows)
    return groups * -(-width // config.cols) * height * reduction


def main(
    rtl: Annotated[bool, typer.Option(help="Also run the RTL and compare.")] = False,
    rows: int = 16,
    cols: int = 7,
    act_depth: int = 1024,
    weight_depth: int = 4096,
    out_depth: int = 1024,
    bus_width: int = 64,
    only: Annotated[str, typer.Option(help="Only layers whose name contains this.")] = "",
    output: Path = RESULTS / "array.json",
    markdown: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Measure every layer of the suite."""
    config = replace(
        tw.EngineConfig(),
        rows=rows,
        cols=cols,
        act_depth=act_depth,
        weight_depth=weight_depth,
        out_depth=out_depth,
        bus_width=bus_width,
    )
    target = tw.Target(engine=config, memory=tw.MemoryTiming(20, 5))
    console = Console()
    table = Table("layer", "cycles", "floor", "bus floor", "utilization", "target", "stalls", "RTL")
    records = []
    for layer in SUITE:
        if only not in layer.name:
            continue
        graph = graph_of(layer, np.random.default_rng(0))
        program = tw.compile_graph(graph, target)
        inputs = [np.random.default_rng(1).integers(-128, 128, (1, *graph.values["x"].shape))]
        begin = time.monotonic()
        verified = tw.verify(program, inputs) if rtl else None
        result = verified.results["isa"] if verified else tw.simulate(program, inputs)
        stats = result.layers[0]
        assert result.cycles is not None
        sizes = [graph.values[v].numel for v in ("x", "y")]
        weights = graph.layers[0].weight.size
        bus = max(sizes[0] + weights, sizes[1]) / config.bus_bytes
        record = {
            **asdict(layer),
            "macs": stats.macs,
            "cycles": result.cycles,
            "floor_cycles": floor_cycles(layer, graph, config),
            "bus_floor_cycles": round(bus),
            "utilization": stats.macs / (config.multipliers * result.cycles),
            "stalls": dict(stats.stalls),
            "rtl_equal": verified is not None,
            "seconds": round(time.monotonic() - begin, 1),
        }
        records.append(record)
        table.add_row(
            layer.name,
            f"{result.cycles:,}",
            f"{record['floor_cycles']:,}",
            f"{record['bus_floor_cycles']:,}",
            f"{record['utilization']:.1%}",
            f"{layer.target:.0%}" + (" on chip" if layer.on_chip else ""),
            " ".join(f"{k[:3]} {v}" for k, v in stats.stalls.items() if v),
            "equal" if rtl else "-",
        )
        console.print(f"{layer.name}: {record['utilization']:.1%}", style="dim")
    console.print(table)
    output.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"engine": asdict(config), "layers": records}, indent=1)
    temporary = output.with_suffix(".tmp")
    temporary.write_text(text + "\n")
    temporary.replace(output)
    if markdown is not None:
        markdown.write_text(page(config, records))


def page(config: tw.EngineConfig, records: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# Single layers on the array",
        "",
        f"Written by `benchmarks/array.py`: a {config.rows} x {config.cols} engine, "
        f"{config.bus_width}-bit AXI with one beat per cycle after 20 cycles, every layer whole "
        "from memory to memory, commands included. The bus floor is what the layer's own inputs, "
        "weights and outputs take; a layer near it is bound by the bus, not by the array. The "
        "cycles are the cycle model's"
        + (", and equal to the RTL's." if all(r["rtl_equal"] for r in records) else "."),
        "",
        "| layer | cycles | floor | bus floor | share of peak |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['name']} | {r['cycles']:,} | {r['floor_cycles']:,} | {r['bus_floor_cycles']:,} "
        f"| {r['utilization']:.1%} |"
        for r in records
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
