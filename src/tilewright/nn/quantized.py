"""Deformable convolution as the engine computes it, to train and to compile.

docs/deformable.md defines the integers.
"""

from __future__ import annotations

from typing import Any

import brevitas.nn as qnn
import torch
from brevitas.inject.enum import RestrictValueType, ScalingImplType
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int8ActPerTensorFloat,
    Int8WeightPerTensorFloat,
    Uint8ActPerTensorFloat,
)
from brevitas.quant_tensor import IntQuantTensor
from torch import Tensor, nn

from tilewright.errors import Error
from tilewright.nn.deformable import (
    Modulation,
    check_options,
    head_channels,
    round_straight_through,
    square_factors,
    square_offsets,
    start_as_convolution,
)
from tilewright.nn.sampling import Pair, sample

MAX_FRACTION_BITS = 8
_OFFSET_BITS = 8


class _SignedFixed(Int8ActPerTensorFloat):  # type: ignore[misc]
    """A scale that is given, not found."""

    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP


class _UnsignedFixed(Uint8ActPerTensorFloat):  # type: ignore[misc]
    """A scale that is given, not found."""

    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP


class QuantOffset(qnn.QuantIdentity):  # type: ignore[misc]
    """Quantizer of offsets: signed, in steps of ``2**-fraction_bits`` pixels.

    Parameters
    ----------
    fraction_bits : int, 0..8; 0 rounds to whole pixels, so that nothing is interpolated
    bound : float or None, offsets are clipped to ``-bound..bound`` pixels, which must be within
        what the bits hold, ``(2**(bit_width - 1) - 1) * 2**-fraction_bits``; None for all of that.
        Rows of the input that offsets may reach must fit on chip.
    bit_width : int, 2..8

    Raises
    ------
    Error  If a number is out of range.
    """

    def __init__(
        self, fraction_bits: int = 4, bound: float | None = None, bit_width: int = _OFFSET_BITS
    ) -> None:
        _check_fraction(fraction_bits)
        scale = 2.0**-fraction_bits
        super().__init__(
            act_quant=_SignedFixed,
            bit_width=bit_width,
            scaling_init=scale * 2 ** (bit_width - 1),
            return_quant_tensor=True,
        )
        if bound is not None:
            _check_bound(bound, fraction_bits, bit_width)
            _clip(self, -bound, bound)
        self.fraction_bits = fraction_bits
        self.bound = bound


class QuantMask(qnn.QuantIdentity):  # type: ignore[misc]
    """Quantizer of masks: unsigned, in steps of ``2**-fraction_bits``, clipped to 0..1.

    Its largest value is ``1 - 2**-fraction_bits``.

    Parameters
    ----------
    fraction_bits : int, 2..8
    """

    def __init__(self, fraction_bits: int = 8) -> None:
        _check_fraction(fraction_bits, least=2)
        top = 2**fraction_bits
        super().__init__(
            act_quant=_UnsignedFixed,
            bit_width=fraction_bits,
            scaling_init=(top - 1) / top,
            return_quant_tensor=True,
        )
        self.fraction_bits = fraction_bits


class QuantDeformConv2d(qnn.QuantConv2d):  # type: ignore[misc]
    """Deformable convolution of quantized tensors, v1 and v2, with offsets from outside.

    ``forward(x, offset, mask=None)``: samples are rounded to the grid of ``x``, half to even,
    everything else is as in :class:`tilewright.nn.DeformConv2d`. In float64, outputs are those of
    the integer graph.

    Parameters
    ----------
    in_channels .. bias : as brevitas.nn.QuantConv2d; padding is zeros, given as numbers
    offset_groups : int, divides in_channels; each group of channels has offsets of its own
    square : offsets are one distance per offset group and position, which scales the kernel
    keywords : quantizers and return_quant_tensor, as brevitas.nn.QuantConv2d takes them
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        offset_groups: int = 1,
        square: bool = False,
        **keywords: Any,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups,
            bias=bias, **keywords,
        )  # fmt: skip
        check_options(self, offset_groups, square)
        self.offset_groups = offset_groups
        self.square = square

    def forward(self, x: Any, offset: Any, mask: Any = None) -> Any:
        """Return the layer's output.

        Parameters
        ----------
        x : QuantTensor (N, C, H, W), or a Tensor where the layer has an input_quant
        offset : QuantTensor of a :class:`QuantOffset`, as :class:`tilewright.nn.DeformConv2d`
            takes offsets
        mask : QuantTensor of a :class:`QuantMask`, or None

        Raises
        ------
        Error  If a tensor is not quantized, a shape does not fit, or a QuantTensor is asked for
            that has no scale.
        """
        x = self.input_quant(self.unpack_input(x))
        for name, tensor in (("input", x), ("offset", offset), ("mask", mask)):
            if tensor is not None and not isinstance(tensor, IntQuantTensor):
                raise Error(f"the {name} must be a QuantTensor, not {type(tensor).__name__}")
        weight = self.quant_weight(x)
        bias = None if self.bias is None else self.bias_quant(self.bias, x, weight)
        # Of QuantTensors, the result is one, whose scale is the product of both.
        result = self.output_quant(
            nn.functional.conv2d(
                x.set(value=self._samples(x, offset, mask)),
                weight,
                bias,
                stride=self.kernel_size,
                groups=self.groups,
            )
        )
        if self.return_quant_tensor and not isinstance(result, IntQuantTensor):
            raise Error(
                "return_quant_tensor=True needs an output_quant where the input has a zero point "
                "or the weights are not quantized"
            )
        return self.pack_output(result)

    def _samples(
        self, x: IntQuantTensor, offset: IntQuantTensor, mask: IntQuantTensor | None
    ) -> Tensor:
        """Sample integers, which float64 does exactly, and round once."""
        integers = round_straight_through(x.value / x.scale)
        shift = offset.value
        if self.square:
            # The engine's offsets are of one width, whatever they are computed from.
            step, top = offset.scale, 2 ** (_OFFSET_BITS - 1)
            shift = square_offsets(shift, self.kernel_size).clamp(-top * step, (top - 1) * step)
        samples = sample(
            integers,
            shift,
            None if mask is None else mask.value,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.offset_groups,
        )
        low = -(2 ** (x.bit_width - 1)) if x.signed else torch.zeros_like(x.bit_width)
        high = low + 2**x.bit_width - 1
        rounded = round_straight_through(samples)
        result: Tensor = rounded.clamp(low - x.zero_point, high - x.zero_point) * x.scale
        return result


class QuantDeformConv2dPack(nn.Module):
    """Deformable convolution with the convolutions that compute its offsets and its mask.

    The quantized form of :class:`tilewright.nn.DeformConv2dPack`; it loads its parameters. The
    input must be a QuantTensor. It begins close to an ordinary convolution.

    Parameters
    ----------
    in_channels .. square : as :class:`QuantDeformConv2d`
    fraction_bits, bound : of the offsets, as :class:`QuantOffset`; 0 for whole pixels
    modulation : "sigmoid", "clip" or None, what makes the mask; None for v1
    mask_bits : int, 2..8, fraction bits of the mask
    head : keywords of the convolutions that compute offsets and mask, as brevitas.nn.QuantConv2d
        takes them; None for those of the layer itself but output_quant and return_quant_tensor
    keywords : of the layer itself
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        offset_groups: int = 1,
        square: bool = False,
        fraction_bits: int = 4,
        bound: float | None = None,
        modulation: Modulation | None = None,
        mask_bits: int = 8,
        head: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        super().__init__()
        keywords = {"weight_quant": Int8WeightPerTensorFloat} | keywords
        self.conv = QuantDeformConv2d(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias,
            offset_groups=offset_groups, square=square, **keywords,
        )  # fmt: skip
        if head is None:
            own = ("output_quant", "return_quant_tensor")
            head = {name: value for name, value in keywords.items() if name not in own}
        if square and bound is not None:
            # What a tap is moved by, a multiple of the distance, is an offset of as many bits.
            largest = int(square_factors(self.conv.kernel_size).abs().max())
            _check_bound(bound, fraction_bits, _OFFSET_BITS, max(1, largest))
        offsets, masks = head_channels(self.conv.kernel_size, offset_groups, square)
        window = (kernel_size, stride, padding, dilation)
        self.offset_conv = qnn.QuantConv2d(in_channels, offsets, *window, **head)
        self.offset_quant = QuantOffset(fraction_bits, bound)
        self.mask_conv = None
        if modulation is not None:
            self.mask_conv = qnn.QuantConv2d(in_channels, masks, *window, **head)
            self.mask_quant = QuantMask(mask_bits)
        self.sigmoid = modulation == "sigmoid"
        if self.sigmoid:
            # A table needs its input on a grid.
            self.sigmoid_quant = qnn.QuantIdentity(
                act_quant=Int8ActPerTensorFixedPoint, return_quant_tensor=True
            )
        # Weights of zero have no scale, and a bias is a multiple of it.
        start_as_convolution(self.offset_conv, self.mask_conv, modulation, spread=1e-3)

    def forward(self, x: Any) -> Any:
        """Return the layer's output (N, K, H', W')."""
        offset = self.offset_quant(self.offset_conv(x))
        if self.mask_conv is None:
            return self.conv(x, offset)
        mask = self.mask_conv(x)
        if self.sigmoid:
            mask = torch.sigmoid(self.sigmoid_quant(mask))
        return self.conv(x, offset, self.mask_quant(mask))


def _check_fraction(bits: int, least: int = 0) -> None:
    if not least <= bits <= MAX_FRACTION_BITS:
        raise Error(f"fraction_bits must be in {least}..{MAX_FRACTION_BITS}, not {bits}")


def _check_bound(bound: float, fraction_bits: int, bit_width: int, largest: int = 1) -> None:
    """Refuse a bound in pixels which, ``largest`` times, is beyond what the bits hold."""
    if not bound > 0:
        raise Error(f"bound must be positive or None, not {bound}")
    top = (1 << (bit_width - 1)) - 1
    most = top * 2.0**-fraction_bits / largest
    if bound > most:
        where = f" and taps {largest} distances from the centre" if largest > 1 else ""
        enough = [f for f in range(fraction_bits) if bound * largest * 2**f <= top]
        way_out = f"; give it fraction_bits={enough[-1]}" if enough else ""
        raise Error(
            f"bound must be at most {most:g} pixels with fraction_bits={fraction_bits} in "
            f"{bit_width} bits{where}, not {bound:g}{way_out}"
        )


def _clip(quantizer: Any, low: float, high: float) -> None:
    quantizer.act_quant.fused_activation_quant_proxy.activation_impl = nn.Hardtanh(low, high)
