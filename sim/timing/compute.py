"""Exact timing of compute commands, in closed form.

Nothing in the compute unit stalls once a command has started, so its cycles follow from its
fields. The constants are those of the components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tilewright.hdl.compute import ComputeUnit
from tilewright.hdl.drain.unit import Drain
from tilewright.isa import Command, Compute, Deform, EngineConfig
from tilewright.isa.passes import (
    PassShape,
    command_drain,
    command_parts,
    kernel_group_cycles,
    shortest_pass,
)


@dataclass(frozen=True)
class ComputeTiming:
    """Cycles of a compute command, counted from its start.

    Parameters
    ----------
    free : the next command can start
    done : the done pulse
    steps : in which the array multiplied
    """

    free: int
    done: int
    steps: int


def deform_timing() -> ComputeTiming:
    """Return the cycles of a Deform, which is taken at once."""
    return ComputeTiming(free=1, done=ComputeUnit.DEFORM, steps=0)


def compute_timings(
    config: EngineConfig, commands: Iterable[Command]
) -> Iterator[tuple[Command, ComputeTiming]]:
    """Yield each command of a compute stream with its cycles."""
    deform = None
    for command in commands:
        if isinstance(command, Compute):
            yield command, compute_timing(config, command, deform)
        else:
            yield command, deform_timing()
        deform = command if isinstance(command, Deform) else None


def compute_timing(
    config: EngineConfig, command: Compute, deform: Deform | None = None
) -> ComputeTiming:
    """Return the cycles of a command, with the Deform before it if there is one."""
    parts = last_parts = command_parts(config, command)
    if deform is not None:
        parts, last_parts = config.cols, deform.last_parts
    shape = PassShape.of(config, command)
    busy = shape.cycles(last_parts)  # of the last word of a row
    last_whole = max(busy, shortest_pass(config, command))
    group = kernel_group_cycles(config, command, parts, last_parts)
    # First cycle of the last pass, and of its last segment.
    last_pass = ComputeUnit.start_latency(config) + command.n_kg * group - last_whole
    burst = last_pass + busy - max(shape.last_segment, last_parts) + last_parts - 1
    burst += ComputeUnit.SAMPLE_DELAY if deform is not None else 0
    capture = burst + ComputeUnit.capture_latency(config) + shape.last_segment - 1
    idle = last_pass + last_whole
    drain = command_drain(config, command)
    done = capture + drain + Drain.latency(config)
    array = max(idle, capture + ComputeUnit.settle_cycles(config, drain))
    return ComputeTiming(
        free=(array if config.prefetch else done) + 1,
        done=done,
        steps=command.n_kg * command.passes * shape.steps,
    )
