"""Tensor types and the requantization that leads from an accumulator to one of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar, Literal, TypeAlias, get_args

from tilewright.errors import Error

MAX_MULTIPLIER_WIDTH = 31
MAX_SHIFT = 63
Rounding: TypeAlias = Literal["half_even", "double", "half_away"]
"""How a result is rounded; see :class:`Requantize`."""
FIRST_ROUNDING = 31
"""Where "double" rounds for the first time: bits below the point of a product."""


class VerifyError(Error):
    """A graph breaks a rule of the IR; the message names the operator and the attribute."""


@dataclass(frozen=True)
class TensorType:
    """A quantized (C, H, W) tensor: real value = ``scale * (q - zero_point)``.

    Parameters
    ----------
    shape : (C, H, W), each at least 1
    bits : int, 2..16
    signed : bool, two's complement if true
    scale : float, finite and positive
    zero_point : int, a value that the type can hold, so that padding can be stored

    Raises
    ------
    VerifyError  If a field is out of range.
    """

    shape: tuple[int, int, int]
    bits: int
    signed: bool
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise VerifyError(f"TensorType.shape must be three positive numbers, not {self.shape}")
        if not 2 <= self.bits <= 16:
            raise VerifyError(f"TensorType.bits must be in 2..16, not {self.bits}")
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise VerifyError(f"TensorType.scale must be finite and positive, not {self.scale}")
        if not self.qmin <= self.zero_point <= self.qmax:
            raise VerifyError(
                f"TensorType.zero_point must be in {self.qmin}..{self.qmax}, not {self.zero_point}"
            )

    @property
    def qmin(self) -> int:
        """Lowest integer of the bit width and sign."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def qmax(self) -> int:
        """Highest integer of the bit width and sign."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def numel(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Requantize:
    """``q = clamp(round(acc * M / 2**S) + zero_point, qmin, qmax)`` per channel.

    A ReLU or a narrow range is a ``qmin..qmax`` inside the range of the output type. The operator
    adds its bias to ``acc`` beforehand. See docs/decisions/0001-rounding.md.

    ``rounding="half_even"`` rounds once. ``"double"`` is what TFLite's reference kernels do: with S
    of 31 and more, first to ``acc * M / 2**31``, half up, and then that to ``2**(S - 31)``, half
    away from zero; with a smaller S once, half up. ``"half_away"`` rounds once, half away from
    zero. Engines that round twice have both. See docs/decisions/0022-tflite.md.

    Parameters
    ----------
    multiplier : M of every output channel, 0..2**31 - 1
    shift : S of every output channel, 0..63, as many as multipliers
    zero_point : int, of the output
    qmin, qmax : int, inclusive bounds of the output
    rounding : "half_even", "double" or "half_away"

    Raises
    ------
    VerifyError  If a field is out of range.
    """

    multiplier: tuple[int, ...]
    shift: tuple[int, ...]
    zero_point: int
    qmin: int
    qmax: int
    rounding: Rounding = "half_even"

    #: Bits of M, and S, at most.
    WIDEST: ClassVar[int] = MAX_MULTIPLIER_WIDTH
    FURTHEST: ClassVar[int] = MAX_SHIFT

    def __post_init__(self) -> None:
        if self.rounding not in get_args(Rounding):
            raise VerifyError(
                f"Requantize.rounding must be one of {', '.join(get_args(Rounding))}, "
                f"not {self.rounding!r}"
            )
        if not self.multiplier or len(self.multiplier) != len(self.shift):
            raise VerifyError(
                f"Requantize.shift must have one entry per multiplier and at least one, not "
                f"{len(self.shift)} for {len(self.multiplier)}"
            )
        for m in self.multiplier:
            if not 0 <= m < 1 << self.WIDEST:
                raise VerifyError(
                    f"Requantize.multiplier must be in 0..2**{self.WIDEST} - 1, not {m}"
                )
        for s in self.shift:
            if not 0 <= s <= self.FURTHEST:
                raise VerifyError(f"Requantize.shift must be in 0..{self.FURTHEST}, not {s}")
        if self.qmin > self.qmax:
            raise VerifyError(
                f"Requantize.qmin must not exceed qmax, not {self.qmin} > {self.qmax}"
            )

    @property
    def channels(self) -> int:
        """Number of output channels."""
        return len(self.multiplier)

    @property
    def multiplier_width(self) -> int:
        """Bits of the widest multiplier, at least 1."""
        return max(1, max(m.bit_length() for m in self.multiplier))

    @property
    def rounds(self) -> bool:
        """Whether any result is rounded at all."""
        return any(self.shift)


@dataclass(frozen=True)
class Ratio(Requantize):
    """A requantization while no engine is known: M and S are the factor's, to the last bit.

    A float64 is a fraction with a power of two below. ``choose_multipliers`` makes multipliers of
    an engine's width of it, and nothing is computed with it before that.
    """

    WIDEST: ClassVar[int] = 1024
    FURTHEST: ClassVar[int] = 1074

    @classmethod
    def of(
        cls,
        factors: Sequence[float],
        zero_point: int,
        qmin: int,
        qmax: int,
        rounding: Rounding = "half_even",
    ) -> "Ratio":
        """Return the requantization by factors, one per output channel.

        Raises
        ------
        VerifyError  If one is not finite and positive.
        """
        for factor in factors:
            if not (math.isfinite(factor) and factor > 0):
                raise VerifyError(
                    f"a requantization factor must be finite and positive, not {factor}"
                )
        pairs = [float(factor).as_integer_ratio() for factor in factors]
        shift = tuple(d.bit_length() - 1 for _, d in pairs)
        return cls(tuple(m for m, _ in pairs), shift, zero_point, qmin, qmax, rounding)

    @property
    def factors(self) -> tuple[float, ...]:
        """The factor of every output channel."""
        pairs = zip(self.multiplier, self.shift, strict=True)
        return tuple(math.ldexp(float(m), -s) for m, s in pairs)

    def chosen(self, multiplier_width: int) -> Requantize:
        """Return the nearest multipliers of a width, as :func:`make_requantize`."""
        return make_requantize(
            self.factors, multiplier_width, self.zero_point, self.qmin, self.qmax, self.rounding
        )


def make_requantize(
    factors: Sequence[float],
    multiplier_width: int,
    zero_point: int,
    qmin: int,
    qmax: int,
    rounding: Rounding = "half_even",
) -> Requantize:
    """Represent each channel's ``factor`` as ``M / 2**S``.

    A power of two is exact: ``M = 1, S = k`` below one and ``M = 2**k, S = 0`` above. Any other
    factor takes the ``multiplier_width`` bit M that is nearest to it. Factors too small for
    ``S = 63`` lose leading bits of M; such a factor rounds every int32 accumulator to zero.

    With another rounding than "half_even", M always has 31 bits and is what TFLite takes: the
    nearest, ties away from zero.

    Parameters
    ----------
    factors : one per output channel, finite and positive
    multiplier_width : int, bits of M, 2..31
    zero_point, qmin, qmax, rounding : as in :class:`Requantize`

    Raises
    ------
    VerifyError  If a factor is not positive, not finite, or needs more bits than M has.
    """
    if not 2 <= multiplier_width <= MAX_MULTIPLIER_WIDTH:
        raise VerifyError(f"multiplier_width must be in 2..31, not {multiplier_width}")
    for factor in factors:
        if not (math.isfinite(factor) and factor > 0):
            raise VerifyError(f"a requantization factor must be finite and positive, not {factor}")
    if rounding == "half_even":
        pairs = [_multiplier_and_shift(float(f), multiplier_width) for f in factors]
    else:
        pairs = [_of_31_bits(float(f)) for f in factors]
    multiplier, shift = tuple(m for m, _ in pairs), tuple(s for _, s in pairs)
    return Requantize(multiplier, shift, zero_point, qmin, qmax, rounding)


def _of_31_bits(factor: float) -> tuple[int, int]:
    """Return M of 31 bits and S, as TFLite's ``QuantizeMultiplier`` has them."""
    mantissa, exponent = math.frexp(factor)
    multiplier = math.floor(mantissa * (1 << FIRST_ROUNDING) + 0.5)
    if multiplier == 1 << FIRST_ROUNDING:
        multiplier, exponent = multiplier >> 1, exponent + 1
    if exponent < -FIRST_ROUNDING:
        return 0, FIRST_ROUNDING
    if exponent > FIRST_ROUNDING:
        raise VerifyError(f"a requantization factor of {factor} is 2**31 and more")
    return multiplier, FIRST_ROUNDING - exponent


def _multiplier_and_shift(factor: float, width: int) -> tuple[int, int]:
    mantissa, exponent = math.frexp(factor)  # factor = mantissa * 2**exponent, mantissa in [.5, 1)
    if mantissa == 0.5:
        exponent -= 1
        if exponent <= 0:
            return (1, -exponent) if exponent >= -MAX_SHIFT else (0, MAX_SHIFT)
        if exponent < width:
            return 1 << exponent, 0
    else:
        shift = min(width - exponent, MAX_SHIFT)
        if shift >= 0:
            multiplier = round(Fraction(factor) * (1 << shift))
            if multiplier < 1 << width:
                return multiplier, shift
            if shift > 0:  # rounded up to the next power of two
                return multiplier >> 1, shift - 1
    raise VerifyError(
        f"a requantization factor of {factor} needs more than {width} multiplier bits"
    )
