"""Values: what the commands of a run do to NumPy models of buffers and memory.

In the order in which values pass through them:

``machine``   an engine that runs a program: values along its events
``memory``    bytes behind the bus
``buffers``   the engine's buffers
``loads``     what load commands bring
``compute``   what a compute command does with it: sums of windows and weights
``windows``   what its windows hold
``sampler``   what those of a deformable one hold
``partial``   partial sums of tiles
``results``   sums, requantized and written
``stores``    what store commands write
"""

from tilewright.sim.effects.machine import Machine

__all__ = ["Machine"]
