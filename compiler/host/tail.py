"""What the host makes of a network's results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.compiler.host.model import Array, HostModel


@dataclass(frozen=True, eq=False)
class Tail:
    """What the host makes of the graph's outputs, behind all that the engine computes.

    Parameters
    ----------
    model : HostModel
    reads : place among the graph's outputs of each input of the model
    results : what the network returns, in order: the graph's output ``i``, or for ``-1 - i`` the
        model's result ``i``
    batched : whether each result of the model has one image as its first dimension; of others the
        shape may depend on values, and several images have a list of them
    """

    model: HostModel
    reads: tuple[int, ...]
    results: tuple[int, ...]
    batched: tuple[bool, ...]

    def of(self, outputs: Sequence[Array]) -> list[Array | list[Array]]:
        """Return what the network returns from the graph's outputs (N, ...)."""
        images = zip(*(outputs[i] for i in self.reads), strict=True)
        columns = [list(column) for column in zip(*map(self.model.run, images), strict=True)]
        own = [
            np.concatenate(column) if batched else column
            for column, batched in zip(columns, self.batched, strict=True)
        ]
        return [outputs[i] if i >= 0 else own[-1 - i] for i in self.results]
