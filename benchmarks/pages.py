r"""A report in a browser: its size, when it is painted, and how it looks.

    tilewright report resnet18.tw -o resnet18.html
    python -m benchmarks.pages resnet18.html [--times 5] [--screenshots build/pages]

Headless Chromium loads the page from this machine, with a fresh profile each time. Printed are the
bytes, the first paint and the first with contents, in ms after the page was asked for, and when
every chart was drawn. Screenshots are light, dark, and as wide as a phone.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console

from tilewright.errors import Error

#: Width and height in pixels, and what the browser is told to be.
SHOTS: dict[str, tuple[int, int, tuple[str, ...]]] = {
    "light": (1280, 5600, ()),
    "dark": (1280, 5600, ("--blink-settings=preferredColorScheme=0",)),
    "phone": (390, 8400, ()),
}
#: Chromium's windows are no narrower.
NARROWEST = 500
#: Tells when the page was painted, and how long all charts take of somebody who scrolls to them.
PROBE = """<script>addEventListener("load", async () => {
  const wait = (ms) => new Promise((r) => setTimeout(r, ms));
  const charts = [...document.querySelectorAll(".chart")];
  const paints = () => performance.getEntriesByType("paint");
  while (paints().length < 2) await wait(5);
  const found = Object.fromEntries(paints().map((p) => [p.name, p.startTime]));
  const begin = performance.now();
  for (const chart of charts) {
    chart.scrollIntoView();
    while (chart.dataset.drawn !== "yes") await wait(5);
  }
  found["all charts, scrolling"] = performance.now() - begin;
  await fetch("/found", {method: "POST", body: JSON.stringify(found)});
});</script></body>"""

console = Console(highlight=False)


@contextmanager
def served(text: str) -> Iterator[tuple[str, Queue[dict[str, float]]]]:
    """Give the address of a page, and what it tells of itself."""
    told: Queue[dict[str, float]] = Queue()
    before, after = text.rsplit("</body>", 1)
    width, height, _ = SHOTS["phone"]
    frame = f'<iframe src="/page?all" style="border:0;width:{width}px;height:{height}px"></iframe>'
    pages = {
        "/probe": before + PROBE + after,
        "/page": text,
        "/phone": f'<!doctype html><body style="margin:0">{frame}</body>',
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = pages.get(self.path.partition("?")[0], "").encode()
            self.send_response(200 if body else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            told.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            """Say nothing of requests."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", told
    finally:
        server.shutdown()


def browser(profile: str, *arguments: str) -> list[str]:
    """Return the command of a browser without a window."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        raise Error("there is no Chromium: apt install chromium")
    quiet = (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--no-first-run",
    )
    return [found, *quiet, f"--user-data-dir={profile}", *arguments]


def times_of(text: str) -> dict[str, float]:
    """Return when a page was painted, in ms."""
    with served(text) as (address, told), tempfile.TemporaryDirectory() as profile:
        command = browser(profile, "--remote-debugging-port=0", f"{address}/probe")
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                return told.get(timeout=120)
            finally:
                process.terminate()


def screenshot(text: str, name: str, path: Path) -> None:
    """Write a picture of a page."""
    width, height, more = SHOTS[name]
    where = "phone" if width < NARROWEST else "page?all"
    with served(text) as (address, _), tempfile.TemporaryDirectory() as profile:
        arguments = (f"--window-size={max(width, NARROWEST)},{height}", *more,
                     "--virtual-time-budget=20000", f"--screenshot={path.resolve()}")  # fmt: skip
        command = browser(profile, *arguments, f"{address}/{where}")
        subprocess.run(command, check=True, capture_output=True, timeout=300)


def main(
    page: Path,
    times: Annotated[int, typer.Option(help="Loads, of which the median is printed.")] = 5,
    screenshots: Annotated[Path | None, typer.Option(help="Folder for pictures.")] = None,
) -> None:
    """Measure a page, and take pictures of it."""
    text = page.read_text()
    console.print(f"{page}: {page.stat().st_size:,} bytes")
    loads = [times_of(text) for _ in range(times)]
    for name in loads[0]:
        found = [load[name] for load in loads]
        console.print(f"{name}: {median(found):.0f} ms, {max(found):.0f} at worst of {times}")
    if screenshots is not None:
        screenshots.mkdir(parents=True, exist_ok=True)
        for name in SHOTS:
            screenshot(text, name, screenshots / f"{name}.png")


if __name__ == "__main__":
    typer.run(main)
