"""Netlists as Yosys's ``write_json`` writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NotRequired, TypedDict

from tilewright.files import write_text

__all__ = ["Bit", "Cell", "Module", "Net", "Netlist", "Port", "read_netlist", "write_netlist"]

#: A wire's number, or a constant: "0", "1", "x".
Bit = int | str


class Cell(TypedDict):
    """An instance; parameters and attributes as text, numbers in binary."""

    type: str
    parameters: dict[str, str]
    attributes: dict[str, str]
    port_directions: dict[str, str]
    connections: dict[str, list[Bit]]


class Port(TypedDict):
    """A port of a module."""

    direction: str
    bits: list[Bit]


class Net(TypedDict):
    """A name of some wires."""

    bits: list[Bit]
    attributes: dict[str, str]


class Module(TypedDict):
    """A module; ``settings`` are nextpnr's."""

    ports: dict[str, Port]
    cells: dict[str, Cell]
    netnames: dict[str, Net]
    settings: NotRequired[dict[str, str]]


class Netlist(TypedDict):
    """Modules by name."""

    modules: dict[str, Module]


def read_netlist(path: Path) -> Netlist:
    """Return what Yosys wrote."""
    netlist: Netlist = json.loads(path.read_text())
    return netlist


def write_netlist(path: Path, netlist: Netlist) -> None:
    """Write it for nextpnr."""
    write_text(path, json.dumps(netlist))
