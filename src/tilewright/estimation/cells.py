"""Look-up tables, carries and flip-flops of an engine: what real syntheses had, by structure.

``benchmarks/estimates.py`` fits coefficients to ``benchmarks/results/resources.json`` and keeps
them, with their errors on engines that they have not seen, in ``coefficients.json``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from tilewright.boards import Board
from tilewright.boards.families import get_family
from tilewright.estimation.figures import Figure, Unknown
from tilewright.estimation.terms import terms
from tilewright.isa import EngineConfig

__all__ = ["OPTIONS", "Fit", "fitted", "systems_share", "value_of"]

#: What makes an engine unlike others: of one that no synthesis had, nothing is known.
OPTIONS: Mapping[str, Callable[[EngineConfig], bool]] = {
    "partial_depth": lambda c: c.partial_depth > 0,
    "offset_depth": lambda c: c.offset_depth > 0,
    "shared_words": lambda c: c.shared_words,
    "stacked_images": lambda c: c.stacked_images,
    "double_reads": lambda c: c.double_reads,
    "folds": lambda c: c.folds > 0,
    "split_columns": lambda c: c.split_columns,
    "requantizers=2*rows": lambda c: c.result_words == 2,
    "wide_maps": lambda c: c.wide_maps,
    "transform_at_load": lambda c: c.transform_at_load,
    "weight_bits=4": lambda c: c.weight_bits == 4,
    "pipelined": lambda c: c.pipelined,
    "pipelined=False": lambda c: not c.pipelined,
}
#: Engines of which the worst says how wrong an estimate may be; its error where there are fewer.
MANY, FEW_SHARE = 12, 0.15
#: Look-up tables, carries and flip-flops of a board's system beside its engine, by family and
#: whether there is an SDRAM: of the ULX3S-12F, the iCEBreaker and the Tang Nano 20K, whose systems
#: and engines were synthesized both (docs/synthesis.md, docs/ice40.md).
_BESIDE = {
    ("ecp5", True): (1297, 181, 1009),
    ("ice40", False): (665, 111, 272),
    ("gowin", True): (1327, 329, 1304),
}
#: By room and term.
Coefficients = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Fit:
    """Coefficients of one kind of cells.

    Parameters
    ----------
    coefficients : cells for one of each term
    median, worst : errors of engines, each by a fit to all others, as shares
    engines, held_out : int, how many engines it was fitted to, and how many were judged so
    unseen : of ``OPTIONS``, those that no engine had that it was fitted to
    """

    coefficients: Coefficients
    median: float
    worst: float
    engines: int
    held_out: int
    unseen: tuple[str, ...]


@cache
def _fits() -> dict[str, dict[str, Fit]]:
    text = files("tilewright.estimation").joinpath("coefficients.json").read_text()
    record: dict[str, Any] = json.loads(text)
    return {
        family: {kind: Fit(**{**fit, "unseen": tuple(fit["unseen"])}) for kind, fit in of.items()}
        for family, of in record["families"].items()
    }


def value_of(coefficients: Coefficients, of_rooms: Mapping[str, Mapping[str, float]]) -> float:
    """Return cells by coefficients, of an engine's terms."""
    return sum(
        cost * of_rooms[room][name]
        for room, costs in coefficients.items()
        for name, cost in costs.items()
    )


def fitted(config: EngineConfig, family: str, kind: str) -> Figure | Unknown:
    """Return how many cells of a kind an engine has, alone.

    The range is that of the worst of the engines that were judged by the others; where these are
    few, ``FEW_SHARE`` at least.
    """
    fit = _fits().get(family, {}).get(kind)
    if fit is None:
        return Unknown("cells", f"no syntheses of {kind} of the family {family!r} are kept")
    for option in fit.unseen:
        if OPTIONS[option](config):
            return Unknown("cells", f"no synthesis of an engine with {option} is kept")
    value = value_of(fit.coefficients, terms(config))
    basis = (
        f"fitted to {fit.engines} syntheses; {fit.held_out} of them, each by the others: "
        f"{fit.median:.1%} off in the median, {fit.worst:.1%} at worst"
    )
    share = fit.worst if fit.held_out >= MANY else max(fit.worst, FEW_SHARE)
    return Figure.within(round(value), share, "cells", basis)


def systems_share(config: EngineConfig, board: Board) -> dict[str, int]:
    """Return the cells of a board's system beside the engine: memory controller, link.

    Block RAMs with an SDRAM: beats of the bus that wait, in both ways, and two of the link.
    """
    family = get_family(board.family)
    beside = _BESIDE.get((family.name, board.sdram is not None))
    if family.cells is None or beside is None:
        return {}
    names = family.cells
    blocks = 1
    if board.sdram is not None:
        blocks = 2 * family.memory_cells(64, config.bus_width).get(names.block, 0) + 2
    return dict(zip((names.look_up, names.carry, names.flip_flop), beside, strict=True)) | {
        names.block: blocks
    }
