"""The clock that a board's system reaches: as systems that were placed and routed did.

``benchmarks/estimates.py`` keeps them in ``routed.json``. Routers stop at the clock that is asked
for, so that systems of a family that were routed differ by a few per cent, whatever is in them:
what they say is a range, and how full an FPGA may be. What is fuller than any that was routed has
no figure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from statistics import median
from typing import TYPE_CHECKING, Any

from tilewright.boards import Board
from tilewright.estimation.figures import Figure, Unknown
from tilewright.isa import EngineConfig

if TYPE_CHECKING:
    from tilewright.estimation.resources import Site

__all__ = ["Routed", "alike", "clock_of", "left_out", "off", "routed_like", "typical"]


@dataclass(frozen=True)
class Routed:
    """A system that nextpnr placed and routed.

    Parameters
    ----------
    name : str, of its board, and of its engine if that is another
    family : str, of FPGAs
    pipelined : bool, its engine is
    sdram : bool, its memory is the board's; else block RAM
    fmax_mhz : float
    shares : part of each kind of sites in use
    """

    name: str
    family: str
    pipelined: bool
    sdram: bool
    fmax_mhz: float
    shares: Mapping[str, float]


#: Fuller by so much than one that was routed still counts as alike: estimates are off by that.
MORE = 1.15
#: Half of the range at least: seeds of one system differ by 4 %, placers and routers by 5 %.
SHARE = 0.1


@cache
def _routed() -> tuple[Routed, ...]:
    text = files("tilewright.estimation").joinpath("routed.json").read_text()
    record: dict[str, Any] = json.loads(text)
    return tuple(Routed(**system) for system in record["systems"])


def alike(
    systems: Sequence[Routed], family: str, *, pipelined: bool, sdram: bool
) -> tuple[Routed, ...]:
    """Return the systems that say something of others of a kind."""
    kind = family, pipelined, sdram
    return tuple(s for s in systems if (s.family, s.pipelined, s.sdram) == kind)


def routed_like(config: EngineConfig, board: Board) -> tuple[Routed, ...]:
    """Return the systems that were routed and say something of a board's system with an engine."""
    sdram = board.sdram is not None
    return alike(_routed(), board.family, pipelined=config.pipelined, sdram=sdram)


def typical(systems: Sequence[Routed]) -> float:
    """Return the frequency of systems that are alike, in MHz."""
    return median(system.fmax_mhz for system in systems)


def off(one: Routed, systems: Sequence[Routed]) -> float | None:
    """Return how far off others like a system say it is, as a share; None if there are none."""
    like = alike(systems, one.family, pipelined=one.pipelined, sdram=one.sdram)
    others = [system for system in like if system is not one]
    return typical(others) / one.fmax_mhz - 1 if others else None


def left_out(systems: Sequence[Routed]) -> list[float]:
    """Return how far each system is from what those like it say, as a share of its frequency."""
    found = (off(one, systems) for one in systems)
    return [abs(error) for error in found if error is not None]


def clock_of(
    config: EngineConfig, board: Board | None, sites: Mapping[str, Site]
) -> Figure | Unknown:
    """Return the frequency that a board's system with this engine reaches, in MHz."""
    if board is None:
        return Unknown("MHz", "it depends on the FPGA, and the target has no board")
    sdram, systems = board.sdram is not None, routed_like(config, board)
    if not systems:
        kind = "" if config.pipelined else " with pipelined=False"
        memory = " beside an SDRAM" if sdram else ""
        return Unknown(
            "MHz", f"no engine{kind}{memory} was routed on an FPGA of the family {board.family}"
        )
    for kind in sites:
        most = max(system.shares.get(kind, 0.0) for system in systems)
        share = sites[kind].share
        if share is None or share > MORE * most:
            taken = "unknown" if share is None else f"{share:.0%}"
            return Unknown(
                "MHz",
                f"{kind} in use: {taken}, and of the fullest system that was routed {most:.0%}",
            )
    names = ", ".join(f"{system.name} {system.fmax_mhz:.1f} MHz" for system in systems)
    memory = " with their SDRAM" if sdram else ""
    errors = left_out(systems)
    judged = f"; each by the others: {max(errors):.1%} off at worst" if errors else ""
    return Figure.within(
        typical(systems),
        max([SHARE, *errors]),
        "MHz",
        f"systems{memory} that were routed, asked for their clock: {names}{judged}",
    )
