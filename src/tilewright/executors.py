"""Running programs: three executors that must agree."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.errors import Error
from tilewright.isa import Unit
from tilewright.isa.layout import align
from tilewright.isa.registers import Status
from tilewright.program import Program
from tilewright.sim.isa.machine import Machine
from tilewright.sim.rtl import Checkpoint, RtlEngine
from tilewright.sim.stats import LayerStats, layer_stats
from tilewright.sim.timeline import write_timeline
from tilewright.sim.timing.compute import compute_timings

Backend = Literal["golden", "isa", "rtl"]
PROGRESS_CYCLES = 2_000  # of RTL from report to report, a fraction of a second
Progress = Callable[[float, int], None]
"""Called with the images done, in fractions while one runs, and the images in all."""


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

    def write_timeline(self, path: str | os.PathLike[str]) -> None:
        """Write every command of the first image, one track per unit, for ui.perfetto.dev."""
        if self.cycles is None:
            raise Error(f"the {self.backend} executor counts no cycles: use 'isa' or 'rtl'")
        commands = {unit: self.program.commands(unit) for unit in Unit}
        names = [layer.name for layer in self.program.layers]
        write_timeline(Path(path), names, commands, self.starts, self.dones)

    def dequantized(self) -> list[NDArray[np.float64]]:
        """Return the outputs as the floats that PyTorch would have given."""
        graph = self.program.graph
        kinds = [graph.values[op.input] for op in graph.outputs]
        return [
            (kind.scale * (array - kind.zero_point)).astype(np.float64)
            for kind, array in zip(kinds, self.outputs, strict=True)
        ]


def simulate(
    program: Program,
    inputs: Any,
    *,
    backend: Backend = "isa",
    progress: Progress | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    waves: tuple[str | os.PathLike[str], int, int] | None = None,
) -> Result:
    """Run a program on a batch of inputs, image by image.

    Parameters
    ----------
    inputs : what the PyTorch model takes, or integers on the input's grid
    backend : "golden" (the integer graph in NumPy), "isa" (commands on a memory model, with exact
        cycles) or "rtl" (the generated Verilog in Verilator)
    progress : called now and then
    checkpoint : rtl only: a directory that keeps the state of the run; a run that was interrupted
        goes on from there
    waves : rtl only: a .vcd or .fst file, and the first and last cycle of the first image that it
        records

    Raises
    ------
    ProgramError
        If the inputs do not fit.
    SimulationError
        If the engine stops with an error status.
    RtlError
        If a tool fails, or the checkpoint is of another run.
    """
    arrays = program.quantize(inputs)
    count = len(arrays[0])
    if backend == "golden":
        return Result(program, backend, program.reference(arrays), None, (), {}, {}, {})
    if backend not in ("isa", "rtl"):
        raise Error(f"backend must be 'golden', 'isa' or 'rtl', not {backend!r}")
    if backend != "rtl" and (checkpoint or waves):
        raise Error(f"the {backend} executor has no checkpoint and no waveforms: use 'rtl'")
    runner = _Rtl(program, waves=waves, checkpoint=checkpoint) if backend == "rtl" else None
    outputs: list[list[NDArray[np.int64]]] = []
    first: _Run | None = None
    for index in range(count):
        memory = program.memory([array[index] for array in arrays])

        def report(fraction: float, index: int = index) -> None:
            if progress is not None:
                progress(index + fraction, count)

        run = runner.run(index, memory, report) if runner else _run_isa(program, memory, report)
        outputs.append(program.outputs(memory))
        first = first or run
        if run.cycles != first.cycles:
            raise SimulationError(
                f"image {index} took {run.cycles} cycles and image 0 {first.cycles}: with fixed "
                "memory latency they must be equal"
            )
        report(1.0)
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


def _run_isa(program: Program, memory: NDArray[np.uint8], report: Callable[[float], None]) -> _Run:
    machine = Machine(program.engine, memory, program.target.memory)
    total = sum(count for _, count in program.streams.values())
    events = machine.run(
        program.streams[Unit.LOAD][0],
        program.boot_count,
        progress=lambda executed: report(min(1.0, executed / total)),
    )
    assert machine.finished is not None
    return _Run(
        machine.finished + 1,
        {unit: [event.start for event in stream] for unit, stream in events.items()},
        {unit: [event.done for event in stream] for unit, stream in events.items()},
        {},
    )


class _Rtl:
    """The engine's RTL, and where the state of its runs is kept."""

    def __init__(
        self,
        program: Program,
        *,
        waves: tuple[str | os.PathLike[str], int, int] | None,
        checkpoint: str | os.PathLike[str] | None,
    ) -> None:
        self._program = program
        self._waves = waves
        self._directory = None if checkpoint is None else Path(checkpoint)
        if self._directory is not None:
            self._directory.mkdir(parents=True, exist_ok=True)
        self._engine = RtlEngine(program.engine, waves=waves is not None)
        # The array's time up to each of its commands: what progress is measured by.
        timings = compute_timings(program.engine, program.commands(Unit.COMPUTE))
        cycles = [timing.free for _, timing in timings]
        self._cycles = np.concatenate([[0], np.cumsum(cycles)])

    def run(self, index: int, memory: NDArray[np.uint8], report: Callable[[float], None]) -> _Run:
        program = self._program
        # The base register counts whole pages.
        assert memory.size == align(memory.size, 4096)
        key = hashlib.sha256(f"{self._engine.path.name} {program.target.memory}".encode())
        key.update(memory.tobytes())
        finished = state = None
        if self._directory is not None:
            finished = self._directory / f"image-{index}-{key.hexdigest()[:16]}.npz"
            state = Checkpoint(self._directory / f"image-{index}.state", key.hexdigest())
            if finished.exists():
                return _load_run(finished, memory)
        with self._engine.session() as session:
            if self._waves is not None and index == 0:
                session.record_waves(*self._waves)
            done = session.run(
                memory,
                0,
                program.streams[Unit.LOAD][0],
                program.boot_count,
                program.target.memory,
                progress=lambda _: report(
                    float(self._cycles[session.completed[Unit.COMPUTE]] / self._cycles[-1])
                ),
                progress_interval=PROGRESS_CYCLES,
                checkpoint=state,
            )
        if done.status is not Status.DONE:
            raise SimulationError(
                f"the engine stopped with {done.status.name} at command {done.index} of the "
                f"{done.unit.name.lower()} unit"
            )
        starts = {unit: done.starts[unit].tolist() for unit in Unit}
        dones = {unit: done.dones[unit].tolist() for unit in Unit}
        counters = done.counters if program.engine.counters else {}
        # Without a counter: the run ends with the last load command.
        cycles = done.cycles if program.engine.counters else dones[Unit.LOAD][-1] + 1
        run = _Run(cycles, starts, dones, counters)
        if finished is not None:
            _save_run(finished, run, memory)
        return run


def _save_run(path: Path, run: _Run, memory: NDArray[np.uint8]) -> None:
    """Keep a finished image's run, so that a batch that is interrupted does not repeat it."""
    temporary = path.with_name(path.name + ".tmp")
    record = {
        "cycles": run.cycles,
        "counters": dict(run.counters),
        "starts": [run.starts[unit] for unit in Unit],
        "dones": [run.dones[unit] for unit in Unit],
    }
    with temporary.open("wb") as file:
        np.savez(file, memory=memory, record=np.array(json.dumps(record)))
    temporary.replace(path)


def _load_run(path: Path, memory: NDArray[np.uint8]) -> _Run:
    with np.load(path, allow_pickle=False) as archive:
        memory[:] = archive["memory"]
        record = json.loads(str(archive["record"]))
    return _Run(
        record["cycles"],
        dict(zip(Unit, record["starts"], strict=True)),
        dict(zip(Unit, record["dones"], strict=True)),
        record["counters"],
    )


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
