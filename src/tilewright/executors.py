"""Running programs: three executors that must agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.isa import Unit
from tilewright.compiler.isa.layout import align
from tilewright.compiler.isa.registers import Status
from tilewright.errors import Error
from tilewright.program import Program
from tilewright.sim.isa.machine import Machine
from tilewright.sim.rtl import RtlEngine
from tilewright.sim.stats import LayerStats, layer_stats

Backend = Literal["golden", "isa", "rtl"]
Progress = Callable[[int, int], None]
"""Called with the images done and the images in all."""


class SimulationError(Error):
    """The engine stopped with an error; there are no outputs."""


class DivergenceError(Error):
    """Two executors disagree; the message says where first."""


@dataclass(frozen=True)
class LayerResult:
    """A layer's share of one image's run; see :class:`tilewright.sim.stats.LayerStats`."""

    name: str
    kind: str
    macs: int
    cycles: int
    utilization: float
    stalls: Mapping[str, int]
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True)
class Result:
    """What a simulation gave.

    Parameters
    ----------
    program : Program
    backend : str
    outputs : one (N, C, H, W) integer array per output of the model
    cycles : of one image, or None where nothing counts them (golden); the same for every image
    layers : of one image; empty where nothing counts them
    starts, dones : cycles of every command of the first image, by unit
    counters : the engine's own counters after the first image (rtl only)
    """

    program: Program
    backend: str
    outputs: list[NDArray[np.int64]]
    cycles: int | None
    layers: tuple[LayerResult, ...]
    starts: Mapping[Unit, Sequence[int]]
    dones: Mapping[Unit, Sequence[int]]
    counters: Mapping[str, int]

    def dequantized(self) -> list[NDArray[np.float64]]:
        """Return the outputs as the floats that PyTorch would have given."""
        graph = self.program.graph
        kinds = [graph.values[op.input] for op in graph.outputs]
        return [
            (kind.scale * (array - kind.zero_point)).astype(np.float64)
            for kind, array in zip(kinds, self.outputs, strict=True)
        ]


def simulate(
    program: Program, inputs: Any, *, backend: Backend = "isa", progress: Progress | None = None
) -> Result:
    """Run a program on a batch of inputs, image by image.

    Parameters
    ----------
    inputs : what the PyTorch model takes, or integers on the input's grid
    backend : "golden" (the integer graph in NumPy), "isa" (commands on a memory model, with exact
        cycles) or "rtl" (the generated Verilog in Verilator)

    Raises
    ------
    ProgramError
        If the inputs do not fit.
    SimulationError
        If the engine stops with an error status.
    """
    arrays = program.quantize(inputs)
    count = len(arrays[0])
    if backend == "golden":
        return Result(program, backend, program.reference(arrays), None, (), {}, {}, {})
    if backend not in ("isa", "rtl"):
        raise Error(f"backend must be 'golden', 'isa' or 'rtl', not {backend!r}")
    engine = RtlEngine(program.engine) if backend == "rtl" else None
    outputs: list[list[NDArray[np.int64]]] = []
    first: _Run | None = None
    for index in range(count):
        memory = program.memory([array[index] for array in arrays])
        run = _run_rtl(program, engine, memory) if engine else _run_isa(program, memory)
        outputs.append(program.outputs(memory))
        first = first or run
        if run.cycles != first.cycles:
            raise SimulationError(
                f"image {index} took {run.cycles} cycles and image 0 {first.cycles}: with fixed "
                "memory latency they must be equal"
            )
        if progress is not None:
            progress(index + 1, count)
    assert first is not None
    stacked = [np.stack(column) for column in zip(*outputs, strict=True)]
    commands = {unit: program.commands(unit) for unit in Unit}
    stats = layer_stats(program.engine, len(program.layers), commands, first.starts, first.dones)
    layers = tuple(
        _layer_result(program, info, stat) for info, stat in zip(program.layers, stats, strict=True)
    )
    return Result(
        program, backend, stacked, first.cycles, layers, first.starts, first.dones, first.counters
    )


@dataclass(frozen=True)
class _Run:
    cycles: int
    starts: Mapping[Unit, Sequence[int]]
    dones: Mapping[Unit, Sequence[int]]
    counters: Mapping[str, int]


def _run_isa(program: Program, memory: NDArray[np.uint8]) -> _Run:
    machine = Machine(program.engine, memory, program.target.memory)
    events = machine.run(program.streams[Unit.LOAD][0], program.boot_count)
    assert machine.finished is not None
    return _Run(
        machine.finished + 1,
        {unit: [event.start for event in stream] for unit, stream in events.items()},
        {unit: [event.done for event in stream] for unit, stream in events.items()},
        {},
    )


def _run_rtl(program: Program, engine: RtlEngine, memory: NDArray[np.uint8]) -> _Run:
    # The base register counts whole pages.
    assert memory.size == align(memory.size, 4096)
    run = engine.run(
        memory, 0, program.streams[Unit.LOAD][0], program.boot_count, program.target.memory
    )
    if run.status is not Status.DONE:
        raise SimulationError(
            f"the engine stopped with {run.status.name} at command {run.index} of the "
            f"{run.unit.name.lower()} unit"
        )
    starts = {unit: run.starts[unit].tolist() for unit in Unit}
    dones = {unit: run.dones[unit].tolist() for unit in Unit}
    return _Run(run.cycles, starts, dones, run.counters)


def _layer_result(program: Program, info: Any, stats: LayerStats) -> LayerResult:
    peak = program.engine.multipliers * stats.cycles
    return LayerResult(
        name=info.name,
        kind=info.kind,
        macs=info.macs,
        cycles=stats.cycles,
        utilization=info.macs / peak if peak else 0.0,
        stalls=dict(stats.stalls),
        bytes_read=stats.bytes_read,
        bytes_written=stats.bytes_written,
    )


@dataclass(frozen=True)
class Verification:
    """What was compared: elements, commands, and the cycles of one image."""

    elements: int
    commands: int
    cycles: int
    results: Mapping[str, Result]


def verify(program: Program, inputs: Any, *, progress: Progress | None = None) -> Verification:
    """Run all backends and compare every output element and every command's cycles.

    Raises
    ------
    DivergenceError
        At the first difference: output, image, channel, row and column with both values, or the
        command with both cycles.
    """
    arrays = program.quantize(inputs)
    results = {
        name: simulate(program, arrays, backend=name, progress=progress)
        for name in ("golden", "isa", "rtl")
    }
    elements = 0
    for name in ("isa", "rtl"):
        compare_outputs(program, results["golden"], results[name])
        elements += sum(array.size for array in results[name].outputs)
    compare_cycles(program, results["isa"], results["rtl"])
    cycles = results["isa"].cycles
    assert cycles is not None
    commands = sum(len(stream) for stream in results["isa"].dones.values())
    return Verification(elements, commands, cycles, results)


def compare_outputs(program: Program, expected: Result, actual: Result) -> None:
    """Raise :class:`DivergenceError` at the first output element that differs."""
    for op, want, have in zip(program.graph.outputs, expected.outputs, actual.outputs, strict=True):
        different = np.argwhere(want != have)
        if len(different):
            image, channel, row, column = map(int, different[0])
            raise DivergenceError(
                f"{op.name}: image {image}, channel {channel}, row {row}, column {column}: "
                f"{expected.backend} {want[tuple(different[0])]}, {actual.backend} "
                f"{have[tuple(different[0])]}; {len(different)} of {want.size} elements differ"
            )


def compare_cycles(program: Program, expected: Result, actual: Result) -> None:
    """Raise :class:`DivergenceError` at the first command that starts or ends at another cycle."""
    for unit in Unit:
        commands = program.commands(unit)
        for what in ("starts", "dones"):
            want, have = getattr(expected, what)[unit], getattr(actual, what)[unit]
            for index, (a, b) in enumerate(zip(want, have, strict=True)):
                if a != b:
                    layer = program.layers[commands[index].layer].name
                    raise DivergenceError(
                        f"{layer}: {unit.name.lower()} command {index} "
                        f"({type(commands[index]).__name__}) {what[:-1]} in cycle {a} by "
                        f"{expected.backend}, {b} by {actual.backend}"
                    )
    if expected.cycles != actual.cycles:
        raise DivergenceError(
            f"{expected.backend} takes {expected.cycles} cycles, {actual.backend} {actual.cycles}"
        )
