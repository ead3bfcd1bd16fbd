"""What benchmarks print and write."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table


def markdown_table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first one the heads, as a Markdown table."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]]) + "\n"


def table_of(rows: Sequence[Sequence[str]]) -> Table:
    """Return rows, the first one the heads, as a table to print."""
    heads, *lines = rows
    table = Table(*heads)
    for line in lines:
        table.add_row(*line)
    return table
