"""Cells of an engine, sites of a board's FPGA, and the clock: from the configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.boards import Board
from tilewright.boards.families import FAMILIES, Family
from tilewright.boards.family import CellNames
from tilewright.estimation.cells import fitted, systems_share
from tilewright.estimation.clock import clock_of
from tilewright.estimation.figures import Figure, Unknown
from tilewright.estimation.structure import memories, multipliers
from tilewright.hdl.families.generic import Family as AnyFamily
from tilewright.isa import EngineConfig

__all__ = ["Resources", "Site", "resources_of"]

#: What an engine without a family of its own is taken for, as synthesis does.
DEFAULT_FAMILY = "ecp5"


@dataclass(frozen=True)
class Site:
    """Sites of one kind: of the board's whole system, and those that the FPGA has."""

    used: Figure | Unknown
    available: int

    @property
    def share(self) -> float | None:
        """Part of the sites in use; None if it is not known."""
        return None if isinstance(self.used, Unknown) else self.used.value / self.available


@dataclass(frozen=True)
class Resources:
    """What an engine takes.

    Parameters
    ----------
    family : str, of FPGAs
    cells : of the engine alone, by primitive
    sites : of the board's FPGA, engine and all that is beside it; empty without a board
    fmax : of the system, in MHz
    """

    family: str
    cells: Mapping[str, Figure | Unknown]
    sites: Mapping[str, Site]
    fmax: Figure | Unknown

    @property
    def flip_flops(self) -> Figure | Unknown:
        """Of the engine."""
        names = _names(self.family)
        missing = Unknown("cells", f"no cells of the family {self.family!r} are known")
        return missing if names is None else self.cells[names.flip_flop]

    @property
    def misfits(self) -> tuple[str, ...]:
        """Kinds of sites of which more are needed than there are, by the estimate's value."""
        return tuple(kind for kind, site in self.sites.items() if (site.share or 0) > 1)


def _names(family: str) -> CellNames | None:
    found = FAMILIES.all().get(family)
    return None if found is None else found.cells


def resources_of(config: EngineConfig, board: Board | None = None) -> Resources:
    """Return the resources of an engine, and of a board's system with it.

    Without a board, an engine whose ``dsp`` is "inferred" is taken for ECP5, as synthesis does.
    """
    name = config.dsp if board is None else board.family
    name = DEFAULT_FAMILY if name == AnyFamily.name else name
    family = FAMILIES.get(name)
    if family.cells is None:
        return Resources(name, {}, {}, Unknown("MHz", f"nothing is known of the family {name!r}"))
    cells = _cells(config, family, family.cells)
    sites = {} if board is None else _sites(config, family, cells, board)
    return Resources(name, cells, sites, clock_of(config, board, sites))


def _cells(config: EngineConfig, family: Family, names: CellNames) -> dict[str, Figure | Unknown]:
    blocks = dict.fromkeys((names.block, *filter(None, (names.distributed,))), 0)
    for memory in memories(config):
        for kind, count in family.memory_cells(memory.depth, memory.width).items():
            blocks[kind] += memory.count * count
    cells: dict[str, Figure | Unknown] = {
        kind: fitted(config, family.name, kind)
        for kind in (names.look_up, names.carry, names.flip_flop)
    }
    exact = {names.multiplier: multipliers(config), names.block: blocks[names.block]}
    for kind, count in exact.items():
        cells[kind] = Figure.exact(count, "cells", "structure")
    if names.distributed is not None:
        soft = blocks[names.distributed] + family.memory_cells(8, 8 * config.rows + 2).get(
            names.distributed, 0
        ) * bool(config.pipelined)
        cells[names.distributed] = Figure.within(soft, 0.1, "cells", "structure")
    return cells


def _sites(
    config: EngineConfig,
    family: Family,
    cells: Mapping[str, Figure | Unknown],
    board: Board,
) -> dict[str, Site]:
    """Return what the FPGA needs for engine, memory controller and link."""
    available = family.sites(board.part)
    beside = systems_share(config, board)
    whole = {
        kind: figure
        if isinstance(figure, Unknown)
        else Figure(
            figure.value + beside.get(kind, 0),
            figure.low + beside.get(kind, 0),
            figure.high + beside.get(kind, 0),
            "sites",
            figure.basis,
        )
        for kind, figure in cells.items()
    }
    sites = {
        kind: Site(_with_taken(whole[kind], family.taken.get(kind, {}), whole), count)
        for kind, count in available.items()
        if kind in whole and kind != family.logic
    }
    logic = _logic(config, family, whole)
    return {family.logic: Site(logic, available[family.logic]), **sites}


def _with_taken(
    own: Figure | Unknown, each: Mapping[str, int], whole: Mapping[str, Figure | Unknown]
) -> Figure | Unknown:
    """Return the sites of a kind with those that cells of other kinds take of them."""
    for kind, count in each.items():
        other = whole[kind]
        if isinstance(own, Unknown) or isinstance(other, Unknown):
            return own
        value, low, high = (
            getattr(own, end) + count * getattr(other, end) for end in ("value", "low", "high")
        )
        own = Figure(value, low, high, own.unit, own.basis)
    return own


def _logic(
    config: EngineConfig, family: Family, whole: Mapping[str, Figure | Unknown]
) -> Figure | Unknown:
    figures = {kind: f for kind, f in whole.items() if isinstance(f, Figure)}
    if len(figures) < len(whole):
        return next(f for f in whole.values() if isinstance(f, Unknown))
    value, low, high = (
        family.logic_sites({kind: getattr(f, end) for kind, f in figures.items()})
        for end in ("value", "low", "high")
    )
    if value is None or low is None or high is None:
        return fitted(config, family.name, family.logic)
    basis = "look-up tables, carries, memories"
    low, high = (1 - family.logic_error) * low, (1 + family.logic_error) * high
    return Figure(round(value), low, high, "sites", basis)
