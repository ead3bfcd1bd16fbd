"""The exact cycle model, one closed form per kind of command.

``memory``    the memory behind the bus; load and store commands
``compute``   compute commands

A run is a longest path over these (:mod:`tilewright.sim.isa.machine`).
"""

from tilewright.sim.timing.memory import MemoryTiming

__all__ = ["MemoryTiming"]
