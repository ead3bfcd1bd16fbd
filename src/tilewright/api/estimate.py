"""What a program will cost, before anything is built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from tilewright.api.cycles import events_of, results_of_layers
from tilewright.api.result import LayerResult
from tilewright.boards import get_board
from tilewright.errors import require_type
from tilewright.estimation.board import costs_of, rates_of
from tilewright.estimation.counts import counts
from tilewright.estimation.energy import Energy, energy_of
from tilewright.estimation.figures import Figure, Unknown
from tilewright.estimation.resources import Resources, resources_of
from tilewright.isa import Unit
from tilewright.program import AnyProgram, HostedProgram, LayerInfo, Program
from tilewright.sim.events import Events
from tilewright.sim.report import bytes_moved
from tilewright.target import Target

__all__ = ["Estimate", "HostedEstimate", "estimate"]


@dataclass(frozen=True, eq=False)
class Estimate:
    """What a program costs on its target.

    Parameters
    ----------
    cycles, latency, utilization, read, written, buffers : Figure, of a run; exact
    rate : Figure, images a second at the target's clock, one run after another; exact
    resources : of the engine, and of the board's FPGA
    energy : of a run
    layers : each layer's share of the run
    """

    cycles: Figure
    latency: Figure
    rate: Figure
    utilization: Figure
    read: Figure
    written: Figure
    buffers: Figure
    resources: Resources
    energy: Energy
    layers: tuple[LayerResult, ...]

    @property
    def figures(self) -> dict[str, Figure | Unknown]:
        """All figures by name, for tables and files."""
        named: dict[str, Figure | Unknown] = {
            name: getattr(self, name)
            for name in ("cycles", "latency", "rate", "utilization", "read", "written", "buffers")
        }
        named |= self.resources.cells
        named |= {f"{kind} of the board": s.used for kind, s in self.resources.sites.items()}
        named["fmax"] = self.resources.fmax
        named |= {f"energy: {cause}": self.energy.of_cause(cause) for cause in self.energy.causes}
        named["energy"] = self.energy.total
        return named

    def to_record(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "figures": {name: _record(figure) for name, figure in self.figures.items()},
            "costs": {
                cause: _record(cost) | {"count": float(count)}
                for cause, cost, count in self._costs()
            },
            "sites": {kind: site.available for kind, site in self.resources.sites.items()},
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "macs": layer.macs,
                    "cycles": layer.cycles,
                    "utilization": layer.utilization,
                    "stalls": dict(layer.stalls),
                    "bytes_read": layer.bytes_read,
                    "bytes_written": layer.bytes_written,
                    "energy": {
                        cause: part.value
                        for cause in self.energy.causes
                        if isinstance(part := self.energy.part(index, cause), Figure)
                    },
                }
                for index, layer in enumerate(self.layers)
            ],
        }

    def _costs(self) -> list[tuple[str, Figure | Unknown, float]]:
        counted = self.energy.counted
        return [(cause, self.energy.costs[cause], counted[cause]) for cause in self.energy.causes]


def _record(figure: Figure | Unknown) -> dict[str, Any]:
    if isinstance(figure, Unknown):
        return {"value": None, "unit": figure.unit, "unknown": figure.reason}
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "unit": figure.unit,
        "basis": figure.basis,
    }


@dataclass(frozen=True, eq=False)
class HostedEstimate:
    """What a program costs of which the host computes parts.

    Parameters
    ----------
    program : HostedProgram
    parts : of each of the engine's programs
    """

    program: HostedProgram
    parts: tuple[Estimate, ...]

    @property
    def figures(self) -> dict[str, Figure | Unknown]:
        """All figures by name: sums of the engine's parts, and what the host does."""
        each = [part.figures for part in self.parts]
        named = {
            name: _total([figures[name] for figures in each]) if _is_summed(name) else figure
            for name, figure in each[0].items()
        }
        batch, host = self.program.batch, self.program.host_operations
        macs = sum(layer.macs for layer in self.program.layers)
        cycles, latency = named["cycles"], named["latency"]
        assert isinstance(cycles, Figure)
        assert isinstance(latency, Figure)
        named["rate"] = _rate(batch, latency.value, self.parts[0].rate.basis)
        peak = self.program.engine.multipliers * cycles.value
        named["utilization"] = Figure.exact(batch * macs / peak, "of peak", "cycle model")
        basis = "elements, and products of matrices"
        named["host operations"] = Figure.within(host, 0.5, "operations/image", basis)
        named["host share"] = Figure.within(host / (host + macs), 0.5, "of operations", basis)
        crossing = sum(-(-x.elements * x.bits // 8) for x in self.program.crossings)
        named["crossing"] = Figure.exact(crossing, "bytes/image", "tensors")
        return named

    def to_record(self) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "figures": {name: _record(figure) for name, figure in self.figures.items()},
            "parts": [part.to_record() for part in self.parts],
        }


def _is_summed(name: str) -> bool:
    """Whether a figure is of a run, and adds up over programs."""
    return name in ("cycles", "latency", "read", "written") or name.startswith("energy")


def _rate(batch: int, milliseconds: float, basis: str) -> Figure:
    return Figure.exact(1e3 * batch / milliseconds, "images/s", basis)


def _total(figures: list[Figure | Unknown]) -> Figure | Unknown:
    total: Figure | None = None
    for figure in figures:
        if isinstance(figure, Unknown):
            return figure
        total = figure if total is None else Figure(
            total.value + figure.value, total.low + figure.low, total.high + figure.high,
            total.unit, total.basis,
        )  # fmt: skip
    assert total is not None
    return total


@overload
def estimate(program: Program) -> Estimate: ...
@overload
def estimate(program: AnyProgram) -> Estimate | HostedEstimate: ...
def estimate(program: AnyProgram) -> Estimate | HostedEstimate:
    """Return what a program costs: time, traffic, resources, energy, each with its error.

    Cycles and bytes are exact, for the target's memory; no value of any pixel is computed. Latency
    is at the target's clock. Energies are sums of events, each of which has its source.
    """
    require_type("estimate", "program", program, Program, HostedProgram)
    if isinstance(program, HostedProgram):
        return HostedEstimate(program, tuple(map(estimate, program.programs)))
    return estimated(program.target, program.layers, events_of(program), program.batch)


def estimated(
    target: Target, infos: Sequence[LayerInfo], events: Events, batch: int = 1
) -> Estimate:
    """Return what commands cost that run on a target like this.

    Parameters
    ----------
    infos : of the layers of which the commands are
    events : of a whole run, of ``batch`` images
    """
    config = target.engine
    layers = results_of_layers(config, infos, batch, events.by_unit)
    cycles = events.cycles
    moved = [bytes_moved(config, event.command) for unit in Unit for event in events.by_unit[unit]]
    read, written = (sum(column) for column in zip(*moved, strict=True))
    macs = sum(layer.macs for layer in layers)
    board = None if target.board is None else get_board(target.board)
    resources = resources_of(config, board)
    # Of a network without layers, whose outputs are inputs, all is in one row.
    opened = None if events.flights is None else events.flights.activations
    counted = counts(config, max(1, len(layers)), events.by_unit, opened)
    of_layers = np.array([layer.cycles for layer in layers] or [cycles], dtype=np.float64)
    rates = rates_of(target, resources.flip_flops)
    buffers = config.act_bytes + config.weight_bytes + config.out_bytes + config.offset_bytes
    milliseconds = cycles / target.clock_mhz / 1e3
    peak = config.multipliers * cycles
    per = "image" if batch == 1 else f"{batch} images"
    clock = f"{target.clock_mhz:g} MHz"
    return Estimate(
        cycles=Figure.exact(cycles, f"cycles/{per}", "cycle model"),
        latency=Figure.exact(milliseconds, f"ms/{per}", clock),
        rate=_rate(batch, milliseconds, clock),
        utilization=Figure.exact(macs / peak, "of peak", "cycle model"),
        read=Figure.exact(read, f"bytes/{per}", "commands"),
        written=Figure.exact(written, f"bytes/{per}", "commands"),
        buffers=Figure.exact(buffers, "bytes", "configuration"),
        resources=resources,
        energy=energy_of(counted, of_layers, costs_of(target, resources.flip_flops), rates),
        layers=layers,
    )
