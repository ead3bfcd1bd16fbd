"""The charts of a report, as Vega-Lite made by Altair.

Colours come from the page, which has a light and a dark side: charts leave their backgrounds open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from tilewright.estimation.energies import Cause
from tilewright.estimation.figures import Figure
from tilewright.exploration.points import Point
from tilewright.reports.analysis import GAPS, Analysis

__all__ = ["charts", "front_chart"]

Rows = Sequence[Mapping[str, Any]]
#: As much as a page of so many layers needs.
_ROW = 14
#: Of shares; the dark end stands out from a dark page, too.
_SHARES = alt.SchemeParams(name="viridis", extent=[0.2, 1])
#: As many labels as there is room for, all as far from each other.
_TICKS: Mapping[str, Any] = {
    "labelOverlap": "parity",
    "tickCount": alt.ExprRef("max(3, floor(width / 90))"),
}
#: Of counts.
_AXIS: Mapping[str, Any] = {"labelExpr": "format(datum.value, '~s')", **_TICKS}


def charts(shown: Analysis) -> dict[str, dict[str, Any]]:
    """Return the charts of a program by name, as Vega-Lite."""
    made = {
        "roofline": _roofline(shown),
        "gap": _gap(shown),
        "timeline": _timeline(shown),
        "buffers": _buffers(shown),
        "energy": _energy(shown),
    }
    return {name: _plain(chart) for name, chart in made.items()}


def _plain(chart: Any) -> dict[str, Any]:
    record: dict[str, Any] = chart.to_dict()
    record.pop("config", None)
    record.pop("$schema", None)
    return record | {"background": None, "width": "container", "autosize": {"type": "fit-x"}}


def _data(rows: Rows) -> alt.InlineData:
    return alt.InlineData(values=list(rows))


def _roofline(shown: Analysis) -> Any:
    peak, bandwidth = shown.program.engine.multipliers, shown.bandwidth
    known = [p.intensity for p in shown.points if p.intensity]
    ridge = peak / bandwidth
    low, high = min([ridge / 4, *known]) / 1.5, max([ridge * 4, *known]) * 1.5
    roof = [{"x": x, "y": min(peak, x * bandwidth)} for x in (low, ridge, high)]
    points = [
        {
            "layer": p.name, "x": p.intensity or high, "y": p.rate, "cycles": p.cycles,
            "of what is attainable": p.rate / min(peak, (p.intensity or high) * bandwidth),
        }
        for p in shown.points
    ]  # fmt: skip
    x = alt.X("x:Q", scale=alt.Scale(type="log", domain=[low, high], nice=False)).title(
        "products for each byte to or from memory"
    )
    # Circles on the roof are whole.
    y = alt.Y("y:Q", scale=alt.Scale(type="log", nice=False, domainMax=1.5 * peak)).title(
        "products a cycle"
    )
    line = alt.Chart(_data(roof)).mark_line(strokeWidth=2).encode(x=x, y=y)
    dots = (
        alt.Chart(_data(points))
        .mark_circle(opacity=0.75)
        .encode(
            x=x,
            y=y,
            size=alt.Size("cycles:Q", legend=None, scale=alt.Scale(range=[20, 500])),
            tooltip=[
                "layer:N",
                alt.Tooltip("x:Q", format=".3s", title="products/byte"),
                alt.Tooltip("y:Q", format=".1f", title="products/cycle"),
                alt.Tooltip("cycles:Q", format=","),
                alt.Tooltip("of what is attainable:Q", format=".0%"),
            ],
        )
    )
    water = [
        {"y": shown.waterline[0], "what": "attainable, as it runs"},
        {"y": shown.waterline[1], "what": "attainable, unfused"},
    ]
    rules = (
        alt.Chart(_data(water))
        .mark_rule(strokeDash=[5, 4])
        .encode(y="y:Q", color=alt.Color("what:N").title(None).legend(orient="bottom"),
                tooltip=["what:N", alt.Tooltip("y:Q", format=".1f")])
    )  # fmt: skip
    return alt.layer(line, rules, dots).properties(height=300)


def _gap(shown: Analysis) -> Any:
    rows = [
        {"layer": gap.layer, "at": gap.index, "cause": cause, "order": GAPS.index(cause),
         "cycles": round(cycles)}
        for gap in shown.gaps for cause, cycles in gap.cycles.items() if round(cycles)
    ]  # fmt: skip
    return _stack(rows, "cycles", list(GAPS), len(shown.gaps))


def _energy(shown: Analysis) -> Any:
    energy = shown.estimate.energy
    rows = [
        {"layer": layer.name, "at": index, "cause": str(cause), "order": list(Cause).index(cause),
         "uJ": float(f"{part.value:.5g}")}
        for index, layer in enumerate(shown.estimate.layers)
        for cause in energy.causes
        if isinstance(part := energy.part(index, cause), Figure) and part.value
    ]  # fmt: skip
    return _stack(rows, "uJ", [str(cause) for cause in energy.causes], len(shown.estimate.layers))


def _stack(rows: Rows, unit: str, causes: Sequence[str], layers: int) -> Any:
    return (
        alt.Chart(_data(rows))
        .mark_bar()
        .encode(
            x=alt.X(f"sum({unit}):Q").title(unit).axis(**_AXIS),
            y=alt.Y("layer:N", sort=alt.EncodingSortField("at", op="min", order="ascending")).title(
                None
            ),
            color=alt.Color("cause:N", sort=list(causes))
            .scale(scheme="tableau20")
            .title(None)
            .legend(orient="top"),
            order="order:Q",
            tooltip=["layer:N", "cause:N", alt.Tooltip(f"{unit}:Q", format=",")],
        )
        .properties(height=max(80, _ROW * layers))
    )


def _timeline(shown: Analysis) -> Any:
    rows = [
        {"unit": b.unit, "start": b.start, "end": b.end, "busy": b.busy, "layer": b.layer}
        for b in shown.bins
    ]
    return (
        alt.Chart(_data(rows))
        .mark_rect()
        .encode(
            x=alt.X("start:Q").title("cycle").scale(nice=False).axis(**_AXIS, grid=False),
            x2="end:Q",
            y=alt.Y("unit:N", sort=["load", "compute", "store"]).title(None),
            color=alt.Color("busy:Q").scale(scheme=_SHARES, domain=[0, 1]).title("busy")
            .legend(format="%", orient="bottom", values=[0, 0.5, 1]),
            tooltip=[
                "unit:N",
                "layer:N",
                alt.Tooltip("start:Q", format=","),
                alt.Tooltip("busy:Q", format=".0%"),
            ],
        )
        .properties(height=110)
    )  # fmt: skip


def _buffers(shown: Analysis) -> Any:
    rows = [
        {"layers": h.layers, "start": h.start, "end": h.end, "buffer": name, "in use": share}
        for h in shown.held
        for name, share in (("activations", h.activations), ("weights that stay", h.weights))
    ]
    return (
        alt.Chart(_data(rows))
        .mark_rect()
        .encode(
            x=alt.X("start:Q").title("cycle").scale(nice=False).axis(**_AXIS, grid=False),
            x2="end:Q",
            y=alt.Y("buffer:N").title(None),
            color=alt.Color("in use:Q").scale(scheme=_SHARES, domain=[0, 1])
            .legend(format="%", orient="bottom", values=[0, 0.5, 1]),
            tooltip=["layers:N", "buffer:N", alt.Tooltip("in use:Q", format=".0%")],
        )
        .properties(height=80)
    )  # fmt: skip


def front_chart(points: Sequence[Point], x: str, y: str) -> dict[str, Any]:
    """Return the engines that were tried, by two objectives; front and board's own stand out."""
    # The last are drawn over the others.
    shown = sorted(points, key=lambda p: (p.front, p.board))
    rows = [{"engine": p.name, "front": p.front, "board": p.board} | dict(p.values) for p in shown]
    names = list(points[0].values)
    chart = (
        alt.Chart(_data(rows))
        .mark_point(filled=True)
        .encode(
            x=alt.X(f"{x}:Q").scale(zero=False).axis(**_TICKS),
            y=alt.Y(f"{y}:Q").scale(zero=False),
            shape=alt.condition("datum.board", alt.value("diamond"), alt.value("circle")),
            size=alt.condition("datum.board", alt.value(180), alt.value(60)),
            opacity=alt.condition("datum.front || datum.board", alt.value(0.9), alt.value(0.25)),
            color=alt.Color("front:N").legend(None),
            tooltip=[
                "engine:N",
                *(alt.Tooltip(f"{k}:Q", format=",.4~g") for k in names),
            ],
        )
        .properties(height=300)
    )
    return _plain(chart)
