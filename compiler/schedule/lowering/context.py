"""What lowering knows of a network, and the array operations that all operators are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Graph, Requantize, TensorType
from tilewright.compiler.ir.intervals import value_ranges
from tilewright.compiler.ir.op import Accumulating
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.reduction import Sum
from tilewright.compiler.schedule.array.result import Result
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.weights import (
    Arrangement,
    GateWeights,
    StoredWeights,
    Weights,
)
from tilewright.compiler.schedule.array.wide import (
    WideSum,
    is_wide,
    over_bytes,
    rows_of_bytes,
    stored_type,
)
from tilewright.compiler.schedule.array.windows import JoinedWindows, Operand, Windows
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.lowering.far import near
from tilewright.compiler.schedule.lowering.parameters import parameters_of
from tilewright.compiler.schedule.objective import Objective
from tilewright.compiler.schedule.order.channels import (
    ChannelOrder,
    View,
    multiplied_order,
    natural_order,
    nonzero,
)
from tilewright.compiler.schedule.order.sections import (
    copy_sections,
    segment_sections,
    sparse_sections,
    total_steps,
)
from tilewright.compiler.schedule.timing import Timing
from tilewright.errors import UnsupportedError
from tilewright.isa import EngineConfig
from tilewright.isa.wide import PLANES

Pair: TypeAlias = tuple[int, int]
"""(vertical, horizontal)."""


def keep(kind: TensorType) -> Requantize:
    """Return the requantization that keeps values of a type, of which zero points are taken off."""
    channels = kind.shape[0]
    return Requantize((1,) * channels, (0,) * channels, kind.zero_point, kind.qmin, kind.qmax)


class Context:
    """A network on its way to stages: what has been emitted, and where channels lie.

    Parameters
    ----------
    graph : Graph, verified
    config : EngineConfig
    objective, algorithms : as for :func:`tilewright.compile`
    timing : Timing of the engine
    """

    def __init__(
        self,
        graph: Graph,
        config: EngineConfig,
        objective: Objective,
        algorithms: Mapping[str, str],
        timing: Timing,
    ) -> None:
        self.config, self.objective, self.timing = config, objective, timing
        self.algorithms, self.graph = algorithms, graph
        self.ranges = value_ranges(graph.ops, graph.values)
        self.values = dict(graph.values)
        self.stages, self.layer = list[Stage](), 0
        self.wanted: dict[str, ChannelOrder] = {}  # orders in which values had better be computed
        self.orders = dict[str, ChannelOrder]()
        self.views: dict[str, View] = {}
        self.aliases: dict[str, str] = {}  # values that are the bytes of others in memory
        self.pixels: dict[str, int] = {}  # those with other pixels: their bytes
        self.phases: dict[str, int] = {}  # those whose rows are counted by phases: their step
        self.rows: dict[str, Pair] = {}  # aliases that are a row of others: which, of how many
        self.results = {op.input for op in graph.outputs}
        for value in (v for op in (*graph.inputs, *graph.constants) for v in op.outputs):
            self.orders[value] = self.natural(value)
        for op in graph.ops:
            for value in op.outputs:
                self.check_width(op.name, self.values[value])

    def natural(self, value: str) -> ChannelOrder:
        """Return the order in which the model has the channels of a value."""
        return natural_order(self.values[value].shape[0], self.config.rows)

    def view(self, value: str) -> View:
        """Return where the channels of a value lie."""
        return self.views.get(value) or View.of({value: self.orders[value]}, self.config.rows)

    def fresh(self, name: str) -> str:
        """Return a name for a value that lowering adds: this one, or with a number if it is taken.

        The graph's values may have any names, those of modules that end like ours included.
        """
        number, chosen = 1, name
        while chosen in self.values:
            number += 1
            chosen = f"{name}.{number}"
        return chosen

    def check_width(self, name: str, kind: TensorType) -> None:
        """Refuse values wider than a byte, unless the engine has such maps."""
        if is_wide(kind) and not self.config.wide_maps:
            raise UnsupportedError(
                name,
                f"the output has {kind.bits} bits and the engine's activations are bytes",
                "Quantize it to 8 bits or fewer, or take an engine with wide_maps=True.",
            )

    def check_accumulator(self, op: Accumulating) -> None:
        """Refuse sums that the engine's accumulators cannot hold."""
        lows, highs = op.accumulator(self.values)
        low, high = int(lows.min()), int(highs.max())
        needed = max((-low - 1).bit_length(), high.bit_length()) + 1
        if needed > self.config.acc_width:
            raise EngineLimitError(
                f"{op.name}: the accumulator can reach {low}..{high}; "
                f"{at_least(self.config, 'acc_width', needed)}"
            )

    def windows(
        self,
        *inputs: str,
        kernel: Pair = (1, 1),
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: Pair = (0, 0),
        pad: int | None = None,
    ) -> Windows:
        """Return windows on the grid of a value, or of several that are read like channel groups.

        ``pad`` : what stands for pixels outside; their zero point if None.

        Of wide values, kernel, stride and padding are over values, and become those over rows of
        bytes.
        """
        views, kind = [self.view(value) for value in inputs], self.values[inputs[0]]
        pad = kind.zero_point if pad is None else pad
        wide = is_wide(kind)
        if wide:
            if pad >> 8 != pad & 0xFF and kernel != (1, 1):
                raise UnsupportedError(
                    self.graph.layers[self.layer].name,
                    f"{inputs[0]!r} has {kind.bits} bits and zero point {pad}, of two other bytes",
                    "Give it zero point 0: quantize it symmetrically, or unsigned behind a ReLU.",
                )
            kernel = (rows_of_bytes(kernel[0], dilation[0]), kernel[1])
            stride, padding = (PLANES * stride[0], stride[1]), (PLANES * padding[0], padding[1])
            dilation = (1, dilation[1])
        return (Windows if len(inputs) == 1 else JoinedWindows)(
            operands=tuple(Operand(view.parts, view.first) for view in views),
            type=stored_type(kind),
            kernel=kernel,
            stride=stride,
            dilation=dilation,
            padding=padding,
            pad=pad,
            wide=wide,
        )

    def operation(
        self,
        name: str,
        kind: str,
        windows: Windows,
        arrangement: Arrangement,
        output: str,
        requantize: Requantize | None,
        *,
        bias: Iterable[int] | NDArray[np.int64],
        macs: int,
        gate: str | None = None,
        reduction: Sum | None = None,
        step: Pair = (1, 1),
        offset: Pair = (0, 0),
    ) -> ArrayOp:
        """Return an array operation; its output has the channels in the arrangement's order.

        Parameters
        ----------
        name, kind, macs : as in ArrayOp
        windows, reduction : as there; a sum if None
        arrangement : of the weights, which lie in memory; the last of each kernel group are a value
            in memory if there is a ``gate``
        output : value name
        requantize : None keeps every sum, bias included
        bias : by channel
        step, offset : which results they are, as in Result
        """
        out_type = self.values[output]
        wide, (_, height, width) = is_wide(out_type), out_type.shape
        if windows.wide:
            arrangement = over_bytes(self.config, windows, arrangement)
        if wide:
            assert step == (1, 1), "phases of 16 bits"
            step, reduction = (PLANES, 1), WideSum()
        # Where there is one window only, as in global pooling, its stride means nothing; engines
        # are slower with strides that share a divisor with cols, and limit them.
        vertical, horizontal = windows.stride
        stride = (vertical if height > 1 else 1, horizontal if width > 1 else 1)
        self.orders[output] = arrangement.order
        requantize = requantize or replace(keep(out_type), zero_point=0)
        parameters = parameters_of(self.config, name, arrangement.order, requantize, bias)
        source: StoredWeights
        if gate is None:
            source = StoredWeights(sections=arrangement.sections, parameters=parameters)
        else:
            source = GateWeights(sections=arrangement.sections, parameters=parameters, gate=gate)
        return ArrayOp(
            name=name,
            kind=kind,
            layer=self.layer,
            macs=int(macs),
            windows=replace(windows, stride=stride),
            weights=Weights(arrangement=arrangement, source=source),
            reduction=reduction or Sum(),
            result=Result(
                value=output,
                type=stored_type(out_type),
                wide=wide,
                step=step,
                offset=offset,
                zero_point=requantize.zero_point,
                qmin=requantize.qmin,
                qmax=requantize.qmax,
            ),
        )

    def emit(self, *ops: ArrayOp) -> None:
        """Append a stage."""
        self.stages.append(Stage(tuple(part for op in ops for part in near(op))))

    def algorithm(self, name: str) -> str:
        """Return what was asked for a layer: "auto", "direct" or tiles."""
        return self.algorithms.get(name, self.algorithms.get("*", "auto"))

    def check_weights(self, name: str, weight: NDArray[np.int64]) -> None:
        """Refuse weights that the engine's weights have too few bits for."""
        limit = 1 << (self.config.weight_bits - 1)
        if weight.min(initial=0) < -limit or weight.max(initial=0) >= limit:
            raise UnsupportedError(
                name,
                f"a weight is not in {-limit}..{limit - 1}: the engine's weights have "
                f"{self.config.weight_bits} bits",
                "Quantize it to 4 bits, or take an engine with weight_bits=8.",
            )

    def apart(self, words: NDArray[np.int16], order: ChannelOrder) -> Arrangement:
        """Return the weights of an operation whose channels stay apart, in an order.

        ``words`` (n_kg, taps, rows) are its weights. Where rows share their activation in pairs,
        they take turns: each step belongs to one row of a pair, and is zero for the other.
        """
        log2 = self.config.least_segment_log2
        size = 1 << log2
        mine = np.arange(self.config.rows) % size == np.arange(size)[:, None]
        turns = np.where(mine, words[:, :, None, :], 0).reshape(len(words), -1, self.config.rows)
        section = Section(kg=0, cg=0, channels=size, weights=np.ascontiguousarray(turns))
        return Arrangement(sections=(section,), segment_log2=log2, per_group=True, order=order)

    def weighted(
        self,
        source: str,
        weight: NDArray[np.int64],
        groups: int,
        used: NDArray[np.bool_] | None = None,
    ) -> Arrangement:
        """Choose the arrangement of a convolution's weights.

        Either every group lies inside a segment of rows, or the array runs a dense layer over the
        channel groups that a kernel group reads, with zero weights between groups; whichever
        takes fewer steps.

        ``used`` (K, C / groups): channels that each output reads, alike for all operations that
        have one output; where weights are not zero if None.
        """
        return self.arranged(self.view(source).order, weight, groups, used)

    def arranged(
        self,
        order: ChannelOrder,
        weight: NDArray[np.int64],
        groups: int,
        used: NDArray[np.bool_] | None,
    ) -> Arrangement:
        """Return what :meth:`weighted` does, of a value whose channels lie in ``order``."""
        rows = self.config.rows
        kernels, per_group, height, width = weight.shape
        if per_group == 1 and kernels == groups:
            # Depthwise: row by row, in whatever order the channels come.
            taps = height * width
            by_slot = np.where(order >= 0, weight.reshape(kernels, taps)[order].T, 0)
            words = by_slot.reshape(taps, -1, rows).transpose(1, 0, 2).astype(np.int16)
            return self.apart(words, order)
        used = nonzero(weight) if used is None else used
        dense, dense_order = sparse_sections(weight, groups, order, rows, used)
        if (
            groups > 1
            and 1 << self.config.least_segment_log2 <= per_group <= rows
            and per_group & (per_group - 1) == 0
            and np.array_equal(order, natural_order(per_group * groups, rows))
        ):
            segment_order = multiplied_order(groups, per_group, kernels // groups, rows)
            segmented = segment_sections(weight, groups, segment_order, rows, len(order) // rows)
            if total_steps(segmented) <= total_steps(dense):
                log2 = per_group.bit_length() - 1
                return Arrangement(
                    sections=segmented, segment_log2=log2, per_group=True, order=segment_order
                )
        return self.dense(dense, dense_order)

    def dense(self, sections: tuple[Section, ...], order: ChannelOrder) -> Arrangement:
        """Return the arrangement in which every channel is broadcast to all rows."""
        log2 = (self.config.rows - 1).bit_length()
        return Arrangement(sections=sections, segment_log2=log2, per_group=False, order=order)

    def per_channel(
        self,
        name: str,
        kind: str,
        windows: Windows,
        output: str,
        requantize: Requantize | None,
        *,
        taps: int,
        bias: int,
        order: ChannelOrder,
        weights: NDArray[np.int64] | None = None,
        macs: int | None = None,
        gate: str | None = None,
        reduction: Sum | None = None,
    ) -> None:
        """Emit an operation whose channels stay apart and have the same weights, one if None.

        ``taps`` : of each result, those of all inputs; ``order`` : of channels, also of the output;
        ``macs`` : one for each tap of each result if None.
        """
        rows, out_type = self.config.rows, self.values[output]
        words = np.ones((len(order) // rows, taps, rows), np.int16)
        if weights is not None:
            words *= weights[:, None].astype(np.int16)
        self.emit(
            self.operation(
                name,
                kind,
                windows,
                self.apart(words, order),
                output,
                requantize,
                bias=[bias] * out_type.shape[0],
                macs=taps * out_type.numel if macs is None else macs,
                gate=gate,
                reduction=reduction,
            )
        )

    def rescale(self, name: str, source: str, output: str, requantize: Requantize) -> None:
        """Emit a requantization of a value."""
        self.per_channel(
            name,
            "Rescale",
            self.windows(source),
            output,
            requantize,
            taps=1,
            bias=-self.values[source].zero_point,
            order=self.view(source).order,
        )

    def copy(self, name: str, source: str, output: str) -> None:
        """Emit a copy of a value, in the same order."""
        self.values.setdefault(output, self.values[source])
        order, windows = self.view(source).order, self.windows(source)
        self.per_channel(name, "Copy", windows, output, None, taps=1, bias=0, order=order, macs=0)

    def arrange(self, name: str, source: str, output: str, order: ChannelOrder) -> None:
        """Emit a copy of a value in another order."""
        kind = self.values[output] = self.values[source]
        channels, rows = kind.shape[0], self.config.rows
        sections = copy_sections(channels, self.view(source).order, order, rows)
        self.emit(
            self.operation(
                name,
                "Copy",
                self.windows(source),
                self.dense(sections, order),
                output,
                None,
                bias=[0] * channels,
                macs=0,
            )
        )

    def gather(
        self,
        name: str,
        source: str,
        output: str,
        kernel: tuple[int, int],
        kernel_groups: int | None,
    ) -> None:
        """Pack the channels that a layer reads, where steps for the gaps would cost more.

        All later readers of ``source`` read the packed copy.

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
            copy = self.fresh(f"{output}.gathered")
            self.arrange(f"{name}.gathered", source, copy, packed)
            self.views[source] = self.view(copy)
