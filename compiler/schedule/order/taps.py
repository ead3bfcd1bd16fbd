"""Which taps of a kernel reach what: interpolation, phases of transposed kernels, zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.limits import MAX_DILATION


@dataclass(frozen=True)
class Interpolation:
    """Results ``offset, offset + step, ...`` along one axis, from input ``first`` on by ones."""

    offset: int
    step: int
    first: int
    taps: NDArray[np.int64]


def interpolations(factor: int, size: int) -> list[Interpolation]:
    """Return what computes an axis of ``size`` pixels interpolated by ``factor``, in order.

    First every phase as if pixels went on beyond the last ones, then the results that lie beyond
    them, again. Taps are in units of ``1 / (2 * factor)``.
    """
    phases, borders = [], []
    whole = np.array([2 * factor])
    for phase in range(factor):
        beyond = 2 * phase + 1 - factor
        if beyond == 0:
            phases.append(Interpolation(phase, factor, 0, whole))
            continue
        part = beyond if beyond > 0 else 2 * factor + beyond
        taps = np.array([2 * factor - part, part])
        phases.append(Interpolation(phase, factor, 0 if beyond > 0 else -1, taps))
        end = size - 1 if beyond > 0 else 0
        borders.append(Interpolation(end * factor + phase, size * factor, end, whole))
    return [*phases, *borders]


def useful_taps(weight: NDArray[np.int64], dilation: tuple[int, int]) -> tuple[slice, slice]:
    """Return the kernel rows and columns that a (K, C, R, S) layer needs, as regular slices.

    Rows and columns that are zero for all channels cost nothing at the kernel's ends, nor between
    others where what remains is a dilated kernel.
    """
    slices = []
    for axis, distance in zip((2, 3), dilation, strict=True):
        others = tuple(i for i in range(4) if i != axis)
        used = np.flatnonzero(weight.any(axis=others))
        first, last = (int(used[0]), int(used[-1])) if len(used) else (0, 0)
        step = int(np.gcd.reduce(used - first)) if len(used) > 1 else 1
        if step * distance > MAX_DILATION:
            step = 1
        slices.append(slice(first, last + 1, step))
    return slices[0], slices[1]


def phase_taps(phase: int, stride: int, crop: int, kernel: int) -> tuple[NDArray[np.int64], int]:
    """Return the kernel rows that reach a phase of a transposed convolution, and their padding.

    Output row y holds kernel row r of input row i where ``y = stride * i + r - crop``. For rows
    ``y = stride * q + phase``, the kernel rows are returned in the order of the input rows that
    they read, ``q - padding`` first.
    """
    first = (phase + crop) % stride
    rows = np.arange(first, kernel, stride)[::-1]
    return rows, len(rows) - 1 - (phase + crop - first) // stride
