"""Emits IR operators: turns pending accumulators into operators once their grid is known."""

from dataclasses import dataclass, field, replace

import numpy as np

from tilewright.compiler.ir.ops import (
    AvgPool2d,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    DynamicConv2d,
    Gate,
    Input,
    Linear,
    Lookup,
    MatMul,
    Op,
    Output,
    Product,
    Rescale,
    UpsampleBilinear,
)
from tilewright.compiler.ir.types import Requantize, TensorType
from tilewright.compiler.quantized.to_integer import twice
from tilewright.compiler.quantized.to_integer.folding import fold, ratio_or_explain
from tilewright.compiler.quantized.to_integer.residual import finish_add
from tilewright.compiler.quantized.to_integer.sums import exact_sum, needs_digits
from tilewright.compiler.quantized.to_integer.values import (
    Abstract,
    AddSource,
    BilinearSource,
    ConvSource,
    ConvTransposeSource,
    DeformSource,
    DynamicConvSource,
    GateSource,
    LinearSource,
    Mapped,
    MatMulSource,
    Pending,
    PoolSource,
    ProductSource,
    Quantized,
    RealInput,
    RescaleSource,
    WeightedSource,
)
from tilewright.compiler.quantized.types import Quantization, Shape
from tilewright.errors import UnsupportedError
from tilewright.isa.ranges import Rounding


@dataclass(frozen=True)
class RoundedBias:
    """A bias that was moved to the accumulator's grid.

    Parameters
    ----------
    where : module path
    error : float, largest change before the output's rounding, in output LSB; the output changes
        by at most one LSB, and by none where no rounding boundary lies within ``error``
    """

    where: str
    error: float


@dataclass
class Builder:
    """Collects values and operators of the integer graph in topological order."""

    round_bias: bool
    rounding: Rounding = "half_even"
    values: dict[str, TensorType] = field(default_factory=dict)
    inputs: dict[RealInput, Input] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    rounded: list[RoundedBias] = field(default_factory=list)
    _names: set[str] = field(default_factory=set)
    _done: list[tuple[Abstract, Quantization, Quantized]] = field(default_factory=list)

    def unique(self, name: str) -> str:
        """``name``, or ``name#2`` and so on when a module is used more than once."""
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}#{count}"
        self._names.add(candidate)
        return candidate

    def emit(self, op: Op, grid: Quantization, shape: Shape) -> Quantized:
        """Append an operator that writes a value of its own name."""
        value_type = grid.type(shape)
        self.values[op.name] = value_type
        self.ops.append(op)
        return Quantized(op.name, value_type, grid.qmin, grid.qmax)

    def output(self, name: str, x: Quantized) -> None:
        """Make ``x`` a result of the model."""
        self.ops.append(Output(self.unique(name), x.value))

    def quantized(self, where: str, x: Abstract) -> Quantized:
        """``x`` as a value of the integer graph.

        Raises
        ------
        UnsupportedError  If it is on no grid, as an importer must put it.
        """
        if isinstance(x, Quantized):
            return x
        named, what = (x.name, "input") if isinstance(x, RealInput) else (x.where, "result")
        raise UnsupportedError(
            named, f"its {what} is on no grid where {where} reads it", "Put a quantizer behind it."
        )

    def quantize(self, where: str, x: Abstract, grid: Quantization) -> Quantized:
        """Put ``x`` on ``grid``; ``where`` names the quantizer."""
        for source, used, result in self._done:
            if source is x and used == grid:
                return result
        result = self._quantize(where, x, grid)
        self._done.append((x, grid, result))
        return result

    def _quantize(self, where: str, x: Abstract, grid: Quantization) -> Quantized:
        match x:
            case RealInput():
                return self._input(where, x, grid)
            case Quantized():
                t = x.type
                same = (t.scale, t.zero_point) == (grid.scale, grid.zero_point)
                if same and grid.qmin <= x.qmin and x.qmax <= grid.qmax:
                    return x
                return self._finish(pending_rescale(where, x), grid)
            case Pending():
                return self._finish(x, grid.clipped(x.lower, x.upper))
            case Mapped():
                return self._lookup(x, grid)

    def _input(self, where: str, x: RealInput, grid: Quantization) -> Quantized:
        if x in self.inputs:
            raise UnsupportedError(
                where,
                f"the input {x.name} is quantized a second time, on another grid",
                "Quantize the input once and use the result twice.",
            )
        name, t = self.unique(x.name), grid.type(x.shape)
        self.values[name] = t
        self.inputs[x] = Input(name, name)
        full = Quantized(name, t, t.qmin, t.qmax)
        # The caller's integers may use the whole type; a narrower quantizer clamps them first.
        return (
            full
            if (grid.qmin, grid.qmax) == (t.qmin, t.qmax)
            else self._quantize(where, full, grid)
        )

    def _lookup(self, x: Mapped, grid: Quantization) -> Quantized:
        """Tabulate a function: PyTorch's value at every point of the input's grid, quantized."""
        t = x.x.type
        if max(t.bits, grid.bits) > 8:
            raise UnsupportedError(
                x.where,
                f"an activation function from {t.bits} to {grid.bits} bits",
                "Quantize its input and its output to at most 8 bits.",
            )
        grid_points = np.arange(t.qmin, t.qmax + 1, dtype=np.float64) - t.zero_point
        reals = x.function(t.scale * grid_points)
        if not np.isfinite(reals).all():
            raise UnsupportedError(
                x.where,
                f"the function is not finite at {reals[~np.isfinite(reals)][0]}",
                "Use a function that is finite on the whole range of its input's quantizer.",
            )
        table = np.rint(reals / grid.scale + grid.zero_point).clip(grid.qmin, grid.qmax)
        name = self.unique(x.where)
        op = Lookup(name, x.x.value, name, table.astype(np.int64))
        result = self.emit(op, grid, t.shape)
        low, high = int(table.min()), int(table.max())
        return replace(result, qmin=low, qmax=high)

    def _finish(self, x: Pending, grid: Quantization) -> Quantized:
        name = self.unique(x.where)
        match x.source:
            case ConvSource() | DeformSource() | ConvTransposeSource() | LinearSource():
                return self._finish_weighted(name, x, x.source, grid)
            case AddSource() if self.rounding == "double":
                return twice.finish_add(self, name, x, x.source, grid)
            case PoolSource() if self.rounding == "double":
                finish = twice.finish_pool if x.source.whole else twice.finish_mean
                return finish(self, name, x, x.source, grid)
            case AddSource() if needs_digits(x.source):
                return exact_sum(self, name, x, x.source, grid)
            case AddSource():
                op: Op = finish_add(name, x, x.source, grid)
            case PoolSource(source, kernel, stride, padding, _):
                op = AvgPool2d(
                    name, source.value, name, kernel, stride, padding, self._requantize(x, grid)
                )
            case BilinearSource(source, factor):
                op = UpsampleBilinear(name, source.value, name, factor, self._requantize(x, grid))
            case GateSource(source, gate):
                op = Gate(name, source.value, gate.value, name, self._requantize(x, grid))
            case ProductSource(a, b):
                op = Product(name, a.value, b.value, name, self._requantize(x, grid))
            case MatMulSource(source, weight, transposed, groups):
                op = MatMul(
                    name, source.value, weight.value, name, transposed, groups,
                    self._requantize(x, grid),
                )  # fmt: skip
            case DynamicConvSource(source, weight, kernel, stride, padding, dilation, groups):
                op = DynamicConv2d(
                    name, source.value, weight.value, name, np.zeros(x.shape[0], np.int64), kernel,
                    stride, padding, dilation, groups, self._requantize(x, grid),
                )  # fmt: skip
            case RescaleSource(source):
                op = Rescale(name, source.value, name, self._requantize(x, grid))
        return self.emit(op, grid, x.shape)

    def _requantize(self, x: Pending, grid: Quantization) -> Requantize:
        factors = [float(s) / grid.scale for s in x.scale]
        if self.rounding == "double" and isinstance(x.source, GateSource | ProductSource):
            factors = [twice.product_factor(x.source, grid)] * len(factors)
        if self.rounding == "double":
            return twice.scale_by(x.where, factors, grid)
        return ratio_or_explain(x.where, factors, grid.zero_point, grid.qmin, grid.qmax)

    def _finish_weighted(
        self, name: str, x: Pending, source: WeightedSource, grid: Quantization
    ) -> Quantized:
        if self.rounding == "double":
            folded = twice.fold(x, source, grid)
        else:
            folded = fold(
                x.where,
                source.weight,
                x.scale,
                x.offset,
                x.rounds or self.round_bias,
                source.x.type,
                grid,
            )
        if folded.bias_error > 0:
            self.rounded.append(RoundedBias(x.where, folded.bias_error))
        bits, reads = source.weight.bits, source.x.value
        match source:
            case ConvSource():
                op: Op = Conv2d(
                    name,
                    reads,
                    name,
                    folded.weight,
                    bits,
                    folded.bias,
                    source.stride,
                    source.padding,
                    source.dilation,
                    source.groups,
                    folded.requantize,
                )
            case DeformSource():
                op = DeformConv2d(
                    name,
                    reads,
                    source.offset.value,
                    None if source.mask is None else source.mask.value,
                    name,
                    folded.weight,
                    bits,
                    folded.bias,
                    source.stride,
                    source.padding,
                    source.dilation,
                    source.groups,
                    source.offset_groups,
                    folded.requantize,
                )
            case ConvTransposeSource():
                op = ConvTranspose2d(
                    name,
                    reads,
                    name,
                    folded.weight,
                    bits,
                    folded.bias,
                    source.stride,
                    source.padding,
                    source.output_padding,
                    source.groups,
                    folded.requantize,
                )
            case LinearSource():
                op = Linear(name, reads, name, folded.weight, bits, folded.bias, folded.requantize)
        return self.emit(op, grid, x.shape)


def pending_rescale(where: str, x: Quantized) -> Pending:
    """``x`` on its way to another grid."""
    channels = x.type.shape[0]
    scale = np.full(channels, x.type.scale)
    return Pending(where, RescaleSource(x), x.type.shape, scale, np.zeros(channels), False)


def clip(where: str, x: Abstract, lower: float, upper: float) -> Abstract:
    """Apply an activation function that clips reals to ``lower..upper``."""
    match x:
        case Pending():
            low, high = (min(max(v, lower), upper) for v in (x.lower, x.upper))
            return replace(x, lower=low, upper=high)
        case Quantized():
            return replace(pending_rescale(where, x), lower=lower, upper=upper)
        case Mapped():
            inner = x.function
            return replace(x, function=lambda reals: inner(reals).clip(lower, upper))
        case RealInput():
            raise UnsupportedError(
                where,
                f"an activation function on the input {x.name}, which is on no grid",
                "Quantize the input first.",
            )
