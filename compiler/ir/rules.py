# ruff: noqa: D401 - these docstrings state rules to the user, not what a function does
"""Rules that several operators share; rules of one operator stand beside it.

An operator lists its rules in ``RULES``. The docstring of a rule is both the message that a user
reads when it is broken and its line in docs/supported_ops.md. A rule returns what it found wrong,
or nothing.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, TypeAlias

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray, Integers
from tilewright.compiler.ir.op import Accumulating, Biased, Op, Padding, Pair, Rule, Types
from tilewright.compiler.ir.types import Requantize, TensorType, VerifyError

Check: TypeAlias = Callable[[Any, Types], str | None]


def rule(attribute: str) -> Callable[[Check], Rule]:
    """Make the decorated function a rule about ``attribute``."""

    def make(check: Check) -> Rule:
        return Rule(attribute, " ".join((check.__doc__ or "").split()), check)

    return make


def check_op(op: Op, types: Types) -> None:
    """Check every rule for ``op``.

    Raises
    ------
    VerifyError  For the first broken rule; names the operator, the attribute and the value.
    """
    for one in op.RULES:
        if found := one.check(op, types):
            raise VerifyError(f"{op.name}: {op.kind}.{one.attribute}: {one.text} ({found})")


class _Weighted(Protocol):
    input: str
    weight: Integers
    weight_bits: int
    bias: IntArray


class _Grouped(_Weighted, Protocol):
    groups: int


class _Windowed(Protocol):
    kernel: Pair


class _Strided(Protocol):
    stride: Pair


class _Dilated(Protocol):
    dilation: Pair


class _Padded(Protocol):
    padding: Padding


class _Binary(Protocol):
    input_a: str
    input_b: str


@rule("weight")
def weight_shape(op: _Weighted, types: Types) -> str | None:
    """Weights have the shape (K, C / groups, R, S)."""
    shape = op.weight.shape
    if len(shape) != 4 or min(shape) < 1:
        return f"shape {shape}"
    return None


@rule("groups")
def groups_divide(op: _Grouped, types: Types) -> str | None:
    """The number of groups divides the input and the output channels."""
    c, k = types[op.input].shape[0], op.weight.shape[0]
    if op.groups < 1 or c % op.groups or k % op.groups:
        return f"groups={op.groups}, C={c}, K={k}"
    return None


@rule("weight")
def weight_covers_channels(op: _Grouped, types: Types) -> str | None:
    """Weights cover C / groups input channels."""
    c = types[op.input].shape[0]
    if op.weight.shape[1] != c // op.groups:
        return f"weight shape {op.weight.shape}, C={c}, groups={op.groups}"
    return None


@rule("weight_bits")
def bits_of_weights(op: _Weighted, types: Types) -> str | None:
    """Weights have 2 to 8 bits."""
    return None if 2 <= op.weight_bits <= 8 else f"{op.weight_bits} bits"


@rule("weight")
def weights_fit(op: _Weighted, types: Types) -> str | None:
    """Every weight is a signed integer of weight_bits bits."""
    limit = 1 << (op.weight_bits - 1)
    low, high = int(op.weight.min()), int(op.weight.max())
    if low < -limit or high >= limit:
        return f"weights {low}..{high} in {op.weight_bits} bits"
    return None


@rule("bias")
def bias_shape(op: _Weighted, types: Types) -> str | None:
    """There is one int32 bias per output channel."""
    return wrong_bias(op.bias, op.weight.shape[0])


def wrong_bias(bias: IntArray, channels: int) -> str | None:
    """Return what is wrong with a bias for so many channels, if anything."""
    if bias.shape != (channels,):
        return f"shape {bias.shape} for {channels} channels"
    largest = int(bias[np.abs(bias).argmax()])
    return f"bias {largest}" if abs(largest) >= 1 << 31 else None


@rule("kernel")
def kernel_positive(op: _Windowed, types: Types) -> str | None:
    """Kernel sizes are at least 1."""
    return None if min(op.kernel) >= 1 else f"{op.kernel}"


@rule("stride")
def stride_positive(op: _Strided, types: Types) -> str | None:
    """Strides are at least 1."""
    return None if min(op.stride) >= 1 else f"{op.stride}"


@rule("dilation")
def dilation_positive(op: _Dilated, types: Types) -> str | None:
    """Dilations are at least 1."""
    return None if min(op.dilation) >= 1 else f"{op.dilation}"


@rule("padding")
def padding_not_negative(op: _Padded, types: Types) -> str | None:
    """Padding is not negative."""
    return None if len(op.padding) == 4 and min(op.padding) >= 0 else f"{op.padding}"


@rule("output")
def window_fits(op: Op, types: Types) -> str | None:
    """The dilated kernel fits into the padded input at least once."""
    shape = op.shape(types)
    return None if min(shape) >= 1 else f"output would be {shape}"


@rule("input_b")
def shapes_equal(op: _Binary, types: Types) -> str | None:
    """Both operands have the same shape; broadcasting is not supported."""
    a, b = types[op.input_a].shape, types[op.input_b].shape
    return None if a == b else f"{a} and {b}"


@rule("output")
def shape_agrees(op: Op, types: Types) -> str | None:
    """The declared output shape is the inferred one."""
    inferred, declared = op.shape(types), types[op.outputs[0]].shape
    return None if inferred == declared else f"inferred {inferred}, declared {declared}"


@rule("output")
def keeps_type(op: Op, types: Types) -> str | None:
    """The output has the bits, sign, scale and zero point of every input."""
    b = types[op.outputs[0]]
    for a in (types[v] for v in op.inputs):
        if replace(a, shape=b.shape) != b:
            return f"{a} and {b}"
    return None


@rule("requantize")
def requantize_matches(op: Accumulating, types: Types) -> str | None:
    """It has one multiplier per output channel, and the range and zero point of the output."""
    return requantize_problem(op.requantize, types[op.outputs[0]])


@rule("requantize")
def requantize_fits(op: Accumulating, types: Types) -> str | None:
    """It has one multiplier per output channel, and the range and zero point of the output.

    An odd zero point may be one less, with one output step in the bias, to round ties as Brevitas;
    all of it may be in the bias, to round means as TFLite.
    """
    r, t = op.requantize, types[op.outputs[0]]
    if r.zero_point == 0:
        r = replace(r, zero_point=t.zero_point)
    if t.zero_point % 2 and r.zero_point == t.zero_point - 1:
        r = replace(r, zero_point=t.zero_point)
    return requantize_problem(r, t)


@rule("accumulator")
def accumulator_fits(op: Accumulating, types: Types) -> str | None:
    """The accumulator stays within int32 for every possible input, with and without bias."""
    ranges = [op.accumulator(types)]
    if isinstance(op, Biased):
        lo, hi = ranges[0]
        ranges.append((lo - op.bias, hi - op.bias))
    for lo, hi in ranges:
        worst = np.maximum(-lo, hi)
        if int(worst.max()) >= 1 << 31:
            channel = int(worst.argmax())
            return f"channel {channel} reaches {int(lo[channel])}..{int(hi[channel])}"
    return None


def requantize_problem(r: Requantize, t: TensorType) -> str | None:
    """Return why a requantization does not lead to a type, or None."""
    if r.channels != t.shape[0]:
        return f"{r.channels} multipliers for {t.shape[0]} channels"
    if r.zero_point != t.zero_point:
        return f"zero point {r.zero_point}, the tensor's is {t.zero_point}"
    if r.qmin < t.qmin or r.qmax > t.qmax:
        return f"range {r.qmin}..{r.qmax} outside {t.qmin}..{t.qmax}"
    return None
