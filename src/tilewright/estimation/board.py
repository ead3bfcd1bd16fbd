"""Energies of a target: those of its family, of its FPGA, and of the memory behind the engine."""

from __future__ import annotations

from tilewright.boards import get_board
from tilewright.boards.families import get_family
from tilewright.estimation.energies import (
    ANY_MEMORY,
    ENERGIES,
    INFO,
    OWN_MEMORY,
    SDRAM_ENERGIES,
    STATIC_POWER,
    Cause,
)
from tilewright.estimation.figures import Figure, Unknown
from tilewright.sim.timing import SDRAM
from tilewright.target import Target

__all__ = ["costs_of", "rates_of"]


def costs_of(
    target: Target, flip_flops: Figure | Unknown | None = None
) -> dict[Cause, Figure | Unknown]:
    """Return the energy of one event of each cause, in pJ.

    Parameters
    ----------
    flip_flops : of the engine; if they are not known, neither is what their clock takes
    """
    board = None if target.board is None else get_board(target.board)
    family = target.engine.dsp if board is None else board.family
    chip = ENERGIES.get(family)
    costs: dict[Cause, Figure | Unknown] = {}
    for cause, info in INFO.items():
        if info.where == "memory":
            costs[cause] = Unknown("pJ", "the memory is known by its latencies only")
        elif chip is None:
            costs[cause] = Unknown("pJ", f"there are no energies of the family {family!r}")
        elif cause in chip:
            costs[cause] = chip[cause]
    costs |= _memory(target)
    no_board = "the FPGA is not known: the target has no board"
    static = None if board is None else STATIC_POWER.get(board.part.device.split("-")[-1])
    reason = no_board if board is None else f"there is no figure for {board.part.device}"
    costs[Cause.STATIC] = Unknown("pJ", reason) if static is None else static
    if board is None:
        costs[Cause.CLOCK] = Unknown("pJ", no_board)
    if isinstance(flip_flops, Unknown):
        costs[Cause.CELLS] = Unknown("pJ", f"counted are cycles: {flip_flops.reason}")
    return costs


def _memory(target: Target) -> dict[Cause, Figure]:
    if isinstance(target.memory, SDRAM):
        return SDRAM_ENERGIES
    if target.board is not None and get_board(target.board).sdram is None:
        return OWN_MEMORY
    return ANY_MEMORY


def rates_of(target: Target, flip_flops: Figure | Unknown) -> dict[Cause, float]:
    """Return what time takes: of each cause, what is counted in a cycle.

    Parameters
    ----------
    flip_flops : of the engine
    """
    nanoseconds = 1e3 / target.clock_mhz
    rates = {Cause.STATIC: nanoseconds}
    rates[Cause.CELLS] = flip_flops.value if isinstance(flip_flops, Figure) else 1.0
    if target.board is not None:
        board = get_board(target.board)
        family = get_family(board.family)
        if family.logic:
            rates[Cause.CLOCK] = family.sites(board.part)[family.logic]
    if isinstance(target.memory, SDRAM):
        chip = target.memory.parameters(target.engine).cycles
        rates[Cause.STANDBY] = nanoseconds
        rates[Cause.REFRESH] = 1 / chip.refresh
    return rates
