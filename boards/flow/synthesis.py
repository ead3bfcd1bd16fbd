"""An engine or a board's system, synthesized; placed and routed, if wanted."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tilewright.boards.board import Board
from tilewright.boards.families import get_family
from tilewright.boards.family import Family
from tilewright.boards.flow.netlist import read_netlist, write_netlist
from tilewright.boards.flow.places import marked_places
from tilewright.boards.flow.report import used_sites
from tilewright.boards.flow.tools import FlowError, Progress, Tools
from tilewright.cache import digest, digest_of_sources
from tilewright.files import write_json, write_text
from tilewright.hdl.families.generic import Family as AnyFamily
from tilewright.isa import EngineConfig
from tilewright.registry import source_of

__all__ = [
    "FlowError",
    "Synthesis",
    "cell_counts",
    "named_for_abc",
    "synthesis_passes",
    "synthesize",
    "write_design",
]


#: What an engine is synthesized for that any family takes, without a board.
DEFAULT_FAMILY = "ecp5"
#: To ABC9, a wire named o[0] is bit 0 of o, which may be another one.
_BRACKETS = str.maketrans("[]", "<>")


@dataclass(frozen=True)
class Synthesis:
    """What came out.

    Parameters
    ----------
    resources : cells by Yosys, by primitive (of flip-flops, all kinds)
    utilization : sites by nextpnr, "used" and "available" of each kind in use; None where the
        family's tools do not tell without place and route
    fmax_mhz : by nextpnr, of the engine's clock; None without place and route
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

    It is for the board's family or, without a board, the one that ``dsp`` names; an engine whose
    ``dsp`` is "inferred" is then for ECP5.

    Parameters
    ----------
    directory : where netlist, logs, reports and bitstream go
    board : needed for place and route
    place_and_route : build the board's whole system (engine, memory, host link) instead of the
        engine alone, and go on to a bitstream

    Raises
    ------
    FlowError
        If a tool fails or is not installed, a clock misses its frequency, or there is no board to
        place on.
    Error
        If the family is not known, or the engine is not for the board's.
    """
    if place_and_route and board is None:
        raise FlowError("place and route needs a board: use Target.from_board")
    if board is not None:
        board = replace(board, engine=config)
        family = get_family(board.family)
    else:
        family = get_family(DEFAULT_FAMILY if config.dsp == AnyFamily.name else config.dsp)
    versions = _versions(family)
    directory.mkdir(parents=True, exist_ok=True)
    if place_and_route:
        from tilewright.boards.system import TOP, system_rtlil

        assert board is not None
        top, text = TOP, system_rtlil(board)
    else:
        from tilewright.hdl.verilog import TOP, engine_rtlil

        top, text = TOP, engine_rtlil(config)
    # Where a signal was declared does not change what is built.
    essence = re.sub(r"attribute \\src .*\n", "", text)
    depends_on = f"{essence}{versions}{board}{place_and_route}{sources(family)}"
    key = hashlib.sha256(depends_on.encode()).hexdigest()
    cached = directory / f"{top}.json"
    if (found := _cached(cached, key, directory)) is not None:
        progress(f"{cached}: up to date")
        return found

    text = named_for_abc(text)
    tools = Tools(directory, progress)
    resources = _to_netlist(text, top, family, tools)
    netlist = read_netlist(directory / "netlist.json")
    places = marked_places(text, top)
    if family.prepare(netlist, places, board if place_and_route else None):
        write_netlist(directory / "netlist.json", netlist)
    utilization, fmax, bitstream = None, None, None
    if place_and_route:
        assert board is not None
        bitstream = directory / f"{top}.{family.bitstream}"
        fmax = family.route(tools, board, bitstream.name)
        utilization = used_sites(directory)
    else:
        utilization = family.pack(tools)
    result = Synthesis(resources, utilization, fmax, bitstream, versions, tuple(tools.commands))
    write_json(cached, {"key": key, **json.loads(result.to_json())})
    return result


def system_cells(
    board: Board, directory: Path, *, progress: Progress = lambda line: None
) -> dict[str, int]:
    """Return the cells of a board's whole system as Yosys counts them, before place and route.

    Parameters
    ----------
    directory : where the netlist goes

    Raises
    ------
    FlowError
        If a tool fails.
    """
    from tilewright.boards.system import TOP, system_rtlil

    directory.mkdir(parents=True, exist_ok=True)
    text = named_for_abc(system_rtlil(board))
    return _to_netlist(text, TOP, get_family(board.family), Tools(directory, progress))


def _to_netlist(text: str, top: str, family: Family, tools: Tools) -> dict[str, int]:
    """Have Yosys write ``netlist.json`` into the tools' folder; return the cells."""
    write_design(tools.directory, f"{top}.il", text, family)
    tools.yosys(synthesis_passes(f"{top}.il", top, family))
    return cell_counts(tools.directory / "stat.json", family)


def _versions(family: Family) -> dict[str, str]:
    try:
        return {name: version(name) for name in family.packages}
    except PackageNotFoundError as error:
        raise FlowError(
            f"{family.name} needs {error.name}: pip install 'tilewright[{family.name}]'"
        ) from error


def named_for_abc(text: str) -> str:
    """Return RTLIL whose names have no brackets."""
    return re.sub(r"(?<!\S)\\\S*", lambda name: name[0].translate(_BRACKETS), text)


def write_design(directory: Path, name: str, text: str, family: Family) -> None:
    """Write RTLIL, and beside it what the family's passes read."""
    write_text(directory / name, text)
    for library in family.libraries:
        write_text(directory / library.name, library.read_text())


def synthesis_passes(source: str, top: str, family: Family) -> list[str]:
    """Return Yosys's passes from a file of RTLIL to ``netlist.json`` and ``stat.json``.

    They run where :func:`write_design` has written it.
    """
    # A memory would give the old word when a word is read while it is written. No such word is used
    # (tests/hdl/test_collisions.py), and where block RAM has none, keeping it costs registers. Of a
    # USB device's memories that is not known, and some have two clocks.
    reads = "t:$memrd_v2 r:CLK_ENABLE=1 %i r:TRANSPARENCY_MASK=1'0 %i *.usb.*/t:* %d"
    steps = [f"read_rtlil {source}", f"setparam -set COLLISION_X_MASK 1'1 {reads}"]
    return [*steps, *family.synthesis(top), "tee -o stat.json stat -json"]


def sources(family: Family) -> str:
    """Return a name for all that comes after the design: the flow, the family, what they use.

    hdl is not among it: the design tells what it has become.
    """
    return digest([digest_of_sources(Path(__file__).parents[1]), source_of(family)])


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


def cell_counts(path: Path, family: Family) -> dict[str, int]:
    """Return the cells that Yosys counted, those of interest first."""
    text = path.read_text()
    cells = json.loads(text[text.index("{") : text.rindex("}") + 1])["design"]["num_cells_by_type"]
    counts = dict.fromkeys(family.resources, 0)
    for name, count in cells.items():
        kind = family.resource(name)
        if kind in counts:
            counts[kind] += int(count)
    return counts
