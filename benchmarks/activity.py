r"""Bits that switch in the engine's RTL, beside the events that energies are counted by.

    python -m benchmarks.activity [--json benchmarks/results/activity.json]

Each of a few layers runs once on a small engine in RTL simulation, with waveforms of all signals.
A bit that changes counts where it is declared: in the array, a buffer, the requantizers, or on the
way from and to memory. An energy of an estimate is a count times a constant, so that where layers
differ, bits that switch for each event should not: the table has them for each layer, and how far
they are apart. Absolute energies say nothing here, ratios between layers do.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import tilewright as tw
from benchmarks.output import table_of
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.estimation.energies import INFO, Cause
from tilewright.estimation.terms import room_of
from tilewright.files import write_json

RESULTS = Path(__file__).parent / "results" / "activity.json"
ENGINE = tw.EngineConfig(
    rows=4, cols=2, requantizers=1, act_depth=512, weight_depth=512, out_depth=128,
    bus_width=32, queue_depth=8, prefetch=False, counters=False,
)  # fmt: skip
#: Channels in and out, side, kernel, groups.
LAYERS = {
    "3 x 3": (8, 8, 12, 3, 1),
    "1 x 1": (16, 16, 10, 1, 1),
    "3 x 3, few channels": (4, 16, 12, 3, 1),
    "1 x 1, many channels": (48, 8, 6, 1, 1),
    "5 x 5": (4, 8, 10, 5, 1),
    "depthwise": (8, 8, 14, 3, 8),
}
#: Part of the engine by name, with the causes whose events it is told by.
PARTS: dict[str, tuple[Cause, ...]] = {
    "array": (Cause.MULTIPLY,),
    "activations": (Cause.ACTIVATIONS,),
    "weights": (Cause.WEIGHTS,),
    "results": (Cause.RESULTS,),
    "requantize": (Cause.REQUANTIZE,),
    "load and store": (Cause.BUS,),
}
_VARIABLE = re.compile(r"\s*\$var\s+\w+\s+\d+\s+(\S+)\s+(.*?)\s*\$end")
_SCOPE = re.compile(r"\s*\$scope\s+\w+\s+(\S+)\s+\$end")


def layer(channels: int, outputs: int, side: int, kernel: int, groups: int, seed: int) -> Graph:
    """Return a convolution with random weights."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(-127, 128, (outputs, channels // groups, kernel, kernel))
    shift = 7 + int(np.log2(weight[0].size * 40))
    scale = Requantize((1,) * outputs, (shift,) * outputs, 0, -128, 127)
    pad = kernel // 2
    values = {
        "x": TensorType((channels, side, side), 8, True, 1.0, 0),
        "y": TensorType((outputs, side, side), 8, True, 1.0, 0),
    }
    convolution = Conv2d(
        "conv", "x", "y", weight=weight, weight_bits=8, bias=np.zeros(outputs, np.int64),
        stride=(1, 1), padding=(pad,) * 4, dilation=(1, 1), groups=groups, requantize=scale,
    )  # fmt: skip
    return Graph("layer", values, (Input("input", "x"), convolution, Output("output", "y")))


def switched(path: Path) -> Counter[str]:
    """Return the bits that change in a value change dump, by part of the engine."""
    with path.open() as file:
        parts = _declared(file)
        before: dict[str, int] = {}
        total: Counter[str] = Counter()
        for line in file:
            if line[0] == "b":
                text, name = line[1:].split()
            elif line[0] in "01":
                text, name = line[0], line[1:].strip()
            else:
                continue
            if name in parts:
                value = int(text, 2)
                if name in before:
                    total[parts[name]] += (value ^ before[name]).bit_count()
                before[name] = value
    return total


def _declared(file: Iterator[str]) -> dict[str, str]:
    """Return the part of each signal, by its short name; clocks are left out."""
    scopes: list[str] = []
    parts: dict[str, str] = {}
    for line in file:
        if found := _SCOPE.match(line):
            scopes.append(found[1])
        elif "$upscope" in line:
            scopes.pop()
        elif found := _VARIABLE.match(line):
            name, label = found[1], found[2]
            if label not in ("clk", "rst") and name not in parts:
                parts[name] = _part(scopes)
        elif "$enddefinitions" in line:
            break
    return parts


def _part(scopes: list[str]) -> str:
    """Return the part of a module by its path, which begins above the engine."""
    names = [scope for scope in scopes if scope not in ("TOP", "tilewright_engine")]
    module = ".".join(names)
    if module.startswith("compute.array"):
        return "array"
    room = room_of(module)
    return "load and store" if room in ("load", "store") else room


def measure(name: str) -> dict[str, Any]:
    """Return the bits that switch in a run of a layer, and its events, by part."""
    graph = layer(*LAYERS[name], seed=len(name))
    program = tw.compile_graph(graph, tw.Target(engine=ENGINE), algorithms={"*": "direct"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.vcd"
        cycles = round(tw.estimate(program).cycles.value)
        tw.simulate(program, program.random_image(), backend="rtl", waves=(path, 0, cycles))
        bits = switched(path)
    counted = tw.estimate(program).energy.counted
    return {
        "layer": name,
        "cycles": cycles,
        "bits": {part: bits[part] for part in PARTS},
        "events": {part: sum(counted[c] for c in causes) for part, causes in PARTS.items()},
    }


def rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of a table of parts, heads first, of what ``main`` writes."""
    table = [["part", "bits that switch for each", "layers' median", "farthest layer"]]
    for part, causes in PARTS.items():
        found = [layer["bits"][part] / layer["events"][part] for layer in record["layers"]]
        middle = float(np.median(found))
        far = max(max(found) / middle, middle / min(found))
        event = INFO[causes[0]].counted
        table.append([part, event, f"{middle:.1f}", f"{far:.2f} times"])
    return table


def main(
    json: Annotated[Path | None, typer.Option(help="Also write the figures here.")] = None,
) -> None:
    """Print bits for each event, layer by layer."""
    record = {"layers": [measure(name) for name in LAYERS]}
    Console().print(table_of(rows(record)))
    if json is not None:
        write_json(json, record)


if __name__ == "__main__":
    typer.run(main)
