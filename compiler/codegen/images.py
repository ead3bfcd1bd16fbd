"""Where constants, feature maps and commands lie in the memory behind the bus."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule import Block, LoweredGraph, Plan
from tilewright.compiler.schedule.array.weights import WeightSource
from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import pack_kernel_steps
from tilewright.isa.layout import PAGE, align


@dataclass(frozen=True)
class Region:
    """Bytes ``address .. address + size - 1``, relative to the base register.

    ``stride``: bytes from what it holds of one image to that of the next; 0 if that is the same.
    """

    address: int
    size: int
    stride: int = 0

    @property
    def end(self) -> int:
        """First byte after the region."""
        return self.address + self.size


@dataclass(frozen=True)
class MemoryMap:
    """Where everything lies but the commands.

    Parameters
    ----------
    values : of each value that goes to memory, for all images, one behind the other
    weights : of each block of weights
    constants : tables, and steps of transforms, by content
    start, end : of the values
    """

    values: dict[str, Region]
    weights: dict[tuple[WeightSource, Block], Region]
    constants: dict[bytes, Region]
    start: int
    end: int


@dataclass
class Places:
    """Where the values of one image lie: of that which commands are emitted for, or the first one.

    Parameters
    ----------
    memory : MemoryMap
    image : int, from 0
    """

    memory: MemoryMap
    image: int = 0

    def address(self, value: str, behind: int = 0) -> int:
        """Return the first byte of a value, of an image so many behind this one."""
        region = self.memory.values[value]
        return region.address + (self.image + behind) * region.stride


class Constants:
    """The constant part of memory, filled from its start."""

    def __init__(self) -> None:
        self._chunks: list[NDArray[np.uint8]] = []
        self.size = 0

    def add(self, data: NDArray[np.uint8]) -> Region:
        """Append bytes and return where they lie."""
        region = Region(self.size, data.size)
        self._chunks.append(data)
        self.size += align(data.size, PAGE)
        return region

    def write(self, memory: NDArray[np.uint8]) -> None:
        """Write all bytes to the start of a memory that holds zeros."""
        place = 0
        for chunk in self._chunks:
            memory[place : place + chunk.size] = chunk
            place += align(chunk.size, PAGE)


def place_feature_maps(
    lowered: LoweredGraph, plans: Sequence[Plan], start: int, images: int = 1
) -> tuple[dict[str, Region], int]:
    """Give every value that goes to memory a region, shared by values that never live together.

    It holds the values of so many images, but constants once.

    Inputs, constants and outputs of the network keep theirs for the whole run. Returns the regions
    and the end of the last.
    """
    first_use: dict[str, int] = {}
    last_use: dict[str, int] = {}
    for index, plan in enumerate(plans):
        for value in plan.group.stores:
            if value in lowered.rows:
                value = lowered.stored(value)
                first_use.setdefault(value, index)
            else:
                first_use[value] = index
            last_use[value] = index
        for value in (*plan.group.loads, *plan.group.from_memory):
            last_use[lowered.stored(value)] = index
    graph = lowered.graph
    ends = [name for op in (*graph.inputs, *graph.constants) for name in op.outputs]
    ends += [lowered.stored(op.input) for op in graph.outputs]
    for value in ends:
        first_use[value], last_use[value] = -1, len(plans)

    regions: dict[str, Region] = {}
    end = start
    held = {name for op in graph.constants for name in op.outputs}
    for value in sorted(first_use, key=lambda v: (first_use[v], v)):
        stride = align(lowered.layout(value).size_bytes, PAGE)
        size, stride = (stride, 0) if value in held else (stride * images, stride)
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
        regions[value] = Region(address, size, stride)
        end = max(end, address + size)
    regions |= {alias: regions[value] for alias, value in lowered.aliases.items()}
    return regions, end


def place_tables(
    constants: Constants, plans: Sequence[Plan], config: EngineConfig
) -> dict[bytes, Region]:
    """Append activation tables, of which an entry is the first of ``rows`` bytes, and steps.

    Steps are those of transforms of kernels. Each table and each transform has one region.
    """
    regions: dict[bytes, Region] = {}
    for op in (op for plan in plans for op in plan.group.ops):
        if op.weights.source.steps:
            steps = pack_kernel_steps(config, op.weights.source.steps)
            if steps.tobytes() not in regions:
                regions[steps.tobytes()] = constants.add(steps)
        table = op.result.table
        if table is not None and table.tobytes() not in regions:
            entries = np.zeros((len(table), config.rows), np.uint8)
            entries[:, 0] = table
            regions[table.tobytes()] = constants.add(entries.reshape(-1))
    return regions


WeightImages: TypeAlias = dict[tuple[WeightSource, Block], NDArray[np.uint8]]
"""The bytes of blocks of weights, as far as any schedule has asked for them."""


def place_weights(
    constants: Constants, plans: Sequence[Plan], config: EngineConfig, images: WeightImages
) -> dict[tuple[WeightSource, Block], Region]:
    """Append all weight blocks; of a stage whose sums are in parts, equal ones once."""
    regions: dict[tuple[WeightSource, Block], Region] = {}
    for plan in plans:
        known: dict[bytes, Region] = {}
        for source, block in plan.weight_blocks():
            image = images.get((source, block))
            if image is None:
                image = images[source, block] = source.image(config, block)
            if plan.parts is None:
                regions[source, block] = constants.add(image)
                continue
            content = hashlib.sha256(image.tobytes()).digest()
            if content not in known:
                known[content] = constants.add(image)
            regions[source, block] = known[content]
    return regions


def lay_out(
    lowered: LoweredGraph,
    plans: Sequence[Plan],
    config: EngineConfig,
    known: WeightImages,
    images: int = 1,
) -> tuple[Constants, MemoryMap]:
    """Give weights, tables and values their places, in this order from address 0.

    ``known``: bytes of weights; ``images``: whose values have places of their own.
    """
    constants = Constants()
    weights = place_weights(constants, plans, config, known)
    tables = place_tables(constants, plans, config)
    values, end = place_feature_maps(lowered, plans, constants.size, images)
    return constants, MemoryMap(values, weights, tables, constants.size, end)
