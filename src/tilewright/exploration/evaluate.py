"""What one choice costs: the network compiled for it, and its events run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from tilewright.boards import get_board
from tilewright.compiler.ir import Graph
from tilewright.compiler.schedule.objective import Objective
from tilewright.errors import Error
from tilewright.estimation.clock import routed_like
from tilewright.estimation.figures import Unknown
from tilewright.estimation.resources import resources_of
from tilewright.exploration.groups import regrouped
from tilewright.exploration.space import Choice
from tilewright.target import Target

if TYPE_CHECKING:
    from tilewright.api.estimate import Estimate

__all__ = ["OBJECTIVES", "UNITS", "Outcome", "evaluate", "misfit", "target_of"]


def _area(found: Estimate) -> float:
    """Return the share of that kind of sites of which most are in use."""
    return max((s.share for s in found.resources.sites.values() if s.share is not None), default=0)


def _energy_per_mac(found: Estimate) -> float:
    return found.energy.total.value * 1e6 / sum(layer.macs for layer in found.layers)


#: By name, with its unit: what of an estimate it is. Less is better in all.
OBJECTIVES: dict[str, tuple[str, Callable[[Estimate], float]]] = {
    "latency": ("ms", lambda e: e.latency.value),
    "energy": ("mJ", lambda e: e.energy.total.value / 1e3),
    "energy_per_mac": ("pJ", _energy_per_mac),
    "area": ("of the FPGA", _area),
    "traffic": ("MB", lambda e: (e.read.value + e.written.value) / 1e6),
}
#: Of all objectives; an error is one of networks, not of engines.
UNITS = {name: unit for name, (unit, _) in OBJECTIVES.items()} | {"error": "of the images"}


@dataclass(frozen=True)
class Outcome:
    """What a choice costs by objective, or why it does not."""

    values: Mapping[str, float]
    refused: str = ""


def target_of(board: str, choice: Choice) -> Target:
    """Return a board with another engine.

    Raises
    ------
    Error
        If the board's memory does not fit its bus.
    """
    own = Target.from_board(board)
    return Target(engine=choice.engine, memory=own.memory, clock_mhz=own.clock_mhz, board=board)


def misfit(board: str, choice: Choice) -> str:
    """Return why the board cannot have the engine, by estimate; "" if it fits and routes.

    It fits if there are as many sites of each kind. It routes if a system about as full was routed,
    and the board's clock is in the range of what such systems reach. Where no system of the kind
    was routed, nothing is known against it.
    """
    own = get_board(board)
    resources = resources_of(choice.engine, own)
    for kind, site in resources.sites.items():
        if isinstance(site.used, Unknown):
            return f"{kind}: {site.used.reason}"
        if site.used.value > site.available:
            return f"{kind}: {site.used.value:,.0f} of {site.available:,}"
    fmax = resources.fmax
    if isinstance(fmax, Unknown):
        return fmax.reason if routed_like(choice.engine, own) else ""
    if fmax.high < own.clock_mhz:
        return f"{fmax.high:.1f} MHz at most, and the board's clock has {own.clock_mhz:g}"
    return ""


def evaluate(
    graphs: Mapping[int, Graph], board: str, choice: Choice, objectives: tuple[str, ...]
) -> Outcome:
    """Return what a network costs on an engine; no value of any pixel is computed.

    Parameters
    ----------
    graphs : the network by its weights' bits
    """
    from tilewright.api.searched import searched

    (objective,) = (name for name in get_args(Objective) if name == choice.objective)
    graph = graphs[choice.weight_bits]
    try:
        found = searched(
            regrouped(graph, choice.group_channels) if choice.group_channels else graph,
            target_of(board, choice),
            objective,
            choice.algorithms,
        )
    except Error as error:
        return Outcome({}, str(error))
    return Outcome({n: OBJECTIVES[n][1](found) for n in objectives if n in OBJECTIVES})
