"""What commands print: tables, progress."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

if TYPE_CHECKING:
    import tilewright as tw
    from tilewright.api.result import LayerResult

console = Console()


def progress_bar() -> Progress:
    """Return a bar with elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


def per_run(batch: int) -> str:
    """Say what cycles are of."""
    return "per image" if batch == 1 else f"per run of {batch} images"


def layer_table(layers: Iterable[LayerResult]) -> Table:
    """Return the table of a run, layer by layer."""
    table = Table("layer", "kind", "MACs", "cycles", "utilization", "bytes", "stall cycles")
    for column in table.columns[2:]:
        column.justify = "right"
    for layer in layers:
        stalls = ", ".join(f"{cause} {n:,}" for cause, n in layer.stalls.items() if n)
        table.add_row(
            layer.name,
            layer.kind,
            f"{layer.macs:,}",
            f"{layer.cycles:,}",
            f"{layer.utilization:.1%}",
            f"{layer.bytes_read + layer.bytes_written:,}",
            stalls or "-",
        )
    return table


def host_lines(program: tw.HostedProgram) -> Iterator[str]:
    """Say what the host computes, what share of all that is, and what crosses."""
    macs = sum(layer.macs for layer in program.layers)
    own = program.host_operations
    yield (
        f"{len(program.programs)} programs; the host: some {own:,} operations, "
        f"{own / (own + macs):.1%} of all"
    )
    for name, model in program.models:
        yield f"{name}: {model}, some {model.operations:,} operations"
    for x in program.crossings:
        way = "to" if x.to_host else "from"
        yield f"{x.name}: {x.elements:,} elements of {x.bits} bits {way} the host"
