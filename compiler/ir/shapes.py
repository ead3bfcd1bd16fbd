"""How many places windows have."""

from typing import TypeAlias

Pair: TypeAlias = tuple[int, int]
Padding: TypeAlias = tuple[int, int, int, int]


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
