"""What makes sense, of the numbers that a command says together.

Hardware takes others, too: :mod:`tilewright.isa.rules` says what it then does.
"""

from __future__ import annotations

from itertools import pairwise

from tilewright.isa.commands import Compute, LoadActivations
from tilewright.isa.config import EngineConfig
from tilewright.isa.images import is_stacked, walk_rows
from tilewright.isa.passes import PassShape, is_split, word_columns
from tilewright.isa.wide import result_rows
from tilewright.isa.widths import ROW_WIDTH, column_width

#: What one compute command may do at most, so that a model of it has an end: values of windows at
#: once, weights of a kernel group, those of steps that do not happen included, weights of all
#: kernel groups, and products of the array.
MAX_WINDOW_VALUES, MAX_STEPS, MAX_WEIGHTS, MAX_PRODUCTS = 1 << 23, 1 << 24, 1 << 26, 1 << 33


def lane_words(config: EngineConfig, c: LoadActivations) -> bool:
    """Return whether all pixels that are loaded have a place in the activation buffer."""
    last = c.base + (c.groups - 1) * c.group_step + (c.height - 1) * c.row_step
    return last + (c.width - 1) // config.cols < config.act_depth


def columns(config: EngineConfig, c: Compute) -> bool:
    """Return whether the engine can count the columns that windows read."""
    pixels = c.out_w if c.accesses else c.n_ox * word_columns(config, is_split(config, c))
    last = c.x0 + (pixels - 1) * c.stride_x + (c.n_s - 1) * c.s_dx
    half = 1 << (column_width(config) - 1)
    return -half <= c.x0 and last < half


def rows(config: EngineConfig, c: Compute) -> bool:
    """Return whether it can count the rows."""
    last = c.y0 + (c.n_oy - 1) * c.oy_dy + (c.n_r - 1) * c.r_dy
    if is_stacked(config, c):
        first = [y for y, _ in walk_rows(config, c)]
        if any(b - a not in (c.oy_dy, c.edge_dy) for a, b in pairwise(first)):
            return False  # a register has wrapped
        last = max(first) + (c.n_r - 1) * c.r_dy
    return last < 1 << (ROW_WIDTH - 1)


def split(config: EngineConfig, c: Compute) -> bool:
    """Return whether words and lanes say the same as columns."""
    cols = config.cols
    return (c.x0_word, c.x0_lane, c.s_word, c.s_lane) == (
        *divmod(c.x0, cols),
        *divmod(c.s_dx, cols),
    )


def ring(config: EngineConfig, c: Compute) -> bool:
    """Return whether steps in a ring are shorter than it."""
    longest = max(c.act_row, c.oy_step, c.r_step, c.edge_step if is_stacked(config, c) else 0)
    return 0 < c.act_ring <= config.act_depth and longest < c.act_ring


def places(config: EngineConfig, c: Compute) -> bool:
    """Return whether all results for the activation buffer have a place in it."""
    if not c.to_act:
        return True
    wide = result_rows(config, c)
    rows = (c.n_oy - 1) * (c.tile_h if c.partial else wide)
    rows += c.last_h - 1 if c.partial else wide - 1
    column = c.tile_w - 1 if c.partial else 0
    last = c.dst_lane + (c.out_w - 1) * c.dst_step + column
    word = c.dst_base + (c.n_kg - 1) * c.dst_kg_step + rows * c.dst_row_step + last // config.cols
    return word < config.act_depth


def work(config: EngineConfig, c: Compute) -> bool:
    """Return whether a command does no more than a model of it can."""
    pixels = c.passes * word_columns(config, is_split(config, c))
    steps = PassShape.of(config, c).steps * (2 if is_split(config, c) else 1)
    return (
        c.n_cg * pixels * config.rows <= MAX_WINDOW_VALUES
        and c.windows * c.n_cg * config.rows << c.segment_log2 <= MAX_STEPS
        and c.n_kg * (config.param_words + steps) * config.rows <= MAX_WEIGHTS
        and c.n_kg * pixels * config.rows * steps <= MAX_PRODUCTS
    )


def results(config: EngineConfig, c: Compute) -> bool:
    """Return whether there are no more results than any buffer has places."""
    room = max(config.act_depth * config.cols, config.out_depth)
    return c.n_kg * c.n_oy * result_rows(config, c) * c.out_w <= room
