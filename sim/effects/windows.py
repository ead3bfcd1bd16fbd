"""Which activations the array receives: one window after another, of some kernel groups."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, EngineConfig
from tilewright.sim.effects.sampler import Sampler
from tilewright.sim.errors import ExecutionError

_WORD = 1 << 16


def windows_of(
    config: EngineConfig,
    c: Compute,
    kgs: range,
    activations: NDArray[np.uint8],
    sampler: Sampler | None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the (n_oy, n_ox * cols, kernel groups, n_cg, rows) activations of each window.

    They are integers. Kernel groups that all read the same are one.
    """
    if c.kg_step == 0:
        kgs = kgs[:1]
    taps = _sampled(c, kgs, sampler) if sampler else _on_grid(config, c, kgs, activations)
    if not c.transform:
        yield from taps
        return
    total = sum(tap * np.float32(c.coefficient(number)) for number, tap in enumerate(taps))
    assert isinstance(total, np.ndarray)
    half = 1 << (config.data_width - 1)
    if total.min() < -half or total.max() >= half:
        raise ExecutionError(f"a transformed window needs more than {config.data_width} bits")
    yield total


def _values(c: Compute, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what bytes stand for."""
    return (pixels.view(np.int8) if c.signed else pixels).astype(np.float32)


def _sampled(c: Compute, kgs: range, sampler: Sampler) -> Iterator[NDArray[np.float32]]:
    for r in range(c.n_r):
        for s in range(c.n_s):
            groups = [
                np.stack([sampler.window(kg, cg, r, s) for cg in range(c.n_cg)], axis=-2)
                for kg in kgs
            ]
            yield _values(c, np.stack(groups, axis=-3))


def _on_grid(
    config: EngineConfig, c: Compute, kgs: range, activations: NDArray[np.uint8]
) -> Iterator[NDArray[np.float32]]:
    for r in range(c.n_r):
        pixels = _pixels(config, c, kgs, r, activations)
        for s in range(c.n_s):
            first = s * c.s_dx
            end = first + (c.n_ox * config.cols - 1) * c.stride_x + 1
            yield pixels[:, first : end : c.stride_x]


def _pixels(
    config: EngineConfig, c: Compute, kgs: range, r: int, activations: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Return (n_oy, columns, kernel groups, n_cg, rows): all columns that a kernel row reads."""
    cols = config.cols
    reads = np.arange(c.n_ox * cols) * c.stride_x
    width = int(reads[-1]) + (c.n_s - 1) * c.s_dx + 1
    shape = (c.n_oy, width, len(kgs), c.n_cg, config.rows)
    pixels = np.full(shape, _values(c, np.array([c.pad], np.uint8))[0], np.float32)
    oy = np.arange(c.n_oy)
    y = c.y0 + oy * c.oy_dy + r * c.r_dy
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
    row = ((c.act_row + oy * c.oy_step + r * c.r_step) % c.act_ring)[rows]
    kg, cg = np.array(kgs)[:, None], np.arange(c.n_cg)
    groups = c.act_base + kg * c.kg_step + cg * c.cg_step
    address = (row[:, None, None, None] + words[:, None, None] + groups) % _WORD
    touched = np.zeros(len(words), bool)
    touched[inside // cols - int(words[0])] = True
    if int(address[:, touched].max()) >= config.act_depth:
        raise ExecutionError("a compute command reads beyond the activation buffer")
    found = _values(c, activations[np.minimum(address, config.act_depth - 1)])
    # (rows, words, kernel groups, channel groups, lanes, channels): lanes are columns.
    found = found.transpose(0, 1, 4, 2, 3, 5).reshape(len(rows), -1, *shape[2:])
    skipped = c.x0 + low - int(words[0]) * cols
    pixels[rows[0] : rows[-1] + 1, low:high] = found[:, skipped : skipped + high - low]
    return pixels
