"""Weights that another layer computes, and windows that turn pixels into channels for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.weights import (
    Parameters,
    PixelLoad,
    StoredWeights,
    WeightLoad,
    Weights,
    WeightSource,
    WordCopy,
)
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.array.work import Chunk, Work
from tilewright.isa import EngineConfig
from tilewright.isa.layout import FeatureMapLayout, align, pack_weights


@dataclass(frozen=True)
class PixelRun:
    """Weight words of a kernel group that lie in memory one behind the other, as pixels.

    Parameters
    ----------
    value, group : whose pixels they are, and the channel group
    pixel : (row, column) of the first, after which a load can begin
    words : how many
    step : of the kernel group, to which the first belongs; what comes to steps before it that are
        not its own is loaded again with the run before
    """

    value: str
    group: int
    pixel: tuple[int, int]
    words: int
    step: int


def pixel_runs(
    layout: FeatureMapLayout,
    value: str,
    group: int,
    pieces: Iterable[tuple[int, int]],
    first_step: int = 0,
) -> Iterator[PixelRun]:
    """Yield the runs of a kernel group's weight words.

    Parameters
    ----------
    layout : of the value
    pieces : pixels, counted row by row, as (first, how many), in the order of steps
    first_step : of the first of them
    """
    width, beat = layout.width, layout.beat_pixels
    # Rows that are not filled up follow one another.
    most = width if width % beat else layout.height * width
    step = first_step
    for first, count in _joined(pieces):
        end = first + count
        while first < end:
            stop = min(end, first - first % most + most)
            row, column = divmod(first, width)
            before = column % beat
            yield PixelRun(
                value, group, (row, column - before), stop - first + before, step - before
            )
            step += stop - first
            first = stop


def _joined(pieces: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield pieces, those that follow one another as one."""
    begin = end = 0
    for first, count in pieces:
        if first != end or begin == end:
            if begin < end:
                yield begin, end - begin
            begin = first
        end = first + count
    yield begin, end - begin


@dataclass(frozen=True, kw_only=True, eq=False)
class MapWeights(WeightSource):
    """Values whose pixel words are weight words.

    Parameters
    ----------
    runs : of each kernel group, in the order of steps
    """

    runs: tuple[tuple[PixelRun, ...], ...]

    @cached_property
    def from_memory(self) -> tuple[str, ...]:
        """Names of the values that weights are."""
        return tuple(dict.fromkeys(run.value for runs in self.runs for run in runs))

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the parameters of each kernel group, which is all that is known of a block."""
        parts = []
        for kg in block.kernel_groups:
            data = pack_weights(config, self.parameters.words(config, kg))
            parts.append(np.pad(data, (0, self._parameter_bytes(config) - data.size)))
        return np.concatenate(parts)

    def _parameter_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of a kernel group's parameters in memory, whole beats of the bus."""
        return align(config.param_words * self.word_bytes(config), config.bus_bytes)

    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield how a block comes into the weight buffer: each kernel group from its end on.

        So a run that begins early, with a beat of the bus, leaves nothing behind.
        """
        parameters, word = config.param_words, 0
        size = parameters * self.word_bytes(config)
        for number, kg in enumerate(block.kernel_groups):
            for run in reversed(self.runs[kg]):
                first = word + parameters + run.step
                yield PixelLoad(run.value, run.group, run.pixel, run.words, first)
            yield WordCopy(number * self._parameter_bytes(config), word, parameters, size, False)
            word += self.kernel_words(config, kg)


@dataclass(frozen=True, kw_only=True, eq=False)
class _OneSource(StoredWeights):
    """Weights that all kernel groups have in common, parameters included: loaded once a block."""

    def block_words(self, config: EngineConfig, block: Block) -> int:
        """Return the weight words of a block as it is loaded."""
        return align(self.kernel_words(config, block.kg), config.weights_per_byte)

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a block: those of one kernel group."""
        return super().image(config, Block(block.kg, 1))


class _OneKernel(Weights):
    """The weights of an operation whose kernel groups have the same."""

    def first_word(self, config: EngineConfig, block: Block, kg: int) -> int:
        """Return the word of a kernel group's parameters, from that of its block on."""
        return 0


def one_kernel(weights: Weights) -> Weights:
    """Return weights that are equal for all kernel groups, which are sections, as one kernel."""
    source = weights.source
    one = _OneSource(sections=source.sections, parameters=_alike(source.parameters))
    return _OneKernel(arrangement=weights.arrangement, source=one)


def _alike(parameters: Parameters) -> Parameters:
    """Return the first kernel group's parameters for all."""
    return Parameters(
        *(
            np.broadcast_to(values[:1], values.shape)
            for values in (
                parameters.bias,
                parameters.multiplier,
                parameters.shift,
                parameters.once,
            )
        )
    )


@dataclass(frozen=True)
class Taps:
    """Where the taps of a kernel group are: rows and columns before the first, and how many."""

    row: int
    column: int
    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True, eq=False)
class TurnWindows(Windows):
    """Windows of a value of few channels, whose pixels become the channels of the result.

    Each kernel group is a section of its own, with taps of its own. ``kernel`` has the most rows
    and columns of any.

    Parameters
    ----------
    groups_taps : Taps of each kernel group
    """

    groups_taps: tuple[Taps, ...]

    divisible: ClassVar[bool] = False

    @cached_property
    def reach(self) -> tuple[int, int]:
        """Rows of the input that row 0 of the results reads, as (first, end)."""
        step = self.dilation[0]
        return 0, max(taps.row + (taps.rows - 1) * step + 1 for taps in self.groups_taps)

    @cached_property
    def column_reach(self) -> tuple[int, int]:
        """Columns of the input that column 0 of the results reads, as (first, end)."""
        step = self.dilation[1]
        return 0, max(taps.column + (taps.columns - 1) * step + 1 for taps in self.groups_taps)

    def per_channel_group(self, section: Section) -> int:
        """Return the windows of a channel group, each with a segment of its own."""
        taps = self.groups_taps[section.kg]
        return taps.rows * taps.columns

    def at_once(self, config: EngineConfig, chunk: Chunk) -> Chunk:
        """Return how much of some results can be computed together."""
        return chunk

    def tap_box(self, work: Work) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return where the taps of some work begin, in rows and columns, and (rows, columns)."""
        taps = self.groups_taps[work.block.kg]
        return (taps.row, taps.column), (taps.rows, taps.columns)

    def _skipped(self, config: EngineConfig, work: Work) -> tuple[int, int]:
        """Return the words of a row in front of all windows, and the columns behind those."""
        first, end = work.held
        read = work.columns[0] * self.stride[1] + self.groups_taps[work.block.kg].column
        words = min(max(read - first, 0), end - first - 1) // config.cols
        return words, end - first - words * config.cols
