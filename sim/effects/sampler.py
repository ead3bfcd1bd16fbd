"""What the windows of a deformable compute command hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.widths import (
    ROW_WIDTH,
    act_addr_width,
    column_width,
    folded,
    lane_depth,
)
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.wrap import wrapped
from tilewright.sim.errors import ExecutionError


@dataclass(frozen=True)
class _Tap:
    """Where a segment's offsets and masks are: word of the first output pixel, and byte."""

    word: int
    byte: int
    mask_word: int
    mask_byte: int


class Sampler:
    """The samples that one compute command takes at the positions of a Deform.

    Parameters
    ----------
    buffers : Buffers, of which activations and offsets are read

    Raises
    ------
    ExecutionError
        If the buffers are strict and the commands contradict each other, or what is in them.
    """

    def __init__(
        self, config: EngineConfig, deform: Deform, command: Compute, buffers: Buffers
    ) -> None:
        self.config, self.deform, self.command = config, deform, command
        self.buffers = buffers
        self._taps = self._walk()
        self._taken: dict[tuple[object, ...], NDArray[np.uint8]] = {}

    def _walk(self) -> list[_Tap]:
        """Return the taps of a pass: those of channel groups that share positions come again."""
        d, c = self.deform, self.command
        count = c.n_cg * c.n_r * c.n_s
        here = (d.offset_base, d.offset_byte, d.mask_base, d.mask_byte)
        marked, taps = here, []
        taps_left, groups_left = d.taps or 1 << 16, d.shared
        for _ in range(count):
            taps.append(_Tap(*here))
            after = (*self._after(*here[:2], 2), *self._after(*here[2:], 1))
            taps_left -= 1
            if taps_left:
                here = after
                continue
            taps_left, groups_left = d.taps or 1 << 16, groups_left - 1
            here = marked
            if not groups_left:
                groups_left, here, marked = d.shared, after, after
        return taps

    def _after(self, word: int, byte: int, step: int) -> tuple[int, int]:
        """Return word and byte ``step`` channels on."""
        over, byte = divmod(byte + step, self.config.rows)
        return (word + bool(over) * self.deform.group_step) % self.config.offset_depth, byte

    def window(self, kg: int, cg: int, r: int, s: int) -> NDArray[np.uint8]:
        """Return the (n_oy, n_ox * cols, rows) bytes of a segment."""
        c = self.command
        group = kg * c.kg_step + cg * c.cg_step
        tap = self._taps[(cg * c.n_r + r) * c.n_s + s]
        key = (group, tap, r, s)
        if key not in self._taken:
            self._taken[key] = self._sample(group, tap, r, s)
        return self._taken[key]

    def _sample(self, group: int, tap: _Tap, r: int, s: int) -> NDArray[np.uint8]:
        """Take the samples of the channels that lie ``group`` lane words behind the first ones."""
        d, c, cols = self.deform, self.command, self.config.cols
        word, pixel = np.divmod(np.arange(c.n_ox * cols), cols)
        y = wrapped(c.y0 + np.arange(c.n_oy) * c.oy_dy + r * c.r_dy, ROW_WIDTH)[:, None]
        width = column_width(self.config)
        x = wrapped(c.x0 + word * cols * c.stride_x + s * c.s_dx, width)
        x = wrapped(x + pixel * c.stride_x, max(width, 9) + 1)
        place = (c.x0_word + word * c.stride_x + s * c.s_word) * cols
        place = place + c.x0_lane + s * c.s_lane + pixel * c.stride_x
        dy, dx, mask = self._offsets(tap)
        taken = (dy >= d.dy_least) & (dy <= d.dy_most)
        one = 1 << d.fraction
        row_part, column_part = dy & (one - 1), dx & (one - 1)
        down, right = dy >> d.fraction, dx >> d.fraction
        weights = [
            [taken * mask * row * column for column in (one - column_part, column_part)]
            for row in (one - row_part, row_part)
        ]
        inside = [
            [
                taken & (y + down + i >= 0) & (y + down + i < c.in_h)
                & (x + right + j >= 0) & (x + right + j < c.in_w)
                for j in range(2)
            ]
            for i in range(2)
        ]  # fmt: skip
        if self.buffers.strict:
            for i in range(2):
                counts = (inside[i][0] & (weights[i][0] != 0)) | (
                    inside[i][1] & (weights[i][1] != 0)
                )
                self._check_rows(y + down + i, counts[:, : c.out_w])
        addresses = self._addresses(group, wrapped(y - d.first_row, ROW_WIDTH + 1) + down,
                                    place + right)  # fmt: skip
        pad = np.array(c.pad, np.uint8)
        zero = int(pad.view(np.int8) if c.signed else pad)
        total = np.zeros((c.n_oy, c.n_ox * cols, self.config.rows), np.int64)
        for i in range(2):
            for j in range(2):
                lane = (place + right + j) % cols
                pixels = self.buffers.activations[addresses[i][j], lane]
                values = (pixels.view(np.int8) if c.signed else pixels).astype(np.int64)
                weight = weights[i][j] * inside[i][j]
                total += weight[..., None] * (values - zero)
        return (zero + _round_half_even(total, 2 * d.fraction + d.mask_fraction)).astype(np.uint8)

    def _offsets(self, tap: _Tap) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return the (n_oy, n_ox * cols) offsets and masks of a tap."""
        d, c, depth = self.deform, self.command, self.config.offset_depth
        pixels = np.arange(c.n_oy)[:, None] * d.row_step + np.arange(c.n_ox * self.config.cols)
        word = (tap.word + pixels) % depth
        dy, dx = (
            self.buffers.offsets[word, (tap.byte & ~1) + k].view(np.int8).astype(np.int64)
            for k in range(2)
        )
        if not d.mask_fraction:
            return dy, dx, np.ones_like(dy)
        half = depth // 2
        mask_word = (tap.mask_word + pixels) % depth
        if self.buffers.strict and np.any(((mask_word < half) == (word < half))[:, : c.out_w]):
            raise ExecutionError("offsets and masks lie in the same half of the offset buffer")
        # Of the half in which the offsets are not.
        mask_word = mask_word % half + half * (word < half)
        mask = self.buffers.offsets[mask_word, tap.mask_byte].astype(np.int64)
        if self.buffers.strict and np.any(mask[:, : c.out_w] > 1 << d.mask_fraction):
            raise ExecutionError("a mask is larger than 1")
        return dy, dx, mask % (2 << d.mask_fraction)

    def _check_rows(self, y: NDArray[np.int64], counts: NDArray[np.bool_]) -> None:
        """Refuse positions in rows that are not on chip."""
        d = self.deform
        y = np.broadcast_to(y[:, : counts.shape[1]], counts.shape)
        missing = counts & ((y < d.first_row) | (y >= d.first_row + d.rows))
        if missing.any():
            raise ExecutionError(
                f"a position reaches input row {int(y[missing][0])}; rows {d.first_row} to "
                f"{d.first_row + d.rows - 1} are there"
            )

    def _addresses(
        self, group: int, row: NDArray[np.int64], place: NDArray[np.int64]
    ) -> list[list[NDArray[np.int64]]]:
        """Return the lane words of the four pixels around positions, upper and left ones first.

        ``row`` counts from the first one in the ring, ``place`` the pixels from word 0 on.
        """
        d, c, config = self.deform, self.command, self.config
        width = act_addr_width(config)
        words = 1 << width
        ahead = wrapped(row, 14) * (d.row_pitch % (1 << min(width, 16)))
        rows = []
        for i in range(2):
            begin = d.row_base + i * d.row_pitch
            there = wrapped(ahead + wrapped(np.array(begin), width + 3), width + 3)
            back = wrapped(ahead + wrapped(np.array(begin - c.act_ring), width + 3), width + 3)
            rows.append(np.where(back < 0, there, back))
        columns = [c.act_base + group + (place + j) // config.cols for j in range(2)]
        upper, lower = ([(row + column) % words for column in columns] for row in rows)
        # The lower one is read from the half of the lane in which the upper one is not.
        lower = [(low & ~1) | (1 - (up & 1)) for up, low in zip(upper, lower, strict=True)]
        return [[folded(a, lane_depth(config)) for a in pair] for pair in (upper, lower)]


def _round_half_even(value: NDArray[np.int64], shift: int) -> NDArray[np.int64]:
    """Return ``value / 2**shift``, rounded."""
    if shift == 0:
        return value
    odd = value >> shift & 1
    return (value + (1 << (shift - 1)) - 1 + odd) >> shift
