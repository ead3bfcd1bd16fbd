"""Energy of a run: counts times energies, by layer and by cause."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.estimation.counts import CAUSES, Counts
from tilewright.estimation.energies import INFO, Cause
from tilewright.estimation.figures import Figure, Unknown

__all__ = ["Energy", "energy_of"]

_MICRO = 1e-6


@dataclass(frozen=True, eq=False)
class Energy:
    """What a run takes.

    Parameters
    ----------
    counts : float array (layers, causes), in the order of ``CAUSES``
    costs : by cause, the energy of one event in pJ; Unknown where there is no figure, and then
        nothing of it is in any sum
    """

    counts: Counts
    costs: dict[Cause, Figure | Unknown]

    @property
    def counted(self) -> dict[Cause, float]:
        """Events in all layers, by cause."""
        return dict(zip(CAUSES, map(float, self.counts.sum(axis=0)), strict=True))

    @property
    def causes(self) -> tuple[Cause, ...]:
        """Those that occur."""
        return tuple(cause for cause, count in self.counted.items() if count)

    @property
    def unknown(self) -> dict[Cause, str]:
        """Causes that occur and are in no sum, and why."""
        found = ((cause, self.costs[cause]) for cause in self.causes)
        return {cause: cost.reason for cause, cost in found if isinstance(cost, Unknown)}

    def part(self, layer: int, cause: Cause) -> Figure | Unknown:
        """Return the energy of a layer by one cause, in uJ."""
        cost = self.costs[cause]
        if isinstance(cost, Unknown):
            return cost
        return cost.scaled(float(self.counts[layer, CAUSES.index(cause)]) * _MICRO, "uJ")

    def of_layer(self, layer: int) -> Figure:
        """Return the energy of a layer in uJ."""
        return _sum([self.part(layer, cause) for cause in self.causes])

    def of_cause(self, cause: Cause) -> Figure | Unknown:
        """Return the energy by one cause in uJ."""
        cost = self.costs[cause]
        if isinstance(cost, Unknown):
            return cost
        return cost.scaled(self.counted[cause] * _MICRO, "uJ")

    @property
    def total(self) -> Figure:
        """Energy of a run in uJ; ends of ranges add up, as if all were wrong the same way."""
        return _sum([self.of_cause(cause) for cause in self.causes])


def _sum(parts: list[Figure | Unknown]) -> Figure:
    figures = [part for part in parts if isinstance(part, Figure)]
    left_out = len(parts) - len(figures)
    more = f"; {left_out} causes without a figure are left out" if left_out else ""
    return Figure(
        sum(figure.value for figure in figures),
        sum(figure.low for figure in figures),
        sum(figure.high for figure in figures),
        "uJ",
        f"counts of the cycle model, times an energy for each cause{more}",
    )


def energy_of(
    counted: Counts,
    cycles: NDArray[np.float64],
    costs: Mapping[Cause, Figure | Unknown],
    rates: Mapping[Cause, float],
) -> Energy:
    """Return the energy of counted events, and of time.

    Parameters
    ----------
    counted : as :func:`tilewright.estimation.counts.counts` returns it
    cycles : of each layer
    costs : by cause
    rates : of causes that time takes, what is counted in a cycle
    """
    whole = counted.copy()
    for cause, rate in rates.items():
        whole[:, CAUSES.index(cause)] += rate * cycles
    assert set(costs) == set(INFO)
    return Energy(whole, dict(costs))
