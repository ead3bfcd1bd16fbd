"""What functions, operators and tensor methods become: the same as the modules they stand for."""

import math
import operator
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tilewright.compiler.frontend import windows
from tilewright.compiler.frontend.builder import clip
from tilewright.compiler.frontend.modules import Call, add, apply, flatten
from tilewright.compiler.frontend.values import Abstract
from tilewright.errors import UnsupportedError

ELEMENTWISE: tuple[Callable[..., Tensor], ...] = (
    torch.sigmoid, torch.tanh, F.sigmoid, F.tanh, F.silu, F.gelu, F.hardswish, F.hardsigmoid,
    F.elu, F.selu, F.celu, F.leaky_relu, F.mish, F.softplus, F.hardtanh,
)  # fmt: skip
"""Functions that become a Lookup."""

Keywords = dict[str, Any]
FunctionHandler = Callable[[Call, Keywords], Abstract]


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


def _add(call: Call, keywords: Keywords) -> Abstract:
    if set(keywords) - {"alpha", "other"} or keywords.get("alpha", 1) != 1:
        raise UnsupportedError(
            call.where, f"an addition with {keywords}", "Add without alpha and without out."
        )
    if "other" in keywords:
        call = Call(
            call.builder, call.where, (*call.args, keywords["other"]), call.shape, call.flat
        )
    return add(call, call.quantized(0), call.quantized(1))


def _max_pool(call: Call, keywords: Keywords) -> Abstract:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    arguments = windows.MaxPoolArguments(**_bind(call, names, keywords))
    return windows.max_pool(call.builder, call.where, call.quantized(0), call.shape, arguments)


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
    return windows.avg_pool(call.where, call.quantized(0), call.shape, arguments)


def _adaptive_avg_pool(call: Call, keywords: Keywords) -> Abstract:
    bound = _bind(call, ("output_size",), keywords)
    return windows.adaptive_avg_pool(
        call.where, call.quantized(0), call.shape, bound["output_size"]
    )


def _mean(call: Call, keywords: Keywords) -> Abstract:
    bound = _bind(call, ("dim", "keepdim"), keywords)
    dim = bound.get("dim")
    axes = {d % 4 for d in dim} if isinstance(dim, tuple | list) else dim
    x = call.quantized(0)
    if axes != {2, 3} or x.flat:
        raise UnsupportedError(
            call.where, f"a mean over dim={dim}", "Average over dim=(2, 3) of (N, C, H, W)."
        )
    result = windows.adaptive_avg_pool(call.where, x, (x.type.shape[0], 1, 1), 1)
    return result if bound.get("keepdim", False) else replace(result, flat=True)


def _relu(call: Call, keywords: Keywords) -> Abstract:
    _bind(call, ("inplace",), keywords)
    return clip(call.where, call.tensor(0), 0.0, math.inf)


def _relu6(call: Call, keywords: Keywords) -> Abstract:
    _bind(call, ("inplace",), keywords)
    return clip(call.where, call.tensor(0), 0.0, 6.0)


def _function(function: Callable[..., Tensor]) -> FunctionHandler:
    def handle(call: Call, keywords: Keywords) -> Abstract:
        rest = {k: v for k, v in keywords.items() if k != "inplace"}
        return apply(call, lambda x: function(x, *call.args[1:], **rest))

    return handle


def _dropout(call: Call, keywords: Keywords) -> Abstract:
    if _bind(call, ("p", "training", "inplace"), keywords).get("training", True):
        raise UnsupportedError(
            call.where, "dropout with training=True", "Pass training=self.training."
        )
    return call.tensor(0)


def _flatten(call: Call, keywords: Keywords) -> Abstract:
    return flatten(call)


def _same(call: Call, keywords: Keywords) -> Abstract:
    return call.tensor(0)


FUNCTIONS: dict[Any, FunctionHandler] = {
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    torch.flatten: _flatten,
    torch.reshape: _flatten,
    torch.mean: _mean,
    torch.relu: _relu,
    F.relu: _relu,
    F.relu6: _relu6,
    **{f: _function(f) for f in ELEMENTWISE},
    F.dropout: _dropout,
    F.max_pool2d: _max_pool,
    F.avg_pool2d: _avg_pool,
    F.adaptive_avg_pool2d: _adaptive_avg_pool,
}
METHODS: dict[str, FunctionHandler] = {
    "add": _add,
    "add_": _add,
    "__add__": _add,
    "__iadd__": _add,
    "flatten": _flatten,
    "view": _flatten,
    "reshape": _flatten,
    "mean": _mean,
    "relu": _relu,
    "sigmoid": _function(torch.sigmoid),
    "tanh": _function(torch.tanh),
    "relu_": _relu,
    "contiguous": _same,
}
IN_PLACE: frozenset[Any] = frozenset({operator.iadd, "add_", "__iadd__", "relu_"})
"""Targets that overwrite their first argument when it is a plain tensor."""
