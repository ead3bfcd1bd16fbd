"""What a controller of SDRAM is, for hardware and simulation alike."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tilewright.hdl.memory.chip import SDRAMChip, SDRAMCycles
from tilewright.hdl.memory.pieces import Geometry

__all__ = ["SDRAMParameters"]


@dataclass(frozen=True, kw_only=True)
class SDRAMParameters:
    """Parameters of one controller.

    Parameters
    ----------
    chip : SDRAMChip
    clock_mhz : float
    data_width : int, bits of the bus
    buffer_beats : int, power of two, 4..256; beats read or written that can wait; pieces have
        half as many at most
    pad_latency : int, cycles that registers at the pins take, there and back
    masks : bool, the chip's pins ``dqm`` are there, by which bytes stay as they are

    Raises
    ------
    ValueError
        If the chip is too slow for the clock, or widths and buffers do not fit it.
    """

    chip: SDRAMChip
    clock_mhz: float
    data_width: int
    buffer_beats: int = 64
    pad_latency: int = 0
    masks: bool = True

    def __post_init__(self) -> None:
        beats = self.buffer_beats
        if beats & (beats - 1) or not 4 <= beats <= 256:
            raise ValueError(f"buffer_beats must be a power of two in 4..256, not {beats!r}")
        if self.cycles.rrd > self.cycles.rcd + 1:
            raise ValueError(f"{self.chip.name}: tRRD must be at most a cycle longer than tRCD")
        self.geometry  # noqa: B018  (or an error)

    @cached_property
    def cycles(self) -> SDRAMCycles:
        """The chip's times."""
        return self.chip.cycles(self.clock_mhz)

    @cached_property
    def geometry(self) -> Geometry:
        """Where beats lie in the chip."""
        row_beats = self.chip.row_bytes * 8 // self.data_width
        return Geometry(
            chip=self.chip,
            data_width=self.data_width,
            piece_beats=min(self.buffer_beats // 2, row_beats),
        )
