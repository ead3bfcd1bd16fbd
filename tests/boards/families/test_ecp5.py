"""The ECP5's facts: sites, names, its PLL."""

import pytest

from tilewright.boards.ecp5_pll import Dividers, pll_dividers, usb_dividers
from tilewright.boards.families.ecp5 import DEVICES, ECP5
from tilewright.boards.family import Part
from tilewright.errors import Error

# Of each device: multipliers, block RAMs. Source: Lattice FPGA-DS-02012, ECP5 and ECP5-5G family
# data sheet.
COUNTS = {"12k": (28, 56), "25k": (28, 56), "45k": (72, 108), "85k": (156, 208)}


@pytest.mark.parametrize("device", DEVICES)
def test_devices_have_the_sites_that_their_data_sheet_says(device):
    sites = DEVICES[device].sites()
    assert tuple(len(set(sites[kind])) for kind in ("MULT18X18D", "DP16KD")) == COUNTS[device]


@pytest.mark.parametrize(
    ("names", "device"),
    [
        (("LFE5U-85F", "BG381", "6"), "85k"),
        (("LFE5UM-45F", "BG554", "8"), "um-45k"),
        (("LFE5UM5G-85F", "BG756", "7"), "um5g-85k"),
    ],
)
def test_part_is_named_as_nextpnr_names_it(names, device):
    package, speed = names[1].replace("BG", "CABGA"), int(names[2])
    assert ECP5().part(*names) == Part(device=device, package=package, speed_grade=speed)


def test_part_of_another_family_is_refused():
    with pytest.raises(Error, match="iCE40UP5K of speed None is no ECP5"):
        ECP5().part("iCE40UP5K", "SG48", None)


@pytest.mark.parametrize(
    ("oscillator", "clock", "reference", "feedback", "compared", "divider"),
    [
        (25.0, 50.0, 1, 2, 12, 12),
        (25.0, 75.0, 1, 3, 8, 8),
        (25.0, 87.5, 2, 7, 7, 7),
        (25.0, 112.5, 2, 9, 5, 5),
        # Not a number of times the input: the loop is closed by another output.
        (25.0, 110.0, 1, 11, 2, 5),
        (25.0, 775 / 7, 1, 1, 31, 7),
        (50.0, 110.0, 5, 11, 5, 5),
    ],
)
def test_pll_makes_the_clock_from_the_oscillator(
    oscillator, clock, reference, feedback, compared, divider
):
    assert pll_dividers(oscillator, clock) == Dividers(
        reference=reference, feedback=feedback, compared=compared, divider=divider
    )
    loop = oscillator / reference * feedback * compared
    assert loop == pytest.approx(clock * divider)
    assert 400 <= loop <= 800
    assert oscillator / reference >= 10
    assert loop / compared <= 400


def test_clock_that_no_pll_makes_is_refused():
    with pytest.raises(Error, match=r"no PLL makes 111.0 MHz from 25.0 MHz"):
        pll_dividers(25.0, 111.0)


@pytest.mark.parametrize("oscillator", [25.0, 50.0, 12.0, 48.0, 100.0])
def test_pll_of_usb_makes_48_mhz(oscillator):
    dividers = usb_dividers(oscillator)
    loop = oscillator / dividers.reference * dividers.feedback * dividers.compared
    assert loop == pytest.approx(48 * dividers.divider)
    assert 400 <= loop <= 800
    assert loop / dividers.compared <= 400
    assert 4 * dividers.divider <= 128  # a quarter is another output
    # 25 and 50 MHz have no common divisor with 48 of 10 and more.
    assert oscillator / dividers.reference >= (5 if oscillator in (25.0, 50.0) else 10)


def test_oscillator_that_no_pll_makes_usb_of_is_refused():
    with pytest.raises(Error, match=r"no PLL makes 48 MHz for USB from 26.01 MHz"):
        usb_dividers(26.01)
