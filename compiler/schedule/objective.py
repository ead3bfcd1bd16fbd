"""What a schedule is good for."""

from __future__ import annotations

from typing import Literal, TypeAlias

Objective: TypeAlias = Literal["time", "traffic", "energy"]
"""What the schedule minimizes: cycles, bytes to and from memory, or energy."""

#: Cycles that a byte to or from memory counts as. Traffic decides between schedules of like speed
#: even where time is the objective. For energy, a byte of DRAM is assumed to cost as much as the
#: engine spends in two cycles: no board has been measured.
CYCLES_PER_BYTE: dict[Objective, float] = {"time": 0.01, "traffic": 1000.0, "energy": 2.0}
