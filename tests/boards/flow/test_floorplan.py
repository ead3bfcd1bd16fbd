"""Sites of multipliers and block RAMs."""

import re

from tilewright.boards.families.ecp5 import DEVICES
from tilewright.boards.flow.floorplan import floorplan
from tilewright.hdl.lib.place import Place

ROWS, COLS = 16, 7


def engine():
    """Return the hard blocks of a 16 x 7 engine and one more, and their places."""
    cells, places = {}, {}

    def add(kind, name, place=None, *, memory=False):
        cells[f"{name}.0.0" if memory else name] = {"type": kind, "connections": {}}
        if place is not None:
            places[name] = place

    for row in range(ROWS):
        for column in range(COLS):
            add("MULT18X18D", f"cell_{row}_{column}", Place(row, ROWS, 0))
        for part in range(2):
            add("MULT18X18D", f"requantize_{row}_{part}", Place(row, ROWS, 1))
    for lane in range(COLS):
        for n in range(ROWS // 2):
            add("DP16KD", f"lane_{lane}_{n}", Place(n, ROWS // 2, 0), memory=True)
    for n in range(2 * ROWS):
        add("DP16KD", f"weights_{n}", Place(n, 2 * ROWS, 1), memory=True)
    add("DP16KD", "results", memory=True)
    return {"modules": {"top": {"cells": cells}}}, places


def place(cells, pattern):
    """Return the tiles of the cells that a pattern matches."""
    bels = [cell["attributes"]["BEL"] for name, cell in cells.items() if re.search(pattern, name)]
    return [tuple(map(int, re.match(r"X(\d+)/Y(\d+)/", bel).groups())) for bel in bels]


def test_each_has_a_site_of_its_own():
    netlist, places = engine()
    assert floorplan(netlist, places, DEVICES["85k"].sites()) == 112 + 32 + 56 + 32
    cells = netlist["modules"]["top"]["cells"]
    bels = [cell["attributes"]["BEL"] for cell in cells.values() if "attributes" in cell]
    assert len(bels) == len(set(bels)) == 232
    assert "attributes" not in cells["results.0.0"]


def test_a_row_of_the_array_is_in_one_place():
    netlist, places = engine()
    floorplan(netlist, places, DEVICES["85k"].sites())
    cells = netlist["modules"]["top"]["cells"]
    for row in range(ROWS):
        tiles = place(cells, rf"(cell|requantize)_{row}_|weights_{2 * row}\.")
        tiles += place(cells, rf"lane_\d_{row // 2}\.")
        columns, rows = zip(*tiles, strict=True)
        assert max(columns) - min(columns) < 60
        assert max(rows) - min(rows) <= 36


def test_where_there_are_too_few_sites_the_placer_decides():
    assert floorplan(*engine(), DEVICES["45k"].sites()) == 56 + 32
    assert floorplan(*engine(), DEVICES["12k"].sites()) == 0
