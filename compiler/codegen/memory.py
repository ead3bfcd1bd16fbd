"""Where constants, feature maps and commands lie in the memory behind the bus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule import ArrayOp, Block, LoweredGraph, Plan, Stage, TileTerm
from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import pack_kernel_steps
from tilewright.isa.layout import align, pack_parameters, pack_weights, pack_wide_weights

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


def weight_image(
    stage: Stage, op: ArrayOp, block: Block, config: EngineConfig
) -> NDArray[np.uint8]:
    """Return the bytes of a block of kernel groups: parameters, then weight words, of each.

    Tiles: the words of all kernels of a kernel group follow one another, transformed or not.
    """
    if op.term is not None and op.term.kernels:
        return kernel_image(op, block, config)
    words: list[NDArray[np.integer]] = []
    for kg in range(block.kg, block.kg + block.n_kg):
        words.append(pack_parameters(config, op.bias[kg], op.multiplier[kg], op.shift[kg]))
        for one in [op] if op.term is None else _own_kernels(stage, op.term):
            section = one.section_of[kg]
            words.append(section.weights[kg - section.kg])
    if op.term is not None:
        return pack_wide_weights(np.concatenate(words))
    return pack_weights(config, np.concatenate(words))


def _own_kernels(stage: Stage, first: TileTerm) -> list[ArrayOp]:
    """Return a term for each kernel of a share's tiles, as they lie in the weight buffer."""
    terms = {op.term.slot: op for op in stage.ops if op.term and op.term.share == first.share}
    return [terms[slot] for slot in range(len(terms))]


def kernel_image(op: ArrayOp, block: Block, config: EngineConfig) -> NDArray[np.uint8]:
    """Return the bytes of a block of kernels that the engine transforms as it loads them.

    Of each kernel group: its parameters, then channel by channel the taps of its kernels; each
    filled up to whole beats.
    """
    assert op.term is not None
    taps = op.term.tiling.kernel[0] * op.term.tiling.kernel[1]
    parts = []
    for section in op.term.kernels:
        groups, segment, last = op.segments(config, section)
        for kg in range(
            max(section.kg, block.kg), min(section.kg + section.n_kg, block.kg + block.n_kg)
        ):
            parts.append(pack_parameters(config, op.bias[kg], op.multiplier[kg], op.shift[kg]))
            words = section.weights[kg - section.kg]
            for cg in range(groups):
                channels = last if cg == groups - 1 else segment
                first = cg * taps * segment
                part = words[first : first + taps * channels].reshape(taps, channels, config.rows)
                parts += [pack_weights(config, channel) for channel in part.transpose(1, 0, 2)]
    unit = config.bus_bytes
    padded = [np.pad(part.reshape(-1), (0, -part.size % unit)) for part in parts]
    return np.concatenate(padded)


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
    """Append activation tables, of which an entry is the first of ``rows`` bytes, and steps.

    Steps are those of transforms of kernels. Each table and each transform has one region.
    """
    regions: dict[bytes, Region] = {}
    for op in (op for plan in plans for op in plan.group.ops):
        if op.term is not None and op.term.kernels:
            steps = pack_kernel_steps(config, op.term.transform.steps)
            if steps.tobytes() not in regions:
                regions[steps.tobytes()] = constants.add(steps)
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
            {block: constants.add(weight_image(stage, op, block, config)) for block in blocks}
            for stage, blocks in zip(plan.group.stages, plan.weight_blocks, strict=True)
            for op in stage.weighted
        ]
        for plan in plans
    ]
