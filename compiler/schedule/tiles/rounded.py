"""Convolutions in tiles that do not fit exactly: on request, with rounded kernels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import (
    Conv2d,
    Graph,
    Op,
    Requantize,
    RoundedConv2d,
    TensorType,
    VerifyError,
    accumulator_range,
    make_requantize,
    run,
)
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.tiles.choose import ROUNDED, inexact
from tilewright.compiler.winograd.integer import bits_for
from tilewright.compiler.winograd.terms import Tiling, tilings
from tilewright.isa import EngineConfig


@dataclass(frozen=True)
class RoundingError:
    """How far a layer with rounded kernels is from the direct convolution of the same input.

    Parameters
    ----------
    largest : int, in steps of the output
    mean : float, of the absolute errors, in steps of the output
    differing : float, share of the results that are not the same, 0..1
    """

    largest: int
    mean: float
    differing: float

    def __str__(self) -> str:
        return (
            f"{self.differing:.2%} of results differ from the direct convolution, by at most "
            f"{self.largest} LSB, {self.mean:.3g} LSB on average over all"
        )


def round_convolutions(graph: Graph, config: EngineConfig, algorithms: Mapping[str, str]) -> Graph:
    """Replace each convolution for which rounded tiles are asked by a RoundedConv2d; verify that.

    Transformed kernels U become ``round_half_even(U / 2**s)``, with the least s of at least 1 for
    which kernels and sums fit the engine. What exact tiles divide by, and ``2**s``, goes into the
    requantization.

    Parameters
    ----------
    graph : verified
    algorithms : as for :func:`tilewright.compile`

    Raises
    ------
    EngineLimitError
        If it is asked for a layer that is no convolution, has no such tiles, fits exactly, or does
        not fit even so; or for all layers at once.
    """
    if algorithms.get("*", "").endswith(ROUNDED):
        raise EngineLimitError(
            f"*: {algorithms['*']!r} changes results, and must be asked for by each layer's name"
        )
    asked = {
        op.name
        for op in graph.ops
        if algorithms.get(op.name, "").endswith(ROUNDED) and not isinstance(op, RoundedConv2d)
    }
    if not asked:
        return graph
    ops = tuple(
        _rounded(op, algorithms[op.name], graph.values, config) if op.name in asked else op
        for op in graph.ops
    )
    result = replace(graph, ops=ops)
    result.verify()
    return result


def rounding_errors(
    graph: Graph, rounded: Graph, images: Sequence[Sequence[NDArray[np.int64]]]
) -> dict[str, RoundingError]:
    """Compare every layer with rounded kernels to the convolution that it replaced.

    Parameters
    ----------
    graph, rounded : before and after :func:`round_convolutions`
    images : the inputs (C, H, W) of one image after another

    Returns
    -------
    By the layer's name. Its input is what it is in ``rounded``: errors of layers before it do not
    count.
    """
    direct = {op.name: op for op in graph.ops if isinstance(op, Conv2d)}
    layers = [op for op in rounded.ops if isinstance(op, RoundedConv2d) and op.name in direct]
    errors: dict[str, list[NDArray[np.int64]]] = {op.name: [] for op in layers}
    for image in images:
        values = run(rounded, image)
        for op in layers:
            exact = direct[op.name].compute(values, graph.values)
            errors[op.name].append(np.abs(values[op.output] - exact))
    return {name: _summary(np.stack(parts)) for name, parts in errors.items()}


def _summary(errors: NDArray[np.int64]) -> RoundingError:
    return RoundingError(int(errors.max()), float(errors.mean()), float((errors > 0).mean()))


def _rounded(
    op: Op, algorithm: str, types: Mapping[str, TensorType], config: EngineConfig
) -> RoundedConv2d:
    """Return a layer with rounded kernels."""
    name = op.name
    if not isinstance(op, Conv2d):
        raise EngineLimitError(f"{name}: {algorithm!r} is for convolutions only")
    known = tilings(op.kernel, op.stride) if op.dilation == (1, 1) else ()
    tiling = next((t for t in known if f"{t}{ROUNDED}" == algorithm), None)
    if tiling is None:
        names = ", ".join(f"{t}{ROUNDED}" for t in known) or "none"
        raise EngineLimitError(f"{name}: its rounded algorithms are {names}, not {algorithm!r}")
    reason = inexact(tiling, op.weight, types[op.input], config)
    if reason is None:
        raise EngineLimitError(f"{name}: {tiling} is exact on this engine: ask for it instead")
    kernels = tiling.transform_kernels(op.weight)[..., 0, 0]
    most = bits_for(int(kernels.min()), int(kernels.max()))
    for shift in range(1, most - 1):  # two bits are the least that say anything
        result = _with_shift(op, tiling, kernels, shift, config)
        low, high = int(result.kernels.min()), int(result.kernels.max())
        if bits_for(low, high) > config.kernel_width:
            continue
        needed = _accumulator_bits(result, types)
        if needed <= config.acc_width:
            return result
        reason = at_least(config, "acc_width", needed)
    raise EngineLimitError(f"{name}: {algorithm} cannot be taken: {reason}")


def _with_shift(
    op: Conv2d, tiling: Tiling, kernels: NDArray[np.int64], shift: int, config: EngineConfig
) -> RoundedConv2d:
    tiles = tiling.undivided
    return RoundedConv2d(
        name=op.name,
        input=op.input,
        output=op.output,
        kernels=_divide(kernels, shift),
        data_factors=tiles.data,
        output_factors=tiles.output,
        bias=_divide(op.bias * tiling.divisor, shift),
        stride=op.stride,
        padding=op.padding,
        groups=op.groups,
        requantize=_rescaled(op, Fraction(1 << shift, tiling.divisor), config.multiplier_width),
    )


def _divide(values: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Return ``values / 2**shift``, rounded half to even."""
    return (values + (1 << (shift - 1)) - 1 + (values >> shift & 1)) >> shift


def _rescaled(op: Conv2d, factor: Fraction, multiplier_width: int) -> Requantize:
    """Return the requantization of an accumulator that is ``1 / factor`` times as large."""
    r = op.requantize
    factors = [Fraction(m, 1 << s) * factor for m, s in zip(r.multiplier, r.shift, strict=True)]
    try:
        result = make_requantize(
            [float(f or 1) for f in factors], multiplier_width, r.zero_point, r.qmin, r.qmax,
            r.rounding,
        )  # fmt: skip
    except VerifyError as error:
        raise EngineLimitError(f"{op.name}: {error}") from error
    # A channel whose multiplier is zero keeps it.
    multiplier = tuple(m if f else 0 for m, f in zip(result.multiplier, factors, strict=True))
    return replace(result, multiplier=multiplier)


def _accumulator_bits(op: RoundedConv2d, types: Mapping[str, TensorType]) -> int:
    """Return the bits of the accumulator, with and without bias."""
    lows, highs = accumulator_range(op, types)
    low = min(int(lows.min()), int((lows - op.bias).min()))
    return bits_for(low, max(int(highs.max()), int((highs - op.bias).max())))
