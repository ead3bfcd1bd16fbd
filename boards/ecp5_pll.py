"""An ECP5's PLL: dividers for a clock, and the primitive."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from amaranth.hdl import Const, Instance, Signal, Value

from tilewright.errors import Error

__all__ = ["Dividers", "pll_dividers", "pll_instance", "usb_dividers"]

_LARGEST = 128  # divider


@dataclass(frozen=True, kw_only=True)
class Dividers:
    """An ECP5's PLL: its own oscillator runs at ``feedback * compared / reference`` of the input.

    Parameters
    ----------
    reference : int, by what the input is divided
    feedback, compared : int, by what the loop's output is divided, together: at the comparison and
        at the output that goes there
    divider : int, by what the loop's oscillator is divided for the engine's clock
    """

    reference: int
    feedback: int
    compared: int
    divider: int


def pll_dividers(oscillator_mhz: float, clock_mhz: float) -> Dividers:
    """Return the dividers of a PLL that makes a clock.

    The clock itself goes back to the comparison where that does, for it needs no other output.

    Source: Lattice FPGA-TN-02200, ECP5 and ECP5-5G sysCLOCK PLL/DLL Usage Guide, and the data
    sheet, FPGA-DS-02012: the oscillator of the loop must run at 400..800 MHz, what it is compared
    with at 10..400 MHz; dividers are at most 128.

    Raises
    ------
    Error
        If the PLL cannot make this frequency.
    """
    dividers = sorted(range(1, _LARGEST + 1), key=lambda n: (abs(n * clock_mhz - 600), n))
    found = [
        Dividers(
            reference=reference,
            feedback=round(times) // compared,
            compared=compared,
            divider=divider,
        )
        for reference in range(1, min(int(oscillator_mhz / 10), _LARGEST) + 1)
        for divider in dividers
        if 400 <= clock_mhz * divider <= 800
        and math.isclose(
            times := clock_mhz * divider * reference / oscillator_mhz, round(times), rel_tol=1e-9
        )
        for compared in (divider, *range(2, _LARGEST + 1))
        if round(times) % compared == 0
        and round(times) // compared <= _LARGEST
        and clock_mhz * divider / compared <= 400
    ]
    if not found:
        raise Error(
            f"no PLL makes {clock_mhz} MHz from {oscillator_mhz} MHz: take a clock_mhz that is "
            f"{oscillator_mhz:g} times one small number and divided by another"
        )
    return min(found, key=lambda one: (one.compared != one.divider, one.reference))


def usb_dividers(oscillator_mhz: float) -> Dividers:
    """Return the dividers of a PLL for a USB device: 48 MHz, and a quarter of it.

    An output of its own goes back to the comparison, at no more than its 400 MHz. Where 10 MHz and
    more cannot be compared, the fastest is that can: 5 MHz of 25.

    Source: as of :func:`pll_dividers`, but LUNA's own platform for the ULX3S compares at 5 MHz, and
    Project Trellis' ecppll at 3.125 and more.

    Raises
    ------
    Error
        If the PLL cannot make this frequency.
    """
    for reference in range(1, int(oscillator_mhz / 3.125) + 1):
        for divider in (10, 12, 14, 16, 9, 11, 13, 15):
            times = 48 * divider * reference / oscillator_mhz
            for compared in range(2, _LARGEST + 1):
                feedback, rest = divmod(round(times), compared)
                if (
                    math.isclose(times, round(times), rel_tol=1e-9)
                    and not rest
                    and feedback <= _LARGEST
                    and 48 * divider / compared <= 400
                ):
                    return Dividers(
                        reference=reference, feedback=feedback, compared=compared, divider=divider
                    )
    raise Error(f"no PLL makes 48 MHz for USB from {oscillator_mhz:g} MHz")


def pll_instance(
    dividers: Dividers,
    clk: Value,
    locked: Signal,
    *,
    out: Value,
    first: int,
    path: str,
    back: Value,
    others: Mapping[str, object],
) -> Instance:
    """Return an EHXPLLL.

    Parameters
    ----------
    out, first : its clock CLKOP, and by how many of the loop's periods that is late
    path, back : output that goes back to the comparison
    others : of the other outputs
    """
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=dividers.divider,
        p_CLKOP_CPHASE=first,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH=path,
        p_CLKI_DIV=dividers.reference,
        p_CLKFB_DIV=dividers.feedback,
        i_CLKI=clk,
        o_CLKOP=out,
        i_CLKFB=back,
        i_PHASESEL0=Const(0),
        i_PHASESEL1=Const(0),
        i_PHASEDIR=Const(1),
        i_PHASESTEP=Const(1),
        i_PHASELOADREG=Const(1),
        i_PLLWAKESYNC=Const(0),
        i_ENCLKOP=Const(0),
        i_RST=Const(0),
        i_STDBY=Const(0),
        o_LOCK=locked,
        **others,
    )
