"""Where constants, feature maps and commands lie in the memory behind the bus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.isa.layout import FeatureMapLayout, align, pack_parameters
from tilewright.compiler.schedule import ArrayOp, LoweredGraph, Tiling

PAGE = 64
"""Alignment of everything in memory, in bytes: whole beats of any bus."""


@dataclass(frozen=True)
class Region:
    """Bytes ``address .. address + size - 1``, relative to the base register."""

    address: int
    size: int

    @property
    def end(self) -> int:
        """First byte after the region."""
        return self.address + self.size


def weight_block(op: ArrayOp, kg: int, n_kg: int, config: EngineConfig) -> NDArray[np.uint8]:
    """Return the bytes of a block of kernel groups: parameters, then weight words, of each."""
    words = []
    for group in range(kg, kg + n_kg):
        words.append(pack_parameters(config, op.bias[group], op.multiplier[group], op.shift[group]))
        words.append(op.weights[group].view(np.uint8))
    return np.concatenate(words).reshape(-1)


class Constants:
    """The constant part of memory, filled from its start."""

    def __init__(self) -> None:
        self._chunks: list[NDArray[np.uint8]] = []
        self.size = 0

    def add(self, data: NDArray[np.uint8]) -> Region:
        """Append bytes and return where they lie."""
        region = Region(self.size, data.size)
        padding = align(data.size, PAGE) - data.size
        self._chunks += [data, np.zeros(padding, np.uint8)]
        self.size += data.size + padding
        return region

    def image(self) -> NDArray[np.uint8]:
        """Return all bytes."""
        return np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.uint8)


def place_feature_maps(
    lowered: LoweredGraph, config: EngineConfig, start: int
) -> tuple[dict[str, Region], int]:
    """Give every value a region, sharing memory between values that never live together.

    Inputs and outputs of the network keep theirs for the whole run. Returns the regions and the
    end of the last.
    """
    last_use = {value: -1 for value in lowered.values}
    first_use: dict[str, int] = {}
    for index, op in enumerate(lowered.ops):
        first_use[op.output] = index
        for value in op.inputs:
            last_use[value] = index
    forever = len(lowered.ops)
    for graph_input in lowered.graph.inputs:
        first_use[graph_input.output] = -1
        last_use[graph_input.output] = forever
    for graph_output in lowered.graph.outputs:
        last_use[graph_output.input] = forever
        # Outputs must survive to the end, inputs must not be overwritten before the run.
        first_use[graph_output.input] = -1

    regions: dict[str, Region] = {}
    end = start
    for value in sorted(first_use, key=lambda v: (first_use[v], v)):
        size = align(FeatureMapLayout(config, *lowered.values[value].shape).size_bytes, PAGE)
        born, dies = first_use[value], max(last_use[value], first_use[value])
        rivals = sorted(
            (
                region
                for other, region in regions.items()
                if first_use[other] <= dies and born <= max(last_use[other], first_use[other])
            ),
            key=lambda region: region.address,
        )
        address = start
        for region in rivals:
            if address + size <= region.address:
                break
            address = max(address, region.end)
        regions[value] = Region(address, size)
        end = max(end, address + size)
    return regions, end


def weight_image(
    lowered: LoweredGraph, tilings: list[Tiling], config: EngineConfig
) -> tuple[Constants, list[dict[int, Region]]]:
    """Lay out all weight blocks; returns them and, per operation, each block's region by its kg."""
    constants = Constants()
    regions = []
    for op, tiling in zip(lowered.ops, tilings, strict=True):
        regions.append(
            {
                block.kg: constants.add(weight_block(op, block.kg, block.n_kg, config))
                for block in tiling.blocks
            }
        )
    return constants, regions
