"""Engine configurations, of all that EngineConfig and the family of ``dsp`` admit.

A configuration is drawn parameter by parameter, each from those of its values that are
admitted beside what is drawn already. The defaults of the others allow everything, so that whatever
is admitted can be drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from itertools import combinations
from typing import TypeAlias

import numpy as np
from hypothesis import strategies as st

from tilewright.errors import Error
from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig

Value: TypeAlias = int | bool | str | None
Pick: TypeAlias = Callable[[str, Sequence[Value]], Value]
Pair: TypeAlias = tuple[tuple[str, Value], tuple[str, Value]]

#: Values of every parameter for pairs, ends included, in the order in which they are drawn.
DOMAINS: dict[str, Sequence[Value]] = {
    "rows": (2, 4, 8, 16, 32, 64),
    "requantizers": (None, 1, 2, 4, 8, 16, 32, 64),
    "products": (True, False),
    "pipelined": (True, False),
    "weight_bits": (8, 4),
    "dsp": ("inferred", "ecp5", "ice40"),
    "partial_depth": (0, 2, 64, 512, 4096),
    "offset_depth": (0, 16, 64, 512, 65536),
    "data_width": (9, 10, 12, 15, 18),
    "kernel_width": (8, 9, 11, 14, 16),
    "transform_at_load": (False, True),
    "shared_words": (False, True),
    "double_reads": (False, True),
    "folds": (0, 1, 2),
    "cols": (2, 3, 4, 7, 12, 16),
    "acc_width": (16, 19, 24, 28, 32),
    "tables": (0, 1, 2, 15),
    "maximum": (True, False),
    "multiplier_width": (8, 15, 18, 24, 31),
    "act_depth": (16, 50, 64, 333, 1024, 65536),
    "weight_depth": (16, 64, 256, 1024, 4096, 65536),
    "out_depth": (16, 32, 128, 1024, 65536),
    "offset_fraction": (0, 1, 4, 8),
    "mask_fraction": (0, 2, 5, 8),
    "bus_width": (32, 64, 128),
    "addr_width": (12, 16, 20, 32),
    "queue_depth": (8, 12, 32, 256),
    "count_width": (6, 8, 12, 16),
    "early_parameters": (True, False),
    "prefetch": (True, False),
    "counters": (True, False),
    "burst_beats": (1, 2, 8, 32, 128),
    "outstanding": (1, 2, 4, 16),
    "rounding": ("half_even", "double"),
    "wide_maps": (False, True),
    "stacked_images": (False, True),
    "split_columns": (False, True),
}

#: All values, where pairs are of some.
RANGES: dict[str, Sequence[Value]] = {
    "partial_depth": (0, *(1 << i for i in range(1, 13))),
    "offset_depth": (0, *(1 << i for i in range(4, 17))),
    "data_width": range(9, 19),
    "kernel_width": range(8, 17),
    "folds": range(7),
    "cols": range(2, 17),
    "acc_width": range(16, 33),
    "tables": range(16),
    "multiplier_width": range(8, 32),
    "act_depth": range(16, 65537),
    "weight_depth": tuple(1 << i for i in range(4, 17)),
    "out_depth": tuple(1 << i for i in range(4, 17)),
    "offset_fraction": range(9),
    "mask_fraction": range(9),
    "addr_width": range(12, 33),
    "queue_depth": range(8, 257, 4),
    "count_width": range(6, 17),
    "burst_beats": tuple(1 << i for i in range(8)),
    "outstanding": range(1, 17),
}

#: What makes an engine small enough to be compiled for a test, and roomy for its size.
SMALL: dict[str, Sequence[Value]] = {
    "rows": (2, 4),
    "cols": (2, 3, 4, 5),
    "act_depth": (333, 1024),
    "weight_depth": (1024, 4096),
    "out_depth": (128, 1024),
    "partial_depth": (0, 64, 512),
    "offset_depth": (0, 512),
    "acc_width": (24, 28, 32),
    "tables": (0, 2),
    "addr_width": (20, 32),
    "queue_depth": (8, 12, 32),
}

#: Parameters that no rule ties to others.
FREE = ("act_depth", "queue_depth")

#: Parameters of which small values mostly mean that a network does not fit.
SIZES = (
    "acc_width", "act_depth", "weight_depth", "out_depth", "addr_width", "partial_depth",
    "offset_depth", "tables", "offset_fraction", "mask_fraction",
)  # fmt: skip


def admitted(fields: Mapping[str, Value]) -> EngineConfig | None:
    """Return the configuration of some parameters, or None."""
    try:
        config = EngineConfig(**fields)  # type: ignore[arg-type]
        get_family(config.dsp).check(config)
    except Error:
        return None
    return config


def choose(
    pick: Pick, domains: Mapping[str, Sequence[Value]], fixed: Mapping[str, Value] | None = None
) -> EngineConfig | None:
    """Draw a configuration with some parameters given; None where what is drawn excludes them."""
    fields: dict[str, Value] = {}
    for name, domain in domains.items():
        if fixed and name in fixed:
            domain = (fixed[name],)
        values: Sequence[Value] = domain
        if name not in FREE:
            values = [v for v in domain if admitted({**fields, name: v})]
        if not values:
            return None
        fields[name] = values[0] if len(values) == 1 else pick(name, values)
    return admitted(fields)


@st.composite
def engines(draw: st.DrawFn) -> EngineConfig:
    """Any configuration; shrinks towards the first value of each parameter."""
    config = choose(
        lambda name, values: draw(st.sampled_from(values), label=name), DOMAINS | RANGES
    )
    assert config is not None
    return config


def random_engine(rng: np.random.Generator, *, roomy: bool = False) -> EngineConfig:
    """Return any configuration; a ``roomy`` one rather has large buffers, so that much fits it."""

    def pick(name: str, values: Sequence[Value]) -> Value:
        if roomy and name in SIZES and rng.random() < 0.9:
            values = sorted(values, key=lambda v: v or 0)[len(values) // 2 :]
        return values[int(rng.integers(len(values)))]

    config = choose(pick, DOMAINS if rng.random() < 0.5 else DOMAINS | RANGES)
    assert config is not None
    return config


def small_engine(rng: np.random.Generator, **fixed: Value) -> EngineConfig:
    """Return any configuration of SMALL sizes, with some parameters given."""
    while True:
        found = choose(
            lambda _, values: values[int(rng.integers(len(values)))], DOMAINS | SMALL, fixed
        )
        if found:
            return found


def pairs_of(config: EngineConfig) -> set[Pair]:
    """Return all pairs of parameters' values that a configuration has."""
    return set(combinations(((n, v) for n, v in asdict(config).items() if n in DOMAINS), 2))


@cache
def pairwise(
    seed: int = 0, attempts: int = 120
) -> tuple[tuple[EngineConfig, ...], frozenset[Pair]]:
    """Return configurations in which every pair of values occurs, and pairs that are impossible.

    Greedy: of several that have a missing pair, the one with the most missing pairs. A pair that
    none of ``attempts`` has is impossible: what excludes it is a rule of EngineConfig.
    """
    rng = np.random.default_rng(seed)

    def any_of(_: str, values: Sequence[Value]) -> Value:
        return values[int(rng.integers(len(values)))]

    names = [field for field in asdict(EngineConfig()) if field in DOMAINS]
    missing = {
        ((a, v), (b, w)): None
        for a, b in combinations(names, 2)
        for v in DOMAINS[a]
        for w in DOMAINS[b]
    }
    impossible: set[Pair] = set()
    result: list[EngineConfig] = []
    while missing:
        wanted = next(iter(missing))
        best: EngineConfig | None = None
        most: set[Pair] = set()
        tries = 0
        while tries < 4 or (best is None and tries < attempts):
            tries += 1
            found = choose(any_of, DOMAINS, dict(wanted))
            covered = pairs_of(found) & missing.keys() if found else set()
            if len(covered) > len(most):
                best, most = found, covered
        if best is None:
            impossible.add(wanted)
            del missing[wanted]
            continue
        result.append(best)
        for pair in most:
            del missing[pair]
    return tuple(result), frozenset(impossible)
