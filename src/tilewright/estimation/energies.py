"""What events cost: an energy for each cause, by family and memory, each with its source.

Three kinds of sources, in the order in which they are believed:

- currents that somebody measured on a chip of the family, or that its data sheet has;
- data sheets of chips of the same kind and speed grade;
- figures of an ASIC of the same node, with what an FPGA takes more.

Ranges are wide where little is known, and say so: no board of this project has been measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tilewright.estimation.figures import Figure

__all__ = ["ENERGIES", "INFO", "SDRAM_ENERGIES", "STATIC_POWER", "Cause", "CauseInfo"]


class Cause(StrEnum):
    """What takes energy, in the order of tables."""

    MULTIPLY = "multiply"
    ACCUMULATE = "accumulate"
    REGISTERS = "registers"
    ACTIVATIONS = "activation buffer"
    WEIGHTS = "weight buffer"
    RESULTS = "result buffer"
    OFFSETS = "offset buffer"
    SUMS = "partial sums"
    REQUANTIZE = "requantize"
    SAMPLES = "samples"
    TRANSFORMS = "transforms"
    BUS = "bus"
    BYTES = "memory bytes"
    ROWS = "memory rows"
    REFRESH = "memory refresh"
    STANDBY = "memory standby"
    CELLS = "clocked cells"
    CLOCK = "clock network"
    STATIC = "static"


@dataclass(frozen=True)
class CauseInfo:
    """What is counted for a cause.

    Parameters
    ----------
    counted : str, one of what
    where : str, "chip" or "memory"
    """

    counted: str
    where: str


INFO = {
    Cause.MULTIPLY: CauseInfo("operation of a multiplier of the array", "chip"),
    Cause.ACCUMULATE: CauseInfo("bit added to an accumulator", "chip"),
    Cause.REGISTERS: CauseInfo("byte that a register of a cell takes", "chip"),
    Cause.ACTIVATIONS: CauseInfo("byte read or written", "chip"),
    Cause.WEIGHTS: CauseInfo("byte read or written", "chip"),
    Cause.RESULTS: CauseInfo("byte read or written", "chip"),
    Cause.OFFSETS: CauseInfo("byte read or written", "chip"),
    Cause.SUMS: CauseInfo("byte read or written", "chip"),
    Cause.REQUANTIZE: CauseInfo("operation of a multiplier of the requantizers", "chip"),
    Cause.SAMPLES: CauseInfo("byte interpolated", "chip"),
    Cause.TRANSFORMS: CauseInfo("byte added to a window or a kernel", "chip"),
    Cause.BUS: CauseInfo("byte on the bus", "chip"),
    Cause.BYTES: CauseInfo("byte read or written", "memory"),
    Cause.ROWS: CauseInfo("row opened and closed", "memory"),
    Cause.REFRESH: CauseInfo("refresh of a row in each bank", "memory"),
    Cause.STANDBY: CauseInfo("nanosecond", "memory"),
    Cause.CELLS: CauseInfo("cycle of a flip-flop", "chip"),
    Cause.CLOCK: CauseInfo("cycle of one of the device's cells", "chip"),
    Cause.STATIC: CauseInfo("nanosecond", "chip"),
}

_PJ = "pJ"
HOROWITZ = (
    "M. Horowitz, Computing's energy problem, ISSCC 2014, 45 nm, 0.9 V: multiplication of 8 bits "
    "0.2 pJ, addition of 32 bits 0.1 pJ, 64 bits of an 8 KiB SRAM 10 pJ, 64 bits of DRAM "
    "1.3..2.6 nJ"
)
KUON_ROSE = (
    "I. Kuon and J. Rose, Measuring the gap between FPGAs and ASICs, IEEE TCAD 26(2), 2007: 12 to "
    "14 times the dynamic energy"
)
MEASURED = "currents of an iCE40UP5K measured at 1.219 V, github.com/tinyvision-ai-inc/ice40_power"
_COUNTERS = "228 instead of 32 cells of counters at 12 MHz take 27.8 uA more"
_PRODUCT = "a product of 8 bits in each of 12 M cycles takes 237 uA with one SB_MAC16 and 44 cells"
_PLAIN = "as an iCE40's, which is of the same 40 nm, at 1.1 V"

_BYTE_OF_RAM = Figure(
    5.0, 1.25, 17.5, _PJ, f"{HOROWITZ}: 1.25 pJ a byte, at least; {KUON_ROSE}, at most"
)
_REGISTER = Figure(
    0.8, 0.2, 2.0, _PJ, f"{MEASURED}: {_COUNTERS}, where two bits change a cycle; four of a byte do"
)
_ADDED_BIT = Figure(
    0.08, 0.04, 0.16, _PJ, f"{HOROWITZ}, {KUON_ROSE}: 1.3 pJ for 32 bits, at least; {MEASURED}"
)
_SAMPLE = Figure(
    12.0, 6.0, 30.0, _PJ, f"{MEASURED}: {_PRODUCT}; three products of 8 bits by 2..8, in cells"
)


def _chip(product: Figure, cell: Figure, clock: Figure) -> dict[Cause, Figure]:
    """Return the energies of a family on its chip."""
    return {
        Cause.MULTIPLY: product,
        Cause.ACCUMULATE: _ADDED_BIT,
        Cause.REGISTERS: _REGISTER,
        **dict.fromkeys(
            (Cause.ACTIVATIONS, Cause.WEIGHTS, Cause.RESULTS, Cause.OFFSETS, Cause.SUMS),
            _BYTE_OF_RAM,
        ),
        Cause.REQUANTIZE: product,
        Cause.SAMPLES: _SAMPLE,
        Cause.TRANSFORMS: _ADDED_BIT.scaled(8, _PJ),
        Cause.BUS: _REGISTER.scaled(2, _PJ),
        Cause.CELLS: cell,
        Cause.CLOCK: clock,
    }


#: By family.
ENERGIES: dict[str, dict[Cause, Figure]] = {
    "ice40": _chip(
        Figure(20.0, 10.0, 24.0, _PJ, f"{MEASURED}: {_PRODUCT}"),
        Figure(0.0144, 0.005, 0.03, _PJ, f"{MEASURED}: {_COUNTERS}"),
        Figure(
            0.0098, 0.005, 0.012, _PJ,
            f"{MEASURED}: 42.6 uA for each MHz with 28 cells in use, of 5,280",
        ),
    ),
    "ecp5": _chip(
        Figure(
            17.0, 2.4, 24.0, _PJ,
            f"{_PLAIN}: {MEASURED}: {_PRODUCT}; at least what {HOROWITZ}, {KUON_ROSE} come to",
        ),
        Figure(0.012, 0.004, 0.03, _PJ, f"{_PLAIN}: {MEASURED}: {_COUNTERS}"),
        Figure(
            0.008, 0.002, 0.012, _PJ,
            f"{_PLAIN}: {MEASURED}: 42.6 uA for each MHz with 28 cells in use, of 5,280",
        ),
    ),
}  # fmt: skip

_ECP5_SHEET = (
    "Lattice FPGA-DS-02012, ECP5 and ECP5-5G Family Data Sheet, supply current (standby), typical, "
    "at a junction of 85 C: core at 1.1 V, auxiliary at 2.5 V; less when it is cooler"
)


def _standby(milliwatts: float, sheet: str) -> Figure:
    # A milliwatt is a picojoule a nanosecond.
    return Figure(milliwatts, 0.3 * milliwatts, 1.2 * milliwatts, _PJ, sheet)


#: By the device's name in nextpnr: power while nothing switches, in pJ each nanosecond.
STATIC_POWER: dict[str, Figure] = {
    "12k": _standby(77 * 1.1 + 16 * 2.5, f"{_ECP5_SHEET}: 77 mA, 16 mA"),
    "25k": _standby(77 * 1.1 + 16 * 2.5, f"{_ECP5_SHEET}: 77 mA, 16 mA"),
    "45k": _standby(116 * 1.1 + 17 * 2.5, f"{_ECP5_SHEET}: 116 mA, 17 mA"),
    "85k": _standby(212 * 1.1 + 26 * 2.5, f"{_ECP5_SHEET}: 212 mA, 26 mA"),
    "up5k": Figure(
        0.130, 0.09, 0.2, _PJ,
        f"{MEASURED}: 85.6 uA of the core, 4.1 uA of the PLL's supply, 6.2 uA of banks at 3.28 V",
    ),
}  # fmt: skip

_CHIP_SHEET = (
    "T4312816B-7 data sheet (SDR SDRAM x16, 3.3 V, 143 MHz, tRC 63 ns), maxima: IDD1 110 mA, IDD2N "
    "20 mA, IDD3N 30 mA, IDD4 130 mA, IDD5 210 mA. The board's own chip is of this kind and speed "
    "grade; typical currents are about half, and other makers' maxima up to 1.6 times as large "
    "(HYB39S256160T: IDD4 210 mA)"
)


def _sdram(nanojoules: float, how: str) -> Figure:
    value = 1000 * nanojoules
    return Figure(0.75 * value, 0.4 * value, 1.6 * value, _PJ, f"{_CHIP_SHEET}: {how}, 75 %")


#: Of an SDRAM chip and its pins.
SDRAM_ENERGIES: dict[Cause, Figure] = {
    Cause.BYTES: _sdram(
        1.155 + 0.33,
        "(IDD4 - IDD3N) 3.3 V 7 ns for two bytes, and half of 8 pins of 15 pF at 3.3 V",
    ),
    Cause.ROWS: _sdram(16.6, "(IDD1 - IDD3N) 3.3 V tRC"),
    Cause.REFRESH: _sdram(39.5, "(IDD5 - IDD2N) 3.3 V tRC"),
    Cause.STANDBY: _sdram(0.099, "IDD3N 3.3 V, a row open"),
}

#: Of a memory of which nothing is known but its latencies.
ANY_MEMORY: dict[Cause, Figure] = {
    Cause.BYTES: Figure(240.0, 160.0, 2000.0, _PJ, f"{HOROWITZ}; a board's SDRAM takes more"),
}

#: Of single-port memories on the FPGA.
OWN_MEMORY: dict[Cause, Figure] = {
    Cause.BYTES: Figure(
        10.0, 2.5, 35.0, _PJ, f"as two bytes of block RAM, since it is larger: {HOROWITZ}"
    ),
}
