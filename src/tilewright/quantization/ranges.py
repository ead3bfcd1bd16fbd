"""Scales from observed values."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_BINS = 4096
_CANDIDATES = 80


class Histogram:
    """Counts of absolute values in equal bins over ``0..top``, which grows by doubling."""

    def __init__(self) -> None:
        self.counts = torch.zeros(_BINS, dtype=torch.float64)
        self.top = 0.0
        self.maximum = 0.0
        self.negative = False

    def add(self, x: Tensor) -> None:
        """Count a tensor of finite values."""
        values = x.detach().float()
        self.negative = self.negative or bool((values < 0).any())
        values = values.abs()
        maximum = float(values.max())
        if maximum == 0:
            return
        self.maximum = max(self.maximum, maximum)
        self._cover(maximum)
        self.counts += torch.histc(values, _BINS, 0.0, self.top).double()

    def merge(self, other: Histogram) -> None:
        """Count what another histogram has counted."""
        self.negative = self.negative or other.negative
        if not other.maximum:
            return
        self.maximum = max(self.maximum, other.maximum)
        self._cover(other.top)
        places = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * (other.top / self.top)
        self.counts.index_add_(0, places.long().clamp(max=_BINS - 1), other.counts)

    def _cover(self, maximum: float) -> None:
        self.top = self.top or maximum
        while self.top < maximum:
            pairs = self.counts.reshape(-1, 2).sum(1)
            self.counts = torch.cat([pairs, torch.zeros_like(pairs)])
            self.top *= 2

    def squared_error(self, scale: float, levels: int) -> float:
        """Sum of squared errors of rounding to ``0..levels`` steps of ``scale``."""
        centers = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * (self.top / _BINS)
        rounded = (centers / scale).round().clamp(max=levels) * scale
        return float((self.counts * (centers - rounded) ** 2).sum())

    def best_scale(self, levels: int, *, power_of_two: bool) -> float:
        """Scale of least squared error for integers up to ``levels``; 1 if all values are zero."""
        if not self.maximum:
            return 1.0
        if power_of_two:
            exponent = math.ceil(math.log2(self.maximum / levels))
            candidates = [2.0**e for e in range(exponent - 4, exponent + 2)]
        else:
            full = self.maximum / levels
            candidates = [full * i / _CANDIDATES for i in range(_CANDIDATES // 8, _CANDIDATES + 1)]
        return min(candidates, key=lambda s: self.squared_error(s, levels))


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
