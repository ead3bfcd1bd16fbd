"""Where the results of a pass go, and what is said of them on the way."""

from amaranth.hdl import signed
from amaranth.lib import data

from tilewright.hdl.drain.partial import tile_layout
from tilewright.hdl.drain.requantize import BOUNDS
from tilewright.isa.widths import act_addr_width, out_addr_width, result_count_width

__all__ = ["result_layout"]


def result_layout(config):
    """Return where the results of a pass go, and the command's constants for them."""
    place = {  # of the pass; the rest is of the command
        "dst": act_addr_width(config),  # lane word of the first result in the activation buffer
        "out": out_addr_width(config),  # word of the first result in the output buffer
        "pixels": range(config.cols + 1),
    }
    target = {
        "to_act": 1,
        "to_out": 1,
        "step": 3,  # pixels from one result to the next
        "lane": range(config.cols),  # of the first result
    }
    if config.result_words == 2:
        target["pair"] = 1  # two words leave in a cycle
    if config.shared_words or config.split_columns:
        place["fresh"] = 1  # the pass is its kernel group's first, or its row's
    if config.split_columns:
        target["split"] = 1  # a word has cols // 2 pixels: the sums of two columns each
    if config.shared_words:
        # Rows go on in the same word: pixels of a row, words from one to the next.
        target |= {"shared": 1, "width": result_count_width(config)}
    if config.shared_words or config.wide_maps:
        target |= {"dst_row": act_addr_width(config), "out_row": out_addr_width(config)}
    bounds = dict.fromkeys(BOUNDS, signed(17 if config.wide_maps else 9))
    if config.wide_maps:
        bounds["wide"] = 1  # results have 16 bits: high bytes leave, then low ones a row further
    parts = {"place": place, "target": target, "bounds": bounds}
    members = {name: data.StructLayout(part) for name, part in parts.items()}
    if config.folds:
        members["fold"] = range(config.folds + 1)
    if config.tables:
        members["table"] = range(config.tables + 1)
    if config.partial_depth:
        # Rows of results of a tile lie so far apart; whether it is in the last row of tiles.
        rows = {"dst_row": act_addr_width(config), "out_row": out_addr_width(config), "last_row": 1}
        members |= {"partial": 1, "tile": tile_layout(), "rows": data.StructLayout(rows)}
    return data.StructLayout(members)
