"""Which samples of a deformable convolution are taken together: as many as there is room for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import TypeAlias

from tilewright.compiler.ir import DeformConv2d
from tilewright.compiler.ir.deformable import reach
from tilewright.compiler.schedule.array.sampled import SAMPLED, Deformation
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowering.context import Context, Pair
from tilewright.isa import EngineConfig

#: How a deformable layer can be computed.
ALGORITHMS = ("auto", "direct", SAMPLED)

Classes: TypeAlias = tuple[tuple[int, int], ...]
"""Ranges of vertical offsets."""


@dataclass(frozen=True)
class Piece:
    """Taps of the kernel whose samples are taken together.

    Parameters
    ----------
    rows, columns : of the kernel; all columns, or some of one row
    groups : the input's channel groups; None for all
    classes : ranges of vertical offsets, one after another
    """

    rows: range
    columns: range
    groups: range | None = None
    classes: Classes = ()

    @classmethod
    def of(cls, kernel: Pair) -> Piece:
        """Return the whole kernel."""
        return cls(range(kernel[0]), range(kernel[1]))

    def positions(self, kernel: Pair) -> range:
        """Return which taps they are, counted row by row."""
        first = self.rows.start * kernel[1] + self.columns.start
        return range(first, first + len(self.rows) * len(self.columns))


def groups_of_positions(config: EngineConfig, count: int, *, masked: bool) -> tuple[int, int]:
    """Return the channel groups of so many positions' offsets and masks."""
    return -(-2 * count // config.rows), -(-count // config.rows) * masked


def pieces_of(
    ctx: Context, op: DeformConv2d, deform: Deformation, groups: int, n_cg: int
) -> list[Piece]:
    """Return the pieces in which samples are taken first; none where that is not done.

    Parameters
    ----------
    groups : channel groups that a kernel group reads
    n_cg : channel groups of the input

    Raises
    ------
    EngineLimitError
        If there is no such algorithm, the engine has no sampler, or too few words for the positions
        of all taps, for a layer that is to be computed directly.
    """
    algorithm = ctx.algorithm(op.name)
    if op.name in ctx.algorithms and algorithm not in ALGORITHMS:
        raise EngineLimitError(
            f"{op.name}: its algorithms are {', '.join(ALGORITHMS)}, not {algorithm!r}"
        )
    config, offsets, least = ctx.config, deform.offset_range, least_columns(ctx, op)
    whole, loaded = Piece.of(op.kernel), deform.fits(config, least)
    if not loaded and (algorithm == "direct" or not config.offset_depth):
        needed = deform.row_words(config, least) << (deform.mask is not None)
        raise EngineLimitError(
            f"{op.name}: the offsets of {least} output pixels take {needed} words; "
            f"{at_least(config, 'offset_depth', needed)}"
        )
    if loaded:
        if algorithm == "direct" or (algorithm != SAMPLED and _direct(ctx, op, deform, groups)):
            return []
        if classes := _Rows.of(ctx, op, deform, whole).best(config, offsets):
            return [replace(whole, classes=classes)]
    cut: list[Piece] = []
    for pieces in _cuts(op.kernel):
        most = max(len(piece.positions(op.kernel)) for piece in pieces)
        if not loaded and not of_positions(ctx, deform, most).fits(config, least):
            continue
        found = [_Rows.of(ctx, op, deform, piece).best(config, offsets) for piece in pieces]
        # If none is found: the plan knows better, or says why not.
        cut = [replace(p, classes=c or (offsets,)) for p, c in zip(pieces, found, strict=True)]
        if all(found):
            break
    else:
        if loaded:
            return [replace(whole, classes=(offsets,))] if algorithm == SAMPLED else []
    return [replace(p, groups=range(g, g + 1)) for g in range(n_cg) for p in cut]


def of_positions(ctx: Context, deform: Deformation, count: int) -> Deformation:
    """Return a deformation with so many positions and no others in memory."""
    groups = groups_of_positions(ctx.config, count, masked=deform.mask is not None)
    return replace(deform, position_groups=groups)


def least_columns(ctx: Context, op: DeformConv2d) -> int:
    """Return the columns of results that are the fewest at once."""
    return min(ctx.config.beat_pixels, ctx.values[op.output].shape[2])


def _direct(ctx: Context, op: DeformConv2d, deform: Deformation, groups: int) -> bool:
    """Return whether the rows that windows reach fit, in strips of columns or without."""
    config, offsets = ctx.config, deform.offset_range
    rows = _Rows.of(ctx, op, deform, Piece.of(op.kernel))
    samples = groups * deform.positions * -(-ctx.values[op.output].shape[2] // config.cols)
    if groups * rows.words(offsets) <= max(config.act_depth, samples):
        return True  # or takes less than samples do
    if rows.classes(offsets, config.act_depth):
        return False
    return any(groups * n.words(offsets) <= config.act_depth for n in rows.narrower(config))


def _cuts(kernel: Pair) -> Iterator[list[Piece]]:
    """Yield cuts of a kernel into smaller and smaller pieces."""
    height, width = kernel
    sizes = [(n, width) for n in range(height, 0, -1)] + [(1, n) for n in range(width - 1, 0, -1)]
    for rows, columns in sizes:
        yield [
            Piece(range(r, min(r + rows, height)), range(s, min(s + columns, width)))
            for r, s in product(range(0, height, rows), range(0, width, columns))
        ]


@dataclass(frozen=True)
class _Rows:
    """The rows that one row of positions reads, of one channel group.

    Parameters
    ----------
    height : of the input
    pitch : lane words of a row on chip
    between : rows from the first tap to the last
    fraction : bits below the point of an offset
    columns, reach : of the results, and what one of them reads
    stride : columns from what one reads to the next
    """

    height: int
    pitch: int
    between: int
    fraction: int
    columns: int
    reach: int
    stride: int

    @classmethod
    def of(cls, ctx: Context, op: DeformConv2d, deform: Deformation, piece: Piece) -> _Rows:
        """Return those of some taps of a layer."""
        _, height, width = ctx.values[op.input].shape
        kernel = len(piece.rows), len(piece.columns)
        between, across = ((k - 1) * d for k, d in zip(kernel, op.dilation, strict=True))
        first, end = reach(deform.offset_range, deform.fraction, 0, across)
        return cls(
            height,
            -(-width // ctx.config.cols) | 1,
            between,
            deform.fraction,
            ctx.values[op.output].shape[2],
            end - first,
            op.stride[1],
        )

    def narrower(self, config: EngineConfig) -> Iterator[_Rows]:
        """Yield rows of fewer and fewer columns of results."""
        columns = self.columns
        while columns > config.beat_pixels:
            columns = max(config.beat_pixels, columns * 2 // 3)
            read = (columns - 1) * self.stride + self.reach
            pitch = -(-read // config.cols) | 1
            if pitch < self.pitch:
                yield replace(self, pitch=pitch)

    def words(self, offsets: tuple[int, int]) -> int:
        """Return the lane words of the rows that a range of offsets reaches."""
        first, end = reach(offsets, self.fraction, 0, self.between)
        rows = min(end - first, self.height)
        return (rows + rows % 2) * self.pitch

    def best(self, config: EngineConfig, offsets: tuple[int, int]) -> Classes:
        """Return the classes of a range in as wide a strip of columns as has any, or none."""
        strips = (self, *self.narrower(config))
        return next((found for n in strips if (found := n.classes(offsets, config.act_depth))), ())

    def classes(self, offsets: tuple[int, int], depth: int) -> Classes:
        """Cut a range into the fewest that ``depth`` words hold, at whole pixels; () if none do."""
        low, high = offsets
        first, last = low >> self.fraction, high >> self.fraction
        for count in range(1, last - first + 2):
            size = -(-(last - first + 1) // count)
            cuts = range(first + size, last + 1, size)
            begins = [low, *(cut << self.fraction for cut in cuts)]
            ends = [*((cut << self.fraction) - 1 for cut in cuts), high]
            classes = tuple(zip(begins, ends, strict=True))
            if max(map(self.words, classes)) <= depth:
                return classes
        return ()
