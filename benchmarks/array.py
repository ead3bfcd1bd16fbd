"""Cycles and utilization of single layers, whole, from memory to memory.

    python -m benchmarks.array [--rtl] [--rows 16 --cols 7 ...]

For each layer of the suite: cycles by the cycle model (and by the RTL with ``--rtl``), the floor
``ceil(K/rows) * ceil(OW/cols) * OH * C/groups * R * S``, utilization = MACs / (rows * cols *
cycles), and the least cycles that the bus needs for the layer's compulsory traffic. A layer "on
chip" runs between two 1x1 convolutions, as in an inverted residual: input and output stay in the
buffers, and its cycles are its share of the run. Prints a table and writes JSON, from which a run
that was interrupted goes on.
"""

from __future__ import annotations

import sys
from pathlib import Path

# This file must not be what others get when they import the standard library's module.
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != Path(__file__).parent]

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.files import write_json, write_text

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
    # One pixel: one column works, and still takes weights faster than a bus brings them.
    Layer("1x1 s1 1280->1000 1x1", 1280, 1000, 1, (1, 1)),
)


def graph_of(layer: Layer, rng: np.random.Generator) -> Graph:
    """Return a graph of the layer with random int8 weights, between 1x1 layers if on chip."""
    values = {"x": TensorType((layer.channels, layer.size, layer.size), 8, True, 1.0, 0)}
    ops: list[Conv2d] = []

    def convolve(name: str, kernels: int, kernel: tuple[int, int], source: Layer | None) -> None:
        value = ops[-1].output if ops else "x"
        channels, *size = values[value].shape
        stride, dilation, groups = (
            (source.stride, source.dilation, source.groups) if source else (1, 1, 1)
        )
        # As many results as pixels; of an even kernel, more padding behind than before.
        pads = [
            ((k - 1) * dilation // 2, (k - 1) * dilation - (k - 1) * dilation // 2) for k in kernel
        ]
        height, width = ((n - 1) // stride + 1 for n in size)
        output = f"v{len(ops)}"
        values[output] = TensorType((kernels, height, width), 8, True, 1.0, 0)
        ops.append(
            Conv2d(
                name,
                value,
                output,
                rng.integers(-127, 128, (kernels, channels // groups, *kernel)),
                8,
                rng.integers(-1000, 1000, kernels),
                (stride, stride),
                (*pads[0], *pads[1]),
                (dilation, dilation),
                groups,
                Requantize((1,) * kernels, (12,) * kernels, 0, -128, 127),
            )
        )

    if layer.on_chip:
        values["x"] = TensorType((16, layer.size, layer.size), 8, True, 1.0, 0)
        convolve("expand", layer.channels, (1, 1), None)
    convolve(layer.name, layer.kernels, layer.kernel, layer)
    if layer.on_chip:
        convolve("project", 16, (1, 1), None)
    return Graph("layer", values, (Input("input", "x"), *ops, Output("output", ops[-1].output)))


def op_of(layer: Layer, graph: Graph) -> Conv2d:
    """Return the operation that a layer is about."""
    op = next(op for op in graph.layers if op.name == layer.name)
    assert isinstance(op, Conv2d)
    return op


def floor_cycles(layer: Layer, graph: Graph, config: tw.EngineConfig) -> int:
    """Return the array's least cycles for a layer, as in the design."""
    _, height, width = graph.values[op_of(layer, graph).output].shape
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
    records: list[dict[str, Any]] = []
    known = known_records(output, config)
    for layer in SUITE:
        if only not in layer.name:
            continue
        graph = graph_of(layer, np.random.default_rng(0))
        program = tw.compile_graph(graph, target)
        digest = hashlib.sha256(program.image.tobytes()).hexdigest()[:16]
        record = known.get(layer.name, {})
        if record.get("program") != digest or (rtl and not record["rtl_equal"]):
            with console.status(layer.name):
                record = {**measure(layer, graph, program, rtl=rtl), "program": digest}
        records.append(record)
        table.add_row(
            layer.name,
            f"{record['cycles']:,}",
            f"{record['floor_cycles']:,}",
            "on chip" if layer.on_chip else f"{record['bus_floor_cycles']:,}",
            f"{record['utilization']:.1%}",
            f"{layer.target:.0%}" if layer.target else "-",
            " ".join(f"{k[:3]} {v}" for k, v in record["stalls"].items() if v),
            "equal" if record["rtl_equal"] else "-",
        )
        console.print(f"{layer.name}: {record['utilization']:.1%}", style="dim")
        write_json(output, {"engine": asdict(config), "layers": records})
    console.print(table)
    if markdown is not None:
        write_text(markdown, page(config, records))


def measure(layer: Layer, graph: Graph, program: tw.Program, *, rtl: bool) -> dict[str, Any]:
    """Run one layer; with ``rtl``, every output and every command's cycles are compared."""
    config = program.engine
    op = op_of(layer, graph)
    inputs = [np.random.default_rng(1).integers(-128, 128, (1, *graph.values["x"].shape))]
    begin = time.monotonic()
    if rtl:
        result = tw.verify(program, inputs).results["rtl"]
    else:
        result = tw.simulate(program, inputs)
    stats = next(entry for entry in result.layers if entry.name == layer.name)
    cycles = result.cycles
    if layer.on_chip:
        cycles = stats.cycles
        moved = {value for group in program.schedule for value in group.loads + group.stores}
        if moved & {op.input, op.output}:
            raise tw.Error(f"{layer.name}: its data went through memory; take a larger act_depth")
    assert cycles is not None
    sizes = [graph.values[v].numel for v in (op.input, op.output)]
    return {
        **asdict(layer),
        "macs": stats.macs,
        "cycles": cycles,
        "floor_cycles": floor_cycles(layer, graph, config),
        "bus_floor_cycles": round(max(sizes[0] + op.weight.size, sizes[1]) / config.bus_bytes),
        "utilization": stats.macs / (config.multipliers * cycles),
        "stalls": dict(stats.stalls),
        "rtl_equal": rtl,
        "seconds": round(time.monotonic() - begin, 1),
    }


def known_records(path: Path, config: tw.EngineConfig) -> dict[str, dict[str, Any]]:
    """Return the records of an earlier run on the same engine, by layer."""
    if not path.exists():
        return {}
    earlier = json.loads(path.read_text())
    if earlier["engine"] != asdict(config):
        return {}
    return {record["name"]: record for record in earlier["layers"]}


def page(config: tw.EngineConfig, records: list[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "# Single layers on the array",
        "",
        f"Written by `benchmarks/array.py`: a {config.rows} x {config.cols} engine, "
        f"{config.bus_width}-bit AXI with one beat per cycle after 20 cycles, every layer whole "
        "from memory to memory, commands included. The bus floor is what the layer's own inputs, "
        "weights and outputs take; a layer near it is bound by the bus, not by the array. On chip: "
        "between two 1x1 layers, with all its data in the buffers; its share of the run. A fully "
        "connected layer is one pixel, so that one column works: it still takes `rows` weights per "
        "cycle, more than the bus brings, and more columns would not help a single image. The "
        "cycles are the cycle model's"
        + (", and equal to the RTL's." if all(r["rtl_equal"] for r in records) else "."),
        "",
        "| layer | cycles | floor | bus floor | share of peak |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['name']} | {r['cycles']:,} | {r['floor_cycles']:,} "
        f"| {'on chip' if r['on_chip'] else format(r['bus_floor_cycles'], ',')} "
        f"| {r['utilization']:.1%} |"
        for r in records
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
