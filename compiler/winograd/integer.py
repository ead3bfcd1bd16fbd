"""Transforms in integers: every point has its scale, and one exact division undoes them all."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import gcd, lcm
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.winograd.transform import Matrix, Transform

IntMatrix: TypeAlias = tuple[tuple[int, ...], ...]


def bits_for(low: int, high: int) -> int:
    """Return the two's complement bits that hold ``low .. high``."""
    return 1 + max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0)


@dataclass(frozen=True)
class Operands:
    """Bits of the two factors of a multiplication, exact for the worst input."""

    data: int
    kernel: int


@dataclass(frozen=True)
class IntegerTransform:
    """``y = (output @ ((kernel @ g) * (data @ d))) / divisor``, all integers, no remainder.

    Parameters
    ----------
    source : the transform over the rationals
    output : (m, n)
    kernel : (n, r)
    data : (n, n)
    divisor : at least 1
    """

    source: Transform
    output: IntMatrix
    kernel: IntMatrix
    data: IntMatrix
    divisor: int

    @classmethod
    def of(cls, transform: Transform) -> IntegerTransform:
        """Scale each row of the data and kernel transforms to the least integers.

        What that adds goes into the output transform, whose denominators are brought to one.
        """
        data, data_scales = _primitive_rows(transform.data)
        kernel, kernel_scales = _primitive_rows(transform.kernel)
        output = [
            [value / (a * b) for value, a, b in zip(row, data_scales, kernel_scales, strict=True)]
            for row in transform.output
        ]
        divisor = lcm(*(value.denominator for row in output for value in row))
        return cls(
            transform,
            tuple(tuple(int(value * divisor) for value in row) for row in output),
            kernel,
            data,
            divisor,
        )

    def operands(
        self, *, dimensions: int = 1, data_bits: int = 8, kernel_bits: int = 8
    ) -> Operands:
        """Return the bits of the factors, for signed data and kernels of so many bits.

        ``dimensions``: 2 for the nested transform of m x m outputs.
        """
        return Operands(
            max(_row_bits(row, data_bits) for row in _nested(self.data, dimensions)),
            max(_row_bits(row, kernel_bits) for row in _nested(self.kernel, dimensions)),
        )

    def accumulator_bits(
        self, channels: int, *, dimensions: int = 1, data_bits: int = 8, kernel_bits: int = 8
    ) -> int:
        """Return the bits of the sums before the division, over so many channels.

        A bound: each product at its worst, all with the sign that adds up.
        """
        data = [_largest(row, data_bits) for row in _nested(self.data, dimensions)]
        kernel = [_largest(row, kernel_bits) for row in _nested(self.kernel, dimensions)]
        most = max(
            sum(abs(w) * a * b for w, a, b in zip(row, data, kernel, strict=True))
            for row in _nested(self.output, dimensions)
        )
        return bits_for(-channels * most, channels * most)

    def adders(self) -> dict[str, int]:
        """Return two-input adders of each one-dimensional transform, factors as shifts and adds.

        A factor costs one adder less than it has digits in canonical signed digit form; nothing is
        shared between rows.
        """
        return {
            "data": sum(map(_row_adders, self.data)),
            "kernel": sum(map(_row_adders, self.kernel)),
            "output": sum(map(_row_adders, self.output)),
        }

    def lut4(self, *, sum_width: int = 32) -> dict[str, int]:
        """Return the four-input look-up tables of the adders that an engine needs, for int8 data.

        One for each bit of an adder, as in a carry chain; an adder is as wide as its row's result,
        or as the sums, ``sum_width``. Kernels are transformed before: they need none.
        """
        return {
            "data": sum(_row_adders(row) * _row_bits(row, 8) for row in self.data),
            "output": sum(map(_row_adders, self.output)) * sum_width,
        }

    def filter(self, data: NDArray[np.int64], kernel: NDArray[np.int64]) -> NDArray[np.int64]:
        """Filter ``data`` (..., n) with ``kernel`` (..., r) in integers: (..., m)."""
        products = (data @ _array(self.data).T) * (kernel @ _array(self.kernel).T)
        total = products @ _array(self.output).T
        quotient, remainder = np.divmod(total, self.divisor)
        assert not remainder.any(), "the division of a proven transform leaves nothing"
        return np.asarray(quotient)


def _array(matrix: IntMatrix) -> NDArray[np.int64]:
    return np.array(matrix, np.int64)


def _primitive_rows(matrix: Matrix) -> tuple[IntMatrix, tuple[Fraction, ...]]:
    """Return the rows as integers without a common divisor, and what each was multiplied by."""
    rows, scales = [], []
    for row in matrix:
        denominator = lcm(*(value.denominator for value in row))
        divisor = reduce(gcd, (int(value * denominator) for value in row))
        scale = Fraction(denominator, divisor)
        rows.append(tuple(int(value * scale) for value in row))
        scales.append(scale)
    return tuple(rows), tuple(scales)


def _nested(matrix: IntMatrix, dimensions: int) -> IntMatrix:
    """Return the matrix of the transform along every dimension in turn."""
    nested = matrix
    for _ in range(dimensions - 1):
        nested = tuple(tuple(a * b for a in p for b in q) for p in nested for q in matrix)
    return nested


def _range(row: tuple[int, ...], bits: int) -> tuple[int, int]:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    positive = sum(value for value in row if value > 0)
    negative = sum(value for value in row if value < 0)
    return positive * low + negative * high, positive * high + negative * low


def _row_bits(row: tuple[int, ...], bits: int) -> int:
    return bits_for(*_range(row, bits))


def _largest(row: tuple[int, ...], bits: int) -> int:
    low, high = _range(row, bits)
    return max(-low, high)


def _row_adders(row: tuple[int, ...]) -> int:
    return max(0, sum(_signed_digits(value) for value in row) - 1)


def _signed_digits(value: int) -> int:
    """Return the digits that are not zero of the canonical signed digit form."""
    count, rest = 0, abs(value)
    while rest:
        if rest & 1:
            count += 1
            rest -= 2 - (rest & 3)  # to the nearest multiple of four
        rest >>= 1
    return count
