"""When the commands of a program run, and what of it each layer has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tilewright.api.result import LayerResult
from tilewright.isa import EngineConfig, Fetch, Unit
from tilewright.program import LayerInfo, Program
from tilewright.sim.events import Event, Events, Replay
from tilewright.sim.fetched import memory_reader
from tilewright.sim.report import LayerStats, layer_stats


def events_of(program: Program) -> Events:
    """Return when each command of a program starts and ends, which no value changes."""
    reader = memory_reader(program.engine, program.image)
    return Events(program.engine, program.target.memory, reader, _boot(program)).complete()


def replayed(
    program: Program, starts: Mapping[Unit, Sequence[int]], dones: Mapping[Unit, Sequence[int]]
) -> Mapping[Unit, Sequence[Event]]:
    """Return the events of a run that started and completed its commands in these cycles."""
    replay = Replay(
        program.engine,
        program.target.memory,
        memory_reader(program.engine, program.image),
        _boot(program),
        starts=starts,
        dones=dones,
    )
    return replay.complete().by_unit


def _boot(program: Program) -> Fetch:
    address, _ = program.streams[Unit.LOAD]
    return Fetch(address=address, unit=Unit.LOAD, count=program.boot_count)


def layer_results(
    program: Program, events: Mapping[Unit, Sequence[Event]]
) -> tuple[LayerResult, ...]:
    """Return each layer's share of a run."""
    return results_of_layers(program.engine, program.layers, program.batch, events)


def results_of_layers(
    config: EngineConfig,
    layers: Sequence[LayerInfo],
    batch: int,
    events: Mapping[Unit, Sequence[Event]],
) -> tuple[LayerResult, ...]:
    """Return each layer's share of a run of ``batch`` images."""
    stats = layer_stats(config, len(layers), events)
    return tuple(
        _layer_result(config.multipliers, info, stat, batch)
        for info, stat in zip(layers, stats, strict=True)
    )


def _layer_result(multipliers: int, info: LayerInfo, stats: LayerStats, batch: int) -> LayerResult:
    peak, macs = multipliers * stats.cycles, info.macs * batch
    return LayerResult(
        name=info.name,
        kind=info.kind,
        macs=macs,
        cycles=stats.cycles,
        utilization=macs / peak if peak else 0.0,
        stalls=dict(stats.stalls),
        bytes_read=stats.bytes_read,
        bytes_written=stats.bytes_written,
    )
