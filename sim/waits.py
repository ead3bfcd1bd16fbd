"""What a command waits for, and which of it kept its unit waiting.

A command starts when its unit is free, its queue presents it, and the commands of other units that
it names are complete; with a fence, also those of its own unit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

STALL_CAUSES = ("weights", "activations", "stores", "results", "commands")
"""What the array can wait for; "weights" are activation tables and kernels' transforms too."""


def complete(named: int, done: int, width: int) -> int | None:
    """Return how many commands a count in a command stands for, of ``done`` that are complete.

    Counts have ``width`` bits. None: of more than are complete. Commands wait for fewer than half
    of ``2**width`` that are not.
    """
    counts = 1 << width
    behind = (done - named) % counts
    return None if behind >= counts // 2 else max(0, done - behind)


class Waits(NamedTuple):
    """The first cycles in which a command could start, were it for one thing only.

    Parameters
    ----------
    queue : int, it has left its queue and is decoded
    loads, computes, stores : int, the commands of these units that it names are complete
    fence : int, all compute commands before it are complete; 0 without a fence
    weights : bool, the last of the loads that it names brings weights
    """

    queue: int
    loads: int = 0
    computes: int = 0
    stores: int = 0
    fence: int = 0
    weights: bool = False

    @property
    def ready(self) -> int:
        """The first cycle in which everything is there."""
        return max(self.queue, self.loads, self.computes, self.stores, self.fence)


def stalls(waits: Waits, free: int, start: int) -> Mapping[str, int]:
    """Return how long a unit that was free from cycle ``free`` on waited for what, until ``start``.

    A cycle counts for the command itself until its queue presents it, then for the load it waits
    for, then for the store, then for results of commands before: as the hardware's counters do.
    """
    result = dict.fromkeys(STALL_CAUSES, 0)
    load = "weights" if waits.weights else "activations"
    now = free
    for cause, ready in (("commands", waits.queue), (load, waits.loads), ("stores", waits.stores)):
        until = max(now, min(ready, start))
        result[cause] += until - now
        now = until
    result["results"] = start - now
    return result
