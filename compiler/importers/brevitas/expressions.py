"""Activation functions, as modules and as functions, in the quantized graph's expressions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tilewright.compiler.quantized import ops as q


def named(function: str, *numbers: float) -> q.Expression:
    """Return a function of the tensor, and of numbers behind it."""
    return q.Apply(function, (q.X, *(float(number) for number in numbers)))


def _elu(alpha: float) -> q.Expression:
    return named("elu", alpha, 1.0, 1.0)


def _gelu(approximate: str) -> q.Expression:
    return named("gelu_tanh" if approximate == "tanh" else "gelu")


#: By class, what a module applies.
MODULES: dict[type[nn.Module], Callable[[Any], q.Expression]] = {
    nn.Sigmoid: lambda m: named("sigmoid"),
    nn.Tanh: lambda m: named("tanh"),
    nn.SiLU: lambda m: named("silu"),
    nn.GELU: lambda m: _gelu(m.approximate),
    nn.Hardswish: lambda m: named("hardswish"),
    nn.Hardsigmoid: lambda m: named("hardsigmoid"),
    nn.ELU: lambda m: _elu(m.alpha),
    nn.SELU: lambda m: named("selu"),
    nn.CELU: lambda m: named("celu", m.alpha),
    nn.LeakyReLU: lambda m: named("leaky_relu", m.negative_slope),
    nn.Mish: lambda m: named("mish"),
    nn.Softplus: lambda m: named("softplus", m.beta, m.threshold),
    nn.Hardtanh: lambda m: named("hardtanh", m.min_val, m.max_val),
}


@dataclass(frozen=True)
class Parameters:
    """What a function takes behind the tensor, by name, and what it applies.

    Parameters
    ----------
    defaults : by name, in order
    make : of their values
    """

    defaults: dict[str, Any]
    make: Callable[..., q.Expression]


def _plain(name: str) -> Parameters:
    return Parameters({}, lambda: named(name))


FUNCTIONS: dict[Callable[..., Tensor], Parameters] = {
    torch.sigmoid: _plain("sigmoid"),
    torch.tanh: _plain("tanh"),
    F.sigmoid: _plain("sigmoid"),
    F.tanh: _plain("tanh"),
    F.silu: _plain("silu"),
    F.gelu: Parameters({"approximate": "none"}, _gelu),
    F.hardswish: _plain("hardswish"),
    F.hardsigmoid: _plain("hardsigmoid"),
    F.elu: Parameters({"alpha": 1.0}, _elu),
    F.selu: _plain("selu"),
    F.celu: Parameters({"alpha": 1.0}, lambda alpha: named("celu", alpha)),
    F.leaky_relu: Parameters(
        {"negative_slope": 0.01}, lambda negative_slope: named("leaky_relu", negative_slope)
    ),
    F.mish: _plain("mish"),
    F.softplus: Parameters(
        {"beta": 1.0, "threshold": 20.0},
        lambda beta, threshold: named("softplus", beta, threshold),
    ),
    F.hardtanh: Parameters(
        {"min_val": -1.0, "max_val": 1.0},
        lambda min_val, max_val: named("hardtanh", min_val, max_val),
    ),
}
