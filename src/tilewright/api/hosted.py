"""What a run of a network gives of which the host computes parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.api.result import LayerResult, Result
from tilewright.errors import Error
from tilewright.program import HostedProgram

Output = NDArray[Any] | list[NDArray[Any]]


@dataclass(frozen=True)
class HostedResult:
    """What a simulation gave.

    Parameters
    ----------
    program : HostedProgram
    backend : str, of the engine's parts
    outputs : an array (N, ...) per result of the model, of reals, or of what the host computes in
        its own type; a list of one array for each image where images differ in shape
    parts : what each program gave
    """

    program: HostedProgram
    backend: str
    outputs: list[Output]
    parts: tuple[Result, ...]

    @property
    def cycles(self) -> int | None:
        """Of one image, of all programs; None where nothing counts them."""
        counts = [part.cycles for part in self.parts]
        return None if None in counts else sum(count for count in counts if count is not None)

    @property
    def layers(self) -> tuple[LayerResult, ...]:
        """Layers of all programs, of one image."""
        return tuple(layer for part in self.parts for layer in part.layers)

    @property
    def counters(self) -> dict[str, int]:
        """The engine's counters, of all programs, of one image."""
        names = dict.fromkeys(name for part in self.parts for name in part.counters)
        return {n: sum(part.counters.get(n, 0) for part in self.parts) for n in names}

    def dequantized(self) -> list[Output]:
        """Return the outputs, which are reals already."""
        return self.outputs

    def write_timeline(self, path: object) -> None:
        """Refuse: each program has a timeline of its own."""
        raise Error("a network with parts for the host has a timeline for each of `result.parts`")


def same(a: Output, b: Output) -> bool:
    """Whether two outputs are equal, image by image."""
    if isinstance(a, list) or isinstance(b, list):
        return len(a) == len(b) and all(map(np.array_equal, a, b))
    return np.array_equal(a, b)
