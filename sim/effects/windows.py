"""Which activations the array receives: one window after another, of some kernel groups."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, EngineConfig, sense
from tilewright.isa.images import walk_rows
from tilewright.isa.wide import is_low, reads_wide
from tilewright.isa.widths import (
    ROW_WIDTH,
    act_addr_width,
    column_width,
    folded,
    lane_depth,
)
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.sampler import Sampler
from tilewright.sim.effects.wrap import wrapped
from tilewright.sim.errors import ExecutionError

_WORD = 1 << 16


def windows_of(
    config: EngineConfig,
    c: Compute,
    kgs: range,
    buffers: Buffers,
    sampler: Sampler | None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the (n_oy, n_ox * cols, kernel groups, n_cg, rows) activations of each window.

    They are integers. Kernel groups that all read the same are one.
    """
    if c.kg_step == 0:
        kgs = kgs[:1]
    if sampler:
        taps = _sampled(config, c, kgs, sampler)
    elif _in_rows(config, c):
        taps = _on_grid(config, c, kgs, buffers)
    else:
        taps = _one_by_one(config, c, kgs, buffers)
    if not c.transform:
        yield from taps
        return
    total = sum(tap * np.float32(c.coefficient(number)) for number, tap in enumerate(taps))
    assert isinstance(total, np.ndarray)
    half = 1 << (config.data_width - 1)
    if total.min() < -half or total.max() >= half:
        if buffers.strict:
            raise ExecutionError(f"a transformed window needs more than {config.data_width} bits")
        total = (total + half) % (2 * half) - half
    yield total


def _values(
    config: EngineConfig, c: Compute, pixels: NDArray[np.uint8], r: int = 0
) -> NDArray[np.float32]:
    """Return what bytes under kernel row ``r`` stand for; low ones of 16 bits have no sign."""
    signed = c.signed and not (reads_wide(config, c) and is_low(c, r))
    return (pixels.view(np.int8) if signed else pixels).astype(np.float32)


def _sampled(
    config: EngineConfig, c: Compute, kgs: range, sampler: Sampler
) -> Iterator[NDArray[np.float32]]:
    for r in range(c.n_r):
        for s in range(c.n_s):
            groups = [
                np.stack([sampler.window(kg, cg, r, s) for cg in range(c.n_cg)], axis=-2)
                for kg in kgs
            ]
            yield _values(config, c, np.stack(groups, axis=-3))


def _in_rows(config: EngineConfig, c: Compute) -> bool:
    """Return whether windows are pieces of rows, so that those of a kernel row can share pixels."""
    return (
        sense.split(config, c)
        and sense.columns(config, c)
        and sense.rows(config, c)
        and sense.ring(config, c)
        and c.in_w < 1 << (column_width(config) - 1)
    )


def _one_by_one(
    config: EngineConfig, c: Compute, kgs: range, buffers: Buffers
) -> Iterator[NDArray[np.float32]]:
    """Yield windows whose words and lanes, or rows, are what the engine makes of the fields."""
    cols, width = config.cols, column_width(config)
    word, pixel = np.divmod(np.arange(c.n_ox * cols), cols)
    place = (c.x0_word + word * c.stride_x) * cols + c.x0_lane + pixel * c.stride_x
    column = c.x0 + np.arange(c.n_ox * cols) * c.stride_x
    kg, cg = np.array(kgs)[:, None], np.arange(c.n_cg)
    groups = c.act_base + kg * c.kg_step + cg * c.cg_step
    in_w = c.in_w % (1 << (width - 1))
    first_y, steps = np.array(list(walk_rows(config, c)), np.int64).T
    row = ring_walk(config, c, c.act_row, steps[:-1].tolist())
    for r in range(c.n_r):
        y = wrapped(first_y + r * c.r_dy, ROW_WIDTH)
        valid = (y >= 0) & (y < c.in_h)
        pad = _values(config, c, np.array([c.pad], np.uint8), r)[0]
        for s in range(c.n_s):
            words, lanes = np.divmod(place + s * (c.s_word * cols + c.s_lane), cols)
            inside = (column + s * c.s_dx) % (1 << width) < in_w
            address = row[:, None, None, None] + words[:, None, None] + groups
            address = folded(address, lane_depth(config))
            found = _values(config, c, buffers.activations[address, lanes[:, None, None]], r)
            yield np.where((valid[:, None] & inside)[..., None, None, None], found, pad)
        row = ring_step(config, c, row, c.r_step)


def ring_walk(
    config: EngineConfig, c: Compute, first: int, steps: Sequence[int]
) -> NDArray[np.int64]:
    """Return where a walk through a ring comes, from ``first`` on, behind each of some steps."""
    here = np.array(first % (1 << act_addr_width(config)))
    places = [here]
    for step in steps:
        here = ring_step(config, c, here, step)
        places.append(here)
    return np.array(places, np.int64)


def ring_step(
    config: EngineConfig, c: Compute, place: NDArray[np.int64], step: int
) -> NDArray[np.int64]:
    """Return where a step leads: back by the ring, once, if it goes beyond."""
    words = 1 << act_addr_width(config)
    there = place + step % words
    back = there - c.act_ring % (2 * words)
    return np.where(back < 0, there, back) % words


def _on_grid(
    config: EngineConfig, c: Compute, kgs: range, buffers: Buffers
) -> Iterator[NDArray[np.float32]]:
    for r in range(c.n_r):
        pixels = _pixels(config, c, kgs, r, buffers)
        for s in range(c.n_s):
            first = s * c.s_dx
            end = first + (c.n_ox * config.cols - 1) * c.stride_x + 1
            yield pixels[:, first : end : c.stride_x]


def _pixels(
    config: EngineConfig, c: Compute, kgs: range, r: int, buffers: Buffers
) -> NDArray[np.float32]:
    """Return (n_oy, columns, kernel groups, n_cg, rows): all columns that a kernel row reads."""
    cols = config.cols
    reads = np.arange(c.n_ox * cols) * c.stride_x
    width = int(reads[-1]) + (c.n_s - 1) * c.s_dx + 1
    shape = (c.n_oy, width, len(kgs), c.n_cg, config.rows)
    pad = _values(config, c, np.array([c.pad], np.uint8), r)[0]
    pixels = np.full(shape, pad, np.float32)
    first_y, steps = np.array(list(walk_rows(config, c)), np.int64).T
    y = first_y + r * c.r_dy
    (rows,) = np.nonzero((y >= 0) & (y < c.in_h))
    # Columns inside, as `pixels` has them; none where the window begins behind the input.
    low, high = max(0, -c.x0), max(0, min(width, c.in_w - c.x0))
    # A stride can leave out words, which need not be there.
    read = np.zeros(width, bool)
    for s in range(c.n_s):
        read[reads + s * c.s_dx] = True
    inside = c.x0 + np.flatnonzero(read[:high])
    inside = inside[inside >= 0]
    if not rows.size or not inside.size:
        return pixels
    words = np.arange((c.x0 + low) // cols, (c.x0 + high - 1) // cols + 1)
    ring = c.act_row + np.cumsum(steps) - steps + r * c.r_step
    row = (ring % c.act_ring)[rows]
    kg, cg = np.array(kgs)[:, None], np.arange(c.n_cg)
    groups = c.act_base + kg * c.kg_step + cg * c.cg_step
    address = row[:, None, None, None] + words[:, None, None] + groups
    if buffers.strict:
        touched = np.zeros(len(words), bool)
        touched[inside // cols - int(words[0])] = True
        if int((address[:, touched] % _WORD).max()) >= config.act_depth:
            raise ExecutionError("a compute command reads beyond the activation buffer")
    found = _values(config, c, buffers.activations[folded(address, lane_depth(config))], r)
    # (rows, words, kernel groups, channel groups, lanes, channels): lanes are columns.
    found = found.transpose(0, 1, 4, 2, 3, 5).reshape(len(rows), -1, *shape[2:])
    skipped = c.x0 + low - int(words[0]) * cols
    pixels[rows, low:high] = found[:, skipped : skipped + high - low]
    return pixels
