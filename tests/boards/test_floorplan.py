"""Sites of multipliers and block RAMs."""

import re

import pytest

from tilewright.boards.floorplan import DEVICES, floorplan

ROWS, COLS = 16, 7


def engine():
    """Return the hard blocks of a 16 x 7 engine, and one more."""

    def cell(kind):
        return {"type": kind, "connections": {}}

    cells = {
        f"system.engine.compute.array.mul_{row}_{column}.dsp.mult": cell("MULT18X18D")
        for row in range(ROWS)
        for column in range(COLS)
    }
    for row in range(ROWS):
        for part in range(2):
            name = f"system.engine.compute.drain.requantize_{row}.mul.part_{part}_0.dsp.mult"
            cells[name] = cell("MULT18X18D")
    for lane in range(COLS):
        for block in range(ROWS // 2):
            cells[f"system.engine.activations.lane_{lane}_{block}.0.0"] = cell("DP16KD")
    for column in range(2 * ROWS):
        cells[f"system.engine.weights.low.column_{column}.0.0"] = cell("DP16KD")
    cells["system.engine.results.column_0.0.0"] = cell("DP16KD")
    return {"modules": {"top": {"cells": cells}}}


def place(cells, pattern):
    """Return the tiles of the cells that a pattern matches."""
    bels = [cell["attributes"]["BEL"] for name, cell in cells.items() if re.search(pattern, name)]
    return [tuple(map(int, re.match(r"X(\d+)/Y(\d+)/", bel).groups())) for bel in bels]


@pytest.mark.parametrize("device", ["85k", "um5g-85k"])
def test_each_has_a_site_of_its_own(device):
    netlist = engine()
    assert floorplan(netlist, device) == 112 + 32 + 56 + 32
    cells = netlist["modules"]["top"]["cells"]
    bels = [cell["attributes"]["BEL"] for cell in cells.values() if "attributes" in cell]
    assert len(bels) == len(set(bels)) == 232
    assert "attributes" not in cells["system.engine.results.column_0.0.0"]


def test_a_row_of_the_array_is_in_one_place():
    netlist = engine()
    floorplan(netlist, "85k")
    cells = netlist["modules"]["top"]["cells"]
    for row in range(ROWS):
        tiles = place(cells, rf"mul_{row}_|requantize_{row}\.|low\.column_{2 * row}\.")
        tiles += place(cells, rf"lane_\d_{row // 2}\.")
        columns, rows = zip(*tiles, strict=True)
        assert max(columns) - min(columns) < 60
        assert max(rows) - min(rows) <= 36


def test_where_there_are_too_few_sites_the_placer_decides():
    netlist = engine()
    assert floorplan(netlist, "45k") == 56 + 32
    assert floorplan(engine(), "12k") == 0


@pytest.mark.parametrize("device", DEVICES)
def test_devices_have_the_sites_that_their_data_sheet_says(device):
    sites = DEVICES[device]
    multipliers, memories = {
        "12k": (28, 56),
        "25k": (28, 56),
        "45k": (72, 108),
        "85k": (156, 208),
    }[device]
    assert len(set(sites.sites("MULT18X18D"))) == multipliers
    assert len(set(sites.sites("DP16KD"))) == memories
