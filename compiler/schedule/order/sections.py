"""Weights as the array reads them: words of sections, in dense and segmented mappings."""

from __future__ import annotations

from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.order.channels import (
    ChannelOrder,
    alike,
    connected,
    natural_order,
)


def total_steps(sections: tuple[Section, ...]) -> int:
    """Return the array's steps for one word of output pixels."""
    return sum(section.n_kg * section.steps for section in sections)


def dense_sections(
    weight: NDArray[np.int64],
    groups: int,
    order: ChannelOrder,
    out_order: ChannelOrder,
    rows: int,
    used: NDArray[np.bool_],
) -> tuple[Section, ...]:
    """Return sections of a (K, C / groups, R, S) layer that broadcast to all rows.

    Each kernel group reads the channel groups between the first and the last that one of its
    outputs uses; ``used`` (K, C / groups) tells. Those whose weights are mostly zeros share a
    section only if these are in the same places, so that they can be left out. Steps run over
    channel groups, kernel rows, kernel columns, channels of the group; the last channel group has
    only the channels that exist.
    """
    by_slot = np.zeros((len(out_order), len(order), *weight.shape[2:]), np.int16)
    reads = support(order, out_order, groups, used)
    out_slot, in_slot = np.nonzero(reads)
    by_slot[out_slot, in_slot] = weight[out_order[out_slot], order[in_slot] % weight.shape[1]]

    def reach(kg: int) -> tuple[int, int, bytes]:
        slots = np.flatnonzero(reads[kg * rows : (kg + 1) * rows].any(0))
        if not slots.size:  # no channels at all
            return 0, 1, b""
        cg, end = int(slots[0]) // rows, int(slots[-1]) + 1
        own = by_slot[kg * rows : (kg + 1) * rows, cg * rows : end].any(0)
        windows = np.logical_or.reduceat(own, np.arange(0, len(own), rows))
        mostly = 2 * np.count_nonzero(windows) < windows.size
        return cg, end, windows.tobytes() if mostly else b""

    sections = []
    for (cg, end, _), members in groupby(range(len(out_order) // rows), reach):
        kernel_groups = list(members)
        first, last = kernel_groups[0] * rows, (kernel_groups[-1] + 1) * rows
        parts = []
        for slot in range(cg * rows, end, rows):
            part = by_slot[first:last, slot : min(slot + rows, end)]
            parts.append(part.transpose(2, 3, 1, 0).reshape(-1, len(kernel_groups), rows))
        words = np.ascontiguousarray(np.concatenate(parts).transpose(1, 0, 2))
        sections.append(
            Section(kg=kernel_groups[0], cg=cg, channels=end - cg * rows, weights=words)
        )
    return tuple(sections)


def support(
    order: ChannelOrder, out_order: ChannelOrder, groups: int, used: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which input slots each output slot has weights for; ``used`` (K, C / groups)."""
    kernels, per_group = used.shape
    joined = connected(order, out_order, groups, per_group, kernels // groups)
    out_slot, in_slot = np.nonzero(joined)
    joined[out_slot, in_slot] = used[out_order[out_slot], order[in_slot] % per_group]
    return joined


def sparse_sections(
    weight: NDArray[np.int64],
    groups: int,
    order: ChannelOrder,
    rows: int,
    used: NDArray[np.bool_],
) -> tuple[tuple[Section, ...], ChannelOrder]:
    """Return dense sections and the order of their outputs, the model's or a better one.

    Outputs that use the same channels become neighbours, or those that use channels nearby, so that
    a kernel group reads only what one of them uses.
    """
    kernels = len(weight)
    best = natural_order(kernels, rows)
    sections = dense_sections(weight, groups, order, best, rows, used)
    if used.all():
        return sections, best
    reads = support(order, best, groups, used)[:kernels]
    middle = reads @ np.arange(len(order)) / np.maximum(reads.sum(1), 1)
    for channels in (alike(reads), np.argsort(middle, kind="stable")):
        if not np.array_equal(channels, np.arange(kernels)):
            own = natural_order(kernels, rows)
            own[:kernels] = channels
            other = dense_sections(weight, groups, order, own, rows, used)
            if total_steps(other) < total_steps(sections):
                sections, best = other, own
    return sections, best


def share_channels(
    sections: tuple[Section, ...], share: int, shares: int, taps: int, rows: int
) -> tuple[Section, ...]:
    """Return one of several shares of the channel groups that dense sections reduce over."""
    result = []
    for section in sections:
        groups = -(-section.channels // rows)
        first, end = groups * share // shares, groups * (share + 1) // shares
        channels = min(end * rows, section.channels) - first * rows
        begin = first * rows * taps
        weights = section.weights[:, begin : begin + channels * taps]
        result.append(
            Section(kg=section.kg, cg=section.cg + first, channels=channels, weights=weights)
        )
    return tuple(result)


def copy_sections(
    channels: int, order: ChannelOrder, out_order: ChannelOrder, rows: int
) -> tuple[Section, ...]:
    """Return sections that copy every channel to another slot."""
    ones = np.ones((channels, 1, 1, 1), np.int64)
    return dense_sections(ones, channels, order, out_order, rows, ones[:, :, 0, 0] > 0)


def segment_sections(
    weight: NDArray[np.int64], groups: int, out_order: ChannelOrder, rows: int, n_cg: int
) -> tuple[Section, ...]:
    """Return sections of a layer whose groups lie inside segments of rows.

    ``out_order`` is that of :func:`multiplied_order`: section j computes the j-th part of every
    group's outputs.
    """
    per_group = weight.shape[1]
    by_slot = np.where((out_order >= 0)[:, None, None, None], weight[out_order], 0).astype(np.int16)
    words = by_slot.reshape(-1, n_cg, rows, per_group, *weight.shape[2:])
    words = words.transpose(0, 1, 4, 5, 3, 2).reshape(len(words), n_cg, -1, rows)
    return tuple(
        Section(kg=part * n_cg, cg=0, channels=per_group, weights=np.ascontiguousarray(block))
        for part, block in enumerate(words)
    )
