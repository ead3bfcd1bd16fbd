"""Reads Brevitas quantizers: activation grids and integer weights, in float64."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from brevitas.core.function_wrapper import RoundSte
from brevitas.core.quant.int_base import IntQuant
from brevitas.proxy.runtime_quant import ActQuantProxyFromInjector
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

_INTEGER_QUANTIZER = "Use an integer per-tensor quantizer such as Int8ActPerTensorFloat."


def activation_grid(where: str, attribute: str, proxy: Any) -> Quantization | None:
    """Grid of an activation quantizer, or nothing if it does not quantize.

    Raises
    ------
    UnsupportedError  For a quantizer that the integer graph cannot express.
    """
    fused = getattr(proxy, "fused_activation_quant_proxy", None)
    if fused is None or not proxy.is_quant_enabled:
        return None
    if type(proxy) is not ActQuantProxyFromInjector:
        raise UnsupportedError(where, f"{attribute} is {type(proxy).__name__}", _INTEGER_QUANTIZER)
    core: Any = getattr(fused.tensor_quant, "int_quant", None)
    if type(core) is not IntQuant:
        name = type(fused.tensor_quant).__name__
        raise UnsupportedError(where, f"{attribute} is {name}", _INTEGER_QUANTIZER)
    if type(core.float_to_int_impl) is not RoundSte:
        name = type(core.float_to_int_impl).__name__
        raise UnsupportedError(
            where, f"{attribute} rounds by {name}", "Use float_to_int_impl_type ROUND."
        )
    if type(core.delay_wrapper.delay_impl).__name__ != "_NoDelay":
        raise UnsupportedError(
            where, f"{attribute} has quant_delay_steps", "Remove quant_delay_steps."
        )
    scale = _scalar_scale(where, attribute, proxy.scale())
    bits = _integer(where, f"{attribute} bit width", proxy.bit_width())
    if not 2 <= bits <= 16:
        raise UnsupportedError(
            where, f"{attribute} has {bits} bits", "Use 2 to 16 bits; engines take up to 8."
        )
    signed, narrow = bool(proxy.is_signed), bool(proxy.is_narrow_range)
    zero_point = _integer(where, f"{attribute} zero point", proxy.zero_point())
    qmin = -(1 << (bits - 1)) + narrow if signed else 0
    qmax = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1 - narrow
    if not qmin <= zero_point <= qmax:
        raise UnsupportedError(
            where,
            f"{attribute} has the zero point {zero_point} outside {qmin}..{qmax}",
            "Calibrate with data whose range includes zero.",
        )
    return Quantization(scale, zero_point, bits, signed, qmin, qmax)


def activation_bounds(where: str, proxy: Any) -> tuple[float, float]:
    """Range of the activation function that precedes an activation quantizer."""
    fused = getattr(proxy, "fused_activation_quant_proxy", None)
    function = fused.activation_impl if fused is not None else None
    if function is None or type(function).__name__ == "Identity":
        return -math.inf, math.inf
    if type(function) is nn.ReLU:
        return 0.0, math.inf
    if type(function) is nn.ReLU6:
        return 0.0, 6.0
    if type(function) is nn.Hardtanh:
        return float(function.min_val), float(function.max_val)
    raise UnsupportedError(
        where,
        f"the activation function {type(function).__name__}",
        "Use brevitas.nn.QuantReLU or brevitas.nn.QuantIdentity.",
    )


@dataclass(frozen=True, eq=False)
class Weight:
    """Weights on a grid.

    Parameters
    ----------
    reals : (K, ...) float64, multiples of the scale
    scale : (K,) float64, positive
    bits : int, 2..8
    """

    reals: Tensor
    scale: Tensor
    bits: int


def quantized_weight(where: str, module: Any) -> Weight:
    """Integer weights of a Brevitas layer.

    Raises
    ------
    UnsupportedError  If the weight quantizer is missing, asymmetric, wider than 8 bits, or has
    scales other than one per tensor or one per output channel.
    """
    proxy = module.weight_quant
    fix = "Use weight_quant=Int8WeightPerTensorFloat or Int8WeightPerChannelFloat."
    if not proxy.is_quant_enabled:
        raise UnsupportedError(where, "weight_quant is None", fix)
    if getattr(proxy, "requires_quant_input", False):
        raise UnsupportedError(where, f"weight_quant is {type(proxy).__name__}", fix)
    quantized = module.quant_weight()
    if not isinstance(quantized, IntQuantTensor):
        raise UnsupportedError(where, f"weights of type {type(quantized).__name__}", fix)
    scale = quantized.scale.detach().double().numpy()
    value = quantized.value.detach().double().numpy()
    # Transposed convolutions have their output channels second, those of one group.
    axis = int(module.output_channel_dim)
    per_channel = tuple(n if i == axis else 1 for i, n in enumerate(value.shape))
    if scale.size != 1 and scale.shape != per_channel:
        raise UnsupportedError(where, f"weight scales of shape {scale.shape}", fix)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        bad = scale[~(np.isfinite(scale) & (scale > 0))].flat[0]
        raise UnsupportedError(
            where, f"the weight scale {bad}", "Train or calibrate until scales are positive."
        )
    if bool((quantized.zero_point != 0).any()):
        raise UnsupportedError(where, "weights have a non-zero zero point", fix)
    bits = _integer(where, "weight bit width", quantized.bit_width)
    if not 2 <= bits <= 8:
        raise UnsupportedError(where, f"weights have {bits} bits", "Use weight_bit_width 2 to 8.")
    if not quantized.signed:
        raise UnsupportedError(where, "weights are unsigned", fix)
    ratio = value / scale
    integers = torch.from_numpy(np.rint(ratio))
    if not np.isfinite(ratio).all() or np.abs(ratio - np.rint(ratio)).max() > 1e-6:
        raise UnsupportedError(where, "weights are not integers times their scale", fix)
    if axis == 1:
        integers = _outputs_first(integers, int(module.groups))
    steps = torch.from_numpy(scale.reshape(-1)).expand(len(integers)).clone()
    column = steps.reshape(-1, *(1,) * (integers.ndim - 1))
    return Weight(integers * column, steps, bits)


def _outputs_first(weight: Tensor, groups: int) -> Tensor:
    """Turn (C, K / groups, R, S) of a transposed convolution into (K, C / groups, R, S)."""
    c, k, *kernel = weight.shape
    grouped = weight.reshape(groups, c // groups, k, *kernel).transpose(1, 2)
    return grouped.reshape(groups * k, c // groups, *kernel)


def _scalar_scale(where: str, attribute: str, scale: Tensor) -> float:
    if scale.numel() != 1:
        raise UnsupportedError(
            where, f"{attribute} has {scale.numel()} scales", "Use one scale per tensor."
        )
    value = float(scale.item())
    if not (math.isfinite(value) and value > 0):
        raise UnsupportedError(
            where,
            f"{attribute} has the scale {value}",
            "Train or calibrate until the scale is finite and positive.",
        )
    return value


def _integer(where: str, what: str, value: Tensor) -> int:
    numbers: Sequence[float] = value.detach().double().flatten().tolist()
    number = numbers[0]
    if any(v != number for v in numbers) or not math.isfinite(number) or number != round(number):
        raise UnsupportedError(where, f"{what} is {numbers[:4]}", "Use one integer per tensor.")
    return int(number)
