"""Window arithmetic of convolutions and pools, and the pools themselves."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tilewright.compiler.frontend.builder import Builder
from tilewright.compiler.frontend.quantizers import Grid
from tilewright.compiler.frontend.values import Pending, PoolSource, Quantized, Shape
from tilewright.compiler.ir.ops import MaxPool2d, Padding, Pair
from tilewright.errors import UnsupportedError


def pair(value: Any) -> Pair:
    """Read PyTorch's ``int`` or ``(vertical, horizontal)``; one number stands for both."""
    numbers = tuple(value) if isinstance(value, tuple | list) else (value,)
    if len(numbers) == 1:
        numbers = numbers * 2
    vertical, horizontal = numbers
    return int(vertical), int(horizontal)


def symmetric_padding(value: Any) -> Padding:
    """PyTorch's ``int`` or ``(vertical, horizontal)`` as (top, bottom, left, right)."""
    vertical, horizontal = pair(value)
    return vertical, vertical, horizontal, horizontal


def same_padding(kernel: Pair, dilation: Pair) -> Padding:
    """PyTorch's ``padding='same'``: an odd pixel goes to the bottom and to the right."""
    total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return total[0] // 2, total[0] - total[0] // 2, total[1] // 2, total[1] - total[1] // 2


def strided_same_padding(size: Any, kernel: Pair, stride: Pair, dilation: Pair) -> Padding:
    """Brevitas' ``padding='same'`` with a stride: the output has ``ceil(size / stride)`` rows."""
    result: list[int] = []
    for n, k, s, d in zip(size, kernel, stride, dilation, strict=True):
        total = max((-(-n // s) - 1) * s + (k - 1) * d + 1 - n, 0)
        result += [total // 2, total - total // 2]
    return result[0], result[1], result[2], result[3]


@dataclass(frozen=True)
class MaxPoolArguments:
    """Arguments of nn.MaxPool2d and F.max_pool2d, as PyTorch takes them."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    dilation: Any = 1
    ceil_mode: bool = False
    return_indices: bool = False


@dataclass(frozen=True)
class AvgPoolArguments:
    """Arguments of nn.AvgPool2d and F.avg_pool2d, as PyTorch takes them."""

    kernel_size: Any
    stride: Any = None
    padding: Any = 0
    ceil_mode: bool = False
    count_include_pad: bool = True
    divisor_override: int | None = None


def max_pool(
    builder: Builder, where: str, x: Quantized, shape: Shape, arguments: MaxPoolArguments
) -> Quantized:
    """Emit MaxPool2d."""
    a = arguments
    _refuse_ceil_mode(where, a.ceil_mode)
    if a.return_indices:
        raise UnsupportedError(where, "return_indices=True", "Use return_indices=False.")
    kernel, t = pair(a.kernel_size), x.type
    stride = kernel if _absent(a.stride) else pair(a.stride)
    name = builder.unique(where)
    op = MaxPool2d(
        name, x.value, name, kernel, stride, symmetric_padding(a.padding), pair(a.dilation)
    )
    grid = Grid(t.scale, t.zero_point, t.bits, t.signed, x.qmin, x.qmax)
    return builder.emit(op, grid, shape, x.flat)


def avg_pool(where: str, x: Quantized, shape: Shape, arguments: AvgPoolArguments) -> Pending:
    """Sum windows; the quantizer that follows divides."""
    a = arguments
    _refuse_ceil_mode(where, a.ceil_mode)
    kernel, padding = pair(a.kernel_size), symmetric_padding(a.padding)
    if not a.count_include_pad and any(padding):
        raise UnsupportedError(
            where,
            "count_include_pad=False with padding",
            "Use count_include_pad=True, or padding=0.",
        )
    divisor = kernel[0] * kernel[1] if a.divisor_override is None else a.divisor_override
    if divisor <= 0:
        raise UnsupportedError(
            where, f"divisor_override={divisor}", "Use a positive divisor_override."
        )
    stride = kernel if _absent(a.stride) else pair(a.stride)
    return _pool(where, x, shape, PoolSource(x, kernel, stride, padding), divisor)


def adaptive_avg_pool(where: str, x: Quantized, shape: Shape, output_size: Any) -> Pending:
    """Average over equal windows."""
    sizes = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    (_, h, w) = x.type.shape
    rows, columns = (n if o is None else int(o) for o, n in zip(sizes, (h, w), strict=True))
    if h % rows or w % columns:
        raise UnsupportedError(
            where,
            f"output_size={(rows, columns)} of an input of {(h, w)}",
            "Use an output size that divides the input size.",
        )
    kernel = (h // rows, w // columns)
    return _pool(
        where, x, shape, PoolSource(x, kernel, kernel, (0, 0, 0, 0)), kernel[0] * kernel[1]
    )


def _pool(where: str, x: Quantized, shape: Shape, source: PoolSource, divisor: int) -> Pending:
    channels = x.type.shape[0]
    scale = np.full(channels, x.type.scale / divisor)
    return Pending(where, source, shape, scale, np.zeros(channels), False, x.flat)


def _absent(stride: Any) -> bool:
    return stride is None or stride == [] or stride == ()


def _refuse_ceil_mode(where: str, ceil_mode: bool) -> None:
    if ceil_mode:
        raise UnsupportedError(
            where, "ceil_mode=True", "Use ceil_mode=False, with padding if the last rows count."
        )
