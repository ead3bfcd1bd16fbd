"""What nextpnr reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple, TypedDict

from tilewright.boards.flow.tools import FlowError

__all__ = ["REPORT", "LateClock", "engine_clock", "late_clocks", "used_sites"]

REPORT = "report.json"


class LateClock(NamedTuple):
    """A clock that is too slow: frequencies in MHz."""

    name: str
    achieved: float
    needed: float


class _Clock(TypedDict):
    achieved: float
    constraint: float


class _Report(TypedDict):
    fmax: dict[str, _Clock]
    utilization: dict[str, dict[str, int]]


def engine_clock(directory: Path, margin: float = 1.0) -> float:
    """Return what the engine's clock reaches, in MHz: of all, the one that is asked most of.

    Parameters
    ----------
    margin : by how much more was asked for than is needed

    Raises
    ------
    FlowError
        If a clock does not reach what it needs.
    """
    for name, achieved, needed in late_clocks(directory, margin):
        raise FlowError(
            f"{name} reaches {achieved:.1f} MHz, not {needed:.1f}: "
            f"the critical path is in {directory / REPORT}"
        )
    clocks = _report(directory)["fmax"].values()
    most = max(clock["constraint"] for clock in clocks)
    return min(clock["achieved"] for clock in clocks if clock["constraint"] == most)


def used_sites(directory: Path) -> dict[str, dict[str, int]]:
    """Return the report's sites, of each kind in use: "used" and "available"."""
    sites = _report(directory)["utilization"]
    return {kind: n for kind, n in sites.items() if n["used"]}


def _report(directory: Path) -> _Report:
    report: _Report = json.loads((directory / REPORT).read_text())
    return report


def late_clocks(directory: Path, margin: float) -> list[LateClock]:
    """Return the clocks that are too slow; ``margin`` as for :func:`engine_clock`."""
    return [
        LateClock(name, clock["achieved"], clock["constraint"] / margin)
        for name, clock in _report(directory)["fmax"].items()
        if clock["achieved"] * margin < clock["constraint"]
    ]
