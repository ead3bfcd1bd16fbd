"""One run through one executor: commands on a memory model, or the RTL."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilewright.api.cycles import events_of, replayed
from tilewright.api.result import SimulationError
from tilewright.files import fresh_file
from tilewright.isa import Unit
from tilewright.isa.layout import align
from tilewright.isa.registers import Status
from tilewright.program import Program
from tilewright.sim.effects import Machine
from tilewright.sim.events import Event
from tilewright.sim.rtl import Checkpoint, RtlEngine
from tilewright.sim.timing import SDRAM
from tilewright.sim.timing.compute import compute_timings

PROGRESS_CYCLES = 2_000  # of RTL from report to report, a fraction of a second
SPARE_CYCLES = 100_000  # of RTL beyond those predicted, after which a run is given up


@dataclass(frozen=True)
class Run:
    """A run of a program: its cycles, and every command's by unit."""

    cycles: int
    events: Mapping[Unit, Sequence[Event]]
    counters: Mapping[str, int]

    @property
    def starts(self) -> dict[Unit, list[int]]:
        """Cycle in which each command started."""
        return {unit: [event.start for event in stream] for unit, stream in self.events.items()}

    @property
    def dones(self) -> dict[Unit, list[int]]:
        """Cycle in which each command was complete."""
        return {unit: [event.done for event in stream] for unit, stream in self.events.items()}


def run_isa(program: Program, memory: NDArray[np.uint8], report: Callable[[float], None]) -> Run:
    """Run the commands on the memory model; the outputs are in ``memory`` afterwards."""
    machine = Machine(program.engine, memory, program.target.memory, strict=True)
    total = sum(count for _, count in program.streams.values())
    events = machine.run(
        program.streams[Unit.LOAD][0],
        program.boot_count,
        progress=lambda executed: report(min(1.0, executed / total)),
    )
    assert machine.finished is not None
    return Run(machine.finished + 1, events, {})


class RtlRunner:
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
        memory = program.target.memory
        self._engine = RtlEngine(
            program.engine,
            sdram=memory if isinstance(memory, SDRAM) else None,
            waves=waves is not None,
        )
        # The array's time up to each of its commands: what progress is measured by.
        timings = compute_timings(program.engine, program.commands(Unit.COMPUTE))
        cycles = [timing.free for _, timing in timings]
        self._cycles = np.concatenate([[0], np.cumsum(cycles)])
        self._limit = events_of(program).cycles + SPARE_CYCLES

    def run(self, index: int, memory: NDArray[np.uint8], report: Callable[[float], None]) -> Run:
        """Run images for the ``index``-th time, or take a finished run of the same.

        The outputs are in ``memory`` afterwards.
        """
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
                return _load(program, finished, memory)
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
                cycle_limit=self._limit,
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
        run = Run(cycles, replayed(program, starts, dones), counters)
        if finished is not None:
            _save(finished, run, memory)
        return run


def _save(path: Path, run: Run, memory: NDArray[np.uint8]) -> None:
    """Keep a finished run, so that a batch that is interrupted does not repeat it."""
    record = {
        "cycles": run.cycles,
        "counters": dict(run.counters),
        "starts": list(run.starts.values()),
        "dones": list(run.dones.values()),
    }
    with fresh_file(path) as fresh, fresh.open("wb") as file:
        np.savez(file, memory=memory, record=np.array(json.dumps(record)))


def _load(program: Program, path: Path, memory: NDArray[np.uint8]) -> Run:
    with np.load(path, allow_pickle=False) as archive:
        memory[:] = archive["memory"]
        record = json.loads(str(archive["record"]))
    starts = dict(zip(Unit, record["starts"], strict=True))
    dones = dict(zip(Unit, record["dones"], strict=True))
    return Run(record["cycles"], replayed(program, starts, dones), record["counters"])
