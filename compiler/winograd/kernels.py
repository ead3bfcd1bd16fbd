"""How kernels become those of the terms of a tile, addition by addition."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from tilewright.compiler.winograd.terms import Tiling
from tilewright.isa.kernel_steps import MAX_KERNEL_STEPS, MAX_KERNEL_TAPS, KernelStep

#: What each tap of a kernel is multiplied by.
_Factors = tuple[int, ...]

_MAX_DOUBLINGS = 4


@dataclass(frozen=True)
class KernelTransform:
    """The kernels of a tile's terms, each once, the last term's first.

    Parameters
    ----------
    slots : of each term, which of the kernels is its own
    steps : in which the engine computes all of them for a channel; none if it cannot
    """

    slots: tuple[int, ...]
    steps: tuple[KernelStep, ...]

    @property
    def kernels(self) -> int:
        """How many different kernels there are."""
        return max(self.slots) + 1


@cache
def kernel_transform(tiling: Tiling) -> KernelTransform:
    """Return in which order the kernels of a tile lie, and how the engine computes them.

    Each is made from the one before or from nothing, whichever takes fewer steps; after each comes
    the one that takes the fewest.
    """
    factors = [tuple(int(value) for value in term.kernel.flat) for term in tiling.terms]
    order = [factors[-1]]
    left = list(dict.fromkeys(kernel for kernel in factors if kernel != factors[-1]))
    if len(factors[0]) > MAX_KERNEL_TAPS:
        order, steps = order + left, []
    else:
        steps = _steps(order[-1], None)
        while left:
            made = [_steps(kernel, order[-1]) for kernel in left]
            best = min(range(len(left)), key=lambda i: len(made[i]))
            order.append(left.pop(best))
            steps += made[best]
        if len(steps) > MAX_KERNEL_STEPS:
            steps = []
    return KernelTransform(tuple(order.index(kernel) for kernel in factors), tuple(steps))


@cache
def ordered(tiling: Tiling) -> Tiling:
    """Return a tiling with its terms in the order of their kernels.

    So the array is done with one kernel after another while the next ones are loaded in their
    place. The last term stays: its kernel lies first, behind the parameters.
    """
    slots = kernel_transform(tiling).slots
    indices = sorted(range(len(slots) - 1), key=lambda i: (slots[i] == 0, slots[i]))
    return replace(tiling, terms=tuple(tiling.terms[i] for i in (*indices, len(slots) - 1)))


def _steps(kernel: _Factors, before: _Factors | None) -> list[KernelStep]:
    """Return the fewest steps from the sum before, or from nothing, to a kernel's."""
    best: list[KernelStep] = []
    for start in (None,) if before is None else (None, before):
        for doublings in range(_MAX_DOUBLINGS + 1):
            steps = _with_doublings(kernel, start, doublings)
            if steps and not 0 < len(best) <= len(steps):
                best = steps
    assert best, "one tap after another is always possible"
    return best


def _with_doublings(kernel: _Factors, start: _Factors | None, doublings: int) -> list[KernelStep]:
    """Return the steps from a sum, or from nothing, with so many doublings, or none."""
    stages: list[list[dict[str, int]]] = [[] for _ in range(doublings + 1)]
    for tap, factor in enumerate(kernel):
        parts = _parts(factor, 0 if start is None else start[tap], doublings)
        for stage, part in zip(stages, parts, strict=True):
            stage += _additions(tap, part)
    # Beginning and doubling come with an addition.
    if not all(stages[1:]) or (start is None and not stages[0]) or not any(stages):
        return []
    for stage in stages[1:]:
        stage[0]["double"] = 1
    additions = [addition for stage in stages for addition in stage]
    additions[0]["first"] = int(start is None)
    additions[-1]["write"] = 1
    return [KernelStep(**addition) for addition in additions]


def _additions(tap: int, factor: int) -> list[dict[str, int]]:
    """Return the fields of the steps that add a multiple of a tap."""
    twice, once = divmod(abs(factor), 2)
    shifts = [1] * twice + [0] * once
    return [{"tap": tap, "shift": shift, "negative": int(factor < 0)} for shift in shifts]


@cache
def _parts(factor: int, start: int, doublings: int) -> tuple[int, ...]:
    """Return what to add to ``start`` before the first doubling, the second, and after the last."""
    if not doublings:
        return (factor - start,)
    options = []
    for part in (0, 2, -2) if factor % 2 == 0 else (1, -1, 3, -3):
        options.append((*_parts((factor - part) // 2, start, doublings - 1), part))
    return min(options, key=lambda parts: sum((abs(part) + 1) // 2 for part in parts))
