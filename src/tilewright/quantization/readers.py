"""What rounding the channels of a tensor costs the operators that read them, as predicted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tilewright.compiler.quantized import ops as q

_DEAD = 1e-3
"""Of a tensor's average power: channels with less count as if they had this much."""


@dataclass(frozen=True)
class Channels:
    """What the channels of a tensor hold over the calibration images.

    Parameters
    ----------
    largest : (C,) float64, largest absolute value
    power : (C,) float64, mean square
    negative : whether there are values below zero
    """

    largest: Tensor
    power: Tensor
    negative: bool


@dataclass(frozen=True)
class Reader:
    """A layer, seen from its input's channels.

    Parameters
    ----------
    op : the layer
    squares, largest : (K, C / groups), sum of squares and largest of the weights of each channel
    inputs : (C,), power of each input channel
    power : (K,), power of each result
    taps : weights of a kernel for each channel
    """

    op: q.Weighted
    squares: Tensor
    largest: Tensor
    inputs: Tensor
    power: Tensor
    taps: int

    @classmethod
    def of(cls, op: q.Weighted, channels: Mapping[str, Channels]) -> Reader:
        """Return a layer of observed channels."""
        inputs = channels[op.inputs[0]].power
        if isinstance(op, q.Linear):
            taps = op.weight.shape[1] // len(inputs)
            weight = op.weight.reshape(len(op.weight), -1, taps)
        else:
            weight = op.weight.flatten(2)
        power = channels[op.output].power
        least = _DEAD * float(power.mean()) + 1e-30
        return cls(
            op,
            weight.square().sum(2),
            weight.abs().amax(2),
            inputs,
            power.clamp(min=least),
            weight.shape[2],
        )

    @property
    def shares(self) -> Tensor:
        """(C,): each channel's largest weight as a share of the largest of its kernel."""
        kernels, per_group = self.largest.shape
        share = self.largest / self.largest.amax(1, keepdim=True).clamp(min=1e-30)
        groups = len(self.inputs) // per_group
        return share.reshape(groups, kernels // groups, per_group).amax(1).reshape(-1)

    def noise(self, factors: Tensor, step: float, weight_levels: int) -> float:
        """Noise over signal at the layer's results, averaged over its channels."""
        scale, inputs = (self._by_kernel(x) for x in (factors, self.inputs))
        of_inputs = step**2 * (self.squares * scale**2).sum(1)
        steps = (self.largest * scale).amax(1) / weight_levels
        of_weights = steps**2 * (inputs / scale**2).sum(1) * self.taps
        return float(((of_inputs + of_weights) / 12 / self.power).mean())

    def _by_kernel(self, values: Tensor) -> Tensor:
        kernels, per_group = self.largest.shape
        groups = len(values) // per_group
        return values.reshape(groups, per_group).repeat_interleave(kernels // groups, 0)


@dataclass(frozen=True)
class Factor:
    """A product of two maps, seen from the channels of one.

    Parameters
    ----------
    gain : (C,), power of the product for that of a channel's error, of one that is repeated too
    shares : (C,), as of a layer
    """

    gain: Tensor
    shares: Tensor

    @classmethod
    def of(cls, op: q.Binary, name: str, other: str, channels: Mapping[str, Channels]) -> Factor:
        """Return a product of ``name`` and ``other``, of observed channels."""
        power = channels[op.output].power
        least = _DEAD * float(power.mean()) + 1e-30
        gain = channels[other].power / power.clamp(min=least)
        count = len(channels[name].power)
        return cls(gain if count > 1 else gain.mean(0, keepdim=True), torch.ones(count).double())

    def noise(self, factors: Tensor, step: float, weight_levels: int) -> float:
        """Noise over signal at the product, averaged over its channels."""
        return float((step**2 * factors**2 * self.gain).mean()) / 12
