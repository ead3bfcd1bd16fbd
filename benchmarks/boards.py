"""Networks on the boards' own engines, behind the boards' own memory: cycles and images a second.

    python -m benchmarks.boards [--board ulx3s-85f] [--networks resnet18,...] [--restart]

For each network of ``examples.networks``, quantized after training and compiled for the board
(``tw.Target.from_board``): cycles of one image by the cycle model, whose memory is the board's,
SDRAM behind its controller or the FPGA's own; the same with a memory that answers every cycle,
which shows where memory binds; bytes to and from memory a cycle; images a second of a batch of
four, whose weights are loaded once where they stay; a core's seconds of compilation, and the most
memory of the process that compiled. Full size for engines of 100 multipliers and more, a quarter of
the width at 64 x 64 for smaller ones, and a 32nd at 32 x 32 where memory is small, too. All outputs
of an image are compared with golden's. What is too large for a board's memory is
measured with an ideal memory of any size. What is done stays in ``benchmarks/results/boards.json``;
the same command goes on where it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console

import tilewright as tw
from benchmarks.networks import RESULTS, measure, processes, quantized_network
from benchmarks.output import markdown_table
from examples.networks import NETWORKS
from examples.networks.registry import Network
from tilewright.api.cycles import events_of
from tilewright.api.verify import compare_outputs
from tilewright.boards import BOARDS
from tilewright.compiler.ir import Conv2d, ConvTranspose2d, Graph
from tilewright.files import write_json
from tilewright.sim.model import CycleModel

T = TypeVar("T")

FULL_SIZE = 100  # multipliers
SMALL, WIDTH = (64, 64), 0.25
LITTLE_MEMORY = 1 << 20  # bytes
TINY, TINY_WIDTH = (32, 32), 1 / 32
IDEAL = tw.MemoryTiming(1, 1)
BATCH = 4
MOST_IN_BATCHES = 1 << 24  # bytes of a program: four images' maps would not fit any memory


INTRODUCTION = (
    "Written by `python -m benchmarks.boards`: what each board's own engine does with each network "
    "of `examples/networks`, behind the board's own memory. Cycles are those of one image from "
    "memory to memory, commands included, by the cycle model. Engines of less than 100 multipliers "
    "have networks of a quarter of the width, and those with less than 1 MiB of memory of a 32nd: "
    "a row says how many products are left. Where marked golden, all outputs of an image were "
    "compared with the integer graph's. That the RTL takes the same, the SDRAM's "
    "controller and chip included, or the FPGA's own memory, is what the tests hold it to, and "
    "[Programs on boards](device.md). An ideal memory answers every cycle: what is lost to it is "
    f"lost by the memory. A batch is of {BATCH} images, whose weights are loaded once where that "
    "takes fewer cycles ([Batches](batch.md)). Compilation is in seconds of one core, its memory "
    "that of the process, PyTorch included. No board has run any of it yet."
)


def sized(name: str, target: tw.Target) -> Network:
    """Return a network in the size that a board is measured with."""
    network = NETWORKS[name]
    if target.engine.rows * target.engine.cols >= FULL_SIZE:
        return network
    little = 1 << target.engine.addr_width <= LITTLE_MEMORY
    most, width = (TINY, TINY_WIDTH) if little else (SMALL, WIDTH)
    high, wide = network.input_shape[-2:]
    if len(network.input_shape) > 2:  # of sequences, the first are features
        high = min(high, most[0])
    return network.reduced(width=min(network.width, width), size=(high, min(wide, most[1])))


def quantized(board: str, name: str) -> tuple[Graph, NDArray[np.int64]]:
    """Return a network in a board's size as an integer graph, and one input."""
    target = tw.Target.from_board(board)
    # With random weights and a few channels a norm may keep little; cycles are what is measured.
    return quantized_network(sized(name, target), target.engine.weight_bits, least_snr_db=0)


def run(board: str, name: str, graph: Graph, image: NDArray[np.int64]) -> dict[str, Any]:
    """Compile a network for a board; meant for a process of its own."""
    target = tw.Target.from_board(board)
    common = {"board": board, "network": name, "input": sized(name, target).input_shape}
    try:
        program, record = measure(name, graph, target)
    except tw.Error as error:
        return {**common, "refused": str(error), **without_board(graph, image, target)}
    compare(program, image)
    ideal = replace(program, target=replace(target, memory=IDEAL))
    rate = target.clock_mhz * 1e6
    kept = ("macs", "cycles", "utilization", "memory_bytes", "compile_seconds", "peak_bytes")
    return {
        **common,
        **{key: record[key] for key in kept},
        "ideal_cycles": events_of(ideal).cycles,
        "images_per_second": rate / record["cycles"],
        "batch_per_second": batch_rate(graph, target, rate)
        if program.image.size < MOST_IN_BATCHES
        else None,
        "program_bytes": int(program.image.size),
        "compared": True,
    }


def compare(program: tw.Program, image: NDArray[np.int64]) -> None:
    """Compare every element of an image's results with the integer graph's."""
    golden = tw.simulate(program, image, backend="golden")
    compare_outputs(program, golden, tw.simulate(program, image))


def without_board(graph: Graph, image: NDArray[np.int64], target: tw.Target) -> dict[str, Any]:
    """Return shares of the peak with an ideal memory of any size; none if the engine has a limit.

    Those of the convolutions are without the layers that have a weight for each product.
    """
    try:
        program = tw.compile_graph(graph, tw.Target(engine=target.engine, memory=IDEAL))
    except tw.Error:
        return {}
    compare(program, image)
    found = tw.estimate(program)
    of = {op.name for op in graph.layers if isinstance(op, Conv2d | ConvTranspose2d)}
    layers = [layer for layer in found.layers if layer.name in of]
    cycles = sum(layer.cycles for layer in layers)
    size = target.engine.rows * target.engine.cols
    return {
        "macs": sum(layer.macs for layer in program.layers),
        "ideal_cycles": round(found.cycles.value),
        "ideal_utilization": found.utilization.value,
        "ideal_convolutions": sum(layer.macs for layer in layers) / cycles / size,
    }


def batch_rate(graph: Graph, target: tw.Target, rate: float) -> float | None:
    """Return the images a second of a batch, at so many cycles a second; None: it is too large."""
    try:
        return BATCH * rate / events_of(tw.compile_graph(graph, target, batch=BATCH)).cycles
    except tw.Error:
        return None


def rows(records: Sequence[dict[str, Any]], board: str) -> list[list[str]]:
    """Return a board's table."""
    head = [
        "network", "input", "MACs", "cycles", "of the array's peak", "with an ideal memory",
        "bytes a cycle", "images a second", "in a batch", "compile", "its memory",
    ]  # fmt: skip
    table = [head]
    for r in records:
        if r["board"] != board or "refused" in r:
            continue
        ideal = r["utilization"] * r["cycles"] / r["ideal_cycles"]
        table.append(
            [
                r["network"] + (" = golden" if r["compared"] else ""),
                "x".join(map(str, r["input"])),
                f"{r['macs'] / 1e6:,.1f} M",
                f"{r['cycles']:,}",
                f"{r['utilization']:.1%}",
                f"{ideal:.1%}",
                f"{r['memory_bytes'] / r['cycles']:.2f}",
                f"{r['images_per_second']:,.1f}",
                f"{r['batch_per_second']:,.1f}" if r.get("batch_per_second") else "-",
                f"{r['compile_seconds']:.1f} s",
                f"{r['peak_bytes'] / 1e6:,.0f} MB" if "peak_bytes" in r else "-",
            ]
        )
    return table


def made_of(name: str) -> str:
    """Say what a board's whole system takes, and how fast its memory is."""
    board = BOARDS.all()[name]
    path = RESULTS / f"{name}-nextpnr.json"
    if path.is_file():
        system = json.loads(path.read_text())
        cells = ", ".join(f"{count:,} {kind}" for kind, count in system["resources"].items())
        routed = f"Placed and routed at {system['fmax_mhz']:.1f} MHz: {cells}."
    else:
        routed = "Not placed and routed."
    timing = CycleModel(board.engine, tw.Target.from_board(name).memory)
    rate = timing.rate * board.clock_mhz
    return f"{routed} Long loads bring {timing.rate:.2f} bytes a cycle, {rate:.0f} MB/s."


def with_ideal_memory(record: dict[str, Any]) -> str:
    """Return what the engine does with a network that is too large for the memory, if known."""
    if "ideal_cycles" not in record:
        return ""
    return (
        f". With an ideal memory of any size: {record['ideal_cycles']:,} cycles, "
        f"{record['ideal_utilization']:.1%} of the array's peak, the convolutions alone "
        f"{record['ideal_convolutions']:.1%}"
    )


def page(records: Sequence[dict[str, Any]]) -> str:
    """Return docs/boards.md."""
    lines = ["# Networks on boards", "", INTRODUCTION, ""]
    for name, board in BOARDS.all().items():
        table = rows(records, name)
        refused = [r for r in records if r["board"] == name and "refused" in r]
        if len(table) == 1 and not refused:
            continue
        engine = board.engine
        about = (
            f"{engine.rows} x {engine.cols} multipliers at {board.clock_mhz:g} MHz, "
            f"{engine.act_bytes / 1024:g} KiB of activations, "
            f"{engine.weight_bytes / 1024:g} KiB of weights, {engine.bus_width}-bit bus; "
            f"{board.memory}."
        )
        lines += [f"## {name}", "", about, "", made_of(name), "", markdown_table(table)]
        if refused:
            lines += ["Not on this engine:", ""]
            lines += [f"- {r['network']}: {r['refused']}{with_ideal_memory(r)}" for r in refused]
            lines += [""]
    return "\n".join(lines)


def alone(function: Callable[..., T], *arguments: object) -> T:
    """Return what a function does in a process of its own, whose memory is its own, too."""
    with ProcessPoolExecutor(1, processes()) as pool:
        return pool.submit(function, *arguments).result()


def main(
    board: Annotated[str, typer.Option(help="Names, with commas; all by default.")] = "",
    networks: Annotated[str, typer.Option(help="Names, with commas; all by default.")] = "",
    restart: Annotated[bool, typer.Option(help="Measure again what is there.")] = False,
    output: Annotated[Path, typer.Option(help="Figures as JSON.")] = RESULTS / "boards.json",
) -> None:
    """Measure what is not in the file yet."""
    console = Console()
    boards = board.split(",") if board else list(BOARDS.all())
    names = networks.split(",") if networks else list(NETWORKS)
    records = json.loads(output.read_text())["runs"] if output.exists() else []
    known = {(r["board"], r["network"]): r for r in records}
    for key in [(b, n) for b in boards for n in names]:
        if key in known and not restart:
            continue
        with console.status(" ".join(key)):
            graph, image = alone(quantized, *key)
            known[key] = record = alone(run, *key, graph, image)
        said = record.get("refused") or f"{record['images_per_second']:,.1f} images a second"
        console.print(f"{' '.join(key)}: {said}", style="dim", markup=False)
        order = [(b, n) for b in BOARDS.all() for n in NETWORKS]
        write_json(
            output,
            {
                "command": "python -m benchmarks.boards",
                "runs": [known[k] for k in order if k in known],
            },
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(main)
