"""A page about programs: whole, small, and loads nothing. A browser draws it without an error."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tests.cosim.random_networks import random_network
from tilewright.estimation.figures import plain
from tilewright.exploration.points import Point
from tilewright.exploration.space import Choice
from tilewright.reports.analysis import analyse

CHARTS = ("roofline", "gap", "timeline", "buffers", "energy")


@pytest.fixture(scope="module")
def programs():
    graph, _ = random_network(np.random.default_rng(3), ENGINES["4x4-bus64"], (19, 21))
    return {
        "on a board": tw.compile_graph(graph, tw.Target.from_board("ulx3s-12f")),
        "<alone> & others": tw.compile_graph(graph, tw.Target(engine=ENGINES["4x4-bus64"])),
    }


@pytest.fixture(scope="module")
def front():
    return [
        Point(
            Choice(ENGINES["4x4-bus64"], "time", 8, {"*": "auto"}),
            {"latency, ms": 1.0 + i, "area, of the FPGA": 1 / (1 + i)},
            front=i < 3,
        )
        for i in range(5)
    ]


@pytest.fixture(scope="module")
def page(programs, front, tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    return tw.report(programs, path, front=front)


class Tags(HTMLParser):
    """Collects tags, and what the specs say."""

    def __init__(self, text):
        super().__init__()
        self.found, self.specs, self._id = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag == "script":
            self._id = dict(attributes).get("id")

    def handle_data(self, data):
        if self._id:
            self.specs[self._id] = json.loads(data)
            self._id = None


def test_page_is_whole_small_and_loads_nothing(page):
    text = page.read_text()
    assert page.stat().st_size < 2_000_000
    tags = Tags(text)
    assert set(tags.specs) == {
        *(f"s{i}-{name}" for i in range(2) for name in CHARTS),
        "front-latency,-ms-area,-of-the-FPGA",
    }
    shown = [a["data-spec"] for _, a in tags.found if "data-spec" in a]
    assert sorted(shown) == sorted(tags.specs)
    for tag, attributes in tags.found:
        assert "src" not in attributes, tag
        assert tag != "link" or attributes["href"] == "data:,"
    assert "&lt;alone&gt; &amp; others" in text
    assert not re.search(r'"(url|\$schema)":', json.dumps(tags.specs))


def test_charts_keep_in_sight_what_they_are_about(page):
    """Engines of the front were under those beaten, circles on the roof cut at the plot's edge."""
    specs = Tags(page.read_text()).specs
    chart = specs["front-latency,-ms-area,-of-the-FPGA"]
    (rows,) = chart["datasets"].values()
    assert [row["front"] for row in rows] == [False] * 2 + [True] * 3
    roofline = specs["s0-roofline"]
    highest = max(row["y"] for rows in roofline["datasets"].values() for row in rows)
    dots = roofline["layer"][2]
    assert dots["encoding"]["y"]["scale"]["domainMax"] > 1.2 * highest
    for name, encoded in (("timeline", "busy"), ("buffers", "in use")):
        colour = specs[f"s0-{name}"]["encoding"]["color"]
        assert colour["field"] == encoded
        assert colour["scale"]["scheme"]["extent"][0] > 0.1  # a dark page is as dark as its end


def test_gaps_add_up_to_the_cycles(programs):
    for name, program in programs.items():
        shown = analyse(program, name)
        for gap, layer in zip(shown.gaps, shown.estimate.layers, strict=True):
            assert sum(gap.cycles.values()) == pytest.approx(layer.cycles)
            assert min(gap.cycles.values()) >= 0
        assert 0 < min(shown.waterline) <= max(shown.waterline) <= program.engine.multipliers
        for unit in ("load", "compute", "store"):
            busy = [b for b in shown.bins if b.unit == unit]
            assert busy
            assert all(0 < b.busy <= 1 and b.start < b.end for b in busy)


def test_numbers_are_read_without_exponents(page):
    text = re.sub(r"<script.*?</script>", "", page.read_text(), flags=re.DOTALL)
    assert not re.findall(r">[^<]*\de[+]\d[^<]*<", text)
    assert [plain(x) for x in (22131177, 8392.6, 0.73321, 0, 2e-7, 999.96)] == [
        "22,131,177", "8,393", "0.7332", "0", "2e-07", "1,000",
    ]  # fmt: skip


def test_nothing_to_show_is_refused(tmp_path):
    with pytest.raises(tw.Error, match="no program to show"):
        tw.report({}, tmp_path / "report.html")
    with pytest.raises(tw.Error, match="must be Program"):
        tw.report({"a": 3}, tmp_path / "report.html")


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.exhaustive
@pytest.mark.skipif(CHROMIUM is None, reason="`apt install chromium` for it")
def test_browser_draws_every_chart_sorts_and_tells_of_what_is_pointed_at(page, front, tmp_path):
    """What the page's own script does, seen from a script that is added to it."""
    check = """
    <script>addEventListener("load", async () => {
      const wait = (ms) => new Promise((r) => setTimeout(r, ms));
      const charts = [...document.querySelectorAll(".chart")];
      while (charts.some((c) => c.dataset.drawn !== "yes")) await wait(50);
      const table = document.querySelector("table.sortable");
      const head = table.tHead.rows[0].cells[3];
      const layers = [...table.tBodies[0].rows].map((r) => r.cells[0].textContent);
      const labels = (name) => [...document.querySelectorAll(
        `[data-spec="s0-${name}"] .role-axis-label text`
      )].map((t) => t.textContent).filter((t) => layers.includes(t));
      const cycles = () => [...table.tBodies[0].rows].map((r) => Number(r.cells[3].dataset.v));
      head.querySelector("button").click(); const down = cycles();
      head.querySelector("button").click(); const up = cycles();
      // As a mouse does that comes to the engine of a search that is drawn first.
      const engine = document.querySelector('[data-spec^="front-"] .mark-symbol path');
      const at = engine.getBoundingClientRect();
      for (const kind of ["pointerover", "pointermove", "mouseover", "mousemove"]) {
        engine.dispatchEvent(new PointerEvent(kind, {
          bubbles: true, clientX: at.x + at.width / 2, clientY: at.y + at.height / 2,
        }));
      }
      await wait(300);
      const hover = document.querySelector(".vg-tooltip.visible")?.textContent ?? "";
      document.title = JSON.stringify({
        hover,
        marks: charts.map((c) => c.querySelectorAll("svg path, svg rect").length), down, up,
        layers, gap: labels("gap"), energy: labels("energy"),
        wide: document.documentElement.scrollWidth <= innerWidth,
      });
    });</script></body>"""
    probe = tmp_path / "probe.html"
    before, after = page.read_text().rsplit("</body>", 1)
    probe.write_text(before + check + after)
    result = subprocess.run(
        [
            CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=420,900",
            f"--user-data-dir={tmp_path}", "--virtual-time-budget=30000", "--dump-dom",
            "--enable-logging=stderr", f"{probe.as_uri()}?all",
        ],
        capture_output=True, text=True, check=True, timeout=200,
    )  # fmt: skip
    assert "CONSOLE" not in result.stderr, result.stderr[-2000:]
    found = json.loads(re.search(r"<title>(.*?)</title>", result.stdout)[1])
    assert min(found["marks"]) > 3
    assert found["down"] == sorted(found["down"], reverse=True)
    assert found["up"] == sorted(found["up"])
    assert found["gap"] == found["energy"] == found["layers"], "layers in another order"
    assert found["wide"], "a phone has to scroll sideways"
    drawn_first = next(point for point in front if not point.front)
    name, value = drawn_first.name, plain(drawn_first.values["latency, ms"])
    assert name in found["hover"], found["hover"]
    assert value in found["hover"], found["hover"]
