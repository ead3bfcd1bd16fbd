"""Interpolation points: condition, operand bits and adders, and the points that no others beat.

Used by ``benchmarks.winograd``, which writes the figures; the plot is drawn from them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import log10
from typing import Any

from rich.progress import track
from rich.table import Table

from tilewright.compiler.winograd import (
    INFINITY,
    IntegerTransform,
    condition_number,
    default_points,
    search,
    toom_cook,
)
from tilewright.compiler.winograd.transform import Point

SIZES = ((2, 3), (4, 3), (6, 3), (8, 3), (2, 5), (4, 5))
SEARCH = {"denominator": 10, "generations": 30, "population": 24, "seed": 0}
OBJECTIVES = ("condition", "bits", "luts")


def _pairs(*magnitudes: str) -> tuple[Point, ...]:
    signed = [Fraction(text) * sign for text in magnitudes for sign in (1, -1)]
    return (Fraction(0), *signed, INFINITY)


#: Points for comparison: those of NOVA ("Numerical Optimization of Vandermonde Arithmetic", 2025),
#: and the integers that it compares its F(8,3) with.
PUBLISHED: dict[tuple[int, int], dict[str, tuple[Point, ...]]] = {
    (4, 3): {"NOVA": _pairs("5/6", "7/6")},
    (6, 3): {"NOVA": _pairs("3/5", "1", "7/6")},
    (8, 3): {"NOVA": _pairs("2/5", "5/6", "1", "7/6"), "integers": _pairs("1", "2", "3", "4")},
}


def figures(m: int, r: int, points: tuple[Point, ...]) -> dict[str, Any]:
    """Return the three costs of points for F(m, r) of int8 data and kernels."""
    exact = IntegerTransform.of(toom_cook(m, r, points))
    operands = exact.operands()
    return {
        "size": f"F({m},{r})",
        "points": " ".join(map(str, points)),
        "condition": round(condition_number(points), 4),
        "bits": operands.data + operands.kernel,
        "luts": sum(exact.lut4().values()),
    }


def record(m: int, r: int, name: str, points: tuple[Point, ...]) -> dict[str, Any]:
    """Return all figures of one set of points."""
    exact = IntegerTransform.of(toom_cook(m, r, points))
    exact.source.prove()
    line, nested = exact.operands(), exact.operands(dimensions=2)
    return {
        **figures(m, r, points),
        "chosen_for": name,
        "saved_1d": m * r / (m + r - 1),
        "saved_2d": (m * r / (m + r - 1)) ** 2,
        "bits_1d": [line.data, line.kernel],
        "bits_2d": [nested.data, nested.kernel],
        "sum_bits_1d_64_channels": exact.accumulator_bits(64),
        "divisor": exact.divisor,
        "adders": exact.adders(),
        "lut4": exact.lut4(),
    }


def measure(*, quick: bool) -> dict[str, Any]:
    """Search points for every size; ``quick``: only the usual and the published ones."""
    records, fronts = [], []
    for m, r in track(SIZES, description="points"):
        named = {"usual": default_points(m + r - 1), **PUBLISHED.get((m, r), {})}
        tried = set(named.values())
        for objective in () if quick else OBJECTIVES:
            found = search(m, r, objective, **SEARCH)  # type: ignore[arg-type]
            named[f"best {objective}"] = found.best.points
            tried |= {candidate.points for candidate in found.tried}
        records += [record(m, r, name, points) for name, points in named.items()]
        fronts += front([figures(m, r, points) for points in tried])
    return {"search": SEARCH, "transforms": records, "fronts": fronts}


def front(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the entries that no other one beats or equals in all three costs."""
    costs = {tuple(entry[name] for name in OBJECTIVES): entry for entry in entries}
    kept = [
        cost
        for cost in costs
        if not any(
            other != cost and all(a <= b for a, b in zip(other, cost, strict=True))
            for other in costs
        )
    ]
    return [costs[cost] for cost in sorted(kept)]


HEADINGS = ("size", "points", "saved", "bits", "nested", "sums", "LUT4", "condition")


def rows(records: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Return the cells of the table of points below HEADINGS."""
    return [
        [
            entry["size"],
            f"{entry['chosen_for']}: {entry['points']}",
            f"{entry['saved_1d']:.2f}, {entry['saved_2d']:.2f}",
            " x ".join(map(str, entry["bits_1d"])),
            " x ".join(map(str, entry["bits_2d"])),
            str(entry["sum_bits_1d_64_channels"]),
            "{data:,} + {output:,}".format(**entry["lut4"]),
            f"{entry['condition']:,.1f}",
        ]
        for entry in records
    ]


def table(records: Sequence[dict[str, Any]]) -> Table:
    """Return the table of points for a terminal."""
    result = Table(*HEADINGS)
    for row in rows(records):
        result.add_row(*row)
    return result


# The plot: three panels, one for each pair of costs, as SVG.

WIDTH, HEIGHT, LEFT, TOP, GAP = 250, 220, 52, 34, 62
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")
LABELS = {
    "condition": "condition number",
    "bits": "bits of both operands",
    "luts": "LUT4 of the adders",
}


def plot(measured: dict[str, Any]) -> str:
    """Return the plot of a measurement: every front, and the named points."""
    entries = [*measured["fronts"], *measured["transforms"]]
    sizes = list(dict.fromkeys(entry["size"] for entry in entries))
    parts = []
    pairs = (("condition", "bits"), ("condition", "luts"), ("bits", "luts"))
    for number, (across, up) in enumerate(pairs):
        x0 = LEFT + number * (WIDTH + GAP)
        x_of, x_ticks = _axis(across, (e[across] for e in entries), x0, x0 + WIDTH)
        y_of, y_ticks = _axis(up, (e[up] for e in entries), TOP + HEIGHT, TOP)
        parts.append(f'<rect x="{x0}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" class="frame"/>')
        for value, name in x_ticks:
            parts.append(_line(x_of(value), TOP, x_of(value), TOP + HEIGHT))
            parts.append(_text(x_of(value), TOP + HEIGHT + 15, name))
        for value, name in y_ticks:
            parts.append(_line(x0, y_of(value), x0 + WIDTH, y_of(value)))
            parts.append(_text(x0 - 5, y_of(value) + 4, name, "end"))
        parts.append(_text(x0 + WIDTH / 2, TOP + HEIGHT + 32, LABELS[across]))
        middle = TOP + HEIGHT / 2
        parts.append(
            f'<g transform="rotate(-90 {x0 - 38} {middle})">'
            f"{_text(x0 - 38, middle, LABELS[up])}</g>"
        )
        for entry in measured["fronts"]:
            colour = COLOURS[sizes.index(entry["size"])]
            x, y = x_of(entry[across]), y_of(entry[up])
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>')
        for entry in measured["transforms"]:
            colour = COLOURS[sizes.index(entry["size"])]
            x, y = x_of(entry[across]), y_of(entry[up])
            if entry["chosen_for"] == "usual":
                shape = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7"'
            elif entry["chosen_for"] == "NOVA":
                shape = f'<path d="M{x:.1f} {y - 7:.1f}l6.5 11h-13z"'
            else:
                continue
            parts.append(f'{shape} fill="none" stroke="{colour}" stroke-width="1.5"/>')
    y = TOP + HEIGHT + 58
    for number, size in enumerate(sizes):
        x = LEFT + number * 75
        parts.append(f'<circle cx="{x}" cy="{y - 4}" r="4" fill="{COLOURS[number]}"/>')
        parts.append(_text(x + 9, y, size, "start"))
    x = LEFT + len(sizes) * 75 + 20
    parts.append(f'<circle cx="{x}" cy="{y - 4}" r="6" class="mark"/>')
    parts.append(_text(x + 12, y, "0, 1, -1, 2, -2, 1/2, ..., inf", "start"))
    parts.append(f'<path d="M{x + 190} {y - 10}l6.5 11h-13z" class="mark"/>')
    parts.append(_text(x + 202, y, "NOVA's points", "start"))
    title = "Interpolation points that no others beat in all three costs, int8, one dimension"
    parts.append(_text(LEFT, 18, title, "start"))
    total = LEFT + 3 * WIDTH + 2 * GAP + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{total}" height="{y + 14}" '
        'font-family="sans-serif" font-size="12">\n'
        "<style>.frame, .mark {fill: none; stroke: #555} .grid {stroke: #ddd}</style>\n"
        f'<rect width="{total}" height="{y + 14}" fill="white"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def _axis(
    name: str, values: Iterable[float], begin: float, end: float
) -> tuple[Callable[[float], float], list[tuple[float, str]]]:
    """Return the place of a value on an axis, and its ticks; all but bits are logarithmic."""
    low, high = min(values := list(values)), max(values)
    scale: Callable[[float], float] = float if name == "bits" else log10
    margin = 0.06 * (scale(high) - scale(low))
    first, last = scale(low) - margin, scale(high) + margin

    def place(value: float) -> float:
        return begin + (end - begin) * (scale(value) - first) / (last - first)

    ticks = {float(n): str(n) for n in range(10, 200, 10)}
    if name != "bits":
        ticks = {10.0**n: "10" + "⁰¹²³⁴⁵⁶⁷⁸⁹"[n] for n in range(10)}
    return place, [(at, text) for at, text in ticks.items() if first <= scale(at) <= last]


def _line(x: float, y: float, x_end: float, y_end: float) -> str:
    return f'<path d="M{x:.1f} {y:.1f}L{x_end:.1f} {y_end:.1f}" class="grid"/>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text}</text>'
