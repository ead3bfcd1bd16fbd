"""Which Brevitas quantizer stands where."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
from brevitas.quant import (
    Int8ActPerTensorFloat,
    Int8WeightPerChannelFloat,
    Int8WeightPerChannelFloatMSE,
    Int8WeightPerTensorFloat,
    Int8WeightPerTensorFloatMSE,
    Int32Bias,
    Uint8ActPerTensorFloat,
)
from brevitas.quant.fixed_point import (
    Int8ActPerTensorFixedPoint,
    Int8WeightPerChannelFixedPoint,
    Int8WeightPerChannelFixedPointMSE,
    Int8WeightPerTensorFixedPoint,
    Int8WeightPerTensorFixedPointMSE,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

from tilewright.errors import Error

# By (power of two, per channel, eight bits).
_WEIGHTS = {
    (False, False, False): Int8WeightPerTensorFloatMSE,
    (False, False, True): Int8WeightPerTensorFloat,
    (False, True, False): Int8WeightPerChannelFloatMSE,
    (False, True, True): Int8WeightPerChannelFloat,
    (True, False, False): Int8WeightPerTensorFixedPointMSE,
    (True, False, True): Int8WeightPerTensorFixedPoint,
    (True, True, False): Int8WeightPerChannelFixedPointMSE,
    (True, True, True): Int8WeightPerChannelFixedPoint,
}


class QuantReLU6(qnn.QuantReLU):  # type: ignore[misc]
    """ReLU6 and the quantizer behind it; unlike a ReLU, its range ends at 6 whatever the scale."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.act_quant.fused_activation_quant_proxy.activation_impl = nn.ReLU6()


@dataclass(frozen=True, kw_only=True)
class Quantizers:
    """Bit widths and kinds of scales of a whole network.

    Parameters
    ----------
    weight_bits : int, 2..8; one scale per output channel
    activation_bits : int, 2..8; one scale per tensor
    power_of_two : bool, scales are powers of two

    Raises
    ------
    Error  If a width is out of range.
    """

    weight_bits: int
    activation_bits: int
    power_of_two: bool

    def __post_init__(self) -> None:
        for name in ("weight_bits", "activation_bits"):
            if not 2 <= getattr(self, name) <= 8:
                raise Error(f"{name} must be in 2..8, not {getattr(self, name)!r}")

    def activation(self, *, signed: bool) -> dict[str, Any]:
        """Keyword arguments of a quantized activation layer."""
        if self.power_of_two:
            kind = Int8ActPerTensorFixedPoint if signed else Uint8ActPerTensorFixedPoint
        else:
            kind = Int8ActPerTensorFloat if signed else Uint8ActPerTensorFloat
        return {"act_quant": kind, "bit_width": self.activation_bits, "return_quant_tensor": True}

    def identity(self, *, signed: bool) -> qnn.QuantIdentity:
        """Return a new quantizer."""
        return qnn.QuantIdentity(**self.activation(signed=signed))

    @property
    def activations(self) -> Mapping[type[nn.Module], type[nn.Module]]:
        """What replaces an activation function; takes the arguments of :meth:`activation`."""
        return {nn.ReLU: qnn.QuantReLU, nn.ReLU6: QuantReLU6}

    @property
    def layers(self) -> Mapping[type[nn.Module], type[nn.Module]]:
        """What replaces a layer; takes the arguments of :meth:`weighted`."""
        return {
            nn.Conv2d: qnn.QuantConv2d,
            nn.ConvTranspose2d: qnn.QuantConvTranspose2d,
            nn.Linear: qnn.QuantLinear,
        }

    def weighted(self, layer: nn.Module) -> dict[str, Any]:
        """Keyword arguments of what replaces ``layer``, which has weights."""
        # Brevitas has no scale per channel for transposed convolutions with groups.
        per_channel = not isinstance(layer, nn.ConvTranspose2d) or layer.groups == 1
        # Weights of eight bits lose more by clipping than by rounding, narrower ones less.
        widest = self.weight_bits == 8
        return {
            "weight_quant": _WEIGHTS[self.power_of_two, per_channel, widest],
            "weight_bit_width": self.weight_bits,
            "bias_quant": Int32Bias,
            "return_quant_tensor": True,
        }
