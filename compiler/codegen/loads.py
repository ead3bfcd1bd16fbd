"""Rows, weights, tables and offsets on their way to the engine's buffers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.codegen.buffers.offsets import OffsetBuffer
from tilewright.compiler.codegen.buffers.tables import TableBuffer
from tilewright.compiler.codegen.buffers.weights import WeightBuffer
from tilewright.compiler.codegen.hazards import Span, ring_spans
from tilewright.compiler.codegen.images import Places
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.schedule import Block, LoweredGraph, Plan
from tilewright.compiler.schedule.array.area import Area, Run, runs
from tilewright.compiler.schedule.array.ring import Ring
from tilewright.compiler.schedule.array.stacked import of_images
from tilewright.compiler.schedule.array.weights import (
    KernelLoad,
    PixelLoad,
    WeightLoad,
    WeightSource,
    WordCopy,
)
from tilewright.compiler.schedule.array.windows import PositionPlace, PositionSource
from tilewright.isa import (
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
)
from tilewright.isa.kernel_steps import KernelStep, pack_kernel_steps
from tilewright.isa.layout import align


class Loader:
    """Emit the loads of everything that is read from memory.

    Parameters
    ----------
    recorder : Recorder
    lowered : LoweredGraph
    places : where everything lies
    """

    def __init__(self, recorder: Recorder, lowered: LoweredGraph, places: Places) -> None:
        self.config = recorder.config
        self._recorder = recorder
        self._lowered = lowered
        self._memory, self._places = places.memory, places
        self._weights = WeightBuffer(self.config.weight_depth)
        self._tables = TableBuffer(self.config.tables)
        self._offsets = OffsetBuffer(self.config.offset_depth)
        self._steps: tuple[KernelStep, ...] = ()

    def begin(self, plan: Plan) -> None:
        """Make room for the weights of a group that take turns."""
        resident = plan.weights.resident
        in_turns = plan.runs > 1 and len(plan.blocks) == 1 and any(resident) != all(resident)
        self._weights.begin(plan.weights.stream_words if in_turns else 0)

    def rows(self, layer: int, value: str, ring: Ring, area: Area) -> None:
        """Load rows of a value into its ring, in which they begin with the area's first column."""
        if not ring.groups:
            return
        layout = self._lowered.layout(value)
        parts = (
            of_image
            for first, end in unwrapped(area.start, area.stop, ring.rows)
            for of_image in of_images(area._replace(start=first, stop=end), layout.height)
        )
        for image, part in parts:
            above = image * layout.height
            for run in runs(layout, Block(ring.first, ring.groups), part):
                address = self._places.address(value, image) + run.address
                row = above + part.start + run.first_row
                cg, step = ring.first + run.groups, ring.words if run.by_group else ring.row
                rows, groups = (run.rows, run.times) if run.by_group else (run.times, 1)
                self._recorder.append(
                    LoadActivations(
                        layer=layer,
                        address=address,
                        groups=run.times,
                        group_stride=run.stride,
                        height=run.rows,
                        width=area.width,
                        base=ring.base + run.groups * ring.words + ring.offset(row),
                        row_step=ring.row,
                        group_step=step,
                        pixel=layout.pixel.bit_length(),
                    ),
                    [self._recorder.memory_span(address, run)],
                    ring_rows(ring, row, row + rows, cg, groups),
                )

    def weights(self, layer: int, source: WeightSource, block: Block, *, kept: bool) -> int:
        """Load a block, which stays or takes turns, and return its first word in the buffer."""
        base = self._weights.place(source.block_words(self.config, block), kept=kept)
        if source.steps:
            self._transform(layer, source.steps)
        self.weights_at(layer, source, block, base)
        return base

    @property
    def image(self) -> int:
        """The image that commands are emitted for."""
        return self._places.image

    def beat_pixels(self, value: str) -> int:
        """Return the pixels of a value after which a load of some columns can begin."""
        return self._lowered.layout(value).beat_pixels

    def weight_address(self, source: WeightSource, block: Block) -> int:
        """Return where a block lies in memory; equal ones may lie in one place."""
        return self._memory.weights[source, block].address

    def reserve(self, words: int) -> int:
        """Return the first word of room in the weight buffer."""
        return self._weights.place(words, kept=False)

    def weights_at(self, layer: int, source: WeightSource, block: Block, base: int) -> None:
        """Load a block to a word of the weight buffer."""
        address = self.weight_address(source, block)
        for load in source.loads(self.config, block):
            self._load(layer, load, address, base)

    def _load(self, layer: int, load: WeightLoad, address: int, base: int) -> None:
        """Emit one load of a block of weights."""
        match load:
            case WordCopy():
                self._copy(layer, load, address + load.byte, base + load.word)
            case KernelLoad():
                self._kernels(layer, load, address + load.byte, base + load.word)
            case PixelLoad():
                self._pixels(layer, load, base + load.word)

    def _copy(self, layer: int, load: WordCopy, address: int, word: int) -> None:
        """Load weight words as they are in memory."""
        config = self.config
        per_place = 1 if load.wide else config.weights_per_byte  # words that an address counts
        self._recorder.append(
            LoadWeights(
                layer=layer,
                address=address,
                words=load.size // config.rows,
                base=word % config.weight_depth // per_place,
                wide=int(load.wide),
            ),
            [],
            ring_spans("weights", word, load.words, config.weight_depth),
        )

    def _transform(self, layer: int, steps: tuple[KernelStep, ...]) -> None:
        """Load how kernels are transformed, unless the engine knows it."""
        if self._steps != steps:
            self._steps = steps
            place = self._memory.constants[pack_kernel_steps(self.config, steps).tobytes()]
            self._recorder.append(
                LoadKernelSteps(layer=layer, address=place.address, words=len(steps)), [], []
            )

    def _kernels(self, layer: int, load: KernelLoad, address: int, word: int) -> None:
        """Load kernels which the engine transforms."""
        config = self.config
        self._recorder.append(
            LoadKernels(
                layer=layer,
                address=address,
                base=word % config.weight_depth,
                term_step=load.channels,
                steps=load.steps,
                channels=load.channels,
                taps=load.taps,
            ),
            [],
            ring_spans("weights", word, load.kernels * load.channels, config.weight_depth),
        )

    def _pixels(self, layer: int, load: PixelLoad, word: int) -> None:
        """Load weight words that are pixel words of a feature map."""
        config, layout = self.config, self._lowered.layout(load.value)
        (row, column), size = load.pixel, align(load.words * config.rows, config.bus_bytes)
        address = self._places.address(load.value) + load.group * layout.group_bytes
        address += row * layout.row_bytes + column * layout.pixel_bytes
        self._recorder.append(
            LoadWeights(
                layer=layer,
                address=address,
                words=load.words,
                base=word % config.weight_depth,
            ),
            [self._recorder.memory_span(address, Run.of(size))],
            ring_spans("weights", word, load.words, config.weight_depth),
        )

    def table(self, layer: int, table: NDArray[np.uint8]) -> int:
        """Return the place of a table, from 0; load it unless the engine holds it."""
        content = table.tobytes()
        slot, held = self._tables.place(content)
        if not held:
            self._recorder.append(
                LoadTable(
                    layer=layer,
                    address=self._memory.constants[content].address,
                    words=len(table),
                    base=len(table) * slot,
                ),
                [],
                [Span("tables", slot, 1)],
            )
        return slot

    def positions(
        self, layer: int, source: PositionSource, area: Area
    ) -> tuple[PositionPlace, Span]:
        """Return where offsets or masks are, and all their words; load them unless held."""
        config, layout = self.config, self._lowered.layout(source.value)
        place = self._places.address(source.value)
        row = layout.columns_bytes(area.left, area.right) // config.rows
        group = area.rows * row
        base, held = self._offsets.place(
            (source.value, self.image, area), layout.groups * group, source.half
        )
        whole = area.width == layout.width
        rows, count = (1, area.rows) if not whole else (area.rows, 1)
        for cg in range(0 if held else layout.groups):
            for y in range(count):
                part = area._replace(start=area.start + y, stop=area.start + y + rows)
                (run,) = runs(layout, Block(cg, 1), part)
                address, word = place + run.address, base + cg * group + y * row
                self._recorder.append(
                    LoadOffsets(layer=layer, address=address, words=rows * row, base=word),
                    [self._recorder.memory_span(address, run)],
                    [Span("offsets", word, rows * row)],
                )
        return PositionPlace(base, row), Span("offsets", base, layout.groups * group)


def ring_rows(ring: Ring, start: int, stop: int, cg: int, groups: int) -> list[Span]:
    """Return the words of rows ``start .. stop - 1`` of some channel groups."""
    base = ring.base + (cg - ring.first) * ring.words
    count = (stop - start) * ring.row
    return ring_spans(
        "activations", ring.offset(start), count, ring.words, base=base, copies=groups
    )


def unwrapped(start: int, stop: int, rows: int) -> Iterator[tuple[int, int]]:
    """Cut rows ``start .. stop - 1`` where a ring of ``rows`` rows ends."""
    while start < stop:
        end = min(stop, (start // rows + 1) * rows)
        yield start, end
        start = end
