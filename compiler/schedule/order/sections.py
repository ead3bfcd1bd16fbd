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
    reads = support(order, out_order, groups, used)
    kind = np.int8 if weight.dtype == np.int8 else np.int16
    by_slot = weight[out_order].astype(kind, copy=False)[:, order % weight.shape[1]]
    by_slot[~reads] = 0
    own = np.any((by_slot != 0).reshape(-1, rows, *by_slot.shape[1:]), axis=1)
    none = ~np.any(reads.reshape(len(own), -1), axis=1)

    def key(member: tuple[int, tuple[int, int]]) -> tuple[int, int, bytes]:
        kg, (cg, end) = member
        some = own[kg, cg * rows : end]
        windows = np.logical_or.reduceat(some, np.arange(0, len(some), rows))
        mostly = 2 * np.count_nonzero(windows) < windows.size
        return cg, end, windows.tobytes() if mostly and not none[kg] else b""

    sections = []
    for (cg, end, _), members in groupby(enumerate(reaches(reads, rows)), key):
        kernel_groups = [kg for kg, _ in members]
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
    return np.asarray(joined & used[out_order][:, order % per_group])


def reaches(reads: NDArray[np.bool_], rows: int) -> list[tuple[int, int]]:
    """Return what each kernel group reads: its first channel group, and after the last slot.

    ``reads`` : which input slots each output slot has weights for
    """
    kinds: NDArray[np.bool_] = np.any(reads.reshape(-1, rows, reads.shape[1]), axis=1)
    first, last = kinds.argmax(1), reads.shape[1] - kinds[:, ::-1].argmax(1)
    # One without weights has a step all the same.
    some: NDArray[np.bool_] = np.any(kinds, axis=1)
    return list(
        zip(
            np.where(some, first // rows, 0).tolist(),
            np.where(some, last, 1).tolist(),
            strict=True,
        )
    )


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
    natural = best = natural_order(kernels, rows)
    if not used.all():
        reads = support(order, natural, groups, used)

        def channels_of(slots: NDArray[np.int64]) -> int:
            hulls = reaches(np.where((slots >= 0)[:, None], reads[slots], False), rows)
            return sum(end - cg * rows for cg, end in hulls)

        mine = reads[:kernels]
        middle = mine @ np.arange(len(order), dtype=np.float64) / np.maximum(mine.sum(1), 1)
        for channels in (alike(mine), np.argsort(middle, kind="stable")):
            other = natural.copy()
            other[:kernels] = channels
            if channels_of(other) < channels_of(best):
                best = other
    return dense_sections(weight, groups, order, best, rows, used), best


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
