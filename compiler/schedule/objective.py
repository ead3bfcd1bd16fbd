"""What a schedule is good for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Objective: TypeAlias = Literal["time", "traffic", "energy"]
"""What the schedule minimizes: cycles, bytes to and from memory, or energy."""

#: Cycles that a byte to or from memory counts as. Traffic decides between schedules of like speed
#: even where time is the objective. For energy, a byte of DRAM is assumed to cost as much as the
#: engine spends in two cycles: no board has been measured.
CYCLES_PER_BYTE: dict[Objective, float] = {"time": 0.01, "traffic": 1000.0, "energy": 2.0}


@dataclass(frozen=True, kw_only=True)
class Overheads:
    """Cycles that the array is taken to lose between commands, to weigh schedules.

    What a command takes by itself is in :mod:`tilewright.isa.passes`; the exact figures of a
    finished program are the cycle model's. Source: docs/decisions/0009-cost-model.md.

    Parameters
    ----------
    command : int, of a compute command beside its kernel groups
    fence : int, more, where it reads the results of the one before
    memory : int, from results to the start of what reads them as positions, by way of memory
    """

    command: int = 20
    fence: int = 30
    memory: int = 300


OVERHEADS = Overheads()
