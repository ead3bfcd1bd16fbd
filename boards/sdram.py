"""A board's SDRAM: which chip it is, and where its pins are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from tilewright.errors import Error
from tilewright.hdl.memory.chip import CHIPS, SDRAMChip
from tilewright.hdl.memory.parameters import SDRAMParameters

__all__ = ["BoardSDRAM"]

_OPTIONAL = frozenset(("cke", "cs_n", "dqm"))


@dataclass(frozen=True, kw_only=True)
class BoardSDRAM:
    """A chip, its pins, and when its clock rises.

    Every pin has a register in its pad, out and, of data, in: what the controller says reaches the
    chip a cycle later, and what the chip says the controller (``PAD_LATENCY``).

    Parameters
    ----------
    chip : str, a name in ``tilewright.hdl.memory.chip.CHIPS``
    pins : sites of each of ``clk``, ``ras_n``, ``cas_n``, ``we_n``, ``ba``, ``a``, ``dq``, least
        significant bit first; ``cke`` and ``cs_n`` where the board has them, and ``dqm``, without
        which a word of the host is written in two accesses
    clock_phase : float, degrees by which the chip's clock rises after the engine's; half a period
        leaves commands as much time before that edge as after it, and data that is read comes from
        two edges later on

    Raises
    ------
    Error
        If there is no such chip, or it has other pins.
    """

    PAD_LATENCY: ClassVar[int] = 2

    chip: str
    pins: dict[str, tuple[str, ...]]
    clock_phase: float = 180.0

    def __post_init__(self) -> None:
        if self.chip not in CHIPS:
            raise Error(f"sdram: chip must be one of {', '.join(CHIPS)}, not {self.chip!r}")
        chip = CHIPS[self.chip]
        widths = dict.fromkeys(("clk", "cke", "cs_n", "ras_n", "cas_n", "we_n"), 1)
        widths |= {"ba": 2, "a": max(chip.row_width, 11), "dqm": chip.data_width // 8}
        widths["dq"] = chip.data_width
        for name in sorted(widths.keys() - _OPTIONAL | self.pins.keys()):
            sites = self.pins.get(name, ())
            if len(sites) != widths.get(name, 0):
                raise Error(
                    f"sdram: {chip.name} has {widths.get(name, 0)} pins {name}, not {len(sites)}"
                )
        if not 0 <= self.clock_phase < 360:
            raise Error(f"sdram: clock_phase must be in 0..360, not {self.clock_phase!r}")

    @property
    def size_bytes(self) -> int:
        """Bytes in the chip."""
        return self._chip.size_bytes

    @property
    def _chip(self) -> SDRAMChip:
        return CHIPS[self.chip]

    def ports(self) -> dict[str, str]:
        """Return the site of each port, by the name of its bit in the design."""
        return {
            f"sdram_{name}" if len(sites) == 1 else f"sdram_{name}[{bit}]": site
            for name, sites in self.pins.items()
            for bit, site in enumerate(sites)
        }

    def parameters(self, *, clock_mhz: float, data_width: int) -> SDRAMParameters:
        """Return the controller's.

        Raises
        ------
        Error
            If the chip is too slow for the clock, or does not fit the bus.
        """
        try:
            return SDRAMParameters(
                chip=self._chip,
                clock_mhz=clock_mhz,
                data_width=data_width,
                pad_latency=self.PAD_LATENCY,
                masks="dqm" in self.pins,
            )
        except ValueError as error:
            raise Error(f"sdram: {error}") from error
