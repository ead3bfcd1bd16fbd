"""What a compute command does to the buffers.

Sums are those of integers, in floats as long as they fit: 24 bits of a short one, 53 of a long one.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.halves import joined
from tilewright.isa.passes import is_split, weight_words
from tilewright.isa.wide import HIGH, is_low, reads_wide
from tilewright.isa.words import own_words
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.maxima import channels_of, maxima
from tilewright.sim.effects.partial import add_terms
from tilewright.sim.effects.passes import passes_of, pixels_of, wrap
from tilewright.sim.effects.results import parameters, write
from tilewright.sim.effects.sampler import Sampler
from tilewright.sim.effects.windows import windows_of
from tilewright.sim.errors import ExecutionError

#: Integers below this are exact in a short float.
_SHORT = 1 << 24
#: Numbers in an array at once, about.
_ROOM = 1 << 22


def run_compute(
    config: EngineConfig, command: Compute, buffers: Buffers, deform: Deform | None = None
) -> None:
    """Execute a command, with the Deform before it if there is one."""
    c, shared, split = command, command.accesses > 0, is_split(config, command)
    size = config.param_words + weight_words(config, c)
    if shared:
        c = own_words(config, c)
    sampler = None
    if deform is not None:
        sampler = Sampler(config, deform, c, buffers)
    for kgs in _kernel_groups(config, c):
        first = c.weight_base + kgs.start * size
        places = np.arange(first, first + len(kgs) * size) % config.weight_depth
        block = buffers.weights[places].reshape(len(kgs), size, config.rows)
        own = parameters(config, c, block[:, : config.param_words])
        words = block[:, config.param_words :]
        if config.weight_bits == 4:  # half bytes are no integers yet
            words = (words ^ 8) - 8
        if split:
            c, words = joined(config, command, words)
        total = _sums(config, c, kgs, words, buffers, sampler)
        # What rows that share words leave is more than their results, as is what halves do.
        last = wrap(config, total[-1, -config.cols :, -config.rows :])
        buffers.sums = None if shared or split else last
        total = _folded(config, c, total)
        if c.partial:
            add_terms(config, c, wrap(config, total), own, buffers)
        else:
            write(config, c, kgs, wrap(config, total + own.bias), own, buffers)


def _kernel_groups(config: EngineConfig, c: Compute) -> Iterator[range]:
    """Yield kernel groups that are computed together."""
    each = c.n_oy * c.n_ox * config.cols * config.rows
    if c.kg_step:  # they do not share what they read
        each *= c.n_cg * c.stride_x
    together = max(1, _ROOM // each)
    if c.kg_step and (c.segment_log2 or c.maximum):
        together = 1
    for first in range(0, c.n_kg, together):
        yield range(first, min(first + together, c.n_kg))


def _sums(
    config: EngineConfig,
    c: Compute,
    kgs: range,
    words: NDArray[np.int16],
    buffers: Buffers,
    sampler: Sampler | None,
) -> NDArray[np.int64]:
    """Return the (n_oy, n_ox * cols, kernel groups * rows) accumulators."""
    windows = windows_of(config, c, kgs, buffers, sampler)
    if c.product:
        products = _products(config, c, next(windows), words)
        return products.reshape(c.n_oy, c.n_ox * config.cols, -1)
    steps = _steps(config, c, words)
    before = buffers.sums if c.resume else None
    if c.resume and before is None:
        raise ExecutionError("sums go on from words that rows share, or halves of columns")
    if c.maximum:
        if buffers.strict and not np.isin(words, (0, 1)).all():
            raise ExecutionError("a maximum takes activations as they are: its weights are 0 or 1")
        return maxima(config, c, windows, steps, before)
    elif c.segment_log2 == 0:
        total = _own_channels(config, c, windows, steps)
    else:
        total = _shared_channels(config, c, windows, steps)
    sums = total.reshape(c.n_oy, c.n_ox * config.cols, -1).astype(np.int64)
    if before is not None:
        passes = passes_of(config, c, sums)
        sums = pixels_of(config, c, before + np.cumsum(passes, axis=0))
    return sums


def _folded(config: EngineConfig, c: Compute, total: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums with those of the upper half of the rows added to the lower half's, and again."""
    if not c.fold or not config.folds:
        return total
    sums = total.reshape(*total.shape[:2], -1, config.rows).copy()
    half = config.rows
    for _ in range(c.fold):
        half //= 2
        sums[..., :half] += sums[..., half : 2 * half]
    return sums.reshape(total.shape)


def _steps(config: EngineConfig, c: Compute, words: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the (windows, kernel groups, n_cg, 2**segment_log2, rows) weights of each step.

    A step that does not happen has zeros: it adds nothing. Of maxima, it is left out. Weights of
    high bytes count 256 times.
    """
    count, rows = len(words), words.shape[-1]
    steps = np.zeros((c.windows, count, c.n_cg, 1 << c.segment_log2, rows), np.int16)
    last = (c.n_cg - 1) * c.windows * c.segment
    first = words[:, :last].reshape(count, c.n_cg - 1, c.windows, c.segment, rows)
    steps[:, :, :-1, : c.segment] = first.transpose(2, 0, 1, 3, 4)
    rest = words[:, last:].reshape(count, c.windows, c.last_segment, rows)
    steps[:, :, -1, : c.last_segment] = rest.transpose(1, 0, 2, 3)
    if reads_wide(config, c):
        high = [not is_low(c, window // c.n_s) for window in range(c.windows)]
        steps[high] *= HIGH
    return steps


def _products(
    config: EngineConfig, c: Compute, window: NDArray[np.float32], words: NDArray[np.int16]
) -> NDArray[np.int64]:
    """Return the products of two maps, the two channel groups of a window."""
    factor = window[..., 0, :].astype(np.int64)
    pixel = window[..., 1, :].astype(np.int64)[..., channels_of(config, c)[0]]
    kind = np.int8 if c.factor_signed else np.uint8
    weight = factor.astype(kind).astype(np.int64) - np.array(c.pad, np.uint8).astype(kind)
    total = pixel * weight
    if c.factor_steps:
        total = total + factor[..., channels_of(config, c)[0]] * words[:, 0]
    return np.broadcast_to(total, (*total.shape[:2], len(words), config.rows))


def _own_channels(
    config: EngineConfig,
    c: Compute,
    windows: Iterator[NDArray[np.float32]],
    steps: NDArray[np.int16],
) -> NDArray[np.floating]:
    """Return the sums of rows that listen to a channel of their own each."""
    number = _number(config, c, np.abs(steps.astype(np.int64)).sum((0, 2)))
    total = np.zeros((c.n_oy, c.n_ox * config.cols, steps.shape[1], config.rows), number)
    for window, weights in zip(windows, steps[..., 0, :].astype(np.float32), strict=True):
        for cg in range(c.n_cg):
            total += window[..., cg, :] * weights[:, cg]
    return total


def _shared_channels(
    config: EngineConfig,
    c: Compute,
    windows: Iterator[NDArray[np.float32]],
    steps: NDArray[np.int16],
) -> NDArray[np.floating]:
    """Return the sums of rows of which several listen to a channel."""
    rows, count = config.rows, steps.shape[1]
    sizes = np.abs(steps.astype(np.int64)).sum((2, 3))
    total = np.zeros((c.n_oy, c.n_ox * config.cols, count * rows), np.float64)
    channels = channels_of(config, c)
    for window, weights, size in zip(windows, steps, sizes, strict=True):
        number = _number(config, c, size)
        matrix = np.zeros((count, c.n_cg, rows, rows), number)
        if len(channels) == rows:  # each step is a channel that all rows listen to
            matrix[:] = weights
        else:
            matrix[:, :, channels, np.arange(rows)] = weights
        matrix = matrix.transpose(1, 2, 0, 3).reshape(c.n_cg * rows, -1)
        total += window.reshape(*window.shape[:2], -1) @ matrix
    return total


def _number(config: EngineConfig, c: Compute, weights: NDArray[np.int64]) -> type[np.floating]:
    """Return floats in which sums are exact, given the sums of the weights' absolute values."""
    pixel = 1 << (config.data_width - 1 if c.transform else 8)
    return np.float32 if pixel * int(weights.max()) < _SHORT else np.float64
