"""A transform as the engine runs it: one multiplication after another, over all channels.

Each point of the transform is a *term*: taps of the input, added with small coefficients; a kernel
of its own; and places in a tile of results to which the product is added, shifted and negated. The
engine's coefficients and factors are what :class:`~tilewright.isa.Compute` can say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property, reduce
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.winograd.integer import IntegerTransform, bits_for
from tilewright.compiler.winograd.transform import TransformError, toom_cook
from tilewright.isa.tiles import (
    CODES,
    MAX_TAPS,
    MAX_TILE_COLUMNS,
    MAX_TILE_ROWS,
    pack_coefficients,
)

_MAX_POINTS = 6
_MAX_SCALE = 7


@dataclass(frozen=True)
class AxisTerm:
    """A term along one axis.

    Parameters
    ----------
    first, step : the taps of the input, from the tile's first on
    coefficients : of each tap
    kernel : what the kernel's taps are multiplied by
    used : bit k: the product is added to result k
    shift : 1: times ``2**k``; sign : 1: negative for odd k
    negative : all signs are the other way round
    scale : the product is multiplied by ``2**scale``
    """

    first: int
    step: int
    coefficients: tuple[int, ...]
    kernel: tuple[int, ...]
    used: int
    shift: int = 0
    sign: int = 0
    negative: bool = False
    scale: int = 0

    def factors(self, m: int) -> NDArray[np.int64]:
        """Return what the product is multiplied by for each of ``m`` results; not ``negative``."""
        k = np.arange(m)
        signs = 1 - 2 * (k & self.sign)
        return np.asarray((self.used >> k & 1) * signs << self.scale + k * self.shift)


@dataclass(frozen=True)
class Axis:
    """``m`` results of an ``r``-tap filter along one axis; their sums are divided at the end.

    ``halvings`` and ``thirds``: the divisor is ``2**halvings * 3**thirds``.
    """

    m: int
    r: int
    terms: tuple[AxisTerm, ...]
    halvings: int = 0
    thirds: int = 0

    def prove(self, stride: int) -> None:
        """Check that the terms compute the filter, for every input and kernel.

        Results are bilinear: the coefficient of kernel tap a and input b in result k must be the
        divisor where ``b = stride * k + a``, else 0. Two axes together are the product of both.

        Raises
        ------
        TransformError
            If one is wrong; it is named.
        """
        divisor = 3**self.thirds << self.halvings
        for k in range(self.m):
            sums: dict[tuple[int, int], int] = {}
            for term in self.terms:
                if not term.used >> k & 1:
                    continue
                factor = 1 << (term.scale + k * term.shift)
                if term.negative ^ bool(term.sign & k):
                    factor = -factor
                for i, coefficient in enumerate(term.coefficients):
                    for a, kernel in enumerate(term.kernel):
                        place = a, term.first + i * term.step
                        sums[place] = sums.get(place, 0) + factor * coefficient * kernel
            due = {(a, stride * k + a): divisor for a in range(self.r)}
            if {place: total for place, total in sums.items() if total} != due:
                raise TransformError(
                    f"F({self.m},{self.r}) of stride {stride}: result {k} is wrong"
                )


@dataclass(frozen=True)
class Term:
    """A term of a two-dimensional tile; fields as those of ``Compute``.

    Parameters
    ----------
    first, step, taps : (vertical, horizontal) of the input's taps
    kernel : (R, S) factors of the layer's kernel, whose sum is the term's
    """

    first: tuple[int, int]
    step: tuple[int, int]
    taps: tuple[int, int]
    coefficients: tuple[int, ...]
    kernel: NDArray[np.int64]
    rows: AxisTerm
    columns: AxisTerm
    negative: bool

    @property
    def codes(self) -> int:
        """The taps' coefficients as a command has them."""
        return pack_coefficients(self.coefficients)

    def data_bits(self, low: int, high: int) -> int:
        """Return the bits of windows of activations in ``low .. high``."""
        positive = sum(value for value in self.coefficients if value > 0)
        negative = sum(value for value in self.coefficients if value < 0)
        return bits_for(positive * low + negative * high, positive * high + negative * low)


@dataclass(frozen=True, eq=False)
class Tiling:
    """How a convolution is computed in tiles of ``m`` (rows, columns) results.

    ``halvings`` and ``third`` are those of ``Compute``. ``rounded``: the totals are not divided,
    and their kernels are rounded.
    """

    m: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    terms: tuple[Term, ...]
    halvings: int
    third: bool
    rounded: bool = False

    def __str__(self) -> str:
        name = f"F({self.m[0]}x{self.m[1]},{self.kernel[0]}x{self.kernel[1]})"
        return f"{name} rounded" if self.rounded else name

    @cached_property
    def undivided(self) -> Tiling:
        """Return these tiles without the division: of exact kernels, ``divisor`` times as much."""
        terms = tuple(
            replace(term, negative=term.negative ^ self.third)  # no longer by -3
            for term in self.terms
        )
        return replace(self, terms=terms, halvings=0, third=False, rounded=True)

    @property
    def divisor(self) -> int:
        """What exact totals are divided by."""
        return (3 if self.third else 1) << self.halvings

    @property
    def data(self) -> NDArray[np.int64]:
        """What each term multiplies a tile's pixels by: (terms, rows, columns)."""
        size = [(m - 1) * s + r for m, s, r in zip(self.m, self.stride, self.kernel, strict=True)]
        result = np.zeros((len(self.terms), *size), np.int64)
        for matrix, term in zip(result, self.terms, strict=True):
            rows, columns = (
                slice(first, first + (taps - 1) * step + 1, step)
                for first, step, taps in zip(term.first, term.step, term.taps, strict=True)
            )
            matrix[rows, columns] = np.reshape(term.coefficients, term.taps)
        return result

    @property
    def output(self) -> NDArray[np.int64]:
        """What each term's sums are multiplied by, for each result: (terms, *m)."""
        result = np.zeros((len(self.terms), *self.m), np.int64)
        for matrix, term in zip(result, self.terms, strict=True):
            factors = np.multiply.outer(
                term.rows.factors(self.m[0]), term.columns.factors(self.m[1])
            )
            matrix[:] = -factors if term.negative else factors
        return result

    def transform_kernels(self, weight: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the kernels (terms, K, C, 1, 1) of a (K, C, R, S) one."""
        factors = np.stack([term.kernel.reshape(-1) for term in self.terms]).astype(np.float64)
        # Small integers: floating point is exact, and fast.
        flat = weight.reshape(-1, factors.shape[1]).astype(np.float64)
        kernels = (factors @ flat.T).astype(np.int64)
        return kernels.reshape(len(self.terms), *weight.shape[:2], 1, 1)

    @property
    def gain(self) -> float:
        """Multiplications of the plain convolution for each of this one's."""
        return self.m[0] * self.m[1] * self.kernel[0] * self.kernel[1] / len(self.terms)


def _direct(m: int, r: int) -> Axis:
    """Return an axis without a transform: each tap of the kernel and each result is a term."""
    unit = np.eye(r, dtype=int)
    terms = (
        AxisTerm(i + k, 1, (1,), tuple(map(int, unit[i])), 1 << k)
        for i in range(r)
        for k in range(m)
    )
    return Axis(m, r, tuple(terms))


def _power(value: int) -> tuple[int, int]:
    """Return ``(odd, e)`` with ``value == odd * 2**e``."""
    e = (value & -value).bit_length() - 1
    return value >> e, e


def _axis_term(transform: IntegerTransform, point: int) -> AxisTerm | None:
    """Return a point of a transform as a term, or None if a command cannot say it."""
    taps = np.flatnonzero(transform.data[point])
    steps = set(map(int, np.diff(taps)))
    if len(steps) > 1:
        return None
    column = [row[point] for row in transform.output]
    places = [k for k, value in enumerate(column) if value]
    common = reduce(gcd, column)
    odd, scale = _power(common)
    factors = [value // common for value in column]
    shift = int(any(abs(factors[k]) != 1 for k in places))
    if any(abs(factors[k]) != 1 << k * shift for k in places):
        return None
    negative = factors[places[0]] < 0
    if places[0] % 2 and len(places) > 1:
        return None
    sign = int(any((factors[k] < 0) != negative for k in places))
    if any((factors[k] < 0) != (negative ^ bool(sign and k % 2)) for k in places):
        return None
    return AxisTerm(
        int(taps[0]),
        steps.pop() if steps else 1,
        tuple(transform.data[point][tap] for tap in taps),
        tuple(odd * value for value in transform.kernel[point]),
        sum(1 << k for k in places),
        shift,
        sign,
        negative,
        scale,
    )


def _filter(m: int, r: int) -> Axis | None:
    """Return an axis of stride 1, or None if the engine cannot compute it so."""
    if m == 1 or r == 1:
        return _direct(m, r)
    if m + r - 1 > _MAX_POINTS:
        return None
    exact = toom_cook(m, r)
    exact.prove()
    transform = IntegerTransform.of(exact)
    terms = tuple(_axis_term(transform, point) for point in range(exact.n))
    odd, halvings = _power(transform.divisor)
    if odd not in (1, 3) or any(term is None for term in terms):
        return None
    return Axis(m, r, tuple(t for t in terms if t is not None), halvings, int(odd == 3))


@cache
def axis(m: int, r: int, stride: int) -> Axis | None:
    """Return an axis with ``m`` results at a time, or None if the engine cannot compute it so.

    ``m`` = 1: without a transform. With a stride, every stride-th tap of the kernel makes a filter
    of stride 1 of every stride-th pixel (polyphase); their sums are added.
    """
    if m > 1 and r == 1:
        return None  # nothing to save
    phases = [_filter(m, len(range(phase, r, stride))) for phase in range(min(stride, r))]
    halvings = max(phase.halvings if phase else 0 for phase in phases)
    thirds = max(phase.thirds if phase else 0 for phase in phases)
    terms = []
    for number, phase in enumerate(phases):
        if phase is None:
            return None
        # All are divided by the largest divisor.
        factor = 3 if thirds > phase.thirds else 1
        for term in phase.terms:
            kernel = [0] * r
            kernel[number::stride] = [factor * value for value in term.kernel]
            terms.append(
                replace(
                    term,
                    first=number + stride * term.first,
                    step=stride * term.step,
                    kernel=tuple(kernel),
                    scale=term.scale + halvings - phase.halvings,
                )
            )
    result = Axis(m, r, tuple(terms), halvings, thirds)
    result.prove(stride)
    return result


@cache
def tiling(m: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> Tiling:
    """Return how ``kernel`` is computed in tiles of ``m`` results.

    Raises
    ------
    TransformError
        If the engine has no such tiles.
    """
    name = f"F({m[0]}x{m[1]},{kernel[0]}x{kernel[1]})"
    vertical, horizontal = (axis(*args) for args in zip(m, kernel, stride, strict=True))
    if m[0] > MAX_TILE_ROWS or m[1] > MAX_TILE_COLUMNS or vertical is None or horizontal is None:
        raise TransformError(f"{name} is not among the tiles that the engine computes")
    halvings = vertical.halvings + horizontal.halvings
    thirds = vertical.thirds + horizontal.thirds
    terms = []
    for y in vertical.terms:
        for x in horizontal.terms:
            coefficients = tuple(a * b for a in y.coefficients for b in x.coefficients)
            term = Term(
                (y.first, x.first),
                (y.step, x.step),
                (len(y.coefficients), len(x.coefficients)),
                coefficients,
                np.multiply.outer(np.array(y.kernel), np.array(x.kernel)),
                y,
                x,
                # The engine divides by -3.
                bool(y.negative ^ x.negative ^ (thirds == 1)),
            )
            terms.append(term)
            if (
                len(coefficients) > MAX_TAPS
                or any(value not in CODES for value in coefficients)
                or y.scale + x.scale > _MAX_SCALE
            ):
                raise TransformError(f"{name} has coefficients that no command can say")
    if thirds > 1 or halvings > _MAX_SCALE:
        raise TransformError(f"{name} has a divisor that no command can say")
    return Tiling(m, kernel, stride, tuple(terms), halvings, thirds == 1)


def tilings(kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)) -> tuple[Tiling, ...]:
    """Return all ways to compute a kernel in tiles that save something, the best first."""
    result = []
    for rows in range(1, MAX_TILE_ROWS + 1):
        for columns in range(1, MAX_TILE_COLUMNS + 1):
            if rows * columns > 1:
                try:
                    result.append(tiling((rows, columns), kernel, stride))
                except TransformError:
                    continue
    useful = (t for t in result if t.gain > 1)
    return tuple(sorted(useful, key=lambda t: -t.gain))
