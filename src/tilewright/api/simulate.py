"""A batch through one executor."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from tilewright.api.cycles import layer_results
from tilewright.api.hosted import HostedResult
from tilewright.api.result import Backend, Progress, Result, SimulationError
from tilewright.api.runs import RtlRunner, Run, run_isa
from tilewright.errors import Error, require_type
from tilewright.program import AnyProgram, HostedProgram, Program

Folder = str | os.PathLike[str]
Waves = tuple[str | os.PathLike[str], int, int]


@overload
def simulate(
    program: Program,
    inputs: Any,
    *,
    backend: Backend = ...,
    progress: Progress | None = ...,
    checkpoint: Folder | None = ...,
    waves: Waves | None = ...,
) -> Result: ...
@overload
def simulate(
    program: AnyProgram,
    inputs: Any,
    *,
    backend: Backend = ...,
    progress: Progress | None = ...,
    checkpoint: Folder | None = ...,
    waves: Waves | None = ...,
) -> Result | HostedResult: ...
def simulate(
    program: AnyProgram,
    inputs: Any,
    *,
    backend: Backend = "isa",
    progress: Progress | None = None,
    checkpoint: Folder | None = None,
    waves: Waves | None = None,
) -> Result | HostedResult:
    """Run a program on any number of images, a run for as many as it computes at once.

    Parts for the host run in their places.

    Parameters
    ----------
    inputs : what the PyTorch model takes, or integers on the input's grid
    backend : "golden" (the integer graph in NumPy), "isa" (commands on a memory model, with exact
        cycles) or "rtl" (the generated Verilog in Verilator)
    progress : called now and then, with images
    checkpoint : rtl only: a directory that keeps the state of the run; a run that was interrupted
        goes on from there
    waves : rtl only: a .vcd or .fst file, and the first and last cycle of the first run that it
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
    require_type("simulate", "program", program, Program, HostedProgram)
    if isinstance(program, HostedProgram):
        return _hosted(program, inputs, backend, progress, checkpoint, waves)
    arrays = program.quantize(inputs)
    count = len(arrays[0])
    if backend == "golden":
        return Result(program, backend, program.reference(arrays), None, (), {}, {}, {})
    if backend not in ("isa", "rtl"):
        raise Error(f"backend must be 'golden', 'isa' or 'rtl', not {backend!r}")
    if backend != "rtl" and (checkpoint or waves):
        raise Error(f"the {backend} executor has no checkpoint and no waveforms: use 'rtl'")
    runner = RtlRunner(program, waves=waves, checkpoint=checkpoint) if backend == "rtl" else None
    outputs: list[list[NDArray[np.int64]]] = []
    first: Run | None = None
    for index, images in enumerate(program.batches(arrays)):
        memory = program.memory(images)
        done, some = index * program.batch, len(images[0])

        def report(fraction: float, done: int = done, some: int = some) -> None:
            if progress is not None:
                progress(done + some * fraction, count)

        run = runner.run(index, memory, report) if runner else run_isa(program, memory, report)
        outputs.append([tensors[:some] for tensors in program.outputs(memory)])
        first = first or run
        if run.cycles != first.cycles:
            raise SimulationError(
                f"run {index} took {run.cycles} cycles and run 0 {first.cycles}: with fixed "
                "memory latency they must be equal"
            )
        report(1.0)
    assert first is not None
    stacked = program.presented([np.concatenate(column) for column in zip(*outputs, strict=True)])
    layers = layer_results(program, first.events)
    return Result(
        program, backend, stacked, first.cycles, layers, first.starts, first.dones, first.counters
    )


def _hosted(
    program: HostedProgram,
    inputs: Any,
    backend: Backend,
    progress: Progress | None,
    checkpoint: Folder | None,
    waves: Waves | None,
) -> HostedResult:
    count = len(program.programs)
    if waves is not None and count > 1:
        raise Error(f"waveforms of one program, not of {count}: simulate `program.programs[i]`")
    parts: list[Result] = []

    def run(number: int, part: Program, arrays: list[Any]) -> list[NDArray[np.float64]]:
        def report(done: float, total: int) -> None:
            if progress is not None:
                progress((number * total + done) / count, total)

        folder = None if checkpoint is None else Path(checkpoint) / f"part-{number}"
        result = simulate(
            part, arrays, backend=backend, progress=report, checkpoint=folder, waves=waves
        )
        parts.append(result)
        return result.dequantized()

    outputs = program.run(inputs, run)
    return HostedResult(program, backend, outputs, tuple(parts))
