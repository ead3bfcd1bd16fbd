"""Products of two maps: what a compute command must have that is one."""

from __future__ import annotations

from collections.abc import Callable

from tilewright.isa.commands import Compute
from tilewright.isa.config import EngineConfig


def _multiplies(config: EngineConfig, c: Compute) -> bool:
    alone = (c.n_cg, c.n_r, c.n_s, c.stride_x, c.last_segment) == (2, 1, 1, 1, 1)
    return not c.product or (alone and not (c.maximum or c.resume or c.partial or c.transform))


#: What compute commands must have, whether they do, and what is done otherwise; "" for a refusal.
PRODUCT_RULES: tuple[tuple[str, Callable[[EngineConfig, Compute], bool], str], ...] = (
    (
        "two channel groups, one tap, a stride of 1, and plain sums, if it is a product",
        _multiplies,
        "",
    ),
)
