"""One HTML file about programs: tables and charts, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import html
import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import combinations
from typing import Any

from tilewright.errors import Error
from tilewright.estimation.energies import INFO
from tilewright.estimation.figures import Figure, Unknown, plain
from tilewright.exploration.points import Point
from tilewright.reports.analysis import GAPS, Analysis

__all__ = ["page"]

#: Charts in their order: name, head, and what they show.
_CHARTS = (
    (
        "roofline",
        "Roofline",
        (
            "Each circle is a layer, as large as its time; the line is what array and memory "
            "allow. Dashed: what all layers together could reach at most, the waterline, if each "
            "loads its own: what is loaded ahead of its time can pass it."
        ),
    ),
    (
        "gap",
        "Where cycles go",
        (
            "Ideal: products by the peak. Tiling: cells beside an edge or without a channel. "
            "Drain: results that leave, first windows, parameters. The others: what the array "
            "waited for."
        ),
    ),
    ("timeline", "Timeline", "How busy each unit is, part by part of the run."),
    (
        "buffers",
        "Buffers",
        (
            "What the layers that run together hold at most: of the activation buffer, and of "
            "the weight buffer for weights that stay."
        ),
    ),
    ("energy", "Energy by layer", "In uJ a run; what each number comes from is below."),
)


def page(
    shown: Sequence[Analysis],
    front: Sequence[Point] = (),
    *,
    title: str = "Tilewright",
    hosts: Mapping[str, Sequence[str]] = {},
) -> str:
    """Return a page about one program, or several side by side.

    Parameters
    ----------
    front : engines of a search, to be shown beside them
    hosts : by a network's name, lines about what the host computes of it

    Raises
    ------
    Error
        If there is nothing to show, or the packages that draw are not installed.
    """
    if not shown and not front:
        raise Error("report: there is no program to show")
    charts, front_chart = _drawing()
    specs: dict[str, dict[str, Any]] = {}
    parts = [f"<h1>{_text(title)}</h1>"]
    for name, lines in hosts.items():
        listed = "".join(f"<li>{_text(line)}</li>" for line in lines)
        parts.append(_section(f"{name}: the host", "", f"<ul>{listed}</ul>"))
    if len(shown) > 1:
        parts.append(_section("Side by side", "", _comparison(shown)))
    for index, one in enumerate(shown):
        if len(shown) > 1:
            parts.append(f"<h1>{_text(one.name)}</h1>")
        parts.append(_summary(one))
        parts.append(_section("Layers", "Press a head to sort.", _layers(one)))
        made = charts(one)
        for name, head, text in _CHARTS:
            specs[f"s{index}-{name}"] = made[name]
            parts.append(_section(head, text, _chart(f"s{index}-{name}", head)))
        parts.append(_section("Figures", "", _figures(one)))
        parts.append(_section("What energies come from", "", _costs(one)))
    if front:
        parts += _front(front, specs, front_chart)
    scripts = "".join(
        f'<script type="application/json" id="{name}">{_json(spec)}</script>'
        for name, spec in specs.items()
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>{_text(title)}</title><style>{_asset('page.css')}</style></head><body>"
        f"{''.join(parts)}{scripts}<script>{_bundle()}</script>"
        f"<script>{_asset('page.js')}</script></body></html>"
    )


def _drawing() -> tuple[Any, Any]:
    try:
        from tilewright.reports.charts import charts, front_chart
    except ImportError as error:
        raise Error(f"a report needs {error.name}: pip install 'tilewright[report]'") from error
    return charts, front_chart


@cache
def _bundle() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    try:
        import vl_convert
    except ImportError as error:
        raise Error(f"a report needs {error.name}: pip install 'tilewright[report]'") from error
    bundle: str = vl_convert.javascript_bundle()  # type: ignore[call-arg]
    return bundle.replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return files("tilewright.reports").joinpath("assets", name).read_text()


def _text(text: object) -> str:
    return html.escape(str(text))


def _json(record: object) -> str:
    # A graph that was made with numpy's numbers has some of them here.
    text = json.dumps(record, separators=(",", ":"), default=operator.index)
    return text.replace("<", "\\u003c")


def _section(head: str, text: str, body: str) -> str:
    said = f"<p>{_text(text)}</p>" if text else ""
    return f"<section><h2>{_text(head)}</h2>{said}{body}</section>"


def _chart(name: str, label: str) -> str:
    return f'<div class="chart" data-spec="{name}" role="img" aria-label="{_text(label)}"></div>'


def _cards(cards: Iterable[tuple[str, str]]) -> str:
    inner = "".join(f'<div class="card"><b>{_text(v)}</b><span>{_text(k)}</span></div>'
                    for k, v in cards)  # fmt: skip
    return f'<div class="cards">{inner}</div>'


def _headline(one: Analysis) -> list[tuple[str, str]]:
    found, config = one.estimate, one.program.engine
    energy = found.energy.total
    fmax = found.resources.fmax
    batch = one.program.batch
    each = 1e3 * batch  # mJ of an image from uJ of a run
    cards = [
        ("cycles an image", f"{found.cycles.value / batch:,.0f}"),
        ("ms an image", plain(found.latency.value / batch)),
        ("of the peak", f"{found.utilization.value:.1%}"),
        ("of the waterline", f"{_rate(one) / max(one.waterline[0], 1e-9):.1%}"),
        ("MB to and from memory", f"{(found.read.value + found.written.value) / 1e6 / batch:,.3f}"),
        (f"mJ an image ({plain(energy.low / each, 3)} .. {plain(energy.high / each, 3)})",
         plain(energy.value / each, 3)),
        ("rows x columns", f"{config.rows} x {config.cols}"),
        ("MHz, estimated", "unknown" if isinstance(fmax, Unknown) else f"{fmax.value:,.0f}"),
    ]  # fmt: skip
    for kind, site in found.resources.sites.items():
        share = "unknown" if site.share is None else f"{site.share:.0%}"
        cards.append((f"{kind} in use", share))
    return cards


def _rate(one: Analysis) -> float:
    return sum(layer.macs for layer in one.estimate.layers) / one.estimate.cycles.value


def _summary(one: Analysis) -> str:
    target = one.program.target
    where = f"on {target.board} " if target.board else ""
    line = f"{one.name} {where}at {target.clock_mhz:g} MHz"
    return _section("Summary", line, _cards(_headline(one)))


def _comparison(shown: Sequence[Analysis]) -> str:
    columns = [dict(_headline(one)) for one in shown]
    # What is the same figure has another range in each head.
    names = [name.split(" (")[0] for name in columns[0]]
    rows = [
        [name, *(list(column.values())[i] if i < len(column) else "-" for column in columns)]
        for i, name in enumerate(names)
    ]
    return _table(["figure", *(one.name for one in shown)], rows, numbers=range(1, len(shown) + 1))


def _layers(one: Analysis) -> str:
    heads = ["layer", "kind", "MACs", "cycles", "of peak", *GAPS[1:], "KB", "uJ"]
    rows = []
    for index, (layer, gap) in enumerate(zip(one.estimate.layers, one.gaps, strict=True)):
        numbers = [layer.macs, layer.cycles, layer.utilization, *list(gap.cycles.values())[1:]]
        moved = (layer.bytes_read + layer.bytes_written) / 1e3
        numbers += [moved, one.estimate.energy.of_layer(index).value]
        shown = [f"{layer.macs:,}", f"{layer.cycles:,}", f"{layer.utilization:.1%}"]
        shown += [f"{v / max(1, layer.cycles):.1%}" for v in list(gap.cycles.values())[1:]]
        shown += [f"{moved:,.1f}", plain(numbers[-1], 3)]
        cells = "".join(f'<td class="n" data-v="{v:.9g}">{t}</td>'
                        for v, t in zip(numbers, shown, strict=True))  # fmt: skip
        rows.append(f"<tr><td>{_text(layer.name)}</td><td>{_text(layer.kind)}</td>{cells}</tr>")
    head = "".join(
        f'<th{" class=n" if i > 1 else ""}><button type="button">{_text(h)}</button></th>'
        for i, h in enumerate(heads)
    )
    return (
        f'<div class="wide"><table class="sortable"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _figures(one: Analysis) -> str:
    rows = []
    for name, figure in one.estimate.figures.items():
        if name.startswith("energy: "):  # in the table below, with their counts
            continue
        if isinstance(figure, Unknown):
            rows.append([name, "unknown", "", figure.reason])
        else:
            value = f"{plain(figure.value, 6)} {figure.unit}"
            rows.append([name, value, figure.error_text(), figure.basis])
    return _table(["figure", "value", "error", "source"], rows, numbers=(1, 2), said=True)


def _costs(one: Analysis) -> str:
    energy, rows = one.estimate.energy, []
    for cause in energy.causes:
        cost, count = energy.costs[cause], energy.counted[cause]
        if isinstance(cost, Unknown):
            rows.append([cause, plain(count), INFO[cause].counted, "unknown", "", cost.reason])
            continue
        total = energy.of_cause(cause)
        assert isinstance(total, Figure)
        price = f"{plain(cost.value)} ({plain(cost.low, 3)} .. {plain(cost.high, 3)})"
        uj = plain(total.value)
        rows.append([cause, plain(count), INFO[cause].counted, price, uj, cost.basis])
    heads = ["cause", "count", "of what", "pJ each", "uJ a run", "source"]
    return _table(heads, rows, numbers=(1, 3, 4), said=True)


def _table(
    heads: Sequence[str],
    rows: Sequence[Sequence[object]],
    numbers: Iterable[int] = (),
    *,
    said: bool = False,
) -> str:
    """Return a table; ``said``: with sentences, of which a phone shows a cell on each line."""
    right = set(numbers)

    def cells(tag: str, row: Sequence[object]) -> str:
        named = [f' data-head="{_text(head)}"' if said and tag == "td" else "" for head in heads]
        return "".join(
            f"<{tag}{' class=n' if i in right else ''}{named[i]}>{_text(c)}</{tag}>"
            for i, c in enumerate(row)
        )

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return (
        f'<div class="wide"><table{" class=said" if said else ""}>'
        f"<thead><tr>{cells('th', heads)}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _front(front: Sequence[Point], specs: dict[str, dict[str, Any]], front_chart: Any) -> list[str]:
    """Return the sections of a search, and add their charts."""
    names = list(front[0].values)
    parts = ["<h1>Engines</h1>"]
    best = sum(p.front for p in front)
    own = " The diamond is the board's own." if any(p.board for p in front) else ""
    text = f"{best} engines of {len(front)} are beaten by no other one: the orange ones.{own}"
    for x, y in list(combinations(names, 2)) or [(names[0], names[0])]:
        key = f"front-{x}-{y}".replace(" ", "-")
        specs[key] = front_chart(front, x, y)
        parts.append(_section(f"{x} and {y}", text, _chart(key, f"{x} and {y}")))
    rows = [
        [p.name, *(plain(p.values[n], 5) for n in names)]
        for p in sorted(front, key=lambda p: p.values[names[0]])
        if p.front
    ]
    table = _table(["engine", *names], rows, range(1, len(names) + 1))
    parts.append(_section("The front", "", table))
    return parts
