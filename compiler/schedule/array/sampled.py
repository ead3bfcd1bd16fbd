"""Where windows come from: positions that are data, and samples that were taken at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from tilewright.compiler.ir.deformable import reach
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.windows import PositionPlace, PositionSource, Windows
from tilewright.compiler.schedule.array.work import Work
from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.passes import least_last_parts

#: What takes all samples before the convolution.
SAMPLED = "sampled"


@dataclass(frozen=True, kw_only=True)
class Deformation:
    """Positions at which an operation samples its input, which are data.

    Parameters
    ----------
    offset, mask : value names; the channels lie in memory in the model's order
    fraction, mask_fraction : bits below the point; a mask of None has 0
    shared : channel groups of the operand that share their offsets
    offset_range : the least and the greatest offset, in units of ``2**-fraction`` pixels
    taken : the range of the vertical offsets at which samples are taken
    positions : int, of each channel group: the taps of the kernel
    position_words : words of the offset buffer for one output row, of offsets and of masks
    """

    offset: str
    mask: str | None
    fraction: int
    mask_fraction: int
    shared: int
    offset_range: tuple[int, int]
    taken: tuple[int, int]
    positions: int
    position_words: tuple[int, int]

    @property
    def offsets_taken(self) -> tuple[int, int]:
        """The least and the greatest vertical offset of a sample, in units of a fraction."""
        return max(self.offset_range[0], self.taken[0]), min(self.offset_range[1], self.taken[1])


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledWindows(Windows):
    """Windows that the engine puts together from samples between pixels.

    Parameters
    ----------
    deform : Deformation
    """

    deform: Deformation

    pairs_of_rows: ClassVar[bool] = True
    row_by_row: ClassVar[bool] = True
    waits: ClassVar[bool] = True
    quick_words: ClassVar[int] = 1

    @property
    def positions(self) -> tuple[PositionSource, ...]:
        """Values in memory that say where windows are."""
        deform = self.deform
        if deform.mask is None:
            return (PositionSource(deform.offset, None),)
        return PositionSource(deform.offset, 0), PositionSource(deform.mask, 1)

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows of the input that row 0 of the results can reach, as (first, end)."""
        first = -self.padding[0]
        last = first + (self.kernel[0] - 1) * self.dilation[0]
        return reach(self.deform.offsets_taken, self.deform.fraction, first, last)

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses that assemble one window: one for each pixel."""
        return config.cols

    def rows_at_once(self, config: EngineConfig, rows: int) -> int:
        """Return of how many of some rows the positions are in the buffer together.

        They take half of it if that is possible, so that the next are loaded meanwhile.
        """
        room = config.offset_depth if self.deform.mask is None else config.offset_depth // 2
        most = room // max(self.deform.position_words)
        tiles = max(1, -(-rows // max(1, most // 2)))
        return max(1, -(-rows // tiles))  # where no row is read, none is computed

    def too_large(
        self, words: int, rings: Mapping[str, Ring], config: EngineConfig
    ) -> tuple[str, str]:
        """Return why rows of so many lane words do not fit on chip, and what helps beside room."""
        low, high = (n / (1 << self.deform.fraction) for n in self.deform.offsets_taken)
        rows = max(rings[value].rows for value in self.inputs)
        why = (
            f"offsets of {low:g} to {high:g} pixels need {rows} rows at once, which take {words} "
            f"words of each lane ({words * config.cols * config.rows} bytes)"
        )
        return (
            why,
            ". Or bound the offsets: tilewright.nn.QuantOffset(bound=...)",
        )

    def lead(
        self, config: EngineConfig, work: Work, command: Compute, places: tuple[PositionPlace, ...]
    ) -> Deform:
        """Return the command that lets the next one sample."""
        deform, ring = self.deform, work.rings[0]
        first = work.cg // deform.shared * deform.positions + (work.section.tap or 0)
        row, end = self.input_rows(work.first, work.end)
        offsets, masks = places[0], places[-1]
        group_step = work.rows * offsets.row_step
        group, byte = divmod(2 * first, config.rows)
        mask_group, mask_byte = divmod(first, config.rows)
        masked = deform.mask is not None
        return Deform(
            layer=command.layer,
            fraction=deform.fraction,
            mask_fraction=deform.mask_fraction,
            dy_least=deform.taken[0],
            dy_most=deform.taken[1],
            taps=command.n_r * command.n_s,
            shared=deform.shared,
            row_pitch=ring.row,
            first_row=row,
            rows=end - row,
            row_base=ring.offset(row),
            last_parts=least_last_parts(config, command),
            offset_base=offsets.base + group * group_step,
            offset_byte=byte,
            mask_base=masks.base + mask_group * group_step if masked else 0,
            mask_byte=mask_byte if masked else 0,
            row_step=offsets.row_step,
            group_step=group_step,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class StackedWindows(Windows):
    """Samples at all taps that were taken before, each tap a channel group of its own.

    Parameters
    ----------
    taps : for each channel group of the layer's input
    """

    taps: int

    algorithm: ClassVar[str] = SAMPLED

    @property
    def planes(self) -> int:
        """Channel groups that are read for each one of the layer's input."""
        return self.taps

    def too_large(
        self, words: int, rings: Mapping[str, Ring], config: EngineConfig
    ) -> tuple[str, str]:
        """Return why rows of so many lane words do not fit on chip, and what helps beside room."""
        return f"the samples of one output row take {words} words of each lane", ""
