"""Window arithmetic of convolutions and pools, and the pools themselves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tilewright.compiler.importers.brevitas.calls import Call
from tilewright.compiler.importers.brevitas.values import Pending, Quantized
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.ops import Padding, Pair
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


def max_pool(call: Call, arguments: MaxPoolArguments) -> Quantized:
    """Emit MaxPool."""
    a, where = arguments, call.where
    _refuse_ceil_mode(where, a.ceil_mode)
    if a.return_indices:
        raise UnsupportedError(where, "return_indices=True", "Use return_indices=False.")
    x, kernel = call.quantized(0), pair(a.kernel_size)
    stride = kernel if _absent(a.stride) else pair(a.stride)
    padding, dilation = symmetric_padding(a.padding), pair(a.dilation)
    name = call.builder.emit(
        where,
        lambda output: q.MaxPool(where, (x.name,), output, kernel, stride, padding, dilation),
        x.grid,
    )
    return Quantized(where, name, call.shape, x.flat, x.grid)


def avg_pool(call: Call, arguments: AvgPoolArguments) -> Pending:
    """Sum windows; the quantizer that follows divides."""
    a, where, x = arguments, call.where, call.quantized(0)
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
    return _pool(call, x, kernel, stride, padding, divisor)


def adaptive_avg_pool(call: Call, output_size: Any) -> Pending:
    """Average over equal windows."""
    x = call.quantized(0)
    sizes = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    (_, h, w) = x.shape
    rows, columns = (n if o is None else int(o) for o, n in zip(sizes, (h, w), strict=True))
    if h % rows or w % columns:
        raise UnsupportedError(
            call.where,
            f"output_size={(rows, columns)} of an input of {(h, w)}",
            "Use an output size that divides the input size.",
        )
    kernel = (h // rows, w // columns)
    return _pool(call, x, kernel, kernel, (0, 0, 0, 0), kernel[0] * kernel[1])


def _pool(
    call: Call, x: Quantized, kernel: Pair, stride: Pair, padding: Padding, divisor: float
) -> Pending:
    where = call.where
    name = call.builder.emit(
        where,
        lambda output: q.AvgPool(where, (x.name,), output, kernel, stride, padding, float(divisor)),
    )
    return Pending(where, name, call.builder.graph.shape(name), x.flat)


def _absent(stride: Any) -> bool:
    return stride is None or stride == [] or stride == ()


def _refuse_ceil_mode(where: str, ceil_mode: bool) -> None:
    if ceil_mode:
        raise UnsupportedError(
            where, "ceil_mode=True", "Use ceil_mode=False, with padding if the last rows count."
        )
