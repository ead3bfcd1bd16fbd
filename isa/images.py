"""Rows of results of several images, one behind the other; of a command's fields.

Behind the last row of an image, the walk through the input's rows jumps to where the next one's
first windows are. See docs/decisions/0066-images-share-words.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tilewright.isa.commands import Compute
from tilewright.isa.config import EngineConfig
from tilewright.isa.widths import ROW_WIDTH

#: What commands of other engines leave out.
IMAGE_FIELDS = ("stacked", "edge_y", "edge_dy", "edge_step")


def is_stacked(config: EngineConfig, command: Compute) -> bool:
    """Return whether rows of a command's results are those of several images."""
    return config.stacked_images and bool(command.stacked)


def walk_rows(config: EngineConfig, command: Compute) -> Iterator[tuple[int, int]]:
    """Yield, for each row of results, the input row of kernel row 0, and the step to the next.

    In its image, as registers hold it; and in lane words of the ring.
    """
    c, stacked, y, half = command, is_stacked(config, command), command.y0, 1 << (ROW_WIDTH - 1)
    for _ in range(c.n_oy):
        edge = stacked and y == c.edge_y
        yield y, c.edge_step if edge else c.oy_step
        y = (y + (c.edge_dy if edge else c.oy_dy) + half) % (2 * half) - half


def _alone(config: EngineConfig, c: Compute) -> bool:
    others = c.partial or c.transform or c.resume or c.product or c.wide_in or c.wide_out
    return not (is_stacked(config, c) and others)


def _known(config: EngineConfig, c: Compute) -> bool:
    return not any(getattr(c, name) for name in IMAGE_FIELDS)


#: What compute commands must have, whether they do, and what is done otherwise; "" for a refusal.
IMAGE_RULES: tuple[tuple[str, Callable[[EngineConfig, Compute], bool], str], ...] = (
    (
        "rows of one image, but in an engine with stacked_images",
        lambda config, c: config.stacked_images or not config.prefetch or _known(config, c),
        "",
    ),
    ("plain sums or maxima of bytes, if images are stacked", _alone, ""),
)
