"""What the windows of a deformable compute command hold."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.sim.errors import ExecutionError

_WORD = 1 << 16


class Sampler:
    """The samples that one compute command takes at the positions of a Deform.

    Parameters
    ----------
    activations : (act_depth, cols, rows) bytes
    offsets : (offset_depth, rows) bytes

    Raises
    ------
    ExecutionError
        If the commands contradict each other or the engine.
    """

    def __init__(
        self,
        config: EngineConfig,
        deform: Deform,
        command: Compute,
        activations: NDArray[np.uint8],
        offsets: NDArray[np.uint8],
    ) -> None:
        self.config, self.deform, self.command = config, deform, command
        self.activations, self.offsets = activations, offsets
        self._taken: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    def window(self, kg: int, cg: int, r: int, s: int) -> NDArray[np.uint8]:
        """Return the (n_oy, n_ox * cols, rows) bytes of a segment; 0 where no result is kept."""
        group = kg * self.command.kg_step + cg * self.command.cg_step
        key = (group, cg // self.deform.shared, r, s)
        if key not in self._taken:
            self._taken[key] = self._sample(group, cg // self.deform.shared, r, s)
        return self._taken[key]

    def _sample(self, group: int, offset_group: int, r: int, s: int) -> NDArray[np.uint8]:
        """Take the samples of the channels that lie ``group`` lane words behind the first ones."""
        d, c = self.deform, self.command
        y = (c.y0 + np.arange(c.n_oy) * c.oy_dy + r * c.r_dy)[:, None]
        x = c.x0 + np.arange(c.out_w) * c.stride_x + s * c.s_dx
        tap = offset_group * d.taps + r * c.n_s + s
        offset_word, dy = self._bytes(d.offset_base, d.offset_byte + 2 * tap)
        _, dx = self._bytes(d.offset_base, d.offset_byte + 2 * tap + 1)
        dy, dx = dy.view(np.int8).astype(np.int64), dx.view(np.int8).astype(np.int64)
        mask = np.ones_like(dy)
        if d.mask_fraction:
            mask_word, mask_bytes = self._bytes(d.mask_base, d.mask_byte + tap)
            if np.any((mask_word < self.half) == (offset_word < self.half)):
                raise ExecutionError("offsets and masks lie in the same half of the offset buffer")
            mask = mask_bytes.astype(np.int64)
            if np.any(mask > 1 << d.mask_fraction):
                raise ExecutionError("a mask is larger than 1")
        taken = (dy >= d.dy_least) & (dy <= d.dy_most)
        one = 1 << d.fraction
        rows, columns = y + (dy >> d.fraction), x + (dx >> d.fraction)
        row_part, column_part = dy & (one - 1), dx & (one - 1)
        pad = np.array(c.pad, np.uint8)
        zero = int(pad.view(np.int8) if c.signed else pad)
        total = np.zeros((c.n_oy, c.out_w, self.config.rows), np.int64)
        for i, row_weight in enumerate((one - row_part, row_part)):
            for j, column_weight in enumerate((one - column_part, column_part)):
                weight = taken * mask * row_weight * column_weight
                pixels = self._corner(group, rows + i, columns + j, weight != 0)
                values = (pixels.view(np.int8) if c.signed else pixels).astype(np.int64)
                total += weight[..., None] * (values - zero)
        sample = zero + _round_half_even(total, 2 * d.fraction + d.mask_fraction)
        windows = np.zeros((c.n_oy, c.n_ox * self.config.cols, self.config.rows), np.uint8)
        windows[:, : c.out_w] = sample.astype(np.uint8)
        return windows

    @property
    def half(self) -> int:
        """Words in half of the offset buffer."""
        return self.config.offset_depth // 2

    def _bytes(self, base: int, index: int) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """Return (n_oy, out_w) words and values: each output pixel's channel ``index``."""
        d, c = self.deform, self.command
        group, byte = divmod(index, self.config.rows)
        word = base + np.arange(c.n_oy)[:, None] * d.row_step + np.arange(c.out_w)
        word = (word + group * d.group_step) % self.config.offset_depth
        return word, self.offsets[word, byte]

    def _corner(
        self,
        group: int,
        y: NDArray[np.int64],
        x: NDArray[np.int64],
        counts: NDArray[np.bool_],
    ) -> NDArray[np.uint8]:
        """Return the pixels at (y, x), ``pad`` where there is none or where it does not count."""
        d, c, cols = self.deform, self.command, self.config.cols
        inside = counts & (y >= 0) & (y < c.in_h) & (x >= 0) & (x < c.in_w)
        row = y - d.first_row
        missing = inside & ((row < 0) | (row >= d.rows))
        if missing.any():
            raise ExecutionError(
                f"a position reaches input row {int(y[missing][0])}; rows {d.first_row} to "
                f"{d.first_row + d.rows - 1} are there"
            )
        word = (d.row_base + row * d.row_pitch) % c.act_ring + x // cols
        address = np.where(inside, (c.act_base + group + word) % _WORD, 0)
        if int(address.max()) >= self.config.act_depth:
            raise ExecutionError("a compute command reads beyond the activation buffer")
        pixels = self.activations[address, x % cols]
        return np.where(inside[..., None], pixels, np.uint8(c.pad))


def _round_half_even(value: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Return ``value / 2**shift``, rounded."""
    if shift == 0:
        return value
    odd = value >> shift & 1
    return (value + (1 << (shift - 1)) - 1 + odd) >> shift
