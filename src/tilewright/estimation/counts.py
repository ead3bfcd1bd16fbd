"""How often what happens in a run, layer by layer and cause by cause: from its commands' events.

Counts are those of the hardware: cells beside an image's edge multiply, too, and the bytes that
fill up a beat of the bus travel with the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tilewright.estimation.energies import Cause
from tilewright.estimation.structure import array_multipliers, parts_of_products
from tilewright.isa import (
    Command,
    Compute,
    Deform,
    EngineConfig,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
)
from tilewright.isa.layout import moved_bytes
from tilewright.isa.passes import PassShape, command_parts, is_split
from tilewright.isa.tiles import MAX_TILE_ROWS
from tilewright.sim.events import Event

__all__ = ["CAUSES", "Counts", "counts"]

CAUSES = tuple(Cause)
_AT = {cause: index for index, cause in enumerate(CAUSES)}

#: Counts by layer and cause, in the order of ``CAUSES``.
Counts = NDArray[np.float64]
_Pairs = Iterator[tuple[Cause, float]]

_BUFFERS = {
    LoadActivations: Cause.ACTIVATIONS,
    LoadWeights: Cause.WEIGHTS,
    LoadOffsets: Cause.OFFSETS,
    Store: Cause.RESULTS,
}


def counts(
    config: EngineConfig,
    layers: int,
    events: Mapping[Unit, Sequence[Event]],
    activations: Mapping[Unit, Sequence[int]] | None = None,
) -> Counts:
    """Return what a run's commands do; what time takes is not among it.

    Parameters
    ----------
    layers : int
    activations : rows of an SDRAM that commands opened, as ``Events.flights.activations`` has them
    """
    result = np.zeros((layers, len(CAUSES)))
    deform: Deform | None = None
    for event in events[Unit.COMPUTE]:
        command = event.command
        if isinstance(command, Compute):
            for cause, count in _computed(config, command, event.steps, deform):
                result[command.layer, _AT[cause]] += count
        deform = command if isinstance(command, Deform) else None
    for unit in (Unit.LOAD, Unit.STORE):
        for event in events[unit]:
            for cause, count in _moved(config, event.command):
                result[event.command.layer, _AT[cause]] += count
    if activations is not None:
        for unit, opened in activations.items():
            moving = [e.command.layer for e in events[unit] if moved_bytes(config, e.command)]
            if unit is Unit.LOAD:  # the first commands are fetched before all
                moving.insert(0, events[unit][0].command.layer)
            for layer, rows in zip(moving, opened, strict=True):
                result[layer, _AT[Cause.ROWS]] += rows
    return result


def _computed(config: EngineConfig, command: Compute, steps: int, deform: Deform | None) -> _Pairs:
    """Yield what a compute command does."""
    cells, passes = config.multipliers, command.n_kg * command.passes
    word = config.rows * config.cols
    shape = PassShape.of(config, command)
    yield Cause.MULTIPLY, steps * array_multipliers(config)
    yield Cause.ACCUMULATE, steps * cells * config.acc_width
    yield Cause.REGISTERS, steps * cells * (config.window_width + config.weight_width) / 8
    # A product's second factor are pixels, too.
    words = steps * (2 if is_split(config, command) else 1)
    weights = (0 if command.product else words) + command.n_kg * config.param_words
    yield Cause.WEIGHTS, weights * config.rows * config.weight_width / 8
    windows = passes * shape.windows * shape.groups
    if deform is None:
        yield Cause.ACTIVATIONS, windows * command_parts(config, command) * word
    else:
        samples = command.n_kg * command.n_oy * command.out_w * shape.windows * shape.groups
        yield Cause.ACTIVATIONS, 4 * samples * config.rows
        yield Cause.SAMPLES, samples * config.rows
        mask = 1 if deform.mask_fraction else 0
        yield Cause.OFFSETS, samples * config.rows * (1 + mask)
    if command.transform:
        yield Cause.TRANSFORMS, windows * command.taps * word
    results = passes if command.to_act or command.to_out else 0
    if command.partial:
        sums = MAX_TILE_ROWS * config.acc_width / 8
        yield Cause.SUMS, 2 * passes * command.tile_w * word * sums
        results *= command.tile_h * command.tile_w if command.last else 0
    parts = parts_of_products(config)
    yield Cause.REQUANTIZE, results * word * parts
    yield Cause.ACTIVATIONS, results * word * bool(command.to_act)
    yield Cause.RESULTS, results * word * bool(command.to_out)


def _moved(config: EngineConfig, command: Command) -> _Pairs:
    """Yield what a load or a store does."""
    moved = moved_bytes(config, command)
    yield Cause.BUS, moved
    yield Cause.BYTES, moved
    if isinstance(command, LoadKernels):
        yield Cause.TRANSFORMS, command.channels * command.steps * config.rows
        return
    if isinstance(command, LoadTable | LoadKernelSteps):
        yield Cause.WEIGHTS, command.words
        return
    buffer = _BUFFERS.get(type(command))
    if buffer is not None:
        yield buffer, moved
