"""Output registers of block RAMs, on netlists of one block RAM and its registers."""

import pytest

from tilewright.boards.flow.outreg import absorb_output_registers


def netlist():
    """Return a block RAM with two outputs in use, a register behind each, and their pins."""

    def register(d, q):
        return {
            "type": "TRELLIS_FF",
            "parameters": {"CEMUX": "1 ", "CLKMUX": "CLK", "REGSET": "RESET", "LSRMUX": "LSR"},
            "port_directions": {"CLK": "input", "LSR": "input", "DI": "input", "Q": "output"},
            "connections": {"CLK": [2], "LSR": ["0"], "DI": [d], "Q": [q]},
        }

    ram = {
        "type": "DP16KD",
        "parameters": {"DATA_WIDTH_B": f"{18:032b}", "REGMODE_A": "NOREG", "REGMODE_B": "NOREG"},
        "port_directions": {"CLKB": "input", "DOB0": "output", "DOB1": "output", "DOB2": "output"},
        "connections": {"CLKB": [2], "DOB0": [10], "DOB1": [11], "DOB2": [12]},
    }
    cells = {"ram": ram, "low": register(10, 20), "high": register(11, 21)}
    return {"modules": {"top": {"ports": {"o": {"bits": [20, 21]}}, "cells": cells}}}


def test_registers_behind_a_block_ram_move_into_it():
    changed = netlist()
    assert absorb_output_registers(changed) == 1
    (ram,) = changed["modules"]["top"]["cells"].values()
    assert ram["parameters"]["REGMODE_B"] == "OUTREG"
    assert (ram["connections"]["DOB0"], ram["connections"]["DOB1"]) == ([20], [21])
    assert absorb_output_registers(changed) == 0


def test_words_of_both_ports_move_with_their_upper_half_or_not_at_all():
    def wide(**loads):
        changed = netlist()
        ram = changed["modules"]["top"]["cells"]["ram"]
        ram["parameters"]["DATA_WIDTH_B"] = f"{36:032b}"
        ram["port_directions"]["DOA0"] = "output"
        ram["connections"]["DOA0"] = ram["connections"].pop("DOB1")
        changed["modules"]["top"]["ports"].update(loads)
        return changed

    changed = wide()
    assert absorb_output_registers(changed) == 1
    (ram,) = changed["modules"]["top"]["cells"].values()
    assert {ram["parameters"][f"REGMODE_{half}"] for half in "AB"} == {"OUTREG"}
    assert (ram["connections"]["OCEA"], ram["connections"]["OCEB"]) == (["1"], ["1"])
    assert (ram["connections"]["DOA0"], ram["connections"]["DOB0"]) == ([21], [20])
    assert absorb_output_registers(wide(early={"bits": [11]})) == 0


@pytest.mark.parametrize(
    ("cell", "port", "bits"),
    [("low", "CE", [30]), ("low", "LSR", [30]), ("high", "CLK", [3]), ("high", "DI", [40])],
    ids=["enabled", "reset", "of another clock", "elsewhere"],
)
def test_other_registers_stay(cell, port, bits):
    changed = netlist()
    changed["modules"]["top"]["cells"][cell]["connections"][port] = bits
    # What feeds a register that is elsewhere is still in use.
    changed["modules"]["top"]["ports"]["also"] = {"bits": [11] if port == "DI" else []}
    assert absorb_output_registers(changed) == 0
    assert len(changed["modules"]["top"]["cells"]) == 3


def test_outputs_that_go_elsewhere_too_keep_their_register_outside():
    changed = netlist()
    changed["modules"]["top"]["ports"]["early"] = {"bits": [10]}
    assert absorb_output_registers(changed) == 0


def test_one_of_the_registers_that_is_set_keeps_all_outside():
    changed = netlist()
    changed["modules"]["top"]["cells"]["low"]["parameters"]["REGSET"] = "SET"
    assert absorb_output_registers(changed) == 0
