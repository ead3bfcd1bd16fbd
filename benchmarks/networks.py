r"""Whole networks at full size: cycles, share of the peak, memory traffic, and what it takes here.

    python -m benchmarks.networks [--networks resnet18,ds_cnn] [--bits 4]
    python -m benchmarks.networks --resume --golden unet --rtl ds_cnn
    python -m benchmarks.networks --requantizers 8 --data-width 13 --kernel-width 13 \
        --partial-depth 512 --output benchmarks/results/networks_winograd.json

For each network of ``examples.networks``, quantized after training: multiply-accumulates (MACs),
cycles of one image by the cycle model, effective MACs per multiplier and cycle, layers in tiles of
results (Winograd), bytes to and from memory against the compulsory ones (input, weights and output
once, without padding), a core's seconds of compilation, and the peak memory of the process that
compiled.
Cycles and bytes depend on no value, so none is computed, except for the networks of ``--golden``,
whose outputs are compared with the integer graph's, and of ``--rtl``, whose outputs and cycles are
compared with the RTL's too. Prints a table and writes JSON, network by network; ``--resume`` keeps
the networks that are there, of the same engine: after a change of the compiler, measure without it.
"""

from __future__ import annotations

import json
import multiprocessing
import re
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

import tilewright as tw
from examples.networks import NETWORKS
from examples.networks.registry import Network
from tilewright.api.compile import captured_model
from tilewright.api.verify import compare_outputs
from tilewright.compiler.ir import Conv2d, ConvTranspose2d, Graph, Linear
from tilewright.compiler.schedule import EngineLimitError
from tilewright.files import write_text

RESULTS = Path(__file__).parent / "results"
MULTIPLIER_WIDTH = 18

Compared = Literal["", "golden", "rtl"]
"""What a run was compared with; each includes those before it."""
COMPARED: tuple[Compared, ...] = get_args(Compared)


def quantized(name: str, bits: int) -> tuple[Graph, NDArray[np.int64]]:
    """Return a network's integer graph and one input."""
    return quantized_network(NETWORKS[name], bits)


def quantized_network(
    network: Network, bits: int, *, least_snr_db: float | None = None
) -> tuple[Graph, NDArray[np.int64]]:
    """As :func:`quantized`, of a network in any size; ``least_snr_db`` as of ``tw.quantize``."""
    images = network.images(1)
    together = min(4, max(1, 2**21 // images[0].numel()))  # large ones take memory
    model = tw.quantize(
        network.build(),
        network.calibration(2, together),
        weight_bits=bits,
        least_snr_db=least_snr_db,
    )
    graph = captured_model(model, images).graph
    kind = graph.values[graph.inputs[0].output]
    integers = np.rint(images.double().numpy() / kind.scale + kind.zero_point)
    integers = np.clip(integers, kind.qmin, kind.qmax).astype(np.int64)
    return graph, integers.reshape(len(images), *kind.shape)  # of volumes and sequences too


def compulsory_bytes(graph: Graph) -> int:
    """Return the bytes of inputs, weights and outputs, each once."""
    values = [op.output for op in graph.inputs] + [op.input for op in graph.outputs]
    weighted = [op for op in graph.layers if isinstance(op, Conv2d | ConvTranspose2d | Linear)]
    weights = sum(op.weight.size * (1 if op.weight_bits > 4 else 0.5) for op in weighted)
    return round(sum(graph.values[v].numel for v in values) + weights)


def measure(name: str, graph: Graph, target: tw.Target) -> tuple[tw.Program, dict[str, Any]]:
    """Compile a graph and return the program with its record.

    The peak memory is the process's: to mean something, it has to be one that did nothing else.
    """
    begin = time.process_time()
    program = tw.compile_graph(graph, target)
    compiled = time.process_time()
    figures = tw.estimate(program)
    macs = sum(layer.macs for layer in program.layers)
    compulsory = compulsory_bytes(graph)
    moved = round(figures.read.value + figures.written.value)
    record = {
        "name": name,
        "input": graph.values[graph.inputs[0].output].shape,
        "macs": macs,
        "cycles": round(figures.cycles.value),
        "utilization": figures.utilization.value,
        "tiles": Counter(
            layer.algorithm
            for group in program.schedule
            for layer in group.layers
            if layer.algorithm != "direct"
        ),
        "memory_bytes": moved,
        "compulsory_bytes": compulsory,
        "traffic": moved / compulsory,
        "compile_seconds": round(compiled - begin, 1),
        "peak_bytes": _peak_memory_bytes(),
        "compared": "",
    }
    return program, record


def measure_and_compare(
    name: str, graph: Graph, image: NDArray[np.int64], target: tw.Target, compared: Compared
) -> dict[str, Any]:
    """Measure, and compare a run on an image with the integer graph's or the RTL's.

    What the engine cannot compute has a record that says why.
    """
    try:
        program, record = measure(name, graph, target)
    except EngineLimitError as error:
        return {"name": name, "refused": str(error), "compared": compared}
    if compared == "rtl":
        tw.verify(program, image)
    elif compared == "golden":
        result = tw.simulate(program, image)
        compare_outputs(program, tw.simulate(program, image, backend="golden"), result)
        assert result.cycles == record["cycles"]
    return {**record, "compared": compared}


def main(
    networks: Annotated[str, typer.Option(help="Names, with commas; all by default.")] = "",
    golden: Annotated[str, typer.Option(help="Names of networks to run on an image too.")] = "",
    rtl: Annotated[str, typer.Option(help="Names of networks to run in RTL too (slow).")] = "",
    bits: Annotated[int, typer.Option(help="Weight bits of networks and engine: 8 or 4.")] = 8,
    rows: int = 16,
    cols: int = 7,
    requantizers: Annotated[int | None, typer.Option(help="As many as rows by default.")] = None,
    data_width: int = 9,
    kernel_width: int = 8,
    partial_depth: int = 0,
    transform_at_load: bool = False,
    queue_depth: int = 32,
    act_depth: int = 2340,
    weight_bytes: int = 1 << 17,
    out_depth: int = 1024,
    bus_width: int = 64,
    resume: Annotated[bool, typer.Option(help="Keep what the output file already has.")] = False,
    output: Path = RESULTS / "networks.json",
    markdown: Annotated[Path | None, typer.Option(help="Also write the table here.")] = None,
) -> None:
    """Measure networks."""
    config = tw.EngineConfig(
        rows=rows,
        cols=cols,
        requantizers=requantizers,
        weight_bits=bits,
        data_width=data_width,
        kernel_width=kernel_width,
        partial_depth=partial_depth,
        transform_at_load=transform_at_load,
        queue_depth=queue_depth,
        multiplier_width=MULTIPLIER_WIDTH,
        act_depth=act_depth,
        weight_depth=weight_bytes * 8 // bits // rows,
        out_depth=out_depth,
        bus_width=bus_width,
        tables=4,
    )
    target = tw.Target(engine=config, memory=tw.MemoryTiming(20, 5))
    names = _names(networks) or list(NETWORKS)
    wanted: dict[str, Compared] = dict.fromkeys(_names(golden), "golden")
    wanted |= dict.fromkeys(_names(rtl), "rtl")
    console = Console()
    if not console.is_terminal:
        console.width = 200
    records = known_records(output, config) if resume else {}
    for number, name in enumerate(names, 1):
        record, compared = records.get(name), wanted.get(name, "")
        if record is None or COMPARED.index(record["compared"]) < COMPARED.index(compared):
            with console.status(f"{name}, {number} of {len(names)}"):
                graph, image = quantized(name, bits)
                with ProcessPoolExecutor(1, processes()) as pool:
                    task = (name, graph, image, target, compared)
                    record = pool.submit(measure_and_compare, *task).result()
        records[name] = record
        console.print(f"{name}: {record.get('refused') or record['utilization']}", style="dim")
        write_records(output, config, in_order(records))
    console.print(table_of(in_order(records)))
    if markdown is not None:
        write_text(markdown, page(config, in_order(records)))


def in_order(records: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records in the order of the networks."""
    return [records[name] for name in NETWORKS if name in records]


def write_records(path: Path, config: tw.EngineConfig, records: Sequence[dict[str, Any]]) -> None:
    """Write records with their engine."""
    text = json.dumps({"engine": asdict(config), "networks": records}, indent=1)
    write_text(path, text + "\n")


def known_records(path: Path, config: tw.EngineConfig) -> dict[str, dict[str, Any]]:
    """Return the records of an earlier run on the same engine, by network."""
    if not path.exists():
        return {}
    earlier = json.loads(path.read_text())
    if earlier["engine"] != asdict(config):
        return {}
    return {record["name"]: record for record in earlier["networks"]}


def processes() -> multiprocessing.context.ForkServerContext:
    """Return what starts processes that have the libraries, and nothing of a network so far."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.networks"])
    return context


def _peak_memory_bytes() -> int:
    # getrusage would not do: a new process starts from its parent's peak.
    (line,) = re.findall(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text())
    return int(line) * 1024


def _names(text: str) -> list[str]:
    names = [name for name in text.split(",") if name]
    if unknown := set(names) - set(NETWORKS):
        raise typer.BadParameter(f"no network is called {min(unknown)}; there are {[*NETWORKS]}")
    return names


HEADINGS = (
    "network", "input", "MACs", "cycles", "MACs / multiplier / cycle", "in tiles", "memory bytes",
    "of compulsory", "compile", "peak memory",
)  # fmt: skip


def row_of(record: dict[str, Any]) -> Sequence[str]:
    """Return the cells below HEADINGS."""
    return (
        record["name"] + (" = golden" if record["compared"] == "golden" else ""),
        "x".join(map(str, record["input"])),
        f"{record['macs'] / 1e6:,.1f} M",
        f"{record['cycles']:,}" + (" = RTL" if record["compared"] == "rtl" else ""),
        f"{record['utilization']:.3f}",
        ", ".join(f"{n} {name}" for name, n in sorted(record["tiles"].items())) or "-",
        f"{record['memory_bytes']:,}",
        f"{record['traffic']:.2f}",
        f"{record['compile_seconds']:.1f} s",
        f"{record['peak_bytes'] / 1e6:,.0f} MB",
    )


def table_of(records: Sequence[dict[str, Any]]) -> Table:
    """Return the table for a terminal."""
    table = Table(*HEADINGS)
    for record in records:
        if "refused" not in record:
            table.add_row(*row_of(record))
    return table


def page(config: tw.EngineConfig, records: Sequence[dict[str, Any]]) -> str:
    """Return the table as Markdown."""
    introduction = (
        f"Written by `benchmarks/networks.py`: a {config.rows} x {config.cols} engine, "
        f"{config.act_bytes >> 10} KiB of activations, {config.weight_bytes >> 10} KiB of "
        f"{config.weight_bits}-bit weights, operands of {config.window_width} x "
        f"{config.weight_width} bits, {config.requantizer_count} requantizers, "
        f"{config.bus_width}-bit AXI with one beat per cycle after 20 cycles; one image from "
        "memory to memory, commands included. Cycles are the cycle model's, which needs no values. "
        "Where marked golden, all outputs of an image were compared with the integer graph's; "
        "where marked RTL, these and the cycles of every command with the RTL's too. Compulsory "
        "are input, weights and output once. In tiles: convolutions computed with fewer "
        "multiplications; their MACs are those of the plain convolution. Compilation is in seconds "
        "of one core; peak memory is that of the process that compiles."
    )
    lines = [
        "# Networks on the engine",
        "",
        introduction,
        "",
        f"| {' | '.join(HEADINGS)} |",
        f"|{'---|' * len(HEADINGS)}",
    ]
    lines += [f"| {' | '.join(row_of(r))} |" for r in records if "refused" not in r]
    refused = [f"- {r['name']}: {r['refused']}" for r in records if "refused" in r]
    if refused:
        lines += ["", "Not on this engine:", "", *refused]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    torch.set_num_threads(1)
    typer.run(main)
