"""What the way to a bitstream needs to know of a family of FPGAs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from amaranth.hdl import IOPort, Module, Signal, Value

from tilewright.boards.flow.netlist import Netlist
from tilewright.boards.flow.tools import Tools
from tilewright.errors import Error
from tilewright.hdl.lib.place import Place

if TYPE_CHECKING:
    from tilewright.boards.board import Board

__all__ = ["CellNames", "Family", "Part", "mapped_memory"]

#: Block RAMs of 18 Kbit that Yosys uses: words, and bits of each.
BLOCKS = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))


@dataclass(frozen=True, kw_only=True)
class Part:
    """An FPGA, as the tools call it.

    Parameters
    ----------
    device, package : str, as nextpnr names them
    speed_grade : int, or None if the device has but one
    """

    device: str
    package: str
    speed_grade: int | None = None


@dataclass(frozen=True, kw_only=True)
class CellNames:
    """Which of a family's ``resources`` are what, for estimates.

    Parameters
    ----------
    look_up, carry, flip_flop, block, multiplier : str
    distributed : str or None, memories made of look-up tables
    """

    look_up: str
    carry: str
    flip_flop: str
    block: str
    multiplier: str
    distributed: str | None = None


class Family(ABC):
    """Synthesis, placement and packing for a family; each is a module of ``boards.families``.

    Attributes
    ----------
    name : str, as in a board's ``family`` and an engine's ``dsp``
    packages : tools on PyPI, for the versions
    resources : cells to report
    bitstream : how a bitstream's name ends
    libraries : files that synthesis reads, beside the design
    cells : what ``resources`` are, or None: then resources cannot be estimated
    usb : a PLL that makes the clocks of a USB device is known
    logic : kind of sites that look-up tables, flip-flops and carries share
    taken : by kind of sites, those that a cell of another kind takes of them
    """

    name: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    resources: ClassVar[tuple[str, ...]]
    bitstream: ClassVar[str]
    libraries: ClassVar[tuple[Path, ...]] = ()
    cells: ClassVar[CellNames | None] = None
    usb: ClassVar[bool] = False
    logic: ClassVar[str] = ""
    taken: ClassVar[Mapping[str, Mapping[str, int]]] = {}
    #: By how much `logic_sites` is off, as a share.
    logic_error: ClassVar[float] = 0.02

    @abstractmethod
    def part(self, device: str, package: str, speed: str | None) -> Part:
        """Return an FPGA by its vendor's names, which amaranth-boards has.

        Raises
        ------
        Error
            If it is none of this family.
        """

    @abstractmethod
    def check(self, board: Board) -> None:
        """Refuse a board whose FPGA is unknown or whose clock the FPGA cannot make.

        Raises
        ------
        Error
            With what would do.
        """

    @abstractmethod
    def synthesis(self, top: str) -> list[str]:
        """Return Yosys's passes from a design, whose top module is given, to ``netlist.json``."""

    def resource(self, cell_type: str) -> str:
        """Return under which of ``resources`` a type of cells is counted."""
        return cell_type

    def prepare(self, netlist: Netlist, places: Mapping[str, Place], board: Board | None) -> bool:
        """Change the synthesized netlist, on a board or alone; return whether it has changed.

        ``places`` are those of instances and memories by name.
        """
        return False

    def pack(self, tools: Tools) -> dict[str, dict[str, int]] | None:
        """Return the sites that ``netlist.json`` alone will need, where tools tell; else None."""
        return None

    def memory_cells(self, depth: int, width: int) -> dict[str, int]:
        """Return the cells that Yosys makes of a memory, which has a write and a clocked read port.

        Raises
        ------
        Error
            If the family does not say.
        """
        raise Error(f"no memories of the family {self.name!r} are known: they cannot be estimated")

    def logic_sites(self, cells: Mapping[str, float]) -> float | None:
        """Return the sites of kind ``logic`` that cells take; None if packing has to tell."""
        return None

    def sites(self, part: Part) -> dict[str, int]:
        """Return the sites that an FPGA has, by kind: of ``logic``, block RAMs, multipliers.

        Raises
        ------
        Error
            If the family does not say.
        """
        raise Error(f"no sites of the family {self.name!r} are known: fitting cannot be estimated")

    @abstractmethod
    def route(self, tools: Tools, board: Board, bitstream: str) -> float:
        """Go from ``netlist.json`` to a bitstream; return what the engine's clock reaches in MHz.

        Raises
        ------
        FlowError
            If a tool fails or a clock misses its frequency.
        """

    def pll(
        self,
        m: Module,
        board: Board,
        clk: Value,
        clk_out: Value,
        locked: Signal,
        behind: Value | None = None,
    ) -> None:
        """Add a PLL between the oscillator and the engine; ``locked`` is asynchronous.

        ``behind`` is the same clock, as much later as the board's SDRAM wants it.

        Raises
        ------
        Error
            If none is known.
        """
        raise Error(
            f"no PLL of the family {self.name!r} is known: clock_mhz of {board.name!r} must be "
            f"that of its oscillator, {board.oscillator_mhz:g}"
        )

    def usb_pll(
        self, m: Module, board: Board, clk: Value, fast: Value, slow: Value, locked: Signal
    ) -> None:
        """Add a PLL that makes 48 MHz, ``fast``, and 12 MHz, ``slow``, whose edges lie together.

        ``locked`` is asynchronous. For families that have ``usb``.
        """
        raise NotImplementedError

    def pad_output(self, m: Module, name: str, d: Value, port: IOPort, *, high: bool) -> None:
        """Add pins with registers in their pads; at first they are low, or ``high``."""
        raise self._no_pads()

    def pad_inout(self, m: Module, name: str, o: Value, oe: Value, i: Value, port: IOPort) -> None:
        """Add pins that go both ways, with registers of ``o``, ``oe`` and ``i`` in their pads."""
        raise self._no_pads()

    def pad_constant(self, m: Module, name: str, value: int, port: IOPort) -> None:
        """Add a pin that never changes."""
        raise self._no_pads()

    def pad_clock(self, m: Module, name: str, domain: str, port: IOPort) -> None:
        """Add a pin that follows a clock as late as the outputs of registers follow theirs."""
        raise self._no_pads()

    def _no_pads(self) -> Error:
        return Error(f"no pads of the family {self.name!r} are known: its boards have no SDRAM")


def mapped_memory(depth: int, width: int, *, block: str, distributed: str) -> dict[str, int]:
    """Return block RAMs of 18 Kbit, or 16 x 4 bits of look-up tables each, whichever cost less.

    Source: Yosys, memory_libmap, techlibs/lattice and techlibs/gowin: a block RAM costs 128 and 16
    x 4 bits 4; multiplexers behind banks, and decoders before them, half of one for each bit.

    Parameters
    ----------
    block, distributed : names of the cells
    """
    banks, columns = -(-depth // 16), -(-width // 4)
    soft = 4 * banks * columns + ((banks - 1) * (width + 1)) / 2

    def cost(words: int, bits: int) -> tuple[float, int]:
        deep, wide = -(-depth // words), -(-width // bits)
        return 128 * deep * wide + (deep - 1) * (width + 1) / 2, deep * wide

    least, blocks = min(cost(*shape) for shape in BLOCKS)
    return {distributed: banks * columns} if soft < least else {block: blocks}
