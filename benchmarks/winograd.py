"""What minimal filtering costs: operand bits, sums, adders, condition, per F(m, r) and points.

    python -m benchmarks.winograd [--quick]

For every size: the usual points, and the best that the search finds for each objective. Bits are
for int8 data and kernels, in one dimension and nested; saved is outputs times taps over
multiplications. Prints a table and writes JSON, with the seed and the settings of the search.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tilewright.compiler.winograd import (
    IntegerTransform,
    condition_number,
    default_points,
    search,
    toom_cook,
)
from tilewright.compiler.winograd.transform import Point

RESULTS = Path(__file__).parent / "results"
SIZES = ((2, 3), (4, 3), (6, 3), (8, 3), (2, 5), (4, 5))
SEARCH = {"denominator": 10, "generations": 30, "population": 24, "seed": 0}


def record(m: int, r: int, name: str, points: tuple[Point, ...]) -> dict[str, Any]:
    """Return the figures of one set of points."""
    exact = IntegerTransform.of(toom_cook(m, r, points))
    exact.source.prove()
    line, nested = exact.operands(), exact.operands(dimensions=2)
    return {
        "size": f"F({m},{r})",
        "chosen_for": name,
        "points": [str(p) for p in points],
        "saved_1d": m * r / (m + r - 1),
        "saved_2d": (m * r / (m + r - 1)) ** 2,
        "bits_1d": [line.data, line.kernel],
        "bits_2d": [nested.data, nested.kernel],
        "sum_bits_1d_64_channels": exact.accumulator_bits(64),
        "divisor": exact.divisor,
        "adders": exact.adders(),
        "condition": condition_number(points),
    }


def main(
    quick: Annotated[bool, typer.Option(help="Only the usual points.")] = False,
    output: Path = RESULTS / "winograd.json",
) -> None:
    """Measure every size."""
    records = []
    for m, r in track(SIZES, description="points"):
        records.append(record(m, r, "usual", default_points(m + r - 1)))
        for objective in () if quick else ("condition", "bits", "adders"):
            found = search(m, r, objective, **SEARCH)  # type: ignore[arg-type]
            records.append(record(m, r, objective, found.points))
    table = Table("size", "points", "saved", "bits", "nested", "sums", "adders", "condition")
    for entry in records:
        table.add_row(
            entry["size"],
            f"{entry['chosen_for']}: {' '.join(entry['points'])}",
            f"{entry['saved_1d']:.2f}, {entry['saved_2d']:.2f}",
            " x ".join(map(str, entry["bits_1d"])),
            " x ".join(map(str, entry["bits_2d"])),
            str(entry["sum_bits_1d_64_channels"]),
            "+".join(map(str, entry["adders"].values())),
            f"{entry['condition']:,.1f}",
        )
    Console().print(table)
    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = output.with_name(output.name + ".tmp")
    temporary.write_text(json.dumps({"search": SEARCH, "transforms": records}, indent=1) + "\n")
    temporary.replace(output)


if __name__ == "__main__":
    typer.run(main)
