"""SDR SDRAM chips as their data sheets have them, and their times in cycles of a clock."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["CHIPS", "SDRAMChip", "SDRAMCycles"]


@dataclass(frozen=True, kw_only=True)
class SDRAMCycles:
    """A chip's times in clock cycles; the names are JEDEC's without the ``t``."""

    cl: int
    rcd: int
    rp: int
    ras: int
    rc: int
    rfc: int
    rrd: int
    wr: int
    mrd: int
    refresh: int
    power_up: int


@dataclass(frozen=True, kw_only=True)
class SDRAMChip:
    """A chip of four banks, with the slowest times of its speed grade.

    Parameters
    ----------
    name : str
    data_width : int, bits
    row_width, column_width : int, bits of a row's and of a column's address
    cas_latency : int, cycles, 2 or 3
    max_clock_mhz : float, at that latency
    rcd_ns, rp_ns, ras_ns, rc_ns, rfc_ns, rrd_ns, wr_ns : float
        ACTIVE to READ or WRITE; PRECHARGE to ACTIVE; ACTIVE to PRECHARGE, and to ACTIVE of the same
        bank; REFRESH to ACTIVE; ACTIVE to ACTIVE of another bank; last data to PRECHARGE
    ras_max_ns : float, how long a row may stay open
    refresh_ms : float, in which each of ``2**row_width`` rows (or ``refreshes``) is refreshed
    refreshes : int
    power_up_us : float, from a steady clock to the first command
    source : str, the data sheet
    """

    BANKS = 4
    MRD_CYCLES = 2

    name: str
    data_width: int
    row_width: int
    column_width: int
    cas_latency: int
    max_clock_mhz: float
    rcd_ns: float
    rp_ns: float
    ras_ns: float
    rc_ns: float
    rfc_ns: float
    rrd_ns: float
    wr_ns: float
    ras_max_ns: float = 100_000.0
    refresh_ms: float = 64.0
    refreshes: int = 8192
    power_up_us: float = 200.0
    source: str

    @property
    def row_bytes(self) -> int:
        """Bytes in a row of one bank."""
        return (self.data_width // 8) << self.column_width

    @property
    def size_bytes(self) -> int:
        """Bytes in the chip."""
        return (self.BANKS * self.row_bytes) << self.row_width

    def cycles(self, clock_mhz: float) -> SDRAMCycles:
        """Return the chip's times at a clock, rounded to the safe side.

        Raises
        ------
        ValueError
            If the chip is not made for so fast a clock.
        """
        if not 0 < clock_mhz <= self.max_clock_mhz:
            raise ValueError(
                f"clock_mhz must be above 0 and at most {self.max_clock_mhz:g} for {self.name}, "
                f"not {clock_mhz!r}"
            )

        def at_least(ns: float) -> int:
            return max(1, math.ceil(round(ns * clock_mhz / 1000, 6)))

        names = ("rcd", "rp", "ras", "rc", "rfc", "rrd", "wr")
        return SDRAMCycles(
            cl=self.cas_latency,
            mrd=self.MRD_CYCLES,
            refresh=math.floor(self.refresh_ms * 1e3 * clock_mhz / self.refreshes),
            power_up=at_least(self.power_up_us * 1e3),
            **{name: at_least(getattr(self, f"{name}_ns")) for name in names},
        )


CHIPS = {
    chip.name: chip
    for chip in (
        SDRAMChip(
            name="IS42S16160G-7",
            data_width=16,
            row_width=13,
            column_width=9,
            cas_latency=3,
            max_clock_mhz=143.0,
            rcd_ns=20.0,
            rp_ns=20.0,
            ras_ns=45.0,
            rc_ns=67.5,
            rfc_ns=70.0,
            rrd_ns=15.0,
            wr_ns=20.0,
            source="ISSI, IS42S16160G data sheet; the slower of its -7 and -75 grades",
        ),
        SDRAMChip(
            name="MT48LC16M16A2-75",
            data_width=16,
            row_width=13,
            column_width=9,
            cas_latency=3,
            max_clock_mhz=133.0,
            rcd_ns=20.0,
            rp_ns=20.0,
            ras_ns=44.0,
            rc_ns=66.0,
            rfc_ns=66.0,
            rrd_ns=15.0,
            wr_ns=15.0,
            source="Micron, 256Mb x4 x8 x16 SDRAM data sheet, -75",
        ),
        SDRAMChip(
            name="W9825G6KH-6",
            data_width=16,
            row_width=13,
            column_width=9,
            cas_latency=3,
            max_clock_mhz=166.0,
            rcd_ns=18.0,
            rp_ns=18.0,
            ras_ns=42.0,
            rc_ns=60.0,
            rfc_ns=60.0,
            rrd_ns=12.1,
            wr_ns=12.1,
            source="Winbond, W9825G6KH data sheet, -6",
        ),
        SDRAMChip(
            name="EM638325-6",
            data_width=32,
            row_width=11,
            column_width=8,
            cas_latency=3,
            max_clock_mhz=166.0,
            rcd_ns=18.0,
            rp_ns=18.0,
            ras_ns=42.0,
            rc_ns=60.0,
            rfc_ns=60.0,
            rrd_ns=12.0,
            wr_ns=12.1,
            refreshes=4096,
            source="Etron, EM638325 data sheet, -6",
        ),
        SDRAMChip(
            name="GW2AR-18",
            data_width=32,
            row_width=11,
            column_width=8,
            cas_latency=3,
            max_clock_mhz=143.0,
            rcd_ns=21.0,
            rp_ns=21.0,
            ras_ns=49.0,
            rc_ns=70.0,
            rfc_ns=70.0,
            rrd_ns=15.0,
            wr_ns=20.0,
            refreshes=4096,
            source="assumed: no times of the die in the package are published; each is as long as "
            "the longest of the chips above, or longer",
        ),
    )
}
