"""Engines to synthesize, and to place and route, for estimates: drawn by a seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import Any

from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig

__all__ = ["SEED", "drawn"]

SEED = 21
#: Engines in which every value of a parameter is drawn once at least.
ROUND = 24
#: Rows and columns are small: an engine of 2 x 3 says as much of the load unit as one of 16 x 7.
#: Kinds are options that do not go with each other, or need each other.
VALUES: dict[str, tuple[Any, ...]] = {
    "rows_per_requantizer": (1, 2, 4),
    "acc_width": (20, 22, 24, 28, 32, 32),
    "multiplier_width": (12, 16, 18, 18, 24, 31),
    "rounding": ("half_even",) * 5 + ("double",),
    "maximum": (True, True, False),
    "products": (True, True, False),
    "tables": (0, 0, 1, 4),
    "fractions": ((0, 0), (2, 0), (4, 4), (8, 0), (8, 8), (4, 0)),
    "act_depth": (64, 128, 256, 512, 1024, 2048),
    "weight_depth": (128, 256, 512, 1024, 2048, 4096),
    "out_depth": (64, 128, 256, 512, 1024, 256),
    "addr_width": (17, 24, 25, 32),
    "queue_depth": (8, 16, 32),
    "count_width": (8, 12, 16),
    "early_parameters": (True, True, False),
    "prefetch": (True, True, True, False),
    "counters": (True, True, True, False),
    "burst_beats": (1, 4, 8, 16, 16, 32),
    "outstanding": (1, 2, 4, 4),
}
OF: dict[str, dict[str, tuple[Any, ...]]] = {
    "ecp5": {
        "size": (
            *((2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (2, 7), (2, 7), (4, 2), (4, 3), (4, 3)),
            *((4, 4), (4, 4), (4, 5), (4, 6), (4, 7), (8, 2), (8, 2), (8, 3), (8, 3), (8, 4)),
            *((8, 4), (8, 5), (8, 7), (16, 3)),
        ),
        "kind": (
            *("", "", "", "", "", "", "slow", "slow", "slow", "slow half", "half", "half"),
            *("half sampler", "tiles", "tiles", "tiles transform", "tiles transform"),
            *("tiles shared", "tiles sampler", "sampler", "sampler", "sampler shared"),
            *("shared", "shared"),
        ),
        "bus_width": (32, 32, 64, 64, 64, 128),
    },
    "gowin": {
        # What a GW2AR-18 holds, or nearly.
        "size": (
            *((2, 2), (2, 2), (2, 3), (2, 4), (2, 5), (2, 6), (2, 7), (4, 2), (4, 2), (4, 3)),
            *((4, 3), (4, 3), (4, 4), (4, 4), (4, 4), (4, 4), (4, 5), (4, 6), (4, 7), (8, 2)),
            *((8, 2), (8, 2), (8, 3), (8, 4)),
        ),
        "kind": (
            *("", "", "", "", "", "", "", "slow", "slow", "slow", "slow half", "half", "half"),
            *("tiles", "tiles", "tiles transform", "tiles shared", "tiles sampler", "sampler"),
            *("sampler", "sampler shared", "shared", "shared", "shared"),
        ),
        "bus_width": (32, 32, 64, 64, 64, 128),
        "burst_beats": (4, 8, 16, 16),
    },
    "ice40": {
        # What an iCE40UP5K holds, or nearly.
        "size": ((2, 2), (2, 2), (2, 2), (2, 3), (2, 4), (4, 2)),
        "kind": (*("slow",) * 19, "", "", "", "tiles", "tiles"),
        "bus_width": (32, 32, 32, 64),
        "acc_width": (20, 22, 24, 24, 28, 32),
        "multiplier_width": (12, 12, 16, 18),
        "rounding": (*("half_even",) * 11, "double"),
        "products": (False, False, True),
        "tables": (0, 1, 1, 4),
        "act_depth": (64, 128, 128, 256, 512, 1024),
        "weight_depth": (128, 256, 256, 512, 1024, 256),
        "out_depth": (64, 64, 128, 256),
        "addr_width": (17, 17, 17, 24),
        "queue_depth": (8, 8, 16),
        "early_parameters": (False, False, True),
        "prefetch": (False, False, True),
        "counters": (False, False, True),
        "burst_beats": (1, 1, 4, 8),
        "outstanding": (1, 1, 2, 4),
    },
}  # fmt: skip


def drawn(family: str, count: int) -> list[EngineConfig]:
    """Return engines of a family, the same first ones for every count.

    In each round of ``ROUND`` engines every value of a parameter is as frequent as the others, up
    to what another parameter leaves of it: options that few engines would have are in some.
    """
    engines: list[EngineConfig] = []
    for number in itertools.count():
        rng = random.Random(f"{SEED} {family} {number}")
        columns = {
            name: _shuffled(rng, values) for name, values in {**VALUES, **OF[family]}.items()
        }
        drawn_now = [
            _engine(family, rng, {name: all_[i] for name, all_ in columns.items()})
            for i in range(ROUND)
        ]
        # Small ones first: a campaign that is stopped has more of them.
        engines += sorted(drawn_now, key=lambda engine: engine.multipliers)
        if len(engines) >= count:
            return engines[:count]


def _shuffled(rng: random.Random, values: Sequence[Any]) -> list[Any]:
    """Return ``ROUND`` values, each as often as the others."""
    all_ = [values[i % len(values)] for i in range(ROUND)]
    rng.shuffle(all_)
    return all_


def _engine(family: str, rng: random.Random, values: dict[str, Any]) -> EngineConfig:
    """Return the engine of one of each columns' values, as far as they go together."""
    values = {"dsp": family, **values}
    (values["rows"], values["cols"]), kind = values.pop("size"), values.pop("kind")
    fractions = values.pop("fractions")
    values["requantizers"] = max(1, values["rows"] // values.pop("rows_per_requantizer"))
    if values["rounding"] == "double":
        values["multiplier_width"] = 31
    if "slow" in kind:
        values["pipelined"] = False
        values["requantizers"] = min(values["requantizers"], values["rows"] // 2)
    if "half" in kind:
        values["weight_bits"] = 4
    values["shared_words"] = "shared" in kind
    if "tiles" in kind:
        values["partial_depth"] = rng.choice((16, 64, 128, 512))
        if family != "ice40":
            values["data_width"], values["kernel_width"] = rng.choice(((13, 13), (11, 9), (16, 12)))
            values["transform_at_load"] = "transform" in kind
    if "sampler" in kind:
        values["offset_depth"] = rng.choice((64, 128, 256, 512))
        values["offset_fraction"], values["mask_fraction"] = fractions
    if family == "ice40":
        values["products"] &= not values.get("pipelined", True)
    config = EngineConfig(**values)
    get_family(family).check(config)
    return config
