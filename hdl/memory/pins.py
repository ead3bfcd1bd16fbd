"""The pins of an SDR SDRAM."""

import enum

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Command", "SDRAMPins"]


class Command(enum.IntEnum):
    """RAS#, CAS# and WE# of a selected chip, RAS# in the highest bit.

    Source: JEDEC JESD21-C, 3.11.5, SDR SDRAM.
    """

    MODE = 0b000
    REFRESH = 0b001
    PRECHARGE = 0b010
    ACTIVE = 0b011
    WRITE = 0b100
    READ = 0b101
    NOP = 0b111


class SDRAMPins(wiring.Signature):
    """Pins from the controller's view; the chip is always selected, its clock runs beside.

    Parameters
    ----------
    chip : SDRAMChip
    """

    def __init__(self, chip):
        super().__init__(
            {
                "cke": Out(1),
                "ras_n": Out(1, init=1),
                "cas_n": Out(1, init=1),
                "we_n": Out(1, init=1),
                "ba": Out(2),
                "a": Out(max(chip.row_width, 11)),
                "dqm": Out(chip.data_width // 8),
                "dq_o": Out(chip.data_width),
                "dq_oe": Out(1),
                "dq_i": In(chip.data_width),
            }
        )
