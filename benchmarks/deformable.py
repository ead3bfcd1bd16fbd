"""What deformable convolution costs: whole layers, from memory to memory, beside ordinary ones.

    python -m benchmarks.deformable [--rtl] [--only depthwise] [--markdown docs/deformable_cost.md]

For each layer, as an ordinary convolution and with offsets that are loaded from memory: cycles,
bytes, multiplications per multiplier and cycle, energy; all on one engine. Samples stay on chip, or
go through memory where the rows within reach do not fit. With ``--rtl`` every element and every
command's cycles are compared with the RTL's. Offsets are random, with a standard deviation of 2
pixels. Prints a table and writes JSON, from which a run that was interrupted goes on.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import tilewright as tw
from benchmarks.output import markdown_table, table_of
from tilewright.compiler.ir import (
    Conv2d,
    DeformConv2d,
    Graph,
    Input,
    Output,
    Requantize,
    TensorType,
)
from tilewright.files import write_text

RESULTS = Path(__file__).parent / "results"
ENGINE = tw.EngineConfig(rows=16, cols=7, act_depth=4096, offset_depth=1024)
DEVIATION = 2.0  # of the offsets, in pixels


@dataclass(frozen=True)
class Layer:
    """A 3 x 3 layer that keeps channels and size."""

    name: str
    channels: int
    size: int
    depthwise: bool


@dataclass(frozen=True)
class Offsets:
    """Offsets of so many bits, of which ``fraction`` lie below the point; of one distance."""

    name: str
    bits: int = 0
    fraction: int = 0
    square: bool = False


LAYERS = (
    Layer("full 256 64x64", 256, 64, False),
    Layer("depthwise 256 64x64", 256, 64, True),
    Layer("full 64 56x56", 64, 56, False),
)
# Signed numbers of 8 bits with 4 below the point reach 8 pixels.
VARIANTS = (
    Offsets("plain"),
    Offsets("unbounded, integer: 128 pixels", 8, 0),
    Offsets("unbounded: 64 pixels", 8, 1),
    Offsets("wide: 16 pixels", 8, 3),
    Offsets("bounded: 8 pixels", 8, 4),
    Offsets("bounded, square", 8, 4, square=True),
    Offsets("bounded, integer", 4, 0),
)
# Milliseconds at 250 MHz of 400 multipliers, 256 channels, 64 x 64: without and with a cache.
# Source: Q. Huang et al., "CoDeNet: Efficient Deployment of Input-Adaptive Object Detection on
# Embedded FPGAs", FPGA 2021, arXiv:2006.08357, the table of its operators.
CODENET = {
    "full 256 64x64": {
        "plain": (43.1, 41.6),
        "unbounded": (59.0, 42.7),
        "bounded": (43.4, 41.8),
    },
    "depthwise 256 64x64": {
        "plain": (1.9, 2.0),
        "unbounded": (20.5, 17.8),
        "bounded": (3.0, 3.4),
        "bounded, square": (2.1, 2.3),
    },
}


def macs_of(layer: Layer) -> int:
    """Return the multiplications of a layer."""
    reduction = 9 * (1 if layer.depthwise else layer.channels)
    return layer.channels * layer.size**2 * reduction


def graph_of(layer: Layer, offsets: Offsets) -> Graph:
    """Return a graph of the layer with random int8 weights."""
    rng = np.random.default_rng(0)
    channels, size = layer.channels, (layer.size, layer.size)
    groups = channels if layer.depthwise else 1
    values = {name: TensorType((channels, *size), 8, True, 1.0, 0) for name in "xy"}
    weight = rng.integers(-127, 128, (channels, channels // groups, 3, 3))
    bias = rng.integers(-1000, 1000, channels)
    window = ((1, 1), (1, 1, 1, 1), (1, 1), groups)
    scale = Requantize((1,) * channels, (12,) * channels, 0, -128, 127)
    ops: list[Any] = [Input("input", "x")]
    if not offsets.bits:
        ops.append(Conv2d("layer", "x", "y", weight, 8, bias, *window, scale))
    else:
        step = 2.0**-offsets.fraction
        values["offset"] = TensorType((18, *size), offsets.bits, True, step, 0)
        low, high = values["offset"].qmin, values["offset"].qmax
        if offsets.square:
            values["distance"] = TensorType((1, *size), offsets.bits, True, step, 0)
            from_centre = [n for r in (-1, 0, 1) for s in (-1, 0, 1) for n in (r, s)]
            expand = np.array(from_centre).reshape(18, 1, 1, 1)
            ops += [
                Input("distances", "distance"),
                Conv2d(
                    "square", "distance", "offset", expand, 2, np.zeros(18, np.int64),
                    (1, 1), (0, 0, 0, 0), (1, 1), 1,
                    Requantize((1,) * 18, (0,) * 18, 0, low, high),
                ),
            ]  # fmt: skip
        else:
            ops.append(Input("offsets", "offset"))
        ops.append(
            DeformConv2d("layer", "x", "offset", None, "y", weight, 8, bias, *window, 1, scale)
        )
    return Graph("layer", values, (*ops, Output("output", "y")))


def inputs_of(graph: Graph) -> list[Any]:
    """Return random pixels and offsets."""
    rng = np.random.default_rng(1)
    arrays = []
    for op in graph.inputs:
        kind = graph.values[op.output]
        if op.output == "x":
            arrays.append(rng.integers(-128, 128, (1, *kind.shape)))
        else:
            offsets = rng.normal(0, DEVIATION / kind.scale, (1, *kind.shape))
            arrays.append(np.clip(np.rint(offsets), kind.qmin, kind.qmax).astype(np.int64))
    return arrays


def measure(layer: Layer, offsets: Offsets, *, rtl: bool) -> dict[str, Any]:
    """Compile and run a layer."""
    graph = graph_of(layer, offsets)
    target = tw.Target(engine=ENGINE, memory=tw.MemoryTiming(20, 5))
    program, inputs, begin = tw.compile_graph(graph, target), inputs_of(graph), time.monotonic()
    result = tw.verify(program, inputs).results["rtl"] if rtl else tw.simulate(program, inputs)
    assert result.cycles is not None
    kinds = [entry.kind for group in program.schedule for entry in group.layers]
    return {
        **asdict(layer),
        "offsets": asdict(offsets),
        "samples": "in memory" if "Sample" in kinds else "on chip" if offsets.bits else "",
        "cycles": result.cycles,
        "macs_per_multiplier_and_cycle": macs_of(layer) / ENGINE.multipliers / result.cycles,
        "bytes": sum(entry.bytes_read + entry.bytes_written for entry in result.layers),
        "energy_uj": tw.estimate(program).energy.total.value,
        "rtl_equal": rtl,
        "seconds": round(time.monotonic() - begin, 1),
    }


def main(
    rtl: Annotated[bool, typer.Option(help="Also run the RTL and compare.")] = False,
    only: Annotated[str, typer.Option(help="Only layers whose name contains this.")] = "",
    output: Path = RESULTS / "deformable.json",
    markdown: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Measure every layer with every kind of offsets."""
    console = Console()
    if not console.is_terminal:
        console.width = 200
    engine = asdict(ENGINE)
    known = json.loads(output.read_text()) if output.exists() else {}
    kept = known["layers"] if known.get("engine") == engine else []
    records = {(record["name"], record["offsets"]["name"]): record for record in kept}

    def run(layer: Layer, offsets: Offsets) -> dict[str, Any]:
        """Measure, unless that is known; keep the result."""
        key = layer.name, offsets.name
        if key not in records or (rtl and not records[key]["rtl_equal"]):
            with console.status(f"{layer.name}, {offsets.name}"):
                records[key] = measure(layer, offsets, rtl=rtl)
            text = json.dumps({"engine": engine, "layers": list(records.values())}, indent=1)
            write_text(output, text + "\n")
        return records[key]

    for layer in LAYERS:
        for offsets in VARIANTS:
            if only in layer.name:
                run(layer, offsets)
    cells = rows([r for r in records.values() if only in r["name"]])
    console.print(table_of(cells))
    if markdown is not None:
        write_text(markdown, markdown_table(cells))


def rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, heads first."""
    known = {(record["name"], record["offsets"]["name"]): record for record in records}
    heads = ["layer", "offsets", "samples", "cycles", "times", "memory, KiB", "energy, uJ"]
    heads += ["MACs / multiplier / cycle", "CoDeNet", "with a cache"]
    result = [heads]
    for layer in LAYERS:
        for offsets in VARIANTS:
            record = known.get((layer.name, offsets.name))
            if record is None:
                continue
            plain = known[layer.name, VARIANTS[0].name]
            result.append(
                [
                    layer.name,
                    offsets.name,
                    record["samples"],
                    f"{record['cycles']:,}" + " = RTL" * record["rtl_equal"],
                    f"{record['cycles'] / plain['cycles']:.3f}",
                    f"{record['bytes'] / 1024:,.0f}",
                    f"{record['energy_uj']:,.0f}",
                    f"{record['macs_per_multiplier_and_cycle']:.3f}",
                    *(published(layer, offsets) or ("-", "-")),
                ]
            )
    return result


def published(layer: Layer, offsets: Offsets) -> tuple[str, str] | None:
    """Return CoDeNet's multiplications per multiplier and cycle, without and with a cache."""
    times = CODENET.get(layer.name, {}).get(offsets.name.partition(":")[0])
    if times is None:
        return None
    without, cached = (macs_of(layer) / 400 / (ms * 250e3) for ms in times)
    return f"{without:.3f}", f"{cached:.3f}"


if __name__ == "__main__":
    typer.run(main)
