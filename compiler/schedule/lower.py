"""Every operator of the IR as array operations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Conv2d,
    Graph,
    Linear,
    MaxPool2d,
    Op,
    Requantize,
    Rescale,
    TensorType,
)
from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.schedule.array_op import ArrayOp, EngineLimitError
from tilewright.errors import UnsupportedError


@dataclass(frozen=True)
class LoweredGraph:
    """Array operations in execution order, and the types of all values they touch."""

    graph: Graph
    values: dict[str, TensorType]
    ops: tuple[ArrayOp, ...]


def lower(graph: Graph, config: EngineConfig) -> LoweredGraph:
    """Lower a verified graph for one engine.

    Raises
    ------
    UnsupportedError
        If a value is wider than the engine's bytes.
    EngineLimitError
        If a multiplier is wider than the engine's.
    """
    lowering = _Lowering(graph, config)
    for index, op in enumerate(graph.layers):
        lowering.lower(index, op)
    return LoweredGraph(graph, lowering.values, tuple(lowering.ops))


class _Lowering:
    def __init__(self, graph: Graph, config: EngineConfig) -> None:
        self.config = config
        self.values = dict(graph.values)
        self.ops: list[ArrayOp] = []
        for op in graph.ops:
            for value in op.outputs:
                self.check_width(op.name, self.values[value])

    def check_width(self, name: str, kind: TensorType) -> None:
        if kind.bits > 8:
            raise UnsupportedError(
                name,
                f"the output has {kind.bits} bits and the engine's activations are bytes",
                "Quantize it to 8 bits or fewer.",
            )

    def lower(self, index: int, op: Op) -> None:
        match op:
            case Conv2d():
                self.conv(index, op)
            case Linear():
                self.linear(index, op)
            case MaxPool2d():
                self.max_pool(index, op)
            case AvgPool2d():
                self.avg_pool(index, op)
            case Rescale():
                self.rescale(index, op.name, op.input, op.output, op.requantize)
            case Add():
                self.add(index, op)
            case _:
                raise UnsupportedError(
                    op.name, f"the engine has no {op.kind}", "See docs/supported_ops.md."
                )

    def emit(
        self,
        index: int,
        name: str,
        kind: str,
        inputs: tuple[str, ...],
        output: str,
        requantize: Requantize | None,
        **geometry: Any,
    ) -> None:
        """Append an array operation; ``geometry`` is what differs between operators."""
        config = self.config
        in_type, out_type = self.values[inputs[0]], self.values[output]
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
        geometry.setdefault("stride", (1, 1))
        geometry.setdefault("dilation", (1, 1))
        geometry.setdefault("padding", (0, 0, 0, 0))
        geometry.setdefault("maximum", False)
        bias = geometry.pop("bias")
        n_kg = geometry["weights"].shape[0]

        def rows(values: Any) -> NDArray[np.int64]:
            padded = np.zeros(n_kg * config.rows, np.int64)
            padded[: len(values)] = values
            return padded.reshape(n_kg, config.rows)

        self.ops.append(
            ArrayOp(
                name=name,
                kind=kind,
                layer=index,
                inputs=inputs,
                output=output,
                input_type=in_type,
                output_type=out_type,
                pad=geometry.pop("pad", in_type.zero_point),
                zero_point=requantize.zero_point,
                qmin=requantize.qmin,
                qmax=requantize.qmax,
                bias=rows(bias),
                multiplier=rows(requantize.multiplier),
                shift=rows(requantize.shift),
                **geometry,
            )
        )

    def conv(self, index: int, op: Conv2d) -> None:
        weight, groups = op.weight, op.groups
        kernels, per_group = weight.shape[0], weight.shape[1]
        in_type, out_type = self.values[op.input], self.values[op.output]
        channels = in_type.shape[0]
        rows = self.config.rows
        zero_points = weight.reshape(kernels, -1).sum(1) * in_type.zero_point
        common: dict[str, Any] = {
            "kernel": op.kernel,
            "stride": op.stride,
            "dilation": op.dilation,
            "padding": op.padding,
            "bias": op.bias - zero_points,
            "macs": weight.size * out_type.shape[1] * out_type.shape[2],
        }
        segmented = per_group <= rows and per_group & (per_group - 1) == 0 and channels == kernels
        if groups > 1 and segmented:
            # Whole groups lie inside the rows: each segment of rows is a group.
            common |= {
                "weights": segment_words(weight, per_group, rows),
                "segment_log2": per_group.bit_length() - 1,
                "channels": per_group,
                "per_group": True,
            }
        else:
            # Groups that do not line up with the rows run as a dense layer with zero weights.
            common |= {
                "weights": dense_words(ungrouped(weight, groups), rows),
                "segment_log2": (rows - 1).bit_length(),
                "channels": channels,
                "per_group": False,
            }
        self.emit(index, op.name, op.kind, (op.input,), op.output, op.requantize, **common)

    def linear(self, index: int, op: Linear) -> None:
        # The flattened input is a kernel as large as the feature map.
        in_type = self.values[op.input]
        channels, height, width = in_type.shape
        weight = op.weight.reshape(-1, channels, height, width)
        self.emit(
            index,
            op.name,
            op.kind,
            (op.input,),
            op.output,
            op.requantize,
            kernel=(height, width),
            weights=dense_words(weight, self.config.rows),
            segment_log2=(self.config.rows - 1).bit_length(),
            channels=channels,
            per_group=False,
            bias=op.bias - op.weight.sum(1) * in_type.zero_point,
            macs=op.weight.size,
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
        channels = out_type.shape[0]
        n_kg = -(-channels // rows)
        self.emit(
            index,
            name,
            kind,
            inputs,
            output,
            requantize,
            weights=np.ones((n_kg, taps, rows), np.int8),
            segment_log2=0,
            channels=1,
            per_group=True,
            bias=[bias] * channels,
            macs=taps * out_type.numel,
            **geometry,
        )

    def max_pool(self, index: int, op: MaxPool2d) -> None:
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
            padding=op.padding,
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
            padding=op.padding,
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


def changes_nothing(requantize: Requantize, kind: TensorType) -> bool:
    """Return whether requantizing ``q - zero_point`` only moves the zero point."""
    moved = requantize.zero_point - kind.zero_point
    return (
        set(requantize.multiplier) == {1}
        and set(requantize.shift) == {0}
        and requantize.qmin <= kind.qmin + moved
        and requantize.qmax >= kind.qmax + moved
    )


def ungrouped(weight: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Return the (K, C, R, S) weights of the dense convolution that equals a grouped one."""
    if groups == 1:
        return weight
    kernels, per_group = weight.shape[:2]
    dense = np.zeros((kernels, per_group * groups, *weight.shape[2:]), np.int64)
    for kernel in range(kernels):
        first = kernel // (kernels // groups) * per_group
        dense[kernel, first : first + per_group] = weight[kernel]
    return dense


def dense_words(weight: NDArray[np.int64], rows: int) -> NDArray[np.int8]:
    """Return (n_kg, steps, rows) weight words of a dense (K, C, R, S) layer.

    Steps run over channel groups, kernel rows, kernel columns, channels of the group; the last
    channel group has only the channels that exist.
    """
    kernels, channels, height, width = weight.shape
    n_kg = -(-kernels // rows)
    padded = np.zeros((n_kg * rows, channels, height, width), np.int8)
    padded[:kernels] = weight
    parts = []
    for first in range(0, channels, rows):
        group = padded[:, first : first + rows]
        parts.append(group.transpose(2, 3, 1, 0).reshape(-1, n_kg, rows))
    return np.ascontiguousarray(np.concatenate(parts).transpose(1, 0, 2))


def segment_words(weight: NDArray[np.int64], segment: int, rows: int) -> NDArray[np.int8]:
    """Return (n_kg, steps, rows) weight words of a layer whose groups are segments of rows."""
    kernels, _, height, width = weight.shape
    n_kg = -(-kernels // rows)
    padded = np.zeros((n_kg * rows, segment, height, width), np.int8)
    padded[:kernels] = weight
    words = padded.reshape(n_kg, rows, segment, height, width).transpose(0, 3, 4, 2, 1)
    return np.ascontiguousarray(words.reshape(n_kg, -1, rows))
