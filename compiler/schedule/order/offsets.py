"""Offsets and masks of deformable convolution: how they and channels lie."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.order.channels import ChannelOrder


def grouped_order(channels: int, offset_groups: int, rows: int) -> ChannelOrder:
    """Return the order in which every offset group has channel groups of its own."""
    per_group = channels // offset_groups
    order = np.full((offset_groups, -(-per_group // rows) * rows), -1, np.int64)
    order[:, :per_group] = np.arange(channels).reshape(offset_groups, per_group)
    return order.reshape(-1)


def shared_groups(order: ChannelOrder, channels: int, offset_groups: int, rows: int) -> int | None:
    """Return how many channel groups each offset group has; None if they are mixed."""
    n_cg = len(order) // rows
    shared, rest = divmod(n_cg, offset_groups)
    if rest:
        return None
    slots = order.reshape(n_cg, rows)
    found = slots // (channels // offset_groups)
    wanted = (np.arange(n_cg) // shared)[:, None]
    return shared if ((found == wanted) | (slots < 0)).all() else None


def cut_by_offsets(
    sections: tuple[Section, ...], shared: int, per_group: bool, rows: int, taps: int
) -> tuple[Section, ...]:
    """Cut sections so that a command counts offset groups from the first channel group on.

    ``per_group``: kernel groups read a channel group each, and a section those of one offset
    group. Else a section begins with the first channel group of an offset group; weights before
    its own are zero.
    """
    return tuple(
        part
        for section in sections
        for part in (
            _split(section, shared) if per_group else (_begin_earlier(section, shared, rows, taps),)
        )
    )


def _split(section: Section, shared: int) -> Iterator[Section]:
    first = 0
    while first < section.n_kg:
        cg = section.cg + first
        count = min(shared - cg % shared, section.n_kg - first)
        weights = section.weights[first : first + count]
        yield replace(section, kg=section.kg + first, cg=cg, weights=weights)
        first += count


def _begin_earlier(section: Section, shared: int, rows: int, taps: int) -> Section:
    missing = section.cg % shared
    last = section.cg + -(-section.channels // rows) - 1
    if not missing or last // shared == section.cg // shared:
        return section
    zeros = np.zeros((section.n_kg, missing * rows * taps, rows), np.int8)
    return replace(
        section,
        cg=section.cg - missing,
        channels=section.channels + missing * rows,
        weights=np.concatenate([zeros, section.weights], axis=1),
    )


def fill(section: Section, taps: int, rows: int) -> Section:
    """Let a section reduce over whole channel groups, unless there is one: the others' are zero."""
    groups, more = divmod(section.channels, rows)
    if not groups or not more:
        return section
    n_kg, lanes = section.n_kg, section.weights.shape[2]
    weights = np.zeros((n_kg, groups + 1, taps, rows, lanes), section.weights.dtype)
    whole = section.weights[:, : groups * taps * rows]
    weights[:, :groups] = whole.reshape(n_kg, groups, taps, rows, lanes)
    weights[:, groups, :, :more] = section.weights[:, groups * taps * rows :].reshape(
        n_kg, taps, more, lanes
    )
    return replace(
        section,
        channels=(groups + 1) * rows,
        weights=weights.reshape(n_kg, -1, lanes),
    )
