# ruff: noqa: D401 - these docstrings state rules to the user, not what a function does
"""The rules that operators obey.

The docstring of a rule is both the message that a user reads when it is broken and its line in
docs/supported_ops.md. A rule returns what it found wrong, or nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

from tilewright.compiler.ir.deformable import fraction_bits
from tilewright.compiler.ir.intervals import WITH_ACCUMULATOR, accumulator_range
from tilewright.compiler.ir.ops import (
    OPS,
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Gate,
    Input,
    Linear,
    Lookup,
    MaxPool2d,
    Op,
    Output,
    PixelShuffle,
    PixelUnshuffle,
    Rescale,
    RoundedConv2d,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.ir.shapes import output_shape
from tilewright.compiler.ir.types import Requantize, TensorType, VerifyError

Types: TypeAlias = Mapping[str, TensorType]
Check: TypeAlias = Callable[[Any, Types], str | None]


@dataclass(frozen=True)
class Constraint:
    """One rule: where it applies, the attribute it is about, its text and its check."""

    ops: tuple[type[Op], ...]
    attribute: str
    text: str
    check: Check


CONSTRAINTS: list[Constraint] = []
"""All rules, in the order in which they are checked."""


def constraint(attribute: str, *ops: type[Op]) -> Callable[[Check], Check]:
    """Register the decorated function as a rule about ``attribute`` of ``ops``."""

    def register(check: Check) -> Check:
        text = " ".join((check.__doc__ or "").split())
        CONSTRAINTS.append(Constraint(ops, attribute, text, check))
        return check

    return register


def check_op(op: Op, types: Types) -> None:
    """Check every rule for ``op``.

    Raises
    ------
    VerifyError  For the first broken rule; names the operator, the attribute and the value.
    """
    for rule in CONSTRAINTS:
        if isinstance(op, rule.ops):
            found = rule.check(op, types)
            if found:
                raise VerifyError(f"{op.name}: {op.kind}.{rule.attribute}: {rule.text} ({found})")


@constraint("weight", Conv2d, DeformConv2d, ConvTranspose2d)
def _conv_weight_shape(op: Conv2d | DeformConv2d | ConvTranspose2d, types: Types) -> str | None:
    """Weights have the shape (K, C / groups, R, S)."""
    shape = op.weight.shape
    if len(shape) != 4 or min(shape) < 1:
        return f"shape {shape}"
    return None


@constraint("groups", Conv2d, DeformConv2d, ConvTranspose2d)
def _groups_divide(op: Conv2d | DeformConv2d | ConvTranspose2d, types: Types) -> str | None:
    """The number of groups divides the input and the output channels."""
    c, k = types[op.input].shape[0], op.weight.shape[0]
    if op.groups < 1 or c % op.groups or k % op.groups:
        return f"groups={op.groups}, C={c}, K={k}"
    return None


@constraint("weight", Conv2d, DeformConv2d, ConvTranspose2d)
def _conv_channels(op: Conv2d | DeformConv2d | ConvTranspose2d, types: Types) -> str | None:
    """Weights cover C / groups input channels."""
    c = types[op.input].shape[0]
    if op.weight.shape[1] != c // op.groups:
        return f"weight shape {op.weight.shape}, C={c}, groups={op.groups}"
    return None


@constraint("weight", Linear)
def _linear_weight_shape(op: Linear, types: Types) -> str | None:
    """Weights have the shape (K, C * H * W)."""
    numel = types[op.input].numel
    if op.weight.ndim != 2 or op.weight.shape[0] < 1 or op.weight.shape[1] != numel:
        return f"shape {op.weight.shape}, C * H * W = {numel}"
    return None


@constraint("weight_bits", Conv2d, DeformConv2d, ConvTranspose2d, Linear)
def _weight_bits(op: Conv2d | DeformConv2d | ConvTranspose2d | Linear, types: Types) -> str | None:
    """Weights have 2 to 8 bits."""
    return None if 2 <= op.weight_bits <= 8 else f"{op.weight_bits} bits"


@constraint("weight", Conv2d, DeformConv2d, ConvTranspose2d, Linear)
def _weights_fit(op: Conv2d | DeformConv2d | ConvTranspose2d | Linear, types: Types) -> str | None:
    """Every weight is a signed integer of weight_bits bits."""
    limit = 1 << (op.weight_bits - 1)
    low, high = int(op.weight.min()), int(op.weight.max())
    if low < -limit or high >= limit:
        return f"weights {low}..{high} in {op.weight_bits} bits"
    return None


@constraint("kernels, data_factors, output_factors", RoundedConv2d)
def _terms_agree(op: RoundedConv2d, types: Types) -> str | None:
    """All have three dimensions, and as many terms, at least one; a tile holds its windows."""
    shapes = [a.shape for a in (op.kernels, op.data_factors, op.output_factors)]
    if any(len(shape) != 3 or min(shape) < 1 for shape in shapes):
        return f"shapes {shapes}"
    if len({shape[0] for shape in shapes}) > 1 or min(op.kernel) < 1:
        return f"shapes {shapes}, stride {op.stride}"
    return None


@constraint("groups", RoundedConv2d)
def _rounded_groups_divide(op: RoundedConv2d, types: Types) -> str | None:
    """Groups divide the output channels, and kernels cover C / groups input channels."""
    c, (_, k, per_group) = types[op.input].shape[0], op.kernels.shape
    if op.groups < 1 or k % op.groups or per_group * op.groups != c:
        return f"kernels shape {op.kernels.shape}, groups={op.groups}, C={c}"
    return None


@constraint("kernels", RoundedConv2d)
def _kernels_fit(op: RoundedConv2d, types: Types) -> str | None:
    """Kernels have at most 16 bits, factors of the data at most 8, those of the output 12."""
    for array, bits in ((op.kernels, 16), (op.data_factors, 8), (op.output_factors, 12)):
        low, high = int(array.min()), int(array.max())
        if low < -1 << (bits - 1) or high >= 1 << (bits - 1):
            return f"{low}..{high} in {bits} bits"
    return None


@constraint("bias", RoundedConv2d)
def _rounded_bias_shape(op: RoundedConv2d, types: Types) -> str | None:
    """There is one int32 bias per output channel."""
    if op.bias.shape != op.kernels.shape[1:2]:
        return f"shape {op.bias.shape} for {op.kernels.shape[1]} channels"
    if int(np.abs(op.bias).max()) >= 1 << 31:
        return f"bias {int(op.bias[np.abs(op.bias).argmax()])}"
    return None


@constraint("bias", Conv2d, DeformConv2d, ConvTranspose2d, Linear)
def _bias_shape(op: Conv2d | DeformConv2d | ConvTranspose2d | Linear, types: Types) -> str | None:
    """There is one int32 bias per output channel."""
    if op.bias.shape != op.weight.shape[:1]:
        return f"shape {op.bias.shape} for {op.weight.shape[0]} channels"
    if int(np.abs(op.bias).max()) >= 1 << 31:
        return f"bias {int(op.bias[np.abs(op.bias).argmax()])}"
    return None


@constraint("kernel", MaxPool2d, AvgPool2d)
def _kernel_positive(op: MaxPool2d | AvgPool2d, types: Types) -> str | None:
    """Kernel sizes are at least 1."""
    return None if min(op.kernel) >= 1 else f"{op.kernel}"


@constraint("stride", Conv2d, RoundedConv2d, DeformConv2d, ConvTranspose2d, MaxPool2d, AvgPool2d)
def _stride_positive(
    op: Conv2d | RoundedConv2d | DeformConv2d | ConvTranspose2d | MaxPool2d | AvgPool2d,
    types: Types,
) -> str | None:
    """Strides are at least 1."""
    return None if min(op.stride) >= 1 else f"{op.stride}"


@constraint("dilation", Conv2d, DeformConv2d, MaxPool2d)
def _dilation_positive(op: Conv2d | DeformConv2d | MaxPool2d, types: Types) -> str | None:
    """Dilations are at least 1."""
    return None if min(op.dilation) >= 1 else f"{op.dilation}"


@constraint("padding", Conv2d, RoundedConv2d, DeformConv2d, ConvTranspose2d, MaxPool2d, AvgPool2d)
def _padding_not_negative(
    op: Conv2d | RoundedConv2d | DeformConv2d | ConvTranspose2d | MaxPool2d | AvgPool2d,
    types: Types,
) -> str | None:
    """Padding is not negative."""
    return None if len(op.padding) == 4 and min(op.padding) >= 0 else f"{op.padding}"


@constraint("padding", MaxPool2d)
def _padding_inside_kernel(op: MaxPool2d, types: Types) -> str | None:
    """Padding is at most half the kernel, so that every window holds a real element."""
    limit = [op.kernel[0] // 2] * 2 + [op.kernel[1] // 2] * 2
    if any(p > m for p, m in zip(op.padding, limit, strict=True)):
        return f"padding {op.padding} with kernel {op.kernel}"
    return None


@constraint("padding", ConvTranspose2d)
def _cut_inside_kernel(op: ConvTranspose2d, types: Types) -> str | None:
    """Padding is less than the kernel, so that every input element counts."""
    limit = [op.kernel[0]] * 2 + [op.kernel[1]] * 2
    if any(p >= m for p, m in zip(op.padding, limit, strict=True)):
        return f"padding {op.padding} with kernel {op.kernel}"
    return None


@constraint("output_padding", ConvTranspose2d)
def _output_padding_below_stride(op: ConvTranspose2d, types: Types) -> str | None:
    """Output padding is not negative and less than the stride."""
    fits = all(0 <= p < s for p, s in zip(op.output_padding, op.stride, strict=True))
    return None if fits else f"output_padding {op.output_padding} with stride {op.stride}"


@constraint("output", ConvTranspose2d)
def _something_left(op: ConvTranspose2d, types: Types) -> str | None:
    """Padding leaves at least one row and column."""
    shape = output_shape(op, types)
    return None if min(shape) >= 1 else f"output would be {shape}"


@constraint("output", Conv2d, RoundedConv2d, DeformConv2d, MaxPool2d, AvgPool2d)
def _window_fits(
    op: Conv2d | RoundedConv2d | DeformConv2d | MaxPool2d | AvgPool2d, types: Types
) -> str | None:
    """The dilated kernel fits into the padded input at least once."""
    shape = output_shape(op, types)
    return None if min(shape) >= 1 else f"output would be {shape}"


@constraint("offset_groups", DeformConv2d)
def _offset_groups_divide(op: DeformConv2d, types: Types) -> str | None:
    """The number of offset groups divides the input channels."""
    c = types[op.input].shape[0]
    return f"offset_groups={op.offset_groups}, C={c}" if _not_divided(c, op) else None


def _not_divided(channels: int, op: DeformConv2d) -> bool:
    return op.offset_groups < 1 or channels % op.offset_groups != 0


@constraint("offset", DeformConv2d)
def _offset_type(op: DeformConv2d, types: Types) -> str | None:
    """Offsets are signed, of at most 8 bits, with zero point 0 and a scale of 2**-f, f in 0..8."""
    t = types[op.offset]
    fits = t.signed and t.bits <= 8 and t.zero_point == 0 and fraction_bits(t) is not None
    return None if fits else _describe(t)


@constraint("mask", DeformConv2d)
def _mask_type(op: DeformConv2d, types: Types) -> str | None:
    """A mask is unsigned, of at most 8 bits, with zero point 0 and a scale of 2**-b, b in 1..8."""
    if op.mask is None:
        return None
    t = types[op.mask]
    fits = not t.signed and t.bits <= 8 and t.zero_point == 0 and fraction_bits(t, 1) is not None
    return None if fits else _describe(t)


def _describe(t: TensorType) -> str:
    sign = "signed" if t.signed else "unsigned"
    return f"{t.bits} bits, {sign}, zero point {t.zero_point}, scale {t.scale}"


@constraint("offset, mask", DeformConv2d)
def _offset_shape(op: DeformConv2d, types: Types) -> str | None:
    """There are two offsets, and one mask, per offset group, tap and position."""
    _, *size = output_shape(op, types)
    taps = op.offset_groups * op.kernel[0] * op.kernel[1]
    for name, count in ((op.offset, 2 * taps), (op.mask, taps)):
        if name is not None and types[name].shape != (count, *size):
            return f"{name} has the shape {types[name].shape}, not {(count, *size)}"
    return None


@constraint("input_b", Add)
def _add_shapes(op: Add, types: Types) -> str | None:
    """Both operands have the same shape; broadcasting is not supported."""
    a, b = types[op.input_a].shape, types[op.input_b].shape
    return None if a == b else f"{a} and {b}"


@constraint("sources", Concat)
def _sources_fit(op: Concat, types: Types) -> str | None:
    """There is at least one operand, and all have the same rows and columns."""
    sizes = {types[v].shape[1:] for v in op.sources}
    return None if len(sizes) == 1 else f"{sorted(sizes)}"


@constraint("channels", SelectChannels)
def _channels_exist(op: SelectChannels, types: Types) -> str | None:
    """It names at least one channel, all of which exist."""
    count = types[op.input].shape[0]
    if op.channels.ndim != 1 or not op.channels.size:
        return f"shape {op.channels.shape}"
    low, high = int(op.channels.min()), int(op.channels.max())
    return None if low >= 0 and high < count else f"channels {low}..{high} of {count}"


@constraint("factor", Upsample, UpsampleBilinear, PixelShuffle, PixelUnshuffle)
def _factor_positive(
    op: Upsample | UpsampleBilinear | PixelShuffle | PixelUnshuffle, types: Types
) -> str | None:
    """Factors are at least 1."""
    factors = op.factor if isinstance(op, Upsample | UpsampleBilinear) else (op.factor,)
    return None if min(factors) >= 1 else f"{op.factor}"


@constraint("factor", PixelShuffle)
def _blocks_divide_channels(op: PixelShuffle, types: Types) -> str | None:
    """The factor's square divides the channels."""
    c = types[op.input].shape[0]
    return None if c % op.factor**2 == 0 else f"factor {op.factor}, C={c}"


@constraint("factor", PixelUnshuffle)
def _blocks_divide_size(op: PixelUnshuffle, types: Types) -> str | None:
    """The factor divides rows and columns."""
    _, h, w = types[op.input].shape
    return None if h % op.factor == 0 and w % op.factor == 0 else f"factor {op.factor} of {h, w}"


@constraint("output", *(op for op in OPS if op not in (Input, Output)))
def _shape_agrees(op: Op, types: Types) -> str | None:
    """The declared output shape is the inferred one."""
    inferred, declared = output_shape(op, types), types[op.outputs[0]].shape
    return None if inferred == declared else f"inferred {inferred}, declared {declared}"


@constraint("output", MaxPool2d, Concat, SelectChannels, Upsample, PixelShuffle, PixelUnshuffle)
def _keeps_type(op: Op, types: Types) -> str | None:
    """The output has the bits, sign, scale and zero point of every input."""
    b = types[op.outputs[0]]
    for a in (types[v] for v in op.inputs):
        if replace(a, shape=b.shape) != b:
            return f"{a} and {b}"
    return None


@constraint("requantize", AvgPool2d, Add, Rescale, Gate, UpsampleBilinear)
def _requantize_matches_output(
    op: AvgPool2d | Add | Rescale | Gate | UpsampleBilinear, types: Types
) -> str | None:
    """It has one multiplier per output channel, and the range and zero point of the output."""
    return _requantize_problem(op.requantize, types[op.output])


@constraint("requantize", Conv2d, RoundedConv2d, DeformConv2d, ConvTranspose2d, Linear)
def _requantize_fits_output(
    op: Conv2d | RoundedConv2d | DeformConv2d | ConvTranspose2d | Linear, types: Types
) -> str | None:
    """It has one multiplier per output channel, and the range and zero point of the output.

    An odd zero point may be one less, with one output step in the bias, to round ties as Brevitas.
    """
    r, t = op.requantize, types[op.output]
    if t.zero_point % 2 and r.zero_point == t.zero_point - 1:
        r = replace(r, zero_point=t.zero_point)
    return _requantize_problem(r, t)


@constraint("gate", Gate)
def _gate_is_per_channel(op: Gate, types: Types) -> str | None:
    """It has one element per channel of the input."""
    wanted, shape = (types[op.input].shape[0], 1, 1), types[op.gate].shape
    return None if shape == wanted else f"shape {shape}, not {wanted}"


@constraint("table", Lookup)
def _table_is_whole(op: Lookup, types: Types) -> str | None:
    """It has an entry for every value of the input's 2 to 8 bits, within the output's range."""
    source, result = types[op.input], types[op.output]
    if source.bits > 8:
        return f"the input has {source.bits} bits"
    if op.table.shape != (1 << source.bits,):
        return f"shape {op.table.shape} for an input of {source.bits} bits"
    low, high = int(op.table.min()), int(op.table.max())
    if low < result.qmin or high > result.qmax:
        return f"entries {low}..{high} outside {result.qmin}..{result.qmax}"
    return None


@constraint("shared_bits", Add)
def _shared_bits(op: Add, types: Types) -> str | None:
    """Operands are added in 2 to 16 bits."""
    return None if 2 <= op.shared_bits <= 16 else f"{op.shared_bits} bits"


@constraint("requantize_a, requantize_b", Add)
def _operands_match_shared_type(op: Add, types: Types) -> str | None:
    """Both have one multiplier per channel and stay within the shared type."""
    shape = types[op.output].shape
    for side, r in (("a", op.requantize_a), ("b", op.requantize_b)):
        try:
            shared = TensorType(shape, op.shared_bits, op.shared_signed, 1.0, r.zero_point)
        except VerifyError as error:
            return f"requantize_{side}: {error}"
        if found := _requantize_problem(r, shared):
            return f"requantize_{side}: {found}"
    return None


@constraint("accumulator", *WITH_ACCUMULATOR)
def _accumulator_fits(op: Op, types: Types) -> str | None:
    """The accumulator stays within int32 for every possible input, with and without bias."""
    ranges = [accumulator_range(op, types)]
    if isinstance(op, Conv2d | RoundedConv2d | DeformConv2d | ConvTranspose2d | Linear):
        lo, hi = ranges[0]
        ranges.append((lo - op.bias, hi - op.bias))
    for lo, hi in ranges:
        worst = np.maximum(-lo, hi)
        if int(worst.max()) >= 1 << 31:
            channel = int(worst.argmax())
            return f"channel {channel} reaches {int(lo[channel])}..{int(hi[channel])}"
    return None


def _requantize_problem(r: Requantize, t: TensorType) -> str | None:
    if r.channels != t.shape[0]:
        return f"{r.channels} multipliers for {t.shape[0]} channels"
    if r.zero_point != t.zero_point:
        return f"zero point {r.zero_point}, the tensor's is {t.zero_point}"
    if r.qmin < t.qmin or r.qmax > t.qmax:
        return f"range {r.qmin}..{r.qmax} outside {t.qmin}..{t.qmax}"
    return None
