"""The exact cycle model, as tests hand it to the compiler."""

from tilewright.sim.model import CycleModel
from tilewright.sim.timing import MemoryTiming


def timing(config):
    """Return the cycle model of an engine with a memory of the usual latencies."""
    return CycleModel(config, MemoryTiming())
