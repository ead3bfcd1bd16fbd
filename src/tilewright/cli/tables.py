"""What commands print: tables, progress."""

from __future__ import annotations

from collections.abc import Iterable
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
