"""What tiles of results (Winograd) cost and give, per F; and points of larger transforms.

    python -m benchmarks.winograd [--parts layers,engines] [--only 3x3] [--rtl]

``layers``   whole layers, from memory to memory, on an engine as wide as F needs: effective MACs
             per multiplier and cycle, bytes to and from memory; with ``--rtl``, all elements and
             the cycles of every command are compared with the RTL's
``engines``  that engine by Yosys, 16 x 7 for ECP5, against one without tiles
``place``    a 4 x 3 engine for the ULX3S-12F with these widths, its system by nextpnr: frequency
``points``   interpolation points: the usual ones, the best for each objective, and a plot

All by default; parts that are not chosen keep the figures of earlier runs. Operand bits are for
every int8 or uint8 input and every int8 kernel. Prints tables, writes JSON after every figure, and
goes on from there; netlists and placements that are up to date are reused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from benchmarks import points
from benchmarks.array import Layer, graph_of
from benchmarks.output import markdown_table
from benchmarks.small_engine import SMALL_ENGINE
from benchmarks.synthesis import COLUMNS
from tilewright.boards import get_board
from tilewright.boards.flow.synthesis import synthesize
from tilewright.compiler.winograd.integer import bits_for
from tilewright.compiler.winograd.terms import Tiling, tilings
from tilewright.files import write_json, write_text

RESULTS = Path(__file__).parent / "results"
WORK = Path("build/synthesis/winograd")
PARTS = ("layers", "engines", "place", "points")
KERNELS = (
    (3, 3),
    (5, 5),
    *((1, taps) for taps in range(2, 6)),
    *((taps, 1) for taps in range(2, 6)),
)
PLAIN = tw.EngineConfig(requantizers=8)
PARTIAL_DEPTH = 512
#: Channels in and out, and size of the results.
SHAPES = ((128, 28), (64, 56))
BOARD = replace(get_board("ulx3s-12f"), engine=SMALL_ENGINE, clock_mhz=50.0)


def widths(tiling: Tiling) -> tuple[int, int]:
    """Return the bits of data and kernel operands that are enough for every 8-bit input."""
    data = max(term.data_bits(*span) for term in tiling.terms for span in ((-128, 127), (0, 255)))
    spans = []
    for term in tiling.terms:
        positive = int(np.maximum(term.kernel, 0).sum())
        negative = int(np.minimum(term.kernel, 0).sum())
        spans.append((-128 * positive + 127 * negative, 127 * positive - 128 * negative))
    return data, max(bits_for(*span) for span in spans)


def engine_for(base: tw.EngineConfig, tiling: Tiling | None) -> tw.EngineConfig:
    """Return an engine that is just wide enough for a tiling, or for none."""
    if tiling is None:
        return base
    data, kernel = widths(tiling)
    return replace(base, data_width=max(10, data), kernel_width=kernel, partial_depth=PARTIAL_DEPTH)


def additions(tiling: Tiling) -> dict[str, int]:
    """Return the additions of a tile: of each channel's data, and of each kernel's results."""
    data = sum(
        len(term.coefficients) - 1 + sum(abs(c) & (abs(c) - 1) > 0 for c in term.coefficients)
        for term in tiling.terms
    )
    places = (term.rows.used.bit_count() * term.columns.used.bit_count() for term in tiling.terms)
    return {"data": data, "results": sum(places) - tiling.m[0] * tiling.m[1]}


def run_layer(
    layer: Layer, tiling: Tiling | None, known: dict[str, Any], *, rtl: bool
) -> dict[str, Any]:
    """Return the figures of a layer; those known, if the program is the same."""
    graph = graph_of(layer, np.random.default_rng(0))
    target = tw.Target(engine=engine_for(PLAIN, tiling), memory=tw.MemoryTiming(20, 5))
    program = tw.compile_graph(graph, target, algorithms={layer.name: str(tiling or "direct")})
    digest = hashlib.sha256(program.image.tobytes()).hexdigest()[:16]
    if known.get("program") == digest and (known["rtl_equal"] or not rtl):
        return known
    inputs = [np.random.default_rng(1).integers(-128, 128, (1, *graph.values["x"].shape))]
    result = tw.verify(program, inputs).results["rtl"] if rtl else tw.simulate(program, inputs)
    (stats,) = result.layers
    assert result.cycles is not None
    return {
        "cycles": result.cycles,
        "macs": stats.macs,
        "rate": stats.macs / (program.engine.multipliers * result.cycles),
        "memory_bytes": stats.bytes_read + stats.bytes_written,
        "rtl_equal": rtl,
        "program": digest,
    }


def describe(record: dict[str, Any], tiling: Tiling | None) -> None:
    """Write down what follows from a tiling alone."""
    record["engine"] = asdict(engine_for(PLAIN, tiling))
    if tiling is not None:
        record |= {"gain": tiling.gain, "terms": len(tiling.terms)}
        record |= {"bits": widths(tiling), "additions": additions(tiling)}


def measure(
    record: dict[str, Any], tiling: Tiling | None, parts: Sequence[str], work: Path, *, rtl: bool
) -> Iterator[str]:
    """Add a tiling's figures to its record; yields what is measured next."""
    if "layers" in parts:
        layers = record.setdefault("layers", {})
        for channels, size in SHAPES:
            name = f"{channels}->{channels} {size}x{size}"
            yield name
            kernel = KERNELS[0] if tiling is None else tiling.kernel
            layer = Layer(name, channels, channels, size, kernel)
            layers[name] = run_layer(layer, tiling, layers.get(name, {}), rtl=rtl)
    if "engines" in parts:
        yield "Yosys"
        engine = replace(engine_for(PLAIN, tiling), dsp="ecp5")
        directory = work / f"{engine.data_width}x{engine.kernel_width}"
        built = tw.synthesize(tw.Target(engine=engine), directory)
        record["yosys"] = {"resources": built.resources, "versions": built.versions}
    if "place" in parts:
        yield "nextpnr"
        engine = engine_for(SMALL_ENGINE, tiling)
        directory = work / f"place-{engine.data_width}x{engine.kernel_width}"
        built = synthesize(engine, directory, board=BOARD, place_and_route=True)
        record["nextpnr"] = {"fmax_mhz": built.fmax_mhz, "versions": built.versions}


def share(records: list[dict[str, Any]]) -> None:
    """Give figures of an engine to every F that needs the same one."""
    for figure in ("yosys", "nextpnr"):
        known = {str(record["engine"]): record[figure] for record in records if figure in record}
        for record in records:
            if str(record["engine"]) in known:
                record.setdefault(figure, known[str(record["engine"])])


def main(
    parts: Annotated[str, typer.Option(help="Names, with commas.")] = ",".join(PARTS),
    only: Annotated[str, typer.Option(help="Only F whose name contains this.")] = "",
    rtl: Annotated[bool, typer.Option(help="Run layers in RTL too, and compare (slow).")] = False,
    quick: Annotated[bool, typer.Option(help="points: only the usual and published.")] = False,
    work: Annotated[Path, typer.Option(help="Netlists and placements.")] = WORK,
    output: Path = RESULTS / "winograd.json",
    markdown: Annotated[Path | None, typer.Option(help="Also write the tables here.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw the points, as SVG.")] = None,
) -> None:
    """Measure every F, and points."""
    chosen = parts.split(",")
    if unknown := set(chosen) - set(PARTS):
        raise typer.BadParameter(f"no part is called {min(unknown)!r}; there are {[*PARTS]}")
    console = Console()
    if not console.is_terminal:
        console.width = 200
    measured: dict[str, Any] = json.loads(output.read_text()) if output.exists() else {}
    known = {record["name"]: record for record in measured.get("tiles", [])}

    def save() -> None:
        measured["tiles"] = [known[name] for name in names if name in known]
        share(measured["tiles"])
        write_json(output, measured)

    candidates: list[Tiling | None] = [None, *(t for kernel in KERNELS for t in tilings(kernel))]
    names = [str(tiling or "direct") for tiling in candidates]
    if "points" in chosen:
        measured |= points.measure(quick=quick)
        save()
    for number, (name, tiling) in enumerate(zip(names, candidates, strict=True), 1):
        record = known.setdefault(name, {"name": name})
        describe(record, tiling)
        if only not in name:
            continue
        with console.status("") as status:
            for step in measure(record, tiling, chosen, work, rtl=rtl):
                status.update(f"{name}, {number} of {len(names)}: {step}")
                save()
        console.print(f"{name}: done", style="dim")
    save()
    table = Table(*HEADINGS)
    for row in rows(measured["tiles"]):
        table.add_row(*row)
    console.print(table)
    if "transforms" in measured:
        console.print(points.table(measured["transforms"]))
    if markdown is not None:
        write_text(markdown, page(measured))
    if plot is not None:
        write_text(plot, points.plot(measured))


HEADINGS = (
    "F", "saves", "bits", "additions", *COLUMNS.values(), "fmax, MHz",
    *(heading for channels, size in SHAPES
      for heading in (f"{channels}->{channels} {size}x{size}", "bytes")),
)  # fmt: skip


def rows(records: list[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table of tiles below HEADINGS; what was not measured is empty."""
    result = []
    plain = records[0].get("yosys", {}).get("resources", {})
    for record in records:
        row = [record["name"]]
        if "gain" in record:
            row.append(f"{record['gain']:.2f}")
            row.append(" x ".join(map(str, record["bits"])))
            row.append("{data} + {results}".format(**record["additions"]))
        else:
            row += ["", "9 x 8", ""]
        used = record.get("yosys", {}).get("resources", {})
        for cell in COLUMNS:
            more = used.get(cell, 0) - plain.get(cell, 0)
            difference = f" ({more:+,})" if record is not records[0] and plain else ""
            row.append(f"{used[cell]:,}{difference}" if used else "")
        fmax = record.get("nextpnr", {}).get("fmax_mhz")
        row.append("" if fmax is None else f"{fmax:.1f}")
        for channels, size in SHAPES:
            layer = record.get("layers", {}).get(f"{channels}->{channels} {size}x{size}")
            if layer is None:
                row += ["", ""]
                continue
            row.append(f"{layer['rate']:.3f}" + (" = RTL" if layer["rtl_equal"] else ""))
            row.append(f"{layer['memory_bytes']:,}")
        result.append(row)
    return result


def page(measured: dict[str, Any]) -> str:
    """Return the tables as a page of Markdown."""
    return f"""# Tiles of results, measured

Written by `python -m benchmarks.winograd --markdown docs/winograd_tables.md --plot
docs/winograd_points.svg`. How it works: [winograd.md](winograd.md).

## Per F

Operand bits are enough for every int8 or uint8 input and every int8 kernel. Additions: for each
tile, of each channel's data and of each kernel's results. Resources are those of a {PLAIN.rows} x
{PLAIN.cols} engine with {PLAIN.requantizer_count} requantizers and `partial_depth`
{PARTIAL_DEPTH} that is as wide as this F needs, alone, by Yosys; in brackets, the difference to the
engine without tiles. The frequency is that of an ULX3S-12F's whole system with a 4 x 3 engine of
these widths by nextpnr, asked for {BOARD.clock_mhz:g} MHz. The last columns: effective MACs
per multiplier and cycle, and bytes to and from memory, of whole layers with this kernel; where
marked, all elements and cycles were compared with the RTL's. What is empty has not been measured.

{markdown_table([[*HEADINGS], *rows(measured["tiles"])])}
## Points

Source of the method and of "NOVA": Numerical Optimization of Vandermonde Arithmetic (2025). Saved:
outputs times taps over multiplications, in one and two dimensions. Bits of data and kernel
operands, int8, in one dimension and nested; bits of sums over 64 channels in one dimension; adders
in LUT4, of data and of results modulo 2^32; condition number of the Vandermonde matrix over the
finite points. Search: {", ".join(f"{k} {v}" for k, v in measured["search"].items())}.

{markdown_table([[*points.HEADINGS], *points.rows(measured["transforms"])])}
![Points that no others beat](winograd_points.svg)

Of all points that the searches tried, those that no others beat or equal in all three costs; they
are `fronts` in `benchmarks/results/winograd.json`.
"""


if __name__ == "__main__":
    typer.run(main)
