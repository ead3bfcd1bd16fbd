"""Where constants, feature maps and commands lie in the memory behind the bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.isa import EngineConfig
from tilewright.compiler.isa.layout import align, pack_parameters, pack_weights, pack_wide_weights
from tilewright.compiler.schedule import ArrayOp, Block, LoweredGraph, Plan

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


def weight_image(op: ArrayOp, block: Block, config: EngineConfig) -> NDArray[np.uint8]:
    """Return the bytes of a block of kernel groups: parameters, then weight words, of each."""
    words: list[NDArray[np.integer]] = []
    for kg in range(block.kg, block.kg + block.n_kg):
        section = op.section_of[kg]
        words.append(pack_parameters(config, op.bias[kg], op.multiplier[kg], op.shift[kg]))
        words.append(section.weights[kg - section.kg])
    if op.term is not None:
        return pack_wide_weights(np.concatenate(words))
    return pack_weights(config, np.concatenate(words))


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
    lowered: LoweredGraph, plans: Sequence[Plan], start: int
) -> tuple[dict[str, Region], int]:
    """Give every value that goes to memory a region, shared by values that never live together.

    Inputs and outputs of the network keep theirs for the whole run. Returns the regions and the
    end of the last.
    """
    first_use: dict[str, int] = {}
    last_use: dict[str, int] = {}
    for index, plan in enumerate(plans):
        for value in plan.group.stores:
            first_use[value] = last_use[value] = index
        for value in (*plan.group.loads, *plan.group.from_memory):
            last_use[value] = index
    ends = [op.output for op in lowered.graph.inputs] + [op.input for op in lowered.graph.outputs]
    for value in ends:
        first_use[value], last_use[value] = -1, len(plans)

    regions: dict[str, Region] = {}
    end = start
    for value in sorted(first_use, key=lambda v: (first_use[v], v)):
        size = align(lowered.layout(value).size_bytes, PAGE)
        rivals = sorted(
            (
                region
                for other, region in regions.items()
                if first_use[other] <= last_use[value] and first_use[value] <= last_use[other]
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


def place_tables(
    constants: Constants, plans: Sequence[Plan], config: EngineConfig
) -> dict[bytes, Region]:
    """Append the activation tables, each once: an entry is the first of ``rows`` bytes."""
    regions: dict[bytes, Region] = {}
    for op in (op for plan in plans for op in plan.group.ops):
        if op.table is not None and op.table.tobytes() not in regions:
            entries = np.zeros((len(op.table), config.rows), np.uint8)
            entries[:, 0] = op.table
            regions[op.table.tobytes()] = constants.add(entries.reshape(-1))
    return regions


def place_weights(
    constants: Constants, plans: Sequence[Plan], config: EngineConfig
) -> list[list[dict[Block, Region]]]:
    """Append all weight blocks; returns, per group and operation, the blocks' regions."""
    return [
        [
            {block: constants.add(weight_image(op, block, config)) for block in blocks}
            for stage, blocks in zip(plan.group.stages, plan.weight_blocks, strict=True)
            for op in stage.ops
        ]
        for plan in plans
    ]
