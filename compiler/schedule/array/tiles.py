"""Tiles of results: windows of sums of pixels, kernels of their own, and sums that are parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.reduction import ReductionFields, Sum
from tilewright.compiler.schedule.array.result import Result
from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.weights import (
    KernelLoad,
    WeightLoad,
    WeightSource,
    WordCopy,
)
from tilewright.compiler.schedule.array.windows import WindowFields, Windows
from tilewright.compiler.schedule.array.work import Chunk, Work
from tilewright.compiler.winograd.kernels import KernelTransform
from tilewright.compiler.winograd.terms import Term, Tiling
from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import KernelStep
from tilewright.isa.layout import align, pack_weights, pack_wide_weights
from tilewright.isa.passes import pass_span


@dataclass(frozen=True, kw_only=True, eq=False)
class TileWindows(Windows):
    """All taps of a channel group make one window: their sum, with coefficients.

    Parameters
    ----------
    term : Term
    """

    term: Term

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses that assemble one window: one for each tap."""
        return self.kernel[0] * self.kernel[1]

    def lead_parts(self, config: EngineConfig) -> int:
        """Return those of the first one, for which a kernel group waits."""
        return 1

    def per_channel_group(self, section: Section) -> int:
        """Return the windows of a channel group."""
        return 1

    def fields(self, config: EngineConfig, work: Work, *, per_group: bool) -> WindowFields:
        """Return what the command of some work says of its windows."""
        return {
            **super().fields(config, work, per_group=per_group),
            "transform": 1,
            "taps": len(self.term.coefficients),
            "coefficients": self.term.codes,
        }


@dataclass(frozen=True, kw_only=True, eq=False)
class TermWeights(WeightSource):
    """The kernels of all terms, transformed in memory, each once.

    Parameters
    ----------
    slots : the sections of each kernel, in the order in which they lie
    """

    slots: tuple[tuple[Section, ...], ...]

    wide: ClassVar[bool] = True
    transformed: ClassVar[str] = "when compiled"

    def kernel_words(self, config: EngineConfig, kg: int) -> int:
        """Return the weight words of a kernel group, its parameters included, of all kernels."""
        return config.param_words + len(self.slots) * self.section_of[kg].steps

    def word_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of a weight word in memory."""
        return 2 * config.rows

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a block: of each kernel group parameters, then all its kernels."""
        words: list[NDArray[np.integer]] = []
        for kg in block.kernel_groups:
            words.append(self.parameters.words(config, kg))
            for sections in self._by_kernel_group:
                section = sections[kg]
                words.append(section.weights[kg - section.kg])
        return pack_wide_weights(np.concatenate(words))

    @cached_property
    def _by_kernel_group(self) -> tuple[tuple[Section, ...], ...]:
        return tuple(tuple(s for s in slot for _ in range(s.n_kg)) for slot in self.slots)

    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield how a block comes into the weight buffer."""
        yield from self._copies(config, block)


@dataclass(frozen=True, kw_only=True, eq=False)
class KernelWeights(WeightSource):
    """The layer's own kernels, which the engine transforms as it loads them.

    Parameters
    ----------
    transform : how, and in which order the results lie
    taps : weight words of a channel in memory
    kernels : the sections of the layer's own kernels
    segments : of each of those, channel groups, and channels of each and of the last
    """

    transform: KernelTransform
    taps: int
    kernels: tuple[Section, ...]
    segments: tuple[tuple[int, int, int], ...]

    wide: ClassVar[bool] = True
    transformed: ClassVar[str] = "at load"

    @property
    def steps(self) -> tuple[KernelStep, ...]:
        """How the engine transforms kernels."""
        return self.transform.steps

    def kernel_words(self, config: EngineConfig, kg: int) -> int:
        """Return the weight words of a kernel group, its parameters included, of all kernels."""
        return config.param_words + self.transform.kernels * self.section_of[kg].steps

    def word_bytes(self, config: EngineConfig) -> int:
        """Return the bytes that a weight word would have in memory."""
        return 2 * config.rows

    def sizes(self, config: EngineConfig, kg: int) -> tuple[int, int]:
        """Return the bytes of a kernel group's parameters, and of its kernels."""
        channel = align(self.taps * config.rows, config.bus_bytes)
        parameters = align(config.param_words * config.rows, config.bus_bytes)
        return parameters, self.section_of[kg].steps * channel

    def size_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of all kernel groups in memory."""
        return sum(sum(self.sizes(config, kg)) for kg in range(len(self.section_of)))

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a block.

        Of each kernel group its parameters, then channel by channel the taps of its kernels; each
        filled up to whole beats.
        """
        parts = []
        for section, (groups, segment, last) in zip(self.kernels, self.segments, strict=True):
            mine = section.common(block)
            for kg in mine.kernel_groups if mine else ():
                parts.append(self.parameters.words(config, kg))
                words = section.weights[kg - section.kg]
                for cg in range(groups):
                    channels = last if cg == groups - 1 else segment
                    first = cg * self.taps * segment
                    part = words[first : first + self.taps * channels]
                    part = part.reshape(self.taps, channels, config.rows).transpose(1, 0, 2)
                    parts += [pack_weights(config, channel) for channel in part]
        unit = config.bus_bytes
        padded = [np.pad(part.reshape(-1), (0, -part.size % unit)) for part in parts]
        return np.concatenate(padded)

    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield how a block comes into the weight buffer."""
        byte, word = 0, 0
        for kg in block.kernel_groups:
            parameters, kernels = self.sizes(config, kg)
            channels = self.section_of[kg].steps
            size = config.param_words * config.rows
            yield WordCopy(byte, word, config.param_words, size, wide=False)
            word += config.param_words
            yield KernelLoad(
                byte=byte + parameters,
                word=word,
                steps=len(self.steps),
                kernels=self.transform.kernels,
                channels=channels,
                taps=self.taps,
            )
            word += self.transform.kernels * channels
            byte += parameters + kernels


@dataclass(frozen=True, eq=False)
class TileSum(Sum):
    """The sums of one term of tiles, which are added to those of the others.

    A layer of many channels has all terms once for each of several shares of them, so that there
    is room for the next weights beside those in use.

    Parameters
    ----------
    tiling : Tiling
    index : of the term
    share, shares : which of how many shares of the channels it reduces over
    """

    tiling: Tiling
    index: int
    share: int = 0
    shares: int = 1

    partial: ClassVar[bool] = True

    @property
    def results(self) -> bool:
        """Whether results follow: its command makes them of the sums."""
        return self.index == len(self.tiling.terms) - 1 and self.share == self.shares - 1

    def shortest_pass(self, config: EngineConfig, pair: bool) -> int:
        """Return the cycles in which the sums of a pass go by, and their totals."""
        height, width = self.tiling.m
        return pass_span(config, height, width, self.results)

    @property
    def tile_rows(self) -> int:
        """Rows of results that are computed together."""
        return self.tiling.m[0]

    @property
    def tile_columns(self) -> int:
        """Columns of results that are computed together."""
        return self.tiling.m[1]

    @property
    def algorithm(self) -> str:
        """How people call it."""
        return str(self.tiling)

    def column_step(self, result: Result, columns: int) -> int:
        """Return the columns from one tile to the next."""
        return result.step[1]

    def row_step(self, result: Result, work: Work) -> int:
        """Return the rows from one result to the next: they go on row by row."""
        return 1

    def chunk(self, config: EngineConfig, result: Result, chunk: Chunk) -> Chunk:
        """Return how much of some results the partial sums hold together, of one kernel group."""
        word = result.step[1] * config.drain_cycles  # partial sums of a word of tiles
        words = result.words(config, 0, chunk.columns)
        columns = chunk.columns
        if words * word > config.partial_depth:
            words = max(1, config.partial_depth // word)
            columns = words * config.cols * result.step[1]
        rows = config.partial_depth // (words * word) * self.tile_rows
        return Chunk(min(chunk.rows, rows), 1, columns)

    def fields(self, work: Work) -> ReductionFields:
        """Return what the command of some work says of its sums."""
        tiling, term = self.tiling, self.tiling.terms[self.index]
        return {
            "maximum": 0,
            "partial": 1,
            "first": int(self.index == 0 and self.share == 0),
            "last": int(self.results),
            "tile_h": tiling.m[0],
            "tile_w": tiling.m[1],
            "last_h": min(self.tile_rows, work.stop - (work.end - 1) * self.tile_rows),
            "rows_used": term.rows.used,
            "row_shift": term.rows.shift,
            "row_sign": term.rows.sign,
            "columns_used": term.columns.used,
            "column_shift": term.columns.shift,
            "column_sign": term.columns.sign,
            "negative": int(term.negative),
            "scale": term.rows.scale + term.columns.scale,
            "third": int(tiling.third),
            "halvings": tiling.halvings,
        }
