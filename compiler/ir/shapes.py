"""Shape inference: the output shape of an operator from its input types."""

from collections.abc import Mapping

from tilewright.compiler.ir.ops import (
    AvgPool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    DeformConv2d,
    Linear,
    MaxPool2d,
    Op,
    Padding,
    Pair,
    PixelShuffle,
    PixelUnshuffle,
    RoundedConv2d,
    SelectChannels,
    Upsample,
    UpsampleBilinear,
)
from tilewright.compiler.ir.types import TensorType

Shape = tuple[int, int, int]


def window_shape(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, dilation: Pair = (1, 1)
) -> Pair:
    """Count window positions (rows, columns); not positive if the window does not fit.

    Parameters
    ----------
    size : (H, W) of the input
    kernel, stride, dilation : (vertical, horizontal)
    padding : (top, bottom, left, right)
    """
    rows = size[0] + padding[0] + padding[1] - dilation[0] * (kernel[0] - 1) - 1
    columns = size[1] + padding[2] + padding[3] - dilation[1] * (kernel[1] - 1) - 1
    return rows // stride[0] + 1, columns // stride[1] + 1


def transposed_shape(
    size: Pair, kernel: Pair, stride: Pair, padding: Padding, output_padding: Pair
) -> Pair:
    """Rows and columns that a transposed convolution makes of ``size``.

    Parameters
    ----------
    size : (H, W) of the input
    kernel, stride : (vertical, horizontal)
    padding : (top, bottom, left, right), cut off
    output_padding : (bottom, right), appended
    """
    rows = (size[0] - 1) * stride[0] + kernel[0] - padding[0] - padding[1] + output_padding[0]
    columns = (size[1] - 1) * stride[1] + kernel[1] - padding[2] - padding[3] + output_padding[1]
    return rows, columns


def output_shape(op: Op, types: Mapping[str, TensorType]) -> Shape:
    """Shape (C, H, W) of what ``op`` writes.

    Raises
    ------
    TypeError  For an operator that writes nothing or has no input.
    """
    if not op.inputs or not op.outputs:
        raise TypeError(f"{op.kind} {op.name} has no shape to infer")
    c, h, w = types[op.inputs[0]].shape
    match op:
        case Conv2d() | DeformConv2d():
            size = window_shape((h, w), op.kernel, op.stride, op.padding, op.dilation)
            return (op.weight.shape[0], *size)
        case RoundedConv2d():
            size = window_shape((h, w), op.kernel, op.stride, op.padding)
            return (op.kernels.shape[1], *size)
        case ConvTranspose2d():
            size = transposed_shape((h, w), op.kernel, op.stride, op.padding, op.output_padding)
            return (op.weight.shape[0], *size)
        case Linear():
            return (op.weight.shape[0], 1, 1)
        case MaxPool2d():
            return (c, *window_shape((h, w), op.kernel, op.stride, op.padding, op.dilation))
        case AvgPool2d():
            return (c, *window_shape((h, w), op.kernel, op.stride, op.padding))
        case Concat():
            return (sum(types[v].shape[0] for v in op.sources), h, w)
        case SelectChannels():
            return (len(op.channels), h, w)
        case Upsample() | UpsampleBilinear():
            return (c, h * op.factor[0], w * op.factor[1])
        case PixelShuffle():
            return (c // op.factor**2, h * op.factor, w * op.factor)
        case PixelUnshuffle():
            return (c * op.factor**2, h // op.factor, w // op.factor)
        case _:
            return (c, h, w)
