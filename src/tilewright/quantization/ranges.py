"""Scales and zero points from observed values."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

Function: TypeAlias = Callable[[Tensor], Tensor]

_BINS = 8192
_CANDIDATES = 40
_SHRUNK = torch.arange(_CANDIDATES // 8, _CANDIDATES + 1, dtype=torch.float64) / _CANDIDATES
_ROUNDS = 2
_WORTH = 0.9
"""Share of the squared error that a zero point must leave, at most, to be worth having."""


def identity(x: Tensor) -> Tensor:
    """Return ``x``."""
    return x


class Histogram:
    """Counts of values in equal bins over ``-top..top``, which grows by doubling."""

    def __init__(self) -> None:
        self.counts = torch.zeros(_BINS, dtype=torch.float64)
        self.top = 0.0
        self.low = 0.0
        self.high = 0.0

    @property
    def maximum(self) -> float:
        """Largest absolute value."""
        return max(-self.low, self.high)

    def add(self, x: Tensor) -> None:
        """Count a tensor of finite values."""
        values = x.detach().float()
        low, high = float(values.min()), float(values.max())
        if low == high == 0:
            return
        self._reach(low, high)
        self.counts += torch.histc(values, _BINS, -self.top, self.top).double()

    @property
    def centers(self) -> Tensor:
        """Value in the middle of each bin."""
        return (torch.arange(_BINS, dtype=torch.float64) + 0.5 - _BINS / 2) * (2 * self.top / _BINS)

    def _reach(self, low: float, high: float) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        self.top = self.top or self.maximum
        while self.top < self.maximum:
            pairs = self.counts.reshape(-1, 2).sum(1)
            beside = torch.zeros(_BINS // 4, dtype=torch.float64)
            self.counts = torch.cat([beside, pairs, beside])
            self.top *= 2


@dataclass(frozen=True)
class Made:
    """How a table makes the values that are rounded.

    Parameters
    ----------
    histogram : of what it reads
    stored : what is stored of that
    function : of the table
    """

    histogram: Histogram
    stored: Function
    function: Function


@dataclass(frozen=True)
class Rounded:
    """Values that are rounded to one grid, how they are made, and what is then computed from them.

    Without ``made``, values before they are rounded are taken for exact.
    """

    histogram: Histogram
    function: Function = identity
    made: Made | None = None

    def squared_errors(self, scales: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
        """Add squared errors of rounding to ``lowest..highest`` steps of a scale, for each.

        Parameters
        ----------
        scales, lowest, highest : (candidates,) float64
        """
        seen = self.histogram if self.made is None else self.made.histogram
        full = seen.counts > 0
        counts, wanted = seen.counts[full], seen.centers[full]
        have = wanted
        if self.made is not None:
            wanted, have = (self.made.function(x) for x in (wanted, self.made.stored(wanted)))
        scale = scales[:, None]
        rounded = (have / scale).round().clamp(lowest[:, None], highest[:, None]) * scale
        return ((self.function(wanted) - self.function(rounded)) ** 2 * counts).sum(1)


@dataclass(frozen=True)
class Search:
    """Finds the grid of least squared error over all that is computed from values on it.

    Parameters
    ----------
    rounded : at least one
    """

    rounded: Sequence[Rounded]

    @property
    def maximum(self) -> float:
        """Largest absolute value."""
        return max(x.histogram.maximum for x in self.rounded)

    @property
    def negative(self) -> bool:
        """Whether there is a value below zero."""
        return any(x.histogram.low < 0 for x in self.rounded)

    def _errors(self, scales: Tensor, lowest: Tensor, highest: Tensor) -> Tensor:
        found = [
            x.squared_errors(scales, lowest, highest) for x in self.rounded if x.histogram.maximum
        ]
        return torch.stack(found).sum(0)

    def scale(self, levels: int, *, power_of_two: bool) -> float:
        """Scale of least squared error for integers up to ``levels``; 1 if all values are zero.

        Integers go as far down as up.
        """
        return self._symmetric(levels, power_of_two)[0]

    def _symmetric(self, levels: int, power_of_two: bool) -> tuple[float, float]:
        if not self.maximum:
            return 1.0, 0.0
        if power_of_two:
            exponent = math.ceil(math.log2(self.maximum / levels))
            tried = torch.tensor([2.0**e for e in range(exponent - 4, exponent + 2)]).double()
        else:
            tried = _SHRUNK * (self.maximum / levels)
        high = torch.full_like(tried, levels)
        errors = self._errors(tried, -high, high)
        best = int(errors.argmin())
        return float(tried[best]), float(errors[best])

    def grid(self, bits: int) -> tuple[float, int]:
        """Scale and zero point of least squared error for signed integers.

        The zero point is even, which rounds ties alike with and without it, and 0 unless another
        is clearly better.
        """
        bottom, levels = -(1 << (bits - 1)), (1 << bits) - 1
        scale, least = self._symmetric(-bottom - 1, False)
        result, zero, worth = scale, 0, _WORTH * least
        low = min(x.histogram.low for x in self.rounded)
        high = max(x.histogram.high for x in self.rounded)
        ends = torch.tensor([low, high], dtype=torch.float64)
        for side in (0, 1) * _ROUNDS:
            tried = ends.repeat(len(_SHRUNK), 1)
            tried[:, side] *= _SHRUNK
            span = (tried[:, 1] - tried[:, 0]).clamp(min=1e-300)
            scales = span / (levels - 1)  # one step more than needed, as the zero point is even
            zeros = bottom + 2 * torch.round(-tried[:, 0] / scales / 2)
            errors = self._errors(scales, bottom - zeros, bottom + levels - zeros)
            best = int(errors.argmin())
            ends = tried[best]
            if float(errors[best]) < worth:
                worth = float(errors[best])
                result, zero = float(scales[best]), int(zeros[best])
        return result, zero


def weight_scales(weight: Tensor, bits: int, *, power_of_two: bool) -> Tensor:
    """Scale of each output channel's weights, (K,) float64, for integers up to ``2**(bits-1) - 1``.

    Weights of eight bits lose more by clipping than by rounding: the largest fits. Of narrower ones
    the scale of least squared error is taken. A channel of zeros has the scale 0.
    """
    levels = (1 << (bits - 1)) - 1
    flat = weight.detach().double().reshape(len(weight), -1)
    full = flat.abs().amax(1) / levels
    if power_of_two:
        exponents = torch.ceil(torch.log2(full.clamp(min=1e-300)))
        candidates = [torch.exp2(exponents - i) for i in range(4 if bits < 8 else 1)]
    elif bits < 8:
        candidates = [full * i / _CANDIDATES for i in range(_CANDIDATES // 4, _CANDIDATES + 1)]
    else:
        return full
    best, least = candidates[0], torch.full((len(flat),), math.inf, dtype=torch.float64)
    for candidate in candidates:
        scale = candidate.clamp(min=1e-300)[:, None]
        error = ((flat / scale).round().clamp(-levels, levels) * scale - flat).square().sum(1)
        best = torch.where(error < least, candidate, best)
        least = torch.minimum(error, least)
    return torch.where(full > 0, best, 0.0)
