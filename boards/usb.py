"""A board's USB connector whose data lines go to the FPGA: where its pins are."""

from __future__ import annotations

from dataclasses import asdict, dataclass

__all__ = ["BoardUSB"]


@dataclass(frozen=True, kw_only=True)
class BoardUSB:
    """A connector of full speed.

    Parameters
    ----------
    d_p, d_n : str, sites of the data lines
    pull_up : str, site of what pulls D+ up through a resistor
    """

    d_p: str
    d_n: str
    pull_up: str

    def ports(self) -> dict[str, str]:
        """Return the site of each port, by its name in the design."""
        return {f"usb_{name}": site for name, site in asdict(self).items()}
