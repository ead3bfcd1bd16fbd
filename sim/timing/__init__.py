"""The exact cycle model: how long a command takes, one file per unit.

``memory/``   the memory behind the bus
``bursts``    rows of words in memory, as bursts carry them
``load``      load commands, burst by burst
``compute``   compute commands, in closed form
``store``     store commands, burst by burst
``alone``     either by itself, behind a memory that both share

A run is a longest path over these (:mod:`tilewright.sim.events`).
"""

from tilewright.sim.timing.memory import MemoryTiming
from tilewright.sim.timing.memory.large import LargeMemory
from tilewright.sim.timing.memory.sdram import SDRAM

__all__ = ["SDRAM", "LargeMemory", "MemoryTiming"]
