"""What a report shows of a program, as plain numbers.

Ideal time, gap and waterline after "On the Efficiency of Convolutional Neural Networks" (2024): the
ideal is operations over the peak; what is attainable is bounded by the peak and, layer by layer, by
intensity times bandwidth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tilewright.api.cycles import events_of
from tilewright.api.estimate import Estimate, estimate
from tilewright.estimation.energies import Cause
from tilewright.estimation.structure import array_multipliers
from tilewright.hdl.memory.chip import CHIPS
from tilewright.isa import Unit
from tilewright.program import Program
from tilewright.sim.events import Event
from tilewright.sim.timing import SDRAM, LargeMemory
from tilewright.target import Target

__all__ = ["Analysis", "Bin", "Gap", "Held", "LayerPoint", "analyse", "bytes_per_cycle"]

#: Of the run, in which a unit is shown as busy or not.
BINS = 240
#: What a layer's cycles are made of, in the order in which they are stacked.
GAPS = ("ideal", "tiling", "drain", "weights", "activations", "stores", "results", "commands")


@dataclass(frozen=True)
class Gap:
    """A layer's cycles by cause.

    ``ideal``: products by the peak, or what tiles of results leave of them; ``tiling``: cells
    beside an image's edge or without a channel; ``drain``: passes that wait for results, first
    windows, parameters, the end of a run; the others: what the array waited for.
    """

    layer: str
    index: int
    cycles: Mapping[str, float]


@dataclass(frozen=True)
class LayerPoint:
    """A layer, or layers that run together, under the roofline.

    Parameters
    ----------
    intensity : products for each byte to or from memory; None if there is none
    unfused : intensity if every layer read its inputs from memory and wrote its outputs
    rate : products a cycle
    """

    name: str
    macs: int
    cycles: int
    intensity: float | None
    unfused: float
    rate: float


@dataclass(frozen=True)
class Bin:
    """A unit in a part of the run: the share of cycles in which it runs, and for which layer."""

    unit: str
    start: float
    end: float
    busy: float
    layer: str


@dataclass(frozen=True)
class Held:
    """Buffers while layers run together: shares in use."""

    layers: str
    start: int
    end: int
    activations: float
    weights: float


@dataclass(frozen=True)
class Analysis:
    """What a page shows of one program.

    Parameters
    ----------
    bandwidth : bytes a cycle to or from memory, at most
    waterline : products a cycle that are attainable with the program's traffic, and unfused, if
        every layer loads its own; what is loaded during the layer before can be faster
    """

    name: str
    program: Program
    estimate: Estimate
    bandwidth: float
    gaps: tuple[Gap, ...]
    points: tuple[LayerPoint, ...]
    waterline: tuple[float, float]
    bins: tuple[Bin, ...]
    held: tuple[Held, ...]


def bytes_per_cycle(target: Target) -> float:
    """Return the bytes that memory moves in a cycle, at most."""
    if isinstance(target.memory, SDRAM):
        width = CHIPS[target.memory.chip].data_width / 8
        return min(width, target.engine.bus_bytes)
    if isinstance(target.memory, LargeMemory):
        return target.engine.bus_bytes * target.memory.beats_per_cycle(target.engine)
    return float(target.engine.bus_bytes)


def analyse(program: Program, name: str) -> Analysis:
    """Return what a page shows of a program."""
    found = estimate(program)
    events = events_of(program).by_unit
    bandwidth = bytes_per_cycle(program.target)
    points = _points(program, found)
    peak = program.engine.multipliers
    return Analysis(
        name=name,
        program=program,
        estimate=found,
        bandwidth=bandwidth,
        gaps=_gaps(program, found),
        points=points,
        waterline=(
            _waterline([(p.macs, p.intensity) for p in points], peak, bandwidth),
            _waterline([(p.macs, p.unfused) for p in points], peak, bandwidth),
        ),
        bins=tuple(_bins(program, events, round(found.cycles.value))),
        held=tuple(_held(program, events)),
    )


def _gaps(program: Program, found: Estimate) -> tuple[Gap, ...]:
    peak = program.engine.multipliers
    steps = found.energy.counts[:, list(Cause).index(Cause.MULTIPLY)]
    steps = steps / array_multipliers(program.engine)
    gaps = []
    for index, layer in enumerate(found.layers):
        ideal = min(layer.macs / peak, float(steps[index]))
        waited = {cause: float(layer.stalls[cause]) for cause in GAPS[3:]}
        parts = {"ideal": ideal, "tiling": float(steps[index]) - ideal, "drain": 0.0} | waited
        parts["drain"] = max(0.0, layer.cycles - sum(parts.values()))
        gaps.append(Gap(layer.name, index, parts))
    return tuple(gaps)


def _points(program: Program, found: Estimate) -> tuple[LayerPoint, ...]:
    """Return a point for each layer."""
    graph, points = program.graph, []
    for op, layer in zip(graph.layers, found.layers, strict=True):
        moved = layer.bytes_read + layer.bytes_written
        values = {*op.inputs, *op.outputs}
        weights = sum(array.size for array in vars(op).values() if isinstance(array, np.ndarray))
        alone = sum(graph.values[value].numel for value in values) + weights
        if layer.macs:
            points.append(
                LayerPoint(
                    name=layer.name,
                    macs=layer.macs,
                    cycles=layer.cycles,
                    intensity=layer.macs / moved if moved else None,
                    unfused=layer.macs / alone,
                    rate=layer.macs / max(1, layer.cycles),
                )
            )
    return tuple(points)


def _waterline(layers: Sequence[tuple[int, float | None]], peak: float, bandwidth: float) -> float:
    """Return the rate at which all layers together can run at most, in products a cycle."""
    time = sum(
        macs / min(peak, peak if intensity is None else intensity * bandwidth)
        for macs, intensity in layers
    )
    return sum(macs for macs, _ in layers) / time if time else 0.0


def _bins(program: Program, events: Mapping[Unit, Sequence[Event]], cycles: int) -> list[Bin]:
    """Return how busy each unit is, part by part of the run."""
    width = max(1, -(-cycles // BINS))
    count = -(-cycles // width)
    names = [layer.name for layer in program.layers]
    bins = []
    for unit in Unit:
        busy = np.zeros((count, max(1, len(names))))
        for event in events[unit]:
            last = min(event.free, cycles) if unit is Unit.COMPUTE else event.done + 1
            for at in range(event.start // width, min(count, (last - 1) // width + 1)):
                inside = min(last, (at + 1) * width) - max(event.start, at * width)
                busy[at, event.command.layer] += max(0, inside)
        for at in range(count):
            total, layer = float(busy[at].sum()), int(busy[at].argmax())
            if total:
                end = min(cycles, (at + 1) * width)
                share = round(min(1.0, total / (end - at * width)), 4)
                label = names[layer] if names else ""
                bins.append(Bin(unit.name.lower(), at * width, end, share, label))
    return bins


def _held(program: Program, events: Mapping[Unit, Sequence[Event]]) -> list[Held]:
    """Return what buffers hold while each group of layers runs."""
    config, held = program.engine, []
    spans: dict[str, tuple[int, int]] = {}
    for event in events[Unit.COMPUTE]:
        name = program.layers[event.command.layer].name
        first, last = spans.get(name, (event.start, event.free))
        spans[name] = min(first, event.start), max(last, event.free)
    for group in program.schedule:
        names = [layer.name for layer in group.layers]
        times = [spans[name] for name in names if name in spans]
        if times:
            held.append(
                Held(
                    layers=names[0] if len(names) == 1 else f"{names[0]} .. {names[-1]}",
                    start=min(first for first, _ in times),
                    end=max(last for _, last in times),
                    activations=group.lane_words / config.act_depth,
                    weights=group.weight_words / config.weight_depth,
                )
            )
    return held
