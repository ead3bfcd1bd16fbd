"""Fast FIR filters from interpolation points, over exact rationals.

Source: S. Winograd, Arithmetic Complexity of Computations (1980); the construction is Toom-Cook's
for polynomial products, transposed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from tilewright.errors import Error

Matrix: TypeAlias = tuple[tuple[Fraction, ...], ...]
#: The point at infinity: it picks a polynomial's leading coefficient.
INFINITY = "inf"
Point: TypeAlias = Fraction | str


class TransformError(Error):
    """Points or sizes from which no transform can be built."""


@dataclass(frozen=True)
class Transform:
    """``y = output @ ((kernel @ g) * (data @ d))`` for an FIR filter ``y[k] = sum(g[a] d[k + a])``.

    Parameters
    ----------
    m, r : outputs and taps; there are ``n = m + r - 1`` points and multiplications
    points : n distinct numbers, one of which may be ``INFINITY``
    output : (m, n), A transposed
    kernel : (n, r), G
    data : (n, n), B transposed
    """

    m: int
    r: int
    points: tuple[Point, ...]
    output: Matrix
    kernel: Matrix
    data: Matrix

    @property
    def n(self) -> int:
        """Multiplications."""
        return self.m + self.r - 1

    def prove(self) -> None:
        """Check that the filter is computed exactly, for every input.

        Outputs are trilinear in the rows of the three matrices, so that the identity holds for all
        filters and data if it holds for every coefficient:
        ``sum_i output[k][i] kernel[i][a] data[i][b]`` must be 1 where ``b = k + a``, else 0.

        Raises
        ------
        TransformError
            If one of the m * r * n coefficients is wrong; it is named.
        """
        for k in range(self.m):
            for a in range(self.r):
                for b in range(self.n):
                    total = sum(
                        self.output[k][i] * self.kernel[i][a] * self.data[i][b]
                        for i in range(self.n)
                    )
                    if total != (b == k + a):
                        raise TransformError(
                            f"F({self.m},{self.r}) on {self.points}: output {k} has the "
                            f"coefficient {total} of g[{a}] d[{b}]"
                        )


def default_points(n: int) -> tuple[Point, ...]:
    """Return 0, 1, -1, 2, -2, 1/2, -1/2, 4, -4 ... as far as needed, and infinity."""
    points: list[Point] = [Fraction(0)]
    size = Fraction(1)
    while len(points) < n - 1:
        for magnitude in (size,) if size == 1 else (size, 1 / size):
            points += [magnitude, -magnitude]
        size *= 2
    return (*points[: n - 1], INFINITY)


def toom_cook(m: int, r: int, points: Sequence[Point | int] | None = None) -> Transform:
    """Build F(m, r) from interpolation points.

    Parameters
    ----------
    m, r : outputs and taps, each at least 1
    points : ``m + r - 1`` distinct rationals, of which one may be ``INFINITY``; ``default_points``
        if absent

    Raises
    ------
    TransformError
        If the points are too few, too many or not distinct.
    """
    if m < 1 or r < 1:
        raise TransformError(f"F({m},{r}): outputs and taps must be at least 1")
    n = m + r - 1
    exact: tuple[Point, ...] = tuple(
        p if isinstance(p, str) else Fraction(p)
        for p in (default_points(n) if points is None else points)
    )
    unknown = any(isinstance(p, str) and p != INFINITY for p in exact)
    if len(exact) != n or len(set(exact)) != n or unknown:
        raise TransformError(f"F({m},{r}) needs {n} distinct points, not {points}")
    square = _vandermonde(exact, n)
    inverse = _inverse(square)
    return Transform(
        m,
        r,
        exact,
        output=_transposed(_vandermonde(exact, m)),
        kernel=_vandermonde(exact, r),
        data=_transposed(inverse),
    )


def _vandermonde(points: Sequence[Point], width: int) -> Matrix:
    """Return the values at each point of the monomials below degree ``width``."""
    last = tuple(Fraction(int(j == width - 1)) for j in range(width))
    return tuple(last if isinstance(p, str) else tuple(p**j for j in range(width)) for p in points)


def _transposed(matrix: Matrix) -> Matrix:
    return tuple(zip(*matrix, strict=True))


def _inverse(matrix: Matrix) -> Matrix:
    """Invert by Gauss-Jordan elimination; exact."""
    n = len(matrix)
    rows = [[*row, *(Fraction(int(i == j)) for j in range(n))] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(i for i in range(column, n) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        head = rows[column][column]
        rows[column] = [value / head for value in rows[column]]
        for i in range(n):
            if i != column and rows[i][column]:
                factor = rows[i][column]
                rows[i] = [a - factor * b for a, b in zip(rows[i], rows[column], strict=True)]
    return tuple(tuple(row[n:]) for row in rows)
