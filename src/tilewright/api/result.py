"""What a simulation gives."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.errors import Error
from tilewright.isa import Unit
from tilewright.program import Program
from tilewright.sim.timeline import write_timeline

Backend = Literal["golden", "isa", "rtl"]
Progress = Callable[[float, int], None]
"""Called with the images done, in fractions while one runs, and the images in all."""


class SimulationError(Error):
    """The engine stopped with an error; there are no outputs."""


@dataclass(frozen=True)
class LayerResult:
    """A layer's share of a run, of all images; see :class:`tilewright.sim.report.LayerStats`."""

    name: str
    kind: str
    macs: int
    cycles: int
    utilization: float
    stalls: Mapping[str, int]
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class Result:
    """What a simulation gave.

    Parameters
    ----------
    program : Program
    backend : str
    outputs : one integer array (N, ...) per result of the model, in its own shape
    cycles : of one run, of ``program.batch`` images; the same for every run. None where nothing
        counts them (golden)
    layers : of one run; empty where nothing counts them
    starts, dones : cycles of every command of the first run, by unit
    counters : the engine's own counters after the first run (rtl only)
    """

    program: Program
    backend: str
    outputs: list[NDArray[np.int64]]
    cycles: int | None
    layers: tuple[LayerResult, ...]
    starts: Mapping[Unit, Sequence[int]]
    dones: Mapping[Unit, Sequence[int]]
    counters: Mapping[str, int]

    def write_timeline(self, path: str | os.PathLike[str]) -> None:
        """Write every command of the first run, one track per unit, for ui.perfetto.dev."""
        if self.cycles is None:
            raise Error(f"the {self.backend} executor counts no cycles: use 'isa' or 'rtl'")
        commands = {unit: self.program.commands(unit) for unit in Unit}
        names = [layer.name for layer in self.program.layers]
        write_timeline(Path(path), names, commands, self.starts, self.dones)

    def dequantized(self) -> list[NDArray[np.float64]]:
        """Return the outputs as the floats that PyTorch would have given."""
        kinds = self.program.result_types
        return [
            (kind.scale * (array - kind.zero_point)).astype(np.float64)
            for kind, array in zip(kinds, self.outputs, strict=True)
        ]
