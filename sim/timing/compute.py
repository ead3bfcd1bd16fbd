"""Exact timing of compute commands, in closed form.

Nothing in the compute unit stalls once a command has started, so its cycles follow from its
fields. The constants are those of the components.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from tilewright.compiler.isa import Compute, EngineConfig
from tilewright.hdl.compute import ComputeUnit
from tilewright.hdl.drain import Drain


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
    segments = command.n_r * command.n_s
    return segments * ((command.n_cg - 1) * command.segment + command.last_segment)


def compute_timing(config: EngineConfig, command: Compute) -> ComputeTiming:
    """Return the cycles of a command."""
    parts = gcd(command.stride_x, config.cols)
    taps = command.n_r * command.n_s
    last_segment = max(command.last_segment, parts)
    busy = taps * ((command.n_cg - 1) * max(command.segment, parts) + last_segment)
    passes = command.n_oy * command.n_ox
    whole = max(busy, config.drain_cycles)
    group = parts + 1 + config.parameter_pause + config.param_words + passes * whole
    # First cycle of the last pass, and of its last segment.
    last_pass = ComputeUnit.START_LATENCY + command.n_kg * group - whole
    burst = last_pass + busy - last_segment + parts - 1
    capture = burst + ComputeUnit.CAPTURE_LATENCY + command.last_segment - 1
    idle = last_pass + whole
    return ComputeTiming(
        free=max(idle, capture + ComputeUnit.settle_cycles(config)) + 1,
        done=capture + config.drain_cycles + Drain.latency(config),
        steps=command.n_kg * passes * pass_steps(command),
    )
