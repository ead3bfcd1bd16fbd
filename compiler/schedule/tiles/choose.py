"""Which convolutions run in tiles of results, with fewer multiplications (Winograd)."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, lcm

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import TensorType
from tilewright.compiler.ir.arithmetic import sums_by_sign
from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.limits import EngineLimitError, at_least
from tilewright.compiler.schedule.objective import CYCLES_PER_BYTE, Objective
from tilewright.compiler.schedule.timing import Timing
from tilewright.compiler.winograd.integer import bits_for
from tilewright.compiler.winograd.kernels import kernel_transform
from tilewright.compiler.winograd.terms import Tiling, tilings
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align
from tilewright.isa.passes import PassShape, kernel_group_lead, pass_span

#: Every layer by the algorithm that costs least.
AUTOMATIC: Mapping[str, str] = {}

#: What follows the name of tiles whose kernels are to be rounded.
ROUNDED = " rounded"


def choose_tiling(
    plain: ArrayOp,
    weight: NDArray[np.int64],
    config: EngineConfig,
    objective: Objective,
    algorithm: str,
    timing: Timing,
) -> tuple[Tiling, bool] | None:
    """Return the tiles in which a layer costs least, or None if they do not help.

    With the tiles, whether the engine transforms the kernels as it loads them, or they lie in
    memory transformed.

    Parameters
    ----------
    plain : the layer without tiles
    weight : (K, C / groups, R, S)
    objective : what is to be minimized
    algorithm : "auto", "direct", or the one that must be taken
    timing : Timing of the engine

    Raises
    ------
    EngineLimitError
        If the layer cannot be computed with that one, saying why.
    """
    if algorithm == "direct":
        return None
    known = tilings(plain.windows.kernel, plain.windows.stride)
    if algorithm != "auto":
        for tiling in known:
            if str(tiling) == algorithm:
                check_tiles(tiling, plain, config)
                reason = inexact(tiling, weight, plain.windows.type, config)
                if reason is None:
                    return tiling, _cost(tiling, plain, config, objective, timing)[1]
                raise EngineLimitError(
                    f"{plain.name}: {algorithm} cannot be taken: {reason}; "
                    f"{algorithm + ROUNDED!r} rounds its kernels"
                )
        names = ", ".join(["auto", "direct", *map(str, known)])
        raise EngineLimitError(f"{plain.name}: its algorithms are {names}, not {algorithm!r}")
    if not has_tiles(config):
        return None
    best, least = None, _plain_cost(plain, config, objective, timing)
    for tiling in known:
        cost, at_load = _cost(tiling, plain, config, objective, timing)
        if cost >= least or _obstacle(tiling, plain, config) is not None:
            continue
        if inexact(tiling, weight, plain.windows.type, config) is None:
            best, least = (tiling, at_load), cost
    return best


def has_tiles(config: EngineConfig) -> bool:
    """Return whether an engine runs tiles at all; kernels of terms have two bytes in memory."""
    return bool(config.partial_depth) and config.data_width > 9 and config.kernel_width > 8


def check_tiles(tiling: Tiling, plain: ArrayOp, config: EngineConfig) -> None:
    """Refuse tiles that the engine cannot run, whatever the kernel.

    Raises
    ------
    EngineLimitError
        Saying why.
    """
    if reason := _obstacle(tiling, plain, config):
        raise EngineLimitError(f"{plain.name}: {tiling} cannot be taken: {reason}")


def inexact(
    tiling: Tiling, weight: NDArray[np.int64], input_type: TensorType, config: EngineConfig
) -> str | None:
    """Return why the kernels or sums of tiles do not fit, or None: then everything is exact."""
    low, high = input_type.qmin, input_type.qmax
    kernels = tiling.transform_kernels(weight)
    kernel_bits = bits_for(int(kernels.min()), int(kernels.max()))
    if kernel_bits > config.kernel_width:
        return at_least(config, "kernel_width", kernel_bits)
    positive, negative = sums_by_sign(weight)
    sum_bits = bits_for(
        int((positive * low + negative * high).min()), int((positive * high + negative * low).max())
    )
    if sum_bits + tiling.halvings > config.acc_width:
        return at_least(config, "acc_width", sum_bits + tiling.halvings)
    return None


def _obstacle(tiling: Tiling, plain: ArrayOp, config: EngineConfig) -> str | None:
    """Return why the engine cannot run tiles, whatever the kernel, or None."""
    rows, columns = tiling.m
    _, height, width = plain.result.type.shape
    if plain.windows.dilation != (1, 1):
        return "its kernel is dilated"
    if not has_tiles(config):
        return "the engine has no partial_depth, a data_width of 9 or a kernel_width of 8"
    if width % columns:
        return f"tiles of {columns} columns do not fill a width of {width}"
    if gcd(columns * plain.windows.stride[1], config.cols) > 1:
        return "the tiles' distance has a common divisor with the engine's cols"
    if min(height, width) < 2:
        return "there is one row or column of results only"
    low, high = plain.windows.type.qmin, plain.windows.type.qmax
    data_bits = max(term.data_bits(low, high) for term in tiling.terms)
    if data_bits > config.data_width:
        return at_least(config, "data_width", data_bits)
    # So many columns stay together: whole tiles that can be stored by themselves.
    together = min(width, lcm(columns, config.beat_pixels))
    sums = -(-together // (columns * config.cols)) * columns * config.drain_cycles
    if sums > config.partial_depth:
        return at_least(config, "partial_depth", sums)
    if rows * together > config.out_depth:
        return at_least(config, "out_depth", rows * together)
    if (lanes := _lane_words(tiling, plain, config, together)) > config.act_depth:
        return at_least(config, "act_depth", lanes)
    weights = kernel_transform(tiling).kernels * max(
        section.steps // _taps(plain) for section in plain.sections
    )
    weights += channel_shares(tiling, plain, config) * config.param_words
    if weights > config.weight_depth:
        return at_least(config, "weight_depth", weights)
    return None


def _lane_words(tiling: Tiling, plain: ArrayOp, config: EngineConfig, columns: int) -> int:
    """Return the lane words of the input of a row of tiles, of so many columns of results."""
    windows = plain.windows
    rows, pixels = (
        min(size, (count - 1) * stride + kernel)
        for size, count, stride, kernel in zip(
            windows.type.shape[1:],
            (tiling.m[0], columns),
            windows.stride,
            windows.kernel,
            strict=True,
        )
    )
    # A strip begins with a beat of the bus.
    pixels = min(windows.type.shape[2], pixels + config.beat_pixels - 1)
    groups = 1
    if not plain.weights.per_group:
        groups = max(-(-section.channels // config.rows) for section in plain.sections)
    return groups * rows * -(-pixels // config.cols)


def channel_shares(tiling: Tiling, plain: ArrayOp, config: EngineConfig) -> int:
    """Return in how many shares a layer's channels are reduced.

    One where the weight buffer holds two kernel groups, or their weights come in small pieces;
    else two: then those of one share are loaded while the array works with the other's.
    """
    if not config.transform_at_load:
        return 1
    words = kernel_transform(tiling).kernels * max(s.steps for s in plain.sections) // _taps(plain)
    if plain.weights.per_group:
        return 1
    groups = min(-(-section.channels // config.rows) for section in plain.sections)
    return 2 if 2 * words > config.weight_depth and groups > 1 else 1


def _taps(plain: ArrayOp) -> int:
    return plain.windows.kernel[0] * plain.windows.kernel[1]


def _plain_cost(
    plain: ArrayOp, config: EngineConfig, objective: Objective, timing: Timing
) -> float:
    """Estimate what a layer costs without tiles."""
    _, height, width = plain.result.type.shape
    passes = height * -(-width // config.cols)
    compute = passes * sum(s.n_kg * plain.pass_cycles(config, s) for s in plain.sections)
    words = sum(s.n_kg * (config.param_words + s.steps) for s in plain.sections)
    size = words * config.rows // config.weights_per_byte
    return max(compute, size / timing.rate) + CYCLES_PER_BYTE[objective] * size


def _cost(
    tiling: Tiling,
    plain: ArrayOp,
    config: EngineConfig,
    objective: Objective,
    timing: Timing,
) -> tuple[float, bool]:
    """Estimate what a layer costs in tiles, and whether it costs less if transformed at load."""
    transform, taps = kernel_transform(tiling), _taps(plain)
    compute = _cycles(tiling, plain, config, timing)
    channels = sum(s.n_kg * s.steps // taps for s in plain.sections)
    parameters = config.param_words * sum(s.n_kg for s in plain.sections)

    def cost(load: float, size: float) -> float:
        return max(compute, load) + CYCLES_PER_BYTE[objective] * size

    size = 2 * config.rows * (parameters + channels * transform.kernels)
    compiled = cost(size / timing.rate, size)
    if not config.transform_at_load or not transform.steps:
        return compiled, False
    channel = align(taps * config.rows, config.bus_bytes)
    size = config.rows * parameters + channels * channel
    load = config.rows * parameters / timing.rate
    load += channels * max(channel / timing.rate, len(transform.steps))
    loaded = cost(load, size)
    return min((compiled, False), (loaded, True))


def _cycles(tiling: Tiling, plain: ArrayOp, config: EngineConfig, timing: Timing) -> float:
    """Estimate the cycles in which the array computes a layer in tiles."""
    rows, columns = tiling.m
    _, height, width = plain.result.type.shape
    row_words = -(-width // (columns * config.cols))
    tile_rows = -(-height // rows)
    compute, overhead = 0.0, timing.gaps.command + kernel_group_lead(config, 1)
    most = max(1, config.partial_depth // (columns * config.drain_cycles))  # words of tiles
    commands = -(-tile_rows // max(1, most // row_words)) * -(-row_words // most)
    for section in plain.sections:
        groups, segment, last = plain.segments(config, section)
        for number, term in enumerate(tiling.terms):
            shape = PassShape(windows=1, groups=groups, segment=segment, last_segment=last)
            span = pass_span(config, rows, columns, number == len(tiling.terms) - 1)
            cycles = tile_rows * row_words * max(shape.cycles(len(term.coefficients)), span)
            compute += section.n_kg * (cycles + commands * overhead)
    return compute
