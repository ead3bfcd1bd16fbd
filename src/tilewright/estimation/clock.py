"""The clock that a board's system reaches: as systems that were placed and routed did.

Few were, so that this is a range around them and no formula: wires decide, and how long they are
depends on how full the FPGA is. What is fuller than any that was routed has no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tilewright.boards import Board
from tilewright.estimation.figures import Figure, Unknown
from tilewright.isa import EngineConfig

if TYPE_CHECKING:
    from tilewright.estimation.resources import Site

__all__ = ["ROUTED", "Routed", "clock_of"]


@dataclass(frozen=True)
class Routed:
    """A system that nextpnr placed and routed.

    Parameters
    ----------
    name : str
    fmax_mhz : float
    shares : part of each kind of sites in use
    """

    name: str
    fmax_mhz: float
    shares: Mapping[str, float]


#: By family, and whether the engine is pipelined. docs/synthesis.md and docs/ice40.md have them.
ROUTED: dict[tuple[str, bool], tuple[Routed, ...]] = {
    ("ecp5", True): (
        Routed(
            "ulx3s-12f",
            114.2,
            {"TRELLIS_COMB": 8888 / 24288, "DP16KD": 12 / 56, "MULT18X18D": 14 / 28},
        ),
        Routed(
            "ulx3s-85f",
            114.7,
            {"TRELLIS_COMB": 33230 / 83640, "DP16KD": 110 / 208, "MULT18X18D": 144 / 156},
        ),
    ),
    ("ice40", False): (
        Routed(
            "icebreaker",
            34.9,
            {"ICESTORM_LC": 4802 / 5280, "SB_RAM40_4K": 15 / 30, "SB_MAC16": 6 / 8},
        ),
    ),
}
#: Fuller by so much than one that was routed still counts as alike: estimates are off by that.
MORE = 1.15
#: Half of the range: seeds of one system differ by 4 %, placers and routers by 5 %.
SHARE = 0.1


def clock_of(
    config: EngineConfig, board: Board | None, sites: Mapping[str, Site]
) -> Figure | Unknown:
    """Return the frequency that a board's system with this engine reaches, in MHz."""
    if board is None:
        return Unknown("MHz", "it depends on the FPGA, and the target has no board")
    routed = ROUTED.get((board.family, config.pipelined), ())
    if not routed:
        kind = "" if config.pipelined else " with pipelined=False"
        return Unknown("MHz", f"no engine{kind} was routed on an FPGA of the family {board.family}")
    for kind in sites:
        most = max(system.shares.get(kind, 1.0) for system in routed)
        share = sites[kind].share
        if share is None or share > MORE * most:
            taken = "unknown" if share is None else f"{share:.0%}"
            return Unknown(
                "MHz",
                f"{kind} in use: {taken}, and of the fullest system that was routed {most:.0%}",
            )
    slowest = min(routed, key=lambda system: system.fmax_mhz)
    names = ", ".join(f"{system.name} {system.fmax_mhz:g} MHz" for system in routed)
    return Figure.within(
        slowest.fmax_mhz, SHARE, "MHz", f"systems that were routed: {names}; asked for their clock"
    )
