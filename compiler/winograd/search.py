"""Interpolation points that are good for something.

Source: the method of NOVA, "Numerical Optimization of Vandermonde Arithmetic" (2025): evolution
over real points, snapped to simple rationals, verified exactly. Here with three objectives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.winograd.integer import IntegerTransform
from tilewright.compiler.winograd.transform import INFINITY, Point, toom_cook

FloatArray: TypeAlias = NDArray[np.float64]
Objective: TypeAlias = Literal["condition", "bits", "luts"]
"""What to minimize: the condition number, the bits of both factors, or adders in look-up tables."""

_LARGEST = 4.0  # points beyond it are never good: their powers dominate every row


@dataclass(frozen=True)
class Candidate:
    """A set of points and what it costs under the objective."""

    points: tuple[Point, ...]
    cost: float


@dataclass(frozen=True)
class Found:
    """The best points of a search, and all that were tried."""

    best: Candidate
    tried: tuple[Candidate, ...]


def condition_number(points: Sequence[Point]) -> float:
    """Return the 2-norm condition number of the Vandermonde matrix over the finite points."""
    finite = np.array([float(p) for p in points if not isinstance(p, str)])
    return float(np.linalg.cond(np.vander(finite, increasing=True)))


def cost_of(
    points: Sequence[Point], m: int, r: int, objective: Objective, dimensions: int = 1
) -> float:
    """Return what points cost under an objective.

    For bits and look-up tables, a small share of the other decides between equals.
    """
    if objective == "condition":
        return condition_number(points)
    exact = IntegerTransform.of(toom_cook(m, r, points))
    operands = exact.operands(dimensions=dimensions)
    bits, luts = operands.data + operands.kernel, sum(exact.lut4().values())
    return bits + luts * 1e-6 if objective == "bits" else luts + bits * 1e-3


def search(
    m: int,
    r: int,
    objective: Objective,
    *,
    dimensions: int = 1,
    denominator: int = 8,
    generations: int = 60,
    population: int = 32,
    seed: int = 0,
) -> Found:
    """Evolve points for F(m, r): zero, infinity and pairs of opposite numbers, all distinct.

    Parameters
    ----------
    dimensions : 2 for the bits of the nested transform
    denominator : largest of the rationals that points are snapped to
    generations, population, seed : of the evolution; the same seed gives the same points

    Returns
    -------
    The best points, whose transform is proven, and all others that were tried; of an odd number of
    finite points beside zero, one has no opposite.
    """
    rng = np.random.default_rng(seed)
    free = m + r - 3  # beside zero and infinity
    genes = -(-free // 2)
    seen: dict[tuple[Point, ...], float] = {}

    def evaluate(magnitudes: FloatArray) -> tuple[float, tuple[Point, ...]]:
        points = _snap(magnitudes, free, denominator)
        if points is None:
            return float("inf"), ()
        if points not in seen:
            seen[points] = cost_of(points, m, r, objective, dimensions)
        return seen[points], points

    parents = rng.uniform(0.2, 2.5, (population, genes))
    parents[0] = [2.0 ** ((i + 1) // 2 * (-1) ** (i + 1)) for i in range(genes)]
    ranked = sorted((*evaluate(p), tuple(p)) for p in parents)
    for generation in range(generations):
        spread = 0.5 * (1 - generation / generations) + 0.02
        best = np.array([p for _, _, p in ranked[: max(2, population // 4)]])
        mothers, fathers = best[rng.integers(len(best), size=(2, population))]
        children = np.where(rng.random((population, genes)) < 0.5, mothers, fathers)
        children = children * np.exp(rng.normal(0, spread, children.shape))
        ranked = sorted(
            [*ranked, *((*evaluate(c), tuple(c)) for c in children)], key=lambda entry: entry[0]
        )[:population]
    cost, points, _ = ranked[0]
    toom_cook(m, r, points).prove()
    return Found(Candidate(points, cost), tuple(Candidate(*entry) for entry in seen.items()))


def _snap(magnitudes: FloatArray, free: int, denominator: int) -> tuple[Point, ...] | None:
    """Return the points of a set of magnitudes, or None if two of them coincide."""
    if (magnitudes > _LARGEST).any():
        return None
    exact = sorted(Fraction(float(x)).limit_denominator(denominator) for x in magnitudes)
    if len(set(exact)) < len(exact) or not all(exact):
        return None
    pairs = [point for x in exact for point in (x, -x)]
    return (Fraction(0), *pairs[:free], INFINITY)
