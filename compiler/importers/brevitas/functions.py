"""What functions, operators and tensor methods become: the same as the modules they stand for."""

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from tilewright.compiler.importers.brevitas import movement, windows
from tilewright.compiler.importers.brevitas.calls import Call, add, flatten, product
from tilewright.compiler.importers.brevitas.expressions import FUNCTIONS as ELEMENTWISE
from tilewright.compiler.importers.brevitas.expressions import Parameters
from tilewright.compiler.importers.brevitas.values import Abstract, Quantized
from tilewright.compiler.quantized import ops as q
from tilewright.errors import UnsupportedError

Keywords = dict[str, Any]
Result = Abstract | tuple[Quantized, ...]
FunctionHandler = Callable[[Call, Keywords], Result]


def _bind(call: Call, names: tuple[str, ...], keywords: Keywords) -> Keywords:
    """Arguments behind the tensor by name; a name that is not known is an error."""
    positional = call.args[1:]
    if len(positional) > len(names):
        raise UnsupportedError(call.where, f"{len(call.args)} arguments", "Pass fewer arguments.")
    bound = dict(zip(names, positional, strict=False)) | keywords
    if unknown := set(bound) - set(names):
        raise UnsupportedError(
            call.where, f"the argument {min(unknown)}", f"Pass only {', '.join(names)}."
        )
    return bound


def _add(call: Call, keywords: Keywords) -> Result:
    if set(keywords) - {"alpha", "other"} or keywords.get("alpha", 1) != 1:
        raise UnsupportedError(
            call.where, f"an addition with {keywords}", "Add without alpha and without out."
        )
    if "other" in keywords:
        call = Call(
            call.builder, call.where, (*call.args, keywords["other"]), call.shape, call.flat
        )
    if _number(call):
        return _scalar("add")(call, {})
    return add(call, call.quantized(0), call.quantized(1))


def _number(call: Call) -> bool:
    return any(isinstance(x, int | float) for x in call.args)


def _scalar(function: str) -> FunctionHandler:
    """Return the handler of an operation of a tensor and a number, in either order."""

    def handle(call: Call, keywords: Keywords) -> Abstract:
        args = (*call.args, *keywords.values())
        tensors = [i for i, x in enumerate(args) if not isinstance(x, int | float)]
        if len(tensors) != 1:
            raise UnsupportedError(
                call.where,
                f"{function} of two tensors",
                "Only sums and products take two tensors.",
            )
        place = tensors[0]
        terms = tuple(q.X if i == place else float(x) for i, x in enumerate(args))
        one = replace(call, args=(args[place],))
        return call.builder.function(call.where, one.tensor(0), q.Apply(function, terms))

    return handle


def _unary(expression: q.Expression) -> FunctionHandler:
    """Return the handler of a function that takes nothing but a tensor."""

    def handle(call: Call, keywords: Keywords) -> Abstract:
        return call.builder.function(call.where, call.tensor(0), expression)

    return handle


def _mul(call: Call, keywords: Keywords) -> Result:
    if "other" in keywords:
        call = replace(call, args=(*call.args, keywords["other"]))
    if _number(call):
        return _scalar("mul")(call, {})
    return product(call, call.quantized(0), call.quantized(1))


def _max_pool(call: Call, keywords: Keywords) -> Abstract:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    arguments = windows.MaxPoolArguments(**_bind(call, names, keywords))
    return windows.max_pool(call, arguments)


def _avg_pool(call: Call, keywords: Keywords) -> Abstract:
    names = (
        "kernel_size",
        "stride",
        "padding",
        "ceil_mode",
        "count_include_pad",
        "divisor_override",
    )
    arguments = windows.AvgPoolArguments(**_bind(call, names, keywords))
    return windows.avg_pool(call, arguments)


def _adaptive_avg_pool(call: Call, keywords: Keywords) -> Abstract:
    bound = _bind(call, ("output_size",), keywords)
    return windows.adaptive_avg_pool(call, bound["output_size"])


def _mean(call: Call, keywords: Keywords) -> Abstract:
    bound = _bind(call, ("dim", "keepdim"), keywords)
    dim = bound.get("dim")
    axes = {d % 4 for d in dim} if isinstance(dim, tuple | list) else dim
    x = call.quantized(0)
    if axes != {2, 3} or x.flat:
        raise UnsupportedError(
            call.where, f"a mean over dim={dim}", "Average over dim=(2, 3) of (N, C, H, W)."
        )
    result = windows.adaptive_avg_pool(call, 1)
    return result if bound.get("keepdim", False) else replace(result, flat=True)


def _relu(call: Call, keywords: Keywords) -> Abstract:
    _bind(call, ("inplace",), keywords)
    return call.builder.clip(call.where, call.tensor(0), 0.0, math.inf)


def _relu6(call: Call, keywords: Keywords) -> Abstract:
    _bind(call, ("inplace",), keywords)
    return call.builder.clip(call.where, call.tensor(0), 0.0, 6.0)


def _function(parameters: Parameters) -> FunctionHandler:
    def handle(call: Call, keywords: Keywords) -> Abstract:
        bound = _bind(call, (*parameters.defaults, "inplace"), keywords)
        bound.pop("inplace", None)
        expression = parameters.make(**parameters.defaults | bound)
        return call.builder.function(call.where, call.tensor(0), expression)

    return handle


def _dropout(call: Call, keywords: Keywords) -> Abstract:
    if _bind(call, ("p", "training", "inplace"), keywords).get("training", True):
        raise UnsupportedError(
            call.where, "dropout with training=True", "Pass training=self.training."
        )
    return call.tensor(0)


def _cat(call: Call, keywords: Keywords) -> Abstract:
    if "tensors" in keywords:
        call = replace(call, args=(keywords.pop("tensors"), *call.args))
    parts = [call.builder.quantized(call.where, x) for x in call.parts()]
    dim = _bind(call, ("dim",), keywords).get("dim", 0)
    return movement.concat(call, parts, dim)


def _interpolate(call: Call, keywords: Keywords) -> Abstract:
    names = (
        "size",
        "scale_factor",
        "mode",
        "align_corners",
        "recompute_scale_factor",
        "antialias",
    )
    bound = _bind(call, names, keywords)
    mode, corners = bound.get("mode", "nearest"), bound.get("align_corners")
    return movement.upsample(call, mode, corners)


def _pixel_shuffle(call: Call, keywords: Keywords) -> Abstract:
    factor = _bind(call, ("upscale_factor",), keywords)["upscale_factor"]
    return movement.pixel_shuffle(call, factor)


def _pixel_unshuffle(call: Call, keywords: Keywords) -> Abstract:
    factor = _bind(call, ("downscale_factor",), keywords)["downscale_factor"]
    return movement.pixel_unshuffle(call, factor)


def _channel_shuffle(call: Call, keywords: Keywords) -> Abstract:
    groups = _bind(call, ("groups",), keywords)["groups"]
    return movement.channel_shuffle(call, groups)


def _chunk(call: Call, keywords: Keywords) -> tuple[Quantized, ...]:
    bound = _bind(call, ("chunks", "dim"), keywords)
    x = call.quantized(0)
    return _split_every(call, x, -(-x.shape[0] // bound["chunks"]), bound.get("dim", 0))


def _split(call: Call, keywords: Keywords) -> tuple[Quantized, ...]:
    names = ("split_size_or_sections", "dim")
    bound = _bind(call, names, keywords)
    return _split_every(call, call.quantized(0), bound[names[0]], bound.get("dim", 0))


def _split_every(call: Call, x: Quantized, size: Any, dim: Any) -> tuple[Quantized, ...]:
    if dim not in (1, -3):
        raise UnsupportedError(
            call.where, f"a split over dim={dim}", "Split (N, C, H, W) over dim=1."
        )
    channels = x.shape[0]
    if isinstance(size, int):
        size = [min(size, channels - i) for i in range(0, channels, size)]
    return tuple(movement.split(call, x, size))


def _getitem(call: Call, keywords: Keywords) -> Abstract:
    items, key = call.args
    if isinstance(items, tuple) and isinstance(key, int):
        return replace(call, args=items).tensor(key)
    x, whole = call.quantized(0), slice(None)
    indices = list(key) if isinstance(key, tuple) else [key]
    indices += [whole] * (4 - len(indices))
    if indices[:1] + indices[2:] != [whole] * 3 or not isinstance(indices[1], slice):
        raise UnsupportedError(
            call.where, f"the index {key}", "Slice channels only: x[:, start:stop]."
        )
    channels = range(x.shape[0])[indices[1]]
    return movement.select(call, x, channels)


def _flatten(call: Call, keywords: Keywords) -> Abstract:
    return flatten(call)


def _same(call: Call, keywords: Keywords) -> Abstract:
    return call.tensor(0)


FUNCTIONS: dict[Any, FunctionHandler] = {
    operator.add: _add,
    operator.iadd: _add,
    operator.mul: _mul,
    operator.sub: _scalar("sub"),
    operator.truediv: _scalar("div"),
    operator.pow: _scalar("pow"),
    operator.neg: _unary(q.Apply("mul", (q.X, -1.0))),
    torch.pow: _scalar("pow"),
    torch.square: _unary(q.Apply("square", (q.X,))),
    torch.mul: _mul,
    torch.add: _add,
    operator.getitem: _getitem,
    torch.cat: _cat,
    torch.chunk: _chunk,
    torch.split: _split,
    torch.flatten: _flatten,
    torch.reshape: _flatten,
    torch.mean: _mean,
    torch.relu: _relu,
    F.relu: _relu,
    F.relu6: _relu6,
    **{f: _function(parameters) for f, parameters in ELEMENTWISE.items()},
    F.dropout: _dropout,
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _avg_pool,
    F.adaptive_avg_pool2d: _adaptive_avg_pool,
    F.interpolate: _interpolate,
    F.pixel_shuffle: _pixel_shuffle,
    F.pixel_unshuffle: _pixel_unshuffle,
    F.channel_shuffle: _channel_shuffle,
}
METHODS: dict[str, FunctionHandler] = {
    "add": _add,
    "add_": _add,
    "__add__": _add,
    "mul": _mul,
    "__mul__": _mul,
    "__iadd__": _add,
    "chunk": _chunk,
    "split": _split,
    "flatten": _flatten,
    "view": _flatten,
    "reshape": _flatten,
    "mean": _mean,
    "relu": _relu,
    "relu_": _relu,
    "contiguous": _same,
}
IN_PLACE: frozenset[Any] = frozenset({operator.iadd, "add_", "__iadd__", "relu_"})
"""Targets that overwrite their first argument when it is a plain tensor."""
