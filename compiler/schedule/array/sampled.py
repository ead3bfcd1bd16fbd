"""Where windows come from: positions that are data, and samples that were taken at them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from tilewright.compiler.ir.deformable import reach
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.windows import PositionPlace, PositionSource, Windows
from tilewright.compiler.schedule.array.work import Chunk, Work, cut_at
from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.layout import align
from tilewright.isa.passes import least_last_parts

#: What takes all samples before the convolution.
SAMPLED = "sampled"


def position_words(config: EngineConfig, columns: int) -> int:
    """Return the words that columns of a row of offsets take in the buffer: whole beats."""
    return align(columns * config.rows, config.bus_bytes) // config.rows


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
    positions : int, of each offset group: the taps of the kernel
    position_groups : channel groups of offsets and of masks
    first : int, added to a sample's position where ``offset`` has not all of them
    """

    offset: str
    mask: str | None
    fraction: int
    mask_fraction: int
    shared: int
    offset_range: tuple[int, int]
    taken: tuple[int, int]
    positions: int
    position_groups: tuple[int, int]
    first: int = 0

    @property
    def offsets_taken(self) -> tuple[int, int]:
        """The least and the greatest vertical offset of a sample, in units of a fraction."""
        return max(self.offset_range[0], self.taken[0]), min(self.offset_range[1], self.taken[1])

    def row_words(self, config: EngineConfig, columns: int) -> int:
        """Return the words of the offset buffer for so many columns of a row: offsets or masks."""
        return max(self.position_groups) * position_words(config, columns)

    def fits(self, config: EngineConfig, columns: int) -> bool:
        """Return whether there are words for so many columns of a row."""
        return self.row_words(config, columns) <= self.room(config)

    def room(self, config: EngineConfig) -> int:
        """Return the words that there are for offsets, and for masks."""
        return config.offset_depth if self.mask is None else config.offset_depth // 2


@dataclass(frozen=True, kw_only=True, eq=False)
class SampledWindows(Windows):
    """Windows that the engine puts together from samples between pixels.

    Parameters
    ----------
    deform : Deformation
    """

    deform: Deformation

    pairs_of_rows: ClassVar[bool] = True
    on_grid: ClassVar[bool] = False
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

    def unclipped_part(self, first: int, end: int, kernel_rows: range) -> tuple[int, int]:
        """Return the rows that results' rows can reach: whatever the row of the kernel."""
        return self.unclipped(first, end)

    @property
    def shared_groups(self) -> int:
        """Channel groups with positions of their own together."""
        return self.deform.shared

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses that assemble one window: one for each pixel."""
        return config.cols

    @cached_property
    def column_reach(self) -> tuple[int, int]:
        """Columns of the input that column 0 of the results can reach, as (first, end)."""
        first = -self.padding[1]
        last = first + (self.kernel[1] - 1) * self.dilation[1]
        return reach(self.deform.offset_range, self.deform.fraction, first, last)

    def at_once(self, config: EngineConfig, chunk: Chunk) -> Chunk:
        """Return of how much of some results the positions are in the buffer together.

        They take half of it if that is possible, so that the next are loaded meanwhile.
        """
        chunk = super().at_once(config, chunk)
        room, columns = self.deform.room(config), chunk.columns
        if self.deform.row_words(config, columns) > room:
            columns = cut_at(config, room // 2 // max(self.deform.position_groups), 1)
        most = room // self.deform.row_words(config, columns)
        tiles = max(1, -(-chunk.rows // max(1, most // 2)))
        # Where no row is read, none is computed.
        return chunk._replace(rows=max(1, -(-chunk.rows // tiles)), columns=columns)

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
        first = deform.first + work.cg // deform.shared * deform.positions
        first += work.section.tap or 0
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
            first_row=row - self.rows_above(work),
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
