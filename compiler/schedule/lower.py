"""Every operator of the IR as array operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Gate,
    Graph,
    Linear,
    Lookup,
    MaxPool2d,
    Op,
    PixelShuffle,
    PixelUnshuffle,
    Requantize,
    Rescale,
    RoundedConv2d,
    SelectChannels,
    TensorType,
    Upsample,
    UpsampleBilinear,
    accumulator_range,
)
from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.ir.intervals import WITH_ACCUMULATOR
from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.isa.layout import FeatureMapLayout
from tilewright.compiler.schedule.array_op import (
    ArrayOp,
    Deformation,
    EngineLimitError,
    Operand,
    Section,
    Stage,
    TileTerm,
)
from tilewright.compiler.schedule.channels import (
    ChannelOrder,
    View,
    multiplied_order,
    natural_order,
)
from tilewright.compiler.schedule.deformable import (
    cut_by_offsets,
    grouped_order,
    row_words,
    shared_groups,
    value_range,
)
from tilewright.compiler.schedule.objective import Objective
from tilewright.compiler.schedule.sections import (
    copy_sections,
    dense_sections,
    segment_sections,
    share_channels,
    total_steps,
)
from tilewright.compiler.schedule.taps import interpolations, reached, useful_taps
from tilewright.compiler.schedule.tiles import (
    AUTOMATIC,
    channel_shares,
    check_tiles,
    choose_tiling,
)
from tilewright.compiler.winograd.integer import bits_for
from tilewright.compiler.winograd.kernels import kernel_transform, ordered
from tilewright.compiler.winograd.terms import Tiling, tilings
from tilewright.errors import UnsupportedError

MAX_STEP = 7
"""Pixels from one result to the next, at most: what a command's ``dst_step`` holds."""


@dataclass(frozen=True)
class LoweredGraph:
    """Stages in execution order, and the types and channel orders of all values they touch.

    ``orders``: of stored values; ``pixels``: bytes of a pixel in memory, of those that have fewer
    than ``rows``.
    """

    graph: Graph
    config: EngineConfig
    values: dict[str, TensorType]
    orders: dict[str, ChannelOrder]
    pixels: dict[str, int]
    stages: tuple[Stage, ...]

    def layout(self, value: str) -> FeatureMapLayout:
        """Return how a value lies in memory."""
        shape, order = self.values[value].shape, tuple(self.orders[value])
        return FeatureMapLayout(self.config, *shape, order=order, pixel=self.pixels.get(value, 0))


def lower(
    graph: Graph,
    config: EngineConfig,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
) -> LoweredGraph:
    """Lower a verified graph for one engine.

    ``objective``, ``algorithms``: as for :func:`tilewright.compile`.

    Raises
    ------
    UnsupportedError
        If a value is wider than the engine's bytes.
    EngineLimitError
        If a multiplier is wider than the engine's.
    """
    convolutions = [op.name for op in graph.layers if isinstance(op, Conv2d | RoundedConv2d)]
    if unknown := set(algorithms) - {*convolutions, "*"}:
        raise EngineLimitError(
            f"an algorithm is given for {min(unknown)!r}, which is no convolution's name; there "
            f"are {', '.join(convolutions)}"
        )
    lowering = _Lowering(graph, config, objective, algorithms)
    for index, op in enumerate(graph.layers):
        lowering.lower(index, op)
    stages = tuple(lowering.stages)
    return LoweredGraph(
        graph, config, lowering.values, lowering.orders, _narrow_inputs(graph, config), stages
    )


def _narrow_inputs(graph: Graph, config: EngineConfig) -> dict[str, int]:
    """Return the inputs of few channels, and the bytes that their pixels need in memory."""
    outputs = {op.input for op in graph.outputs}
    outputs |= {op.gate for op in graph.ops if isinstance(op, Gate)}
    outputs |= {v for op in graph.ops if isinstance(op, DeformConv2d) for v in op.inputs[1:]}
    result = {}
    for op in graph.inputs:
        channels = graph.values[op.output].shape[0]
        sizes = [size for size in config.pixel_sizes if size >= channels]
        if sizes and op.output not in outputs:
            result[op.output] = min(sizes)
    return result


class _Lowering:
    def __init__(
        self,
        graph: Graph,
        config: EngineConfig,
        objective: Objective,
        algorithms: Mapping[str, str],
    ) -> None:
        self.config = config
        self.objective = objective
        self.algorithms = algorithms
        self.graph = graph
        self.producers = graph.producers()
        self.values = dict(graph.values)
        self.stages: list[Stage] = []
        self.orders: dict[str, ChannelOrder] = {}
        self.views: dict[str, View] = {}
        self.results = {op.input for op in graph.outputs}
        for graph_input in graph.inputs:
            self.orders[graph_input.output] = self.natural(graph_input.output)
        for op in graph.ops:
            for value in op.outputs:
                self.check_width(op.name, self.values[value])

    def natural(self, value: str) -> ChannelOrder:
        return natural_order(self.values[value].shape[0], self.config.rows)

    def view(self, value: str) -> View:
        """Return where the channels of a value lie."""
        return self.views.get(value) or View.of({value: self.orders[value]}, self.config.rows)

    def check_width(self, name: str, kind: TensorType) -> None:
        if kind.bits > 8:
            raise UnsupportedError(
                name,
                f"the output has {kind.bits} bits and the engine's activations are bytes",
                "Quantize it to 8 bits or fewer.",
            )

    def check_accumulator(self, op: Op) -> None:
        lows, highs = accumulator_range(op, self.values)
        low, high = int(lows.min()), int(highs.max())
        needed = max((-low - 1).bit_length(), high.bit_length()) + 1
        if needed > self.config.acc_width:
            raise EngineLimitError(
                f"{op.name}: the accumulator can reach {low}..{high}; the engine's acc_width must "
                f"be at least {needed}, not {self.config.acc_width}"
            )

    def lower(self, index: int, op: Op) -> None:
        if isinstance(op, WITH_ACCUMULATOR):
            self.check_accumulator(op)
        match op:
            case Conv2d():
                self.conv(index, op)
            case RoundedConv2d():
                self.rounded_conv(index, op)
            case DeformConv2d():
                self.deform_conv(index, op)
            case ConvTranspose2d():
                self.conv_transpose(index, op)
            case Linear():
                self.linear(index, op)
            case MaxPool2d():
                self.max_pool(index, op)
            case AvgPool2d():
                self.avg_pool(index, op)
            case Rescale():
                self.rescale(index, op.name, op.input, op.output, op.requantize)
            case Gate():
                self.gate(index, op)
            case Lookup():
                self.lookup(index, op)
            case Add():
                self.add(index, op)
            case Concat():
                self.concat(index, op)
            case SelectChannels():
                self.select(index, op)
            case UpsampleBilinear():
                self.upsample_bilinear(index, op)
            case Upsample() | PixelShuffle() | PixelUnshuffle():
                self.move_pixels(index, op)
            case _:
                raise UnsupportedError(
                    op.name, f"the engine has no {op.kind}", "See docs/supported_ops.md."
                )

    def array_op(
        self,
        index: int,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        output: str,
        requantize: Requantize | None,
        *,
        bias: Any,
        macs: int,
        **geometry: Any,
    ) -> ArrayOp:
        """Return an array operation; ``geometry`` is what differs between operators.

        ``bias`` is by channel; the order of the output's channels must be known.
        """
        config = self.config
        in_type, out_type = self.values[inputs[0]], self.values[output]
        order = self.orders[output]
        if requantize is None:
            channels = out_type.shape[0]
            requantize = Requantize(
                (1,) * channels, (0,) * channels, 0, out_type.qmin, out_type.qmax
            )
        if requantize.multiplier_width > config.multiplier_width:
            raise EngineLimitError(
                f"{name}: a multiplier has {requantize.multiplier_width} bits; the engine's "
                f"multiplier_width must be at least that, not {config.multiplier_width}"
            )
        geometry.setdefault("kernel", (1, 1))
        # Where there is one window only, as in global pooling, its stride means nothing; engines
        # are slower with strides that share a divisor with cols, and limit them.
        vertical, horizontal = geometry.get("stride", (1, 1))
        _, height, width = out_type.shape
        geometry["stride"] = (vertical if height > 1 else 1, horizontal if width > 1 else 1)
        geometry.setdefault("dilation", (1, 1))
        geometry.setdefault("padding", (0, 0))
        geometry.setdefault("maximum", False)
        geometry.setdefault("pad", in_type.zero_point)

        def rows(values: Any) -> NDArray[np.int64]:
            by_slot = np.where(order >= 0, np.asarray(values, np.int64)[order], 0)
            return by_slot.reshape(-1, config.rows)

        return ArrayOp(
            name=name,
            kind=kind,
            layer=index,
            operands=tuple(Operand(v.parts, v.first) for v in map(self.view, inputs)),
            output=output,
            input_type=in_type,
            output_type=out_type,
            zero_point=requantize.zero_point,
            qmin=requantize.qmin,
            qmax=requantize.qmax,
            bias=rows(bias),
            multiplier=rows(requantize.multiplier),
            shift=rows(requantize.shift),
            macs=int(macs),
            **geometry,
        )

    def emit(self, *ops: ArrayOp) -> None:
        """Append a stage."""
        self.stages.append(Stage(ops))

    def conv(self, index: int, op: Conv2d, kind: str = "Conv2d") -> None:
        """Emit a convolution; one of another kind computes nothing."""
        in_type, out_type = self.values[op.input], self.values[op.output]
        self.check_weights(op.name, op.weight)
        rows, columns = useful_taps(op.weight, op.dilation)
        weight = op.weight[:, :, rows][:, :, :, columns]
        kernel = (weight.shape[2], weight.shape[3])
        self.gather_for(index, op, kernel)
        zero_points = weight.reshape(len(weight), -1).sum(1) * in_type.zero_point
        padding = (
            op.padding[0] - rows.start * op.dilation[0],
            op.padding[2] - columns.start * op.dilation[1],
        )
        macs = (kind == op.kind) * weight.size * out_type.shape[1] * out_type.shape[2]

        part = partial(self.conv_part, index, op, kind, bias=op.bias - zero_points)
        plain = part(
            weight,
            kernel=kernel,
            stride=op.stride,
            dilation=(op.dilation[0] * rows.step, op.dilation[1] * columns.step),
            padding=padding,
            macs=macs,
        )
        chosen = choose_tiling(plain, weight, self.config, self.objective, self.algorithm(op.name))
        if chosen is None:
            self.emit(plain)
            return
        tiling, at_load = ordered(chosen[0]), chosen[1]
        kernels = tiling.transform_kernels(weight)
        self.emit_tiles(plain, part, tiling, kernels, at_load=at_load)

    def rounded_conv(self, index: int, op: RoundedConv2d) -> None:
        """Emit the terms of a convolution with rounded kernels."""
        (_, height, width), zero_point = (
            self.values[op.output].shape,
            self.values[op.input].zero_point,
        )
        known = (t.undivided for t in tilings(op.kernel, op.stride) if t.m == op.m)
        tiling = next(known, None)
        if (
            tiling is None
            or not np.array_equal(tiling.data, op.data_factors)
            or not np.array_equal(tiling.output, op.output_factors)
        ):
            raise EngineLimitError(f"{op.name}: the engine has no such tiles")
        if (asked := self.algorithms.get(op.name, str(tiling))) != str(tiling):
            raise EngineLimitError(
                f"{op.name}: its kernels are already those of {tiling}, not of {asked!r}"
            )
        bits = bits_for(int(op.kernels.min()), int(op.kernels.max()))
        if bits > self.config.kernel_width:
            raise EngineLimitError(f"{op.name}: the engine's kernel_width must be at least {bits}")
        self.gather_for(index, op, op.kernel)
        slots = np.array(kernel_transform(tiling).slots)
        if any((op.kernels[slots == slot] != op.kernels[i]).any() for i, slot in enumerate(slots)):
            raise EngineLimitError(f"{op.name}: terms of one kernel must have the same")
        # What an input of ones gives: the same at every place of a tile, since of the points of a
        # transform, constant data reach only the one that counts alike for all results.
        ones = np.einsum(
            "pij,pk,p->kij", op.output_factors, op.kernels.sum(2), op.data_factors.sum((1, 2))
        )
        assert (ones == ones[:, :1, :1]).all(), "zero points would need a bias for each place"
        part = partial(
            self.conv_part, index, op, op.kind, bias=op.bias - ones[:, 0, 0] * zero_point
        )
        plain = part(
            np.zeros((*op.kernels.shape[1:], *op.kernel), np.int64),
            kernel=op.kernel,
            stride=op.stride,
            padding=op.padding[::2],
            macs=op.kernels[0].size * op.kernel[0] * op.kernel[1] * height * width,
        )
        check_tiles(tiling, plain, self.config)
        self.emit_tiles(plain, part, tiling, op.kernels[..., None, None], at_load=False)

    def gather_for(self, index: int, op: Conv2d | RoundedConv2d, kernel: tuple[int, int]) -> None:
        """Pack the channels that a convolution reads, if that helps."""
        kernels = self.values[op.output].shape[0]
        if op.groups == 1:
            kernel_groups = -(-kernels // self.config.rows)
            self.gather(index, op.name, op.input, op.output, kernel, kernel_groups)
        elif op.groups == self.values[op.input].shape[0] == kernels:
            self.gather(index, op.name, op.input, op.output, kernel, None)

    def conv_part(
        self,
        index: int,
        op: Conv2d | RoundedConv2d,
        kind: str,
        weight: NDArray[np.int64],
        **fields: Any,
    ) -> ArrayOp:
        """Return a convolution, or a term of it, with a (K, C / groups, R, S) kernel."""
        return self.array_op(
            index,
            op.name,
            kind,
            (op.input,),
            op.output,
            op.requantize,
            **self.weighted(op.input, op.output, weight, op.groups),
            **fields,
        )

    def emit_tiles(
        self,
        plain: ArrayOp,
        part: Callable[..., ArrayOp],
        tiling: Tiling,
        kernels: NDArray[np.int64],
        *,
        at_load: bool,
    ) -> None:
        """Emit one operation for each term, with the (terms, K, C / groups, 1, 1) kernels.

        ``plain`` is the layer without tiles, and ``part`` makes an operation of it.
        """
        rows, taps = self.config.rows, plain.kernel[0] * plain.kernel[1]
        terms = [
            part(
                kernel,
                kernel=term.taps,
                stride=(tiling.m[0] * tiling.stride[0], tiling.m[1] * tiling.stride[1]),
                dilation=term.step,
                padding=(plain.padding[0] - term.first[0], plain.padding[1] - term.first[1]),
                out_step=tiling.m,
                term=TileTerm(tiling, number),
                macs=plain.macs if number == 0 else 0,
            )
            for number, (term, kernel) in enumerate(zip(tiling.terms, kernels, strict=True))
        ]
        shares = channel_shares(tiling, plain, self.config)
        ops = []
        for share in range(shares):
            own = share_channels(plain.sections, share, shares, taps, rows)
            for one in terms:
                assert one.term is not None
                place = replace(
                    one.term, share=share, shares=shares, kernels=own if at_load else ()
                )
                sections = share_channels(one.sections, share, shares, 1, rows)
                macs = one.macs if share == 0 else 0
                ops.append(replace(one, sections=sections, term=place, macs=macs))
        self.emit(*ops)

    def algorithm(self, name: str) -> str:
        """Return what was asked for a layer: "auto", "direct" or tiles."""
        return self.algorithms.get(name, self.algorithms.get("*", "auto"))

    def deform_conv(self, index: int, op: DeformConv2d) -> None:
        """Emit a convolution whose windows are sampled at positions that are data."""
        self.check_weights(op.name, op.weight)
        config, in_type, out_type = self.config, self.values[op.input], self.values[op.output]
        channels, (r, s) = in_type.shape[0], op.kernel
        source = op.input
        shared = shared_groups(self.view(source).order, channels, op.offset_groups, config.rows)
        if shared is None:
            source = f"{op.output}.arranged"
            order = grouped_order(channels, op.offset_groups, config.rows)
            self.arrange(index, f"{op.name}.arranged", op.input, source, order)
            shared = len(order) // config.rows // op.offset_groups
        common = self.weighted(source, op.output, op.weight, op.groups)
        common["sections"] = cut_by_offsets(
            common["sections"], shared, common["per_group"], config.rows, r * s
        )
        self.emit(
            self.array_op(
                index,
                op.name,
                op.kind,
                (source,),
                op.output,
                op.requantize,
                kernel=(r, s),
                stride=op.stride,
                dilation=op.dilation,
                padding=(op.padding[0], op.padding[2]),
                bias=op.bias - op.weight.reshape(len(op.weight), -1).sum(1) * in_type.zero_point,
                macs=op.weight.size * out_type.shape[1] * out_type.shape[2],
                deform=self.deformation(index, op, shared),
                **common,
            )
        )

    def deformation(self, index: int, op: DeformConv2d, shared: int) -> Deformation:
        """Return where samples come from; put offsets and masks in memory in the model's order."""
        config, offsets = self.config, self.values[op.offset]
        mask, mask_words, mask_fraction = None, 0, 0
        words = row_words(config, offsets.shape[0], offsets.shape[2])
        if op.mask is not None:
            masks = self.values[op.mask]
            mask_words = row_words(config, masks.shape[0], masks.shape[2])
            mask_fraction = fraction_bits(masks, 1) or 0
            _, most = value_range(self.producers, self.graph.values, op.mask)
            if most > 1 << mask_fraction:
                raise UnsupportedError(
                    op.name,
                    f"a mask of up to {most * masks.scale:g}: the engine's are at most 1",
                    "Use tilewright.nn.QuantMask.",
                )
            mask = self.in_model_order(index, op, op.mask, "mask")
        # Offsets and masks have half of the buffer each.
        needed = max(words, mask_words) << (mask is not None)
        if needed > config.offset_depth:
            least = max(16, 1 << (needed - 1).bit_length())
            raise EngineLimitError(
                f"{op.name}: the offsets of one output row take {needed} words; the engine's "
                f"offset_depth must be at least {least}, not {config.offset_depth}"
            )
        fraction = fraction_bits(offsets) or 0
        for name, bits in (("offset_fraction", fraction), ("mask_fraction", mask_fraction)):
            if bits > getattr(config, name):
                raise EngineLimitError(
                    f"{op.name}: {name.partition('_')[0]}s have {bits} bits below the point; the "
                    f"engine's {name} must be at least that, not {getattr(config, name)}"
                )
        return Deformation(
            offset=self.in_model_order(index, op, op.offset, "offset"),
            mask=mask,
            fraction=fraction,
            mask_fraction=mask_fraction,
            shared=shared,
            offset_range=value_range(self.producers, self.graph.values, op.offset),
            row_words=(words, mask_words),
        )

    def in_model_order(self, index: int, op: DeformConv2d, value: str, what: str) -> str:
        """Return a value that is stored in the model's order: this one, or a copy of it."""
        order, view = self.natural(value), self.view(value)
        if (view.parts, view.first) == ((value,), 0) and np.array_equal(view.order, order):
            return value
        copy = f"{op.output}.{what}"
        self.arrange(index, f"{op.name}.{what}", value, copy, order)
        return copy

    def conv_transpose(
        self, index: int, op: ConvTranspose2d, kind: str = "ConvTranspose2d"
    ) -> None:
        """Emit a convolution of stride 1 for every phase of the output.

        One of another kind computes nothing. Output row ``stride * q + phase`` is reached by every
        stride-th kernel row only, in reverse order; columns likewise. No multiplication with an
        inserted zero remains.
        """
        self.check_weights(op.name, op.weight)
        in_type, (_, out_height, out_width) = self.values[op.input], self.values[op.output].shape
        taps = [
            [reached(phase, s, pad, kernel) for phase in range(min(s, size))]
            for s, pad, kernel, size in zip(
                op.stride, op.padding[::2], op.kernel, (out_height, out_width), strict=True
            )
        ]
        ops = []
        for phase_y, (rows, top) in enumerate(taps[0]):
            for phase_x, (columns, left) in enumerate(taps[1]):
                weight = op.weight[:, :, rows][:, :, :, columns]
                if not weight.size:  # nothing but the bias arrives here
                    weight = np.zeros((*op.weight.shape[:2], 1, 1), np.int64)
                common = self.weighted(op.input, op.output, weight, op.groups)
                pixels = len(range(phase_y, out_height, op.stride[0])) * len(
                    range(phase_x, out_width, op.stride[1])
                )
                ops.append(
                    self.array_op(
                        index,
                        op.name,
                        kind,
                        (op.input,),
                        op.output,
                        op.requantize,
                        kernel=weight.shape[2:],
                        padding=(top, left),
                        out_step=op.stride,
                        out_offset=(phase_y, phase_x),
                        bias=op.bias - weight.reshape(len(weight), -1).sum(1) * in_type.zero_point,
                        macs=(kind == op.kind) * weight.size * pixels,
                        **common,
                    )
                )
        self.emit(*ops)

    def check_weights(self, name: str, weight: NDArray[np.int64]) -> None:
        limit = 1 << (self.config.weight_bits - 1)
        if weight.min(initial=0) < -limit or weight.max(initial=0) >= limit:
            raise UnsupportedError(
                name,
                f"a weight is not in {-limit}..{limit - 1}: the engine's weights have "
                f"{self.config.weight_bits} bits",
                "Quantize it to 4 bits, or take an engine with weight_bits=8.",
            )

    def apart(self, words: NDArray[np.int16]) -> dict[str, Any]:
        """Return the sections of an operation whose channels stay apart.

        ``words`` (n_kg, taps, rows) are its weights. Where rows share their activation in pairs,
        they take turns: each step belongs to one row of a pair, and is zero for the other.
        """
        log2 = self.config.least_segment_log2
        size = 1 << log2
        mine = np.arange(self.config.rows) % size == np.arange(size)[:, None]
        turns = np.where(mine, words[:, :, None, :], 0).reshape(len(words), -1, self.config.rows)
        section = Section(kg=0, cg=0, channels=size, weights=np.ascontiguousarray(turns))
        return {"sections": (section,), "segment_log2": log2, "per_group": True}

    def weighted(
        self, source: str, output: str, weight: NDArray[np.int64], groups: int
    ) -> dict[str, Any]:
        """Choose the order of the output's channels and the mapping of a convolution's groups.

        Either every group lies inside a segment of rows, or the array runs a dense layer over the
        channel groups that a kernel group reads, with zero weights between groups; whichever
        takes fewer steps.
        """
        rows = self.config.rows
        order = self.view(source).order
        kernels, per_group, height, width = weight.shape
        if per_group == 1 and kernels == groups:
            # Depthwise: row by row, in whatever order the channels come.
            self.orders[output] = order
            taps = height * width
            by_slot = np.where(order >= 0, weight.reshape(kernels, taps)[order].T, 0)
            words = by_slot.reshape(taps, -1, rows).transpose(1, 0, 2).astype(np.int16)
            return self.apart(words)
        dense_order = natural_order(kernels, rows)
        dense = dense_sections(weight, groups, order, dense_order, rows)
        if (
            groups > 1
            and 1 << self.config.least_segment_log2 <= per_group <= rows
            and per_group & (per_group - 1) == 0
            and np.array_equal(order, natural_order(per_group * groups, rows))
        ):
            segment_order = multiplied_order(groups, per_group, kernels // groups, rows)
            segmented = segment_sections(weight, groups, segment_order, rows, len(order) // rows)
            if total_steps(segmented) <= total_steps(dense):
                self.orders[output] = segment_order
                return {
                    "sections": segmented,
                    "segment_log2": per_group.bit_length() - 1,
                    "per_group": True,
                }
        self.orders[output] = dense_order
        return {
            "sections": dense,
            "segment_log2": (rows - 1).bit_length(),
            "per_group": False,
        }

    def linear(self, index: int, op: Linear) -> None:
        # The flattened input is a kernel as large as the feature map.
        in_type = self.values[op.input]
        channels, height, width = in_type.shape
        weight = op.weight.reshape(-1, channels, height, width)
        self.check_weights(op.name, op.weight)
        kernel_groups = -(-len(op.weight) // self.config.rows)
        self.gather(index, op.name, op.input, op.output, (height, width), kernel_groups)
        common = self.weighted(op.input, op.output, weight, 1)
        self.emit(
            self.array_op(
                index,
                op.name,
                op.kind,
                (op.input,),
                op.output,
                op.requantize,
                kernel=(height, width),
                bias=op.bias - op.weight.sum(1) * in_type.zero_point,
                macs=op.weight.size,
                **common,
            )
        )

    def per_channel(
        self,
        index: int,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        output: str,
        requantize: Requantize | None,
        *,
        taps: int,
        bias: int,
        **geometry: Any,
    ) -> None:
        """Emit an operation whose weights are all one and whose channels stay apart."""
        rows = self.config.rows
        out_type = self.values[output]
        order = self.orders[output] = self.view(inputs[0]).order
        words = np.ones((len(order) // rows, taps, rows), np.int16)
        self.emit(
            self.array_op(
                index,
                name,
                kind,
                inputs,
                output,
                requantize,
                bias=[bias] * out_type.shape[0],
                macs=taps * out_type.numel if kind != "Copy" else 0,
                **self.apart(words),
                **geometry,
            )
        )

    def max_pool(self, index: int, op: MaxPool2d) -> None:
        if not self.config.maximum:
            raise UnsupportedError(
                op.name,
                "the engine was built with maximum=False",
                "Take an average pool or a convolution with a stride, or an engine with "
                "maximum=True.",
            )
        lowest, _ = value_range(self.producers, self.graph.values, op.input)
        if self.config.weight_bits == 4 and lowest < 0:
            # The steps that belong to a row's neighbour give it a zero.
            raise UnsupportedError(
                op.name,
                "the input can be negative, and an engine with 4-bit weights finds the maximum of "
                "other values only",
                "Put it behind a ReLU, or take an engine with weight_bits=8.",
            )
        self.per_channel(
            index,
            op.name,
            op.kind,
            (op.input,),
            op.output,
            None,
            taps=op.kernel[0] * op.kernel[1],
            bias=0,
            kernel=op.kernel,
            stride=op.stride,
            dilation=op.dilation,
            padding=(op.padding[0], op.padding[2]),
            pad=self.values[op.input].qmin,
            maximum=True,
        )

    def avg_pool(self, index: int, op: AvgPool2d) -> None:
        taps = op.kernel[0] * op.kernel[1]
        self.per_channel(
            index,
            op.name,
            op.kind,
            (op.input,),
            op.output,
            op.requantize,
            taps=taps,
            bias=-taps * self.values[op.input].zero_point,
            kernel=op.kernel,
            stride=op.stride,
            padding=(op.padding[0], op.padding[2]),
        )

    def rescale(
        self, index: int, name: str, source: str, output: str, requantize: Requantize
    ) -> None:
        self.per_channel(
            index,
            name,
            "Rescale",
            (source,),
            output,
            requantize,
            taps=1,
            bias=-self.values[source].zero_point,
        )

    def gate(self, index: int, op: Gate) -> None:
        """Emit a depthwise operation whose weights are loaded from a feature map."""
        source, factor = self.values[op.input], self.values[op.gate]
        if self.config.weight_bits != 8:
            raise EngineLimitError(
                f"{op.name}: a product of two tensors needs weight_bits=8, not "
                f"{self.config.weight_bits}"
            )
        if source.zero_point or factor.zero_point or factor.qmax > 127:
            raise UnsupportedError(
                op.name,
                f"zero points {source.zero_point} and {factor.zero_point} and factors up to "
                f"{factor.qmax}: the engine multiplies without zero points, by factors up to 127",
                "Use symmetric quantizers, and for the factors a signed one or one of 7 bits.",
            )
        gate, order = op.gate, self.view(op.input).order
        stored = self.view(gate)
        if (stored.parts, stored.first) != ((gate,), 0) or not np.array_equal(stored.order, order):
            gate = f"{op.output}.arranged"
            self.arrange(index, f"{op.name}.arranged", op.gate, gate, order)
        self.per_channel(
            index, op.name, op.kind, (op.input,), op.output, op.requantize,
            taps=1, bias=0, gate=gate,
        )  # fmt: skip

    def lookup(self, index: int, op: Lookup) -> None:
        """Give the operation before it the table, or run it alone if others read its input too."""
        if not self.config.tables:
            raise EngineLimitError(
                f"{op.name}: an activation function needs a table; the engine's tables must be at "
                "least 1, not 0"
            )
        kind = self.values[op.input]
        table = np.zeros(256, np.uint8)
        table[np.arange(kind.qmin, kind.qmax + 1) & 0xFF] = op.table & 0xFF
        last = self.stages[-1] if self.stages else None
        readers = sum(other.inputs.count(op.input) for other in self.graph.ops)
        if last is None or last.output != op.input or last.ops[0].table is not None or readers > 1:
            same = Requantize(
                (1,) * kind.shape[0], (0,) * kind.shape[0], kind.zero_point, kind.qmin, kind.qmax
            )
            self.rescale(index, op.name, op.input, op.output, same)
            last = self.stages[-1]
        self.stages[-1] = Stage(
            tuple(
                replace(part, output=op.output, output_type=self.values[op.output], table=table)
                for part in last.ops
            )
        )
        self.orders[op.output] = self.orders[last.output]

    def add(self, index: int, op: Add) -> None:
        shared = TensorType(
            shape=self.values[op.output].shape,
            bits=op.shared_bits,
            signed=op.shared_signed,
            scale=1.0,  # not used: the requantizations hold all scales
            zero_point=op.requantize_a.zero_point,
        )
        if shared.bits > 8:
            raise UnsupportedError(
                op.name,
                f"the operands' common grid takes {shared.bits} bits and the engine's activations "
                "are bytes",
                "Give both operands one scale: a shared QuantIdentity, or QuantEltwiseAdd.",
            )
        operands, total_zero = [], 0
        for value, requantize, side in (
            (op.input_a, op.requantize_a, "a"),
            (op.input_b, op.requantize_b, "b"),
        ):
            kind = self.values[value]
            if changes_nothing(requantize, kind) and kind.signed == op.shared_signed:
                operands.append(value)
                total_zero += kind.zero_point
                continue
            scaled = f"{op.output}.{side}"
            self.values[scaled] = replace(shared, zero_point=requantize.zero_point)
            self.rescale(index, f"{op.name}.{side}", value, scaled, requantize)
            operands.append(scaled)
            total_zero += requantize.zero_point
        a, b = map(self.view, operands)
        shares = a.parts != b.parts and set(a.parts) & set(b.parts)
        if shares or not np.array_equal(a.order, b.order):
            copy = f"{op.output}.arranged"
            self.arrange(index, f"{op.name}.arranged", operands[1], copy, a.order)
            operands[1] = copy
        # The two operands are read like two channel groups.
        self.per_channel(
            index,
            op.name,
            op.kind,
            (operands[0], operands[1]),
            op.output,
            op.requantize,
            taps=2,
            bias=-total_zero,
        )

    def copy(self, index: int, name: str, source: str, output: str) -> None:
        """Emit a copy of a value, in the same order."""
        self.values.setdefault(output, self.values[source])
        self.per_channel(index, name, "Copy", (source,), output, None, taps=1, bias=0)

    def arrange(self, index: int, name: str, source: str, output: str, order: ChannelOrder) -> None:
        """Emit a copy of a value in another order."""
        kind = self.values[output] = self.values[source]
        self.orders[output] = order
        channels, rows = kind.shape[0], self.config.rows
        self.emit(
            self.array_op(
                index,
                name,
                "Copy",
                (source,),
                output,
                None,
                bias=[0] * channels,
                macs=0,
                sections=copy_sections(channels, self.view(source).order, order, rows),
                segment_log2=(rows - 1).bit_length(),
                per_group=False,
            )
        )

    def gather(
        self,
        index: int,
        name: str,
        source: str,
        output: str,
        kernel: tuple[int, int],
        kernel_groups: int | None,
    ) -> None:
        """Pack the channels that a layer reads, where steps for the gaps would cost more.

        ``kernel_groups``: of a dense layer; None for a depthwise one.
        """
        rows, least = self.config.rows, self.config.drain_cycles
        order, channels = self.view(source).order, self.values[source].shape[0]
        packed = np.full(-(-channels // rows) * rows, -1, np.int64)
        packed[:channels] = order[order >= 0]
        if len(packed) == len(order):
            return

        def steps(slots: int) -> int:
            taps = kernel[0] * kernel[1]
            if kernel_groups is None:
                return slots // rows * max(taps, least)
            return kernel_groups * max(taps * slots, least)

        sections = copy_sections(channels, order, packed, rows)
        copying = sum(section.n_kg * max(section.steps, least) for section in sections)
        pixels, results = (h * w for _, h, w in (self.values[v].shape for v in (source, output)))
        if copying * pixels < (steps(len(order)) - steps(len(packed))) * results:
            copy = f"{output}.gathered"
            self.arrange(index, f"{name}.gathered", source, copy, packed)
            self.views[source] = self.view(copy)

    def concat(self, index: int, op: Concat) -> None:
        """Define a view of all operands; one that repeats a channel of another is copied."""
        rows = self.config.rows
        slots: dict[str, ChannelOrder] = {}
        first = 0
        for number, source in enumerate(op.sources):
            mine = self.view(source).by_part(self.orders, rows)
            if any(
                ((slots[p] >= 0) & (order >= 0)).any() for p, order in mine.items() if p in slots
            ):
                copy = f"{op.output}.{number}"
                self.copy(index, f"{op.name}.{number}", source, copy)
                mine = {copy: self.orders[copy]}
            for part, order in mine.items():
                other = slots.get(part, np.full_like(order, -1))
                slots[part] = np.where(order >= 0, order + first, other)
            first += self.values[source].shape[0]
        self.define(index, op, View.of(slots, rows))

    def select(self, index: int, op: SelectChannels) -> None:
        """Define a view of the channels chosen; those chosen again are copied."""
        rows = self.config.rows
        slots: dict[str, ChannelOrder] = {}
        left, number = np.arange(len(op.channels)), 0
        while left.size:
            source = op.input
            if number:
                source = f"{op.output}.{number}"
                self.copy(index, f"{op.name}.{number}", op.input, source)
            chosen, places = np.unique(op.channels[left], return_index=True)
            result = np.full(self.values[op.input].shape[0], -1, np.int64)
            result[chosen] = left[places]
            for part, order in self.view(source).by_part(self.orders, rows).items():
                slots[part] = np.where(order >= 0, result[order], -1)
            left, number = np.delete(left, places), number + 1
        self.define(index, op, View.of(slots, rows))

    def define(self, index: int, op: Concat | SelectChannels, view: View) -> None:
        """Let a value be a view, or a copy of it where the host will read it."""
        self.views[op.output] = view
        if op.output in self.results:
            name = f"{op.output}.copy"
            self.views[name] = self.views.pop(op.output)
            self.values[name] = self.values[op.output]
            self.copy(index, op.name, name, op.output)

    def upsample_bilinear(self, index: int, op: UpsampleBilinear) -> None:
        """Emit a depthwise operation for every phase of the output, and for its borders."""
        kind, (channels, height, width) = self.values[op.input], self.values[op.input].shape
        largest = 4 * op.factor[0] * op.factor[1]
        if largest >= 1 << (self.config.weight_bits - 1):
            raise UnsupportedError(
                op.name,
                f"interpolation by {op.factor} needs weights up to {largest}, and the engine's "
                f"have {self.config.weight_bits} bits",
                "Interpolate by smaller factors, one after another, or take an engine with "
                "weight_bits=8.",
            )
        rows, columns = (
            interpolations(factor, size)
            for factor, size in zip(op.factor, (height, width), strict=True)
        )
        ops = []
        for row in rows:
            for column in columns:
                taps = np.multiply.outer(row.taps, column.taps)
                weight = np.broadcast_to(taps, (channels, 1, *taps.shape))
                results = (height if row.step == op.factor[0] else 1) * (
                    width if column.step == op.factor[1] else 1
                )
                ops.append(
                    self.array_op(
                        index,
                        op.name,
                        op.kind,
                        (op.input,),
                        op.output,
                        op.requantize,
                        **self.weighted(op.input, op.output, weight, channels),
                        kernel=taps.shape,
                        padding=(-row.first, -column.first),
                        out_step=(row.step, column.step),
                        out_offset=(row.offset, column.offset),
                        bias=np.full(channels, -int(taps.sum()) * kind.zero_point),
                        macs=weight.size * results,
                    )
                )
        self.emit(*ops)

    def move_pixels(self, index: int, op: Upsample | PixelShuffle | PixelUnshuffle) -> None:
        """Emit a convolution with one weight of one for every result."""
        step = op.factor[1] if isinstance(op, Upsample) else op.factor
        if step > MAX_STEP and not isinstance(op, PixelUnshuffle):
            raise UnsupportedError(
                op.name,
                f"a factor of {step}: the engine's go up to {MAX_STEP}",
                "Use two of them, one behind the other.",
            )
        kind = self.values[op.output]
        channels = kind.shape[0]
        bias = np.zeros(channels, np.int64)
        keep = Requantize((1,) * channels, (0,) * channels, kind.zero_point, kind.qmin, kind.qmax)
        none = (0, 0, 0, 0)
        if isinstance(op, PixelUnshuffle):
            r = op.factor
            # Output channel c * r * r + i * r + j takes tap (i, j).
            taps = np.eye(r * r, dtype=np.int64).reshape(r * r, 1, r, r)
            weight = np.tile(taps, (channels // (r * r), 1, 1, 1))
            conv = Conv2d(
                op.name, op.input, op.output, weight, 2, bias,
                (r, r), none, (1, 1), channels // (r * r), keep,
            )  # fmt: skip
            self.conv(index, conv, op.kind)
            return
        if isinstance(op, Upsample):
            stride = op.factor
            weight = np.ones((channels, 1, *stride), np.int64)
        else:
            r = op.factor
            stride = (r, r)
            taps = np.eye(r * r, dtype=np.int64).reshape(1, r * r, r, r)
            weight = np.tile(taps, (channels, 1, 1, 1))
        transposed = ConvTranspose2d(
            op.name, op.input, op.output, weight, 2, bias, stride, none, (0, 0), channels, keep
        )
        self.conv_transpose(index, transposed, op.kind)


def changes_nothing(requantize: Requantize, kind: TensorType) -> bool:
    """Return whether requantizing ``q - zero_point`` only moves the zero point."""
    moved = requantize.zero_point - kind.zero_point
    return (
        set(requantize.multiplier) == {1}
        and set(requantize.shift) == {0}
        and requantize.qmin <= kind.qmin + moved
        and requantize.qmax >= kind.qmax + moved
    )
