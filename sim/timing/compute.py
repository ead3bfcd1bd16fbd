"""Exact timing of compute commands, in closed form.

Nothing in the compute unit stalls once a command has started, so its cycles follow from its
fields. The constants are those of the components.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import gcd

from tilewright.hdl.compute import ComputeUnit
from tilewright.hdl.drain.partial import drain_span, pass_span
from tilewright.hdl.drain.unit import Drain
from tilewright.isa import Command, Compute, Deform, EngineConfig


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


def pass_steps(command: Compute) -> int:
    """Return the steps of one pass."""
    return command.windows * ((command.n_cg - 1) * command.segment + command.last_segment)


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
    # Accesses that make a window.
    parts = command.taps if command.transform else gcd(command.stride_x, config.cols)
    last_parts = parts  # of the last word of a row
    if deform is not None:
        parts, last_parts = config.cols, deform.last_parts
    shortest = shortest_pass(config, command)
    whole = max(_busy(command, parts), shortest)
    busy = _busy(command, last_parts)
    last_whole = max(busy, shortest)
    last_segment = max(command.last_segment, last_parts)
    row = (command.n_ox - 1) * whole + last_whole
    pause = (1 if command.transform else parts) + config.parameter_pause
    group = pause + 1 + config.param_words + command.n_oy * row
    # First cycle of the last pass, and of its last segment.
    last_pass = ComputeUnit.start_latency(config) + command.n_kg * group - last_whole
    burst = last_pass + busy - last_segment + last_parts - 1
    burst += ComputeUnit.SAMPLE_DELAY if deform is not None else 0
    capture = burst + ComputeUnit.capture_latency(config) + command.last_segment - 1
    idle = last_pass + last_whole
    drain = config.drain_cycles
    if command.partial:
        drain = drain_span(config, command.tile_h, command.tile_w, bool(command.last))
    done = capture + drain + Drain.latency(config)
    array = max(idle, capture + ComputeUnit.settle_cycles(config, drain))
    return ComputeTiming(
        free=(array if config.prefetch else done) + 1,
        done=done,
        steps=command.n_kg * command.n_oy * command.n_ox * pass_steps(command),
    )


def _busy(command: Compute, parts: int) -> int:
    """Return the cycles of a pass whose windows have so many parts."""
    last = max(command.last_segment, parts)
    return command.windows * ((command.n_cg - 1) * max(command.segment, parts) + last)


def shortest_pass(config: EngineConfig, command: Compute) -> int:
    """Return the cycles that a pass takes at least, however little it computes."""
    if not command.partial:
        return config.drain_cycles
    return pass_span(config, command.tile_h, command.tile_w, bool(command.last))
