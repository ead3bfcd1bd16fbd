"""Deformable convolution as array operations: windows that are put together from samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.ir import DeformConv2d
from tilewright.compiler.ir.deformable import fraction_bits, reach
from tilewright.compiler.ir.op import Op
from tilewright.compiler.schedule.array.sampled import (
    SAMPLED,
    Deformation,
    SampledWindows,
    StackedWindows,
)
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowering.context import Context
from tilewright.compiler.schedule.lowering.table import lowering
from tilewright.compiler.schedule.order.offsets import (
    cut_by_offsets,
    fill,
    grouped_order,
    shared_groups,
)
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig

#: How a deformable layer can be computed.
ALGORITHMS = ("auto", "direct", SAMPLED)


def deform_conv(ctx: Context, op: DeformConv2d) -> None:
    """Emit a convolution whose windows are sampled at positions that are data.

    Where the rows that a window can reach fit on chip, in one operation. Else all samples are
    taken first, a channel group after another, and are an ordinary layer's input.
    """
    ctx.check_weights(op.name, op.weight)
    source, shared = _by_offset_groups(ctx, op)
    deform = _deformation(ctx, op, shared)
    config, taps = ctx.config, deform.positions
    arrangement = ctx.weighted(source, op.weight, op.groups)
    groups = 1
    if not arrangement.per_group:
        groups = max(-(-s.channels // config.rows) for s in arrangement.sections)
    classes = _classes(ctx, op, deform, groups)
    windows: Windows
    if classes:
        source = _sampled(ctx, op, source, deform, classes)
        sections = tuple(fill(s, taps, config.rows) for s in arrangement.sections)
        plain = ctx.windows(source)
        windows = StackedWindows(operands=plain.operands, type=plain.type, pad=plain.pad, taps=taps)
    else:
        sections = cut_by_offsets(
            arrangement.sections, deform.shared, arrangement.per_group, config.rows, taps
        )
        windows = _windows(ctx, op, source, deform)
    in_type, out_type = ctx.values[op.input], ctx.values[op.output]
    ctx.emit(
        ctx.operation(
            op.name,
            op.kind,
            windows,
            replace(arrangement, sections=sections),
            op.output,
            op.requantize,
            bias=op.bias - op.weight.reshape(len(op.weight), -1).sum(1) * in_type.zero_point,
            macs=op.weight.size * out_type.shape[1] * out_type.shape[2],
        )
    )


def _windows(ctx: Context, op: DeformConv2d, source: str, deform: Deformation) -> SampledWindows:
    """Return a layer's windows, sampled from ``source``."""
    plain = ctx.windows(source)
    return SampledWindows(
        operands=plain.operands,
        type=plain.type,
        kernel=op.kernel,
        stride=op.stride,
        dilation=op.dilation,
        padding=(op.padding[0], op.padding[2]),
        pad=plain.pad,
        deform=deform,
    )


def _classes(
    ctx: Context, op: DeformConv2d, deform: Deformation, groups: int
) -> list[tuple[int, int]]:
    """Return the classes of offsets in which samples are taken first; none where that is not done.

    ``groups``: channel groups that a kernel group reads.
    """
    config, algorithm = ctx.config, ctx.algorithm(op.name)
    if op.name in ctx.algorithms and algorithm not in ALGORITHMS:
        raise EngineLimitError(
            f"{op.name}: its algorithms are {', '.join(ALGORITHMS)}, not {algorithm!r}"
        )
    rows = _Rows.of(ctx, op, deform)
    needed = groups * rows.words(deform.offset_range)
    samples = groups * deform.positions * -(-ctx.values[op.output].shape[2] // config.cols)
    fits = needed <= max(config.act_depth, samples)  # or takes less than samples do
    if algorithm == "direct" or (fits and algorithm != SAMPLED):
        return []
    offsets, depth = deform.offset_range, config.act_depth
    if classes := rows.classes(offsets, depth):
        return classes
    narrower = list(rows.narrower(config))
    if algorithm != SAMPLED and any(groups * n.words(offsets) <= depth for n in narrower):
        return []  # it fits in strips of columns
    anyway = [offsets] if algorithm == SAMPLED else []  # the plan knows better, or says why not
    return next((found for n in narrower if (found := n.classes(offsets, depth))), anyway)


def _sampled(
    ctx: Context,
    op: DeformConv2d,
    source: str,
    deform: Deformation,
    classes: Sequence[tuple[int, int]],
) -> str:
    """Emit the samples at all taps, and return their name.

    They are of the input's type, since they are rounded here as well, and lie tap by tap for each
    channel group. Where not even one channel group's rows fit, offsets are cut into ``classes``:
    each sample is taken in one of them, and is zero in the others; then they are added.
    """
    kind, taps, rows = ctx.values[source], deform.positions, ctx.config.rows
    channels, (_, height, width) = kind.shape[0], ctx.values[op.output].shape
    order = ctx.view(source).order.reshape(-1, 1, rows)
    of_taps = np.where(order >= 0, order * taps + np.arange(taps)[:, None], -1).reshape(-1)
    apart = ctx.apart(np.ones((len(of_taps) // rows, 1, rows), np.int16), of_taps)
    (whole,) = apart.sections
    sections = tuple(
        replace(whole, kg=kg, cg=kg // taps, tap=kg % taps, weights=whole.weights[kg : kg + 1])
        for kg in range(whole.n_kg)
    )
    total = ""
    for number, taken in enumerate(classes):
        samples = ctx.fresh(f"{op.output}.samples" + f".{number}" * (len(classes) > 1))
        ctx.values[samples] = replace(kind, shape=(channels * taps, height, width))
        ctx.emit(
            ctx.operation(
                f"{op.name}.samples",
                "Sample",
                _windows(ctx, op, source, replace(deform, taken=taken)),
                replace(apart, sections=sections),
                samples,
                None,
                bias=[0] * channels * taps,
                macs=0,
            )
        )
        if number == 0:
            total = samples
            continue
        before, total = total, ctx.fresh(f"{op.output}.sum.{number}")
        ctx.values[total] = ctx.values[samples]
        ctx.per_channel(
            f"{op.name}.sum",
            "Copy",
            ctx.windows(before, samples),
            total,
            None,
            taps=2,
            bias=-kind.zero_point,
            order=of_taps,
            macs=0,
        )
    return total


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
    def of(cls, ctx: Context, op: DeformConv2d, deform: Deformation) -> _Rows:
        """Return those of a layer."""
        _, height, width = ctx.values[op.input].shape
        between, across = ((k - 1) * d for k, d in zip(op.kernel, op.dilation, strict=True))
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

    def classes(self, offsets: tuple[int, int], depth: int) -> list[tuple[int, int]]:
        """Cut a range into the fewest that ``depth`` words hold, at whole pixels; [] if none do."""
        low, high = offsets
        first, last = low >> self.fraction, high >> self.fraction
        for count in range(1, last - first + 2):
            size = -(-(last - first + 1) // count)
            cuts = range(first + size, last + 1, size)
            begins = [low, *(cut << self.fraction for cut in cuts)]
            ends = [*((cut << self.fraction) - 1 for cut in cuts), high]
            classes = list(zip(begins, ends, strict=True))
            if max(map(self.words, classes)) <= depth:
                return classes
        return []


def _by_offset_groups(ctx: Context, op: DeformConv2d) -> tuple[str, int]:
    """Return the input where offset groups have channel groups of their own, and how many each."""
    channels, rows = ctx.values[op.input].shape[0], ctx.config.rows
    shared = shared_groups(ctx.view(op.input).order, channels, op.offset_groups, rows)
    if shared is not None:
        return op.input, shared
    source = ctx.fresh(f"{op.output}.arranged")
    order = grouped_order(channels, op.offset_groups, rows)
    ctx.arrange(f"{op.name}.arranged", op.input, source, order)
    return source, len(order) // rows // op.offset_groups


def _deformation(ctx: Context, op: DeformConv2d, shared: int) -> Deformation:
    """Return where samples come from; put offsets and masks in memory in the model's order."""
    config, offsets = ctx.config, ctx.values[op.offset]
    mask, mask_groups, mask_fraction = None, 0, 0
    if op.mask is not None:
        masks = ctx.values[op.mask]
        mask_groups = -(-masks.shape[0] // config.rows)
        mask_fraction = fraction_bits(masks, 1) or 0
        _, most = ctx.ranges[op.mask]
        if most > 1 << mask_fraction:
            raise UnsupportedError(
                op.name,
                f"a mask of up to {most * masks.scale:g}: the engine's are at most 1",
                "Use tilewright.nn.QuantMask.",
            )
        mask = _in_model_order(ctx, op, op.mask, "mask")
    fraction = fraction_bits(offsets) or 0
    for name, bits in (("offset_fraction", fraction), ("mask_fraction", mask_fraction)):
        if bits > getattr(config, name):
            raise EngineLimitError(
                f"{op.name}: {name.partition('_')[0]}s have {bits} bits below the point; "
                f"{at_least(config, name, bits)}"
            )
    deform = Deformation(
        offset=_in_model_order(ctx, op, op.offset, "offset"),
        mask=mask,
        fraction=fraction,
        mask_fraction=mask_fraction,
        shared=shared,
        offset_range=ctx.ranges[op.offset],
        taken=(-128, 127),
        positions=op.kernel[0] * op.kernel[1],
        position_groups=(-(-offsets.shape[0] // config.rows), mask_groups),
    )
    least = min(config.beat_pixels, offsets.shape[2])
    # Offsets and masks have half of the buffer each.
    needed = deform.row_words(config, least) << (mask is not None)
    if needed > config.offset_depth:
        raise EngineLimitError(
            f"{op.name}: the offsets of {least} output pixels take {needed} words; "
            f"{at_least(config, 'offset_depth', needed)}"
        )
    return deform


def _in_model_order(ctx: Context, op: DeformConv2d, value: str, what: str) -> str:
    """Return a value that is stored in the model's order: this one, or a copy of it."""
    order, view = ctx.natural(value), ctx.view(value)
    if (view.parts, view.first) == ((value,), 0) and np.array_equal(view.order, order):
        return value
    copy = ctx.fresh(f"{op.output}.{what}")
    ctx.arrange(f"{op.name}.{what}", value, copy, order)
    return copy


LOWERINGS = (lowering(DeformConv2d, deform_conv),)
WITH_ALGORITHMS: tuple[type[Op], ...] = (DeformConv2d,)
