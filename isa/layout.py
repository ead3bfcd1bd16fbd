"""How feature maps and weights lie in memory, and the bytes that commands move.

Feature map (C, H, W): channels in groups of ``rows``; ``[group][y][x][channel in group]``, one
byte each, every row padded to whole bus beats. A *pixel word* is the ``rows`` bytes of one pixel
of one group; in memory a network's input of few channels may have fewer. Source:
docs/decisions/0003-activation-layout.md.

Weight block: the words of :class:`~tilewright.isa.commands.Compute`, ``weight_bits`` per
array row; ``param_words`` parameter words, of which word i has the i-th ``weight_bits`` of each
row's parameters (bias in the lowest ``acc_width`` bits, multiplier above it, shift in the six bits
above that). A word's rows follow one another from the least significant bit, and words follow one
another, filled up with zeros to whole units of ``rows`` bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tilewright.isa.commands import (
    Command,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
)
from tilewright.isa.config import EngineConfig

PAGE = 64
"""Alignment of everything in memory, in bytes: whole beats of any bus."""


def align(value: int, unit: int) -> int:
    """Return the smallest multiple of ``unit`` that is at least ``value``."""
    return -(-value // unit) * unit


@dataclass(frozen=True)
class FeatureMapLayout:
    """Where the bytes of a (C, H, W) feature map lie in memory, from its first byte.

    ``order``: the channel in each of the groups' places, -1 for none; empty if they lie in order.
    ``pixel``: bytes of a pixel, one of the engine's ``pixel_sizes``, or 0 for ``rows``.
    """

    config: EngineConfig
    channels: int
    height: int
    width: int
    order: tuple[int, ...] = ()
    pixel: int = 0

    @property
    def groups(self) -> int:
        """Channel groups of ``rows`` channels."""
        return -(-(len(self.order) or self.channels) // self.config.rows)

    def _slots(self) -> NDArray[np.int64]:
        """Return the place of each channel."""
        if not self.order:
            return np.arange(self.channels)
        order = np.array(self.order, np.int64)
        slots = np.flatnonzero(order >= 0)
        return np.asarray(slots[np.argsort(order[slots])])

    @property
    def pixel_bytes(self) -> int:
        """Bytes from one pixel to the next."""
        return self.pixel or self.config.rows

    @property
    def beat_pixels(self) -> int:
        """Pixels after which a row can be cut: whole bus beats."""
        return self.config.bus_bytes // gcd(self.config.bus_bytes, self.pixel_bytes)

    def columns_bytes(self, first: int, end: int) -> int:
        """Bytes of columns ``first .. end - 1`` of a row: whole bus beats, if it is cut there."""
        return align((end - first) * self.pixel_bytes, self.config.bus_bytes)

    @property
    def row_bytes(self) -> int:
        """Bytes from one row to the next: whole bus beats."""
        return self.columns_bytes(0, self.width)

    @property
    def group_bytes(self) -> int:
        """Bytes from one channel group to the next."""
        return self.height * self.row_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes in all."""
        return self.groups * self.group_bytes

    def pack(self, tensor: NDArray[np.integer]) -> NDArray[np.uint8]:
        """Return the bytes of a (C, H, W) integer tensor; places without a channel are zero."""
        rows, size = self.config.rows, self.pixel_bytes
        out = np.zeros((self.groups, self.height, self.row_bytes), np.uint8)
        padded = np.zeros((self.groups * rows, self.height, self.width), np.uint8)
        padded[self._slots()] = tensor.astype(np.int64).astype(np.uint8)
        pixels = padded.reshape(self.groups, rows, self.height, self.width).transpose(0, 2, 3, 1)
        pixels = pixels[..., :size]
        out[:, :, : self.width * size] = pixels.reshape(self.groups, self.height, -1)
        return out.reshape(-1)

    def unpack(self, data: NDArray[np.uint8], *, signed: bool) -> NDArray[np.int64]:
        """Return the (C, H, W) integers that lie in ``data``."""
        size = self.pixel_bytes
        pixels = data.reshape(self.groups, self.height, self.row_bytes)[:, :, : self.width * size]
        pixels = pixels.reshape(self.groups, self.height, self.width, size).transpose(0, 3, 1, 2)
        values = pixels.reshape(-1, self.height, self.width)[self._slots()]
        return (values.astype(np.int8) if signed else values).astype(np.int64)


def pack_parameters(
    config: EngineConfig,
    bias: NDArray[np.int64],
    multiplier: NDArray[np.int64],
    shift: NDArray[np.int64],
    once: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return the (param_words, rows) parameter words of one kernel group.

    Entries have ``weight_bits`` bits. Arguments have one entry per array row: bias (modulo
    ``2**acc_width``), multiplier below ``2**multiplier_width``, shift in 0..63, and once: 1
    rounds once, half away from zero, in an engine that rounds twice; 0 in others.
    """
    words = np.zeros((config.param_words, config.rows), np.uint8)
    mask = (1 << config.weight_bits) - 1
    for row in range(config.rows):
        value = int(bias[row]) & ((1 << config.acc_width) - 1)
        value |= int(multiplier[row]) << config.acc_width
        value |= int(shift[row]) << (config.acc_width + config.multiplier_width)
        value |= int(once[row]) << (config.acc_width + config.multiplier_width + 6)
        words[:, row] = [
            value >> (config.weight_bits * i) & mask for i in range(config.param_words)
        ]
    return words


def pack_weights(config: EngineConfig, words: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the bytes of (n, rows) weight words; of each entry the low ``weight_bits`` count."""
    flat: NDArray[np.uint8] = words.astype(np.uint8).reshape(-1)
    if config.weight_bits == 4:
        flat = np.concatenate([flat, np.zeros(-flat.size % (2 * config.rows), np.uint8)])
        flat = ((flat[::2] & 15) | (flat[1::2] << 4)).astype(np.uint8)
    return flat


def pack_wide_weights(words: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return the bytes of (n, rows) weight words of up to 16 bits: low bytes, then high ones."""
    halves = np.stack([words & 0xFF, words >> 8 & 0xFF], axis=1)
    return halves.astype(np.uint8).reshape(-1)


def unpack_weights(config: EngineConfig, data: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Return the (n, rows) weight words in ``data``: signed bytes, or half bytes below 16."""
    if config.weight_bits == 4:
        halves = np.stack([data & 15, data >> 4], axis=-1).astype(np.int16)
        return halves.reshape(-1, config.rows)
    return data.reshape(-1, config.rows).view(np.int8).astype(np.int16)


def moved_bytes(config: EngineConfig, command: Command) -> int:
    """Return the bytes that a command reads or writes, those that fill up rows included."""
    rows, beat = config.rows, config.bus_bytes
    match command:
        case Fetch():
            return command.count * config.command_bytes(Unit(command.unit))
        case LoadWeights() | LoadTable() | LoadOffsets() | LoadKernelSteps():
            return align(command.words * rows, beat)
        case LoadKernels():
            return command.channels * align(command.taps * rows, beat)
        case LoadActivations():
            row = align(command.width * (command.pixel_bytes or rows), beat)
            return command.groups * command.height * row
        case Store():
            return command.groups * command.height * align(command.width * rows, beat)
    return 0


def reach(config: EngineConfig, command: Command) -> int:
    """Return the bytes from a command's address to the end of what it reads or writes."""
    moved = moved_bytes(config, command)
    if isinstance(command, LoadActivations | Store):
        return (command.groups - 1) * command.group_stride + moved // command.groups
    return moved
