"""A batch through one executor."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.api.cycles import layer_results
from tilewright.api.result import Backend, Progress, Result, SimulationError
from tilewright.api.runs import RtlRunner, Run, run_isa
from tilewright.errors import Error, require_type
from tilewright.program import Program


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
    require_type("simulate", "program", program, Program)
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
    for index in range(count):
        memory = program.memory([array[index] for array in arrays])

        def report(fraction: float, index: int = index) -> None:
            if progress is not None:
                progress(index + fraction, count)

        run = runner.run(index, memory, report) if runner else run_isa(program, memory, report)
        outputs.append(program.outputs(memory))
        first = first or run
        if run.cycles != first.cycles:
            raise SimulationError(
                f"image {index} took {run.cycles} cycles and image 0 {first.cycles}: with fixed "
                "memory latency they must be equal"
            )
        report(1.0)
    assert first is not None
    stacked = program.presented([np.stack(column) for column in zip(*outputs, strict=True)])
    layers = layer_results(program, first.events)
    return Result(
        program, backend, stacked, first.cycles, layers, first.starts, first.dones, first.counters
    )
