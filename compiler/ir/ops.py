"""The operators of the integer graph, as frozen dataclasses.

Every operator has a ``name`` (the path of the PyTorch module that it comes from) and refers to
tensors by value name. The summary line of each docstring, and the rules in ``constraints``, are
what docs/supported_ops.md shows.
"""

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.types import Requantize

IntArray: TypeAlias = npt.NDArray[np.int64]
Pair: TypeAlias = tuple[int, int]
Names: TypeAlias = tuple[str, ...]
OptionalName: TypeAlias = str | None
Padding: TypeAlias = tuple[int, int, int, int]
"""(top, bottom, left, right) rows and columns."""


@dataclass(frozen=True, eq=False)
class Op:
    """What all operators share: a name, inputs, outputs, and equality by content."""

    name: str

    def __post_init__(self) -> None:
        """Own every array: int64, contiguous, read-only."""
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                if not np.issubdtype(value.dtype, np.integer):
                    raise TypeError(
                        f"{self.name}: {field.name} must be integers, not {value.dtype}"
                    )
                own = np.array(value, dtype=np.int64, order="C")
                own.flags.writeable = False
                object.__setattr__(self, field.name, own)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return ()

    @property
    def kind(self) -> str:
        """Name of the operator's class."""
        return type(self).__name__

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self.inputs, self.outputs))


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)


@dataclass(frozen=True, eq=False)
class _Unary(Op):
    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


@dataclass(frozen=True, eq=False)
class Input(Op):
    """A tensor that the caller provides, already on the integer grid of its type."""

    output: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


@dataclass(frozen=True, eq=False)
class Output(Op):
    """A tensor that the caller receives."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input,)


@dataclass(frozen=True, eq=False)
class Conv2d(_Unary):
    """Convolution with groups, stride, padding and dilation.

    ``acc = sum(w * (q - zero_point_in)) + bias``; padding holds the input's zero point.

    Parameters
    ----------
    weight : (K, C / groups, R, S), signed integers of ``weight_bits`` bits
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
    groups : int, divides C and K
    requantize : one multiplier per output channel
    """

    weight: IntArray
    weight_bits: int
    bias: IntArray
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    requantize: Requantize

    @property
    def kernel(self) -> Pair:
        """(R, S)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])


@dataclass(frozen=True, eq=False)
class DeformConv2d(Op):
    """Deformable convolution (v1, v2): every tap samples at an offset of its own, bilinearly.

    Tap (r, s) of output (i, j) lies at row ``stride * i - top + r * dilation + dy``, column
    likewise, between four pixels ``q`` with weights ``w`` in units of ``2**-2f``; a pixel outside
    the image is the zero point. Its sample is ``round_half_even(m * sum(w * (q - zero_point_in)) /
    2**(2f + b))`` behind the zero point, clamped to the input's type, where ``m / 2**b`` is the
    mask, or 1. Samples are convolved as in Conv2d. docs/deformable.md has the whole of it.

    Parameters
    ----------
    offset : value of 2 * offset_groups * R * S channels and the output's rows and columns, in
        units of ``2**-f`` pixels: by offset group, tap (row by row), then vertical and horizontal
    mask : value of offset_groups * R * S channels in units of ``2**-b``, or None
    weight : (K, C / groups, R, S), signed integers of ``weight_bits`` bits
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
    groups : int, divides C and K
    offset_groups : int, divides C; each has offsets and masks of its own
    requantize : one multiplier per output channel
    """

    input: str
    offset: str
    mask: OptionalName
    output: str
    weight: IntArray
    weight_bits: int
    bias: IntArray
    stride: Pair
    padding: Padding
    dilation: Pair
    groups: int
    offset_groups: int
    requantize: Requantize

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input, self.offset, *(() if self.mask is None else (self.mask,)))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)

    @property
    def kernel(self) -> Pair:
        """(R, S)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])


@dataclass(frozen=True, eq=False)
class RoundedConv2d(_Unary):
    """Convolution in tiles with rounded kernels (Winograd), close to a Conv2d but not equal to it.

    The results lie in tiles of ``m`` rows and columns; tile (y, x) reads the pixels from row
    ``m * stride * y - top`` and column ``m * stride * x - left`` on. In every tile
    ``window[p, c] = sum(data_factors[p, u, v] * (q[c, u, v] - zero_point_in))`` and
    ``acc[k, i, j] = sum(output_factors[p, i, j] * kernels[p, k, c] * window[p, c]) + bias[k]``.
    Pixels outside the input hold its zero point, also where the last tiles reach beyond the
    padding. Only the compiler makes this operator, on request: docs/winograd.md.

    Parameters
    ----------
    kernels : (P, K, C / groups), signed integers of at most 16 bits
    data_factors : (P, U, V), what term p multiplies the pixels of a tile by
    output_factors : (P, m_y, m_x), what its sums are multiplied by, for each result
    bias : (K,), int32 at the accumulator's scale
    stride : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), at least 0
    groups : int, divides C and K
    requantize : one multiplier per output channel
    """

    kernels: IntArray
    data_factors: IntArray
    output_factors: IntArray
    bias: IntArray
    stride: Pair
    padding: Padding
    groups: int
    requantize: Requantize

    @property
    def m(self) -> Pair:
        """Result rows and columns of a tile."""
        return int(self.output_factors.shape[1]), int(self.output_factors.shape[2])

    @property
    def kernel(self) -> Pair:
        """(R, S) of the convolution that is approximated."""
        return (
            int(self.data_factors.shape[1]) - (self.m[0] - 1) * self.stride[0],
            int(self.data_factors.shape[2]) - (self.m[1] - 1) * self.stride[1],
        )


@dataclass(frozen=True, eq=False)
class ConvTranspose2d(_Unary):
    """Transposed convolution with groups, stride and padding; its dilation is 1.

    ``acc[k, y, x] = sum(w[k, c, r, s] * (q[c, i, j] - zero_point_in)) + bias[k]`` over all elements
    and taps with ``y = stride * i + r - top`` and ``x = stride * j + s - left``. A position that no
    tap reaches holds the bias.

    Parameters
    ----------
    weight : (K, C / groups, R, S) and not PyTorch's (C, K / groups, R, S), signed
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    stride : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right), rows and columns cut off the output, less than the kernel
    output_padding : (bottom, right), how much less is cut off there, less than the stride
    groups : int, divides C and K
    requantize : one multiplier per output channel
    """

    weight: IntArray
    weight_bits: int
    bias: IntArray
    stride: Pair
    padding: Padding
    output_padding: Pair
    groups: int
    requantize: Requantize

    @property
    def kernel(self) -> Pair:
        """(R, S)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])


@dataclass(frozen=True, eq=False)
class Linear(_Unary):
    """Fully connected layer over the flattened (C, H, W) input; the output is (K, 1, 1).

    Parameters
    ----------
    weight : (K, C * H * W) in PyTorch's flatten order, signed integers of ``weight_bits`` bits
    weight_bits : int, 2..8
    bias : (K,), int32 at scale ``s_in * s_w``
    requantize : one multiplier per output channel
    """

    weight: IntArray
    weight_bits: int
    bias: IntArray
    requantize: Requantize


@dataclass(frozen=True, eq=False)
class MaxPool2d(_Unary):
    """Maximum over windows; padding never wins, and scale and zero point stay.

    Parameters
    ----------
    kernel, stride, dilation : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right); padded positions hold the type's lowest value
    """

    kernel: Pair
    stride: Pair
    padding: Padding
    dilation: Pair


@dataclass(frozen=True, eq=False)
class AvgPool2d(_Unary):
    """Sum over windows, then one requantization that also divides by the kernel area.

    ``acc = sum(q - zero_point_in)``; padding counts as zeros, the divisor is always the full area.

    Parameters
    ----------
    kernel, stride : (vertical, horizontal), at least 1
    padding : (top, bottom, left, right)
    requantize : factor ``s_in / (s_out * area)``, one multiplier per channel
    """

    kernel: Pair
    stride: Pair
    padding: Padding
    requantize: Requantize


@dataclass(frozen=True, eq=False)
class Add(Op):
    """Residual addition: both operands requantized to one shared scale, added, requantized.

    ``a' = requantize_a(a - zero_point_a)`` and ``b'`` alike, held in ``shared_bits`` bits, then
    ``out = requantize((a' - requantize_a.zero_point) + (b' - requantize_b.zero_point))``.

    Parameters
    ----------
    requantize_a, requantize_b : to the shared scale, one multiplier per channel
    requantize : from the shared scale to the output
    shared_bits, shared_signed : the integer type of ``a'`` and ``b'``, 2..16 bits
    """

    input_a: str
    input_b: str
    output: str
    requantize_a: Requantize
    requantize_b: Requantize
    requantize: Requantize
    shared_bits: int
    shared_signed: bool

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input_a, self.input_b)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


@dataclass(frozen=True, eq=False)
class Rescale(_Unary):
    """Move a tensor to another scale, zero point, width or range.

    ``out = requantize(q - zero_point_in)``; a ReLU between two scales is one of these.

    Parameters
    ----------
    requantize : factor ``s_in / s_out``, one multiplier per channel
    """

    requantize: Requantize


@dataclass(frozen=True, eq=False)
class Gate(Op):
    """Product of a tensor and one factor per channel, as in squeeze and excitation.

    ``out = requantize((q - zero_point_in) * (gate - zero_point_gate))``.

    Parameters
    ----------
    gate : value of shape (C, 1, 1)
    requantize : factor ``s_in * s_gate / s_out``, one multiplier per channel
    """

    input: str
    gate: str
    output: str
    requantize: Requantize

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input, self.gate)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


@dataclass(frozen=True, eq=False)
class Lookup(_Unary):
    """An activation function: every element is replaced by its entry in a table.

    ``out = table[q - q_lowest]``, where ``q_lowest`` is the lowest value of the input's type.

    Parameters
    ----------
    table : (2 ** bits,) integers, one for each value of the input's type, of at most 8 bits
    """

    table: IntArray


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Concatenation along channels; scale and zero point stay.

    Parameters
    ----------
    sources : value names, at least one
    """

    sources: Names
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return self.sources

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


@dataclass(frozen=True, eq=False)
class SelectChannels(_Unary):
    """Some of the channels, in any order: a slice, a split or a shuffle; the type stays.

    Parameters
    ----------
    channels : (K,), the input channel of each output channel
    """

    channels: IntArray


@dataclass(frozen=True, eq=False)
class Upsample(_Unary):
    """Repetition of every pixel (nearest neighbour); the type stays.

    Parameters
    ----------
    factor : (vertical, horizontal), at least 1
    """

    factor: Pair


@dataclass(frozen=True, eq=False)
class UpsampleBilinear(_Unary):
    """Bilinear interpolation by whole factors, with pixels as areas (``align_corners=False``).

    Along each axis, output ``f * i + p`` lies ``(2 p + 1 - f) / 2 f`` pixels from input i; beyond
    the last pixels their value goes on. ``acc`` is the weighted sum of ``q - zero_point_in`` in
    units of ``1 / (4 * f_vertical * f_horizontal)``, requantized once.

    Parameters
    ----------
    factor : (vertical, horizontal), at least 1
    requantize : factor ``s_in / (4 * f_vertical * f_horizontal * s_out)``, one multiplier per
        channel
    """

    factor: Pair
    requantize: Requantize


@dataclass(frozen=True, eq=False)
class PixelShuffle(_Unary):
    """Channels to blocks of pixels, (C * r * r, H, W) to (C, H * r, W * r); the type stays.

    ``out[c, y * r + i, x * r + j] = in[c * r * r + i * r + j, y, x]``, as in PyTorch.

    Parameters
    ----------
    factor : int, r, at least 1
    """

    factor: int


@dataclass(frozen=True, eq=False)
class PixelUnshuffle(_Unary):
    """Blocks of pixels to channels, the inverse of PixelShuffle; the type stays.

    Parameters
    ----------
    factor : int, r, at least 1
    """

    factor: int


OPS: tuple[type[Op], ...] = (
    Input,
    Conv2d,
    RoundedConv2d,
    DeformConv2d,
    ConvTranspose2d,
    Linear,
    MaxPool2d,
    AvgPool2d,
    Add,
    Rescale,
    Gate,
    Lookup,
    Concat,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
    PixelShuffle,
    PixelUnshuffle,
    Output,
)
"""Every operator that a graph may hold."""
