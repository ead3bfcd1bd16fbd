"""Where weights come from, and which row of the array has which of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, TypeAlias, TypedDict

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.array.work import Work
from tilewright.compiler.schedule.order.channels import ChannelOrder
from tilewright.compiler.schedule.timing import Timing
from tilewright.isa import EngineConfig
from tilewright.isa.kernel_steps import KernelStep
from tilewright.isa.layout import align, pack_parameters, pack_weights

#: Weight words that one load copies at most: 8192 cycles of a bus of half a word.
_MOST_PIECE = 1 << 12


@dataclass(frozen=True, eq=False)
class Parameters:
    """What sums are requantized by, (n_kg, rows) each; it lies in front of the weight words.

    ``once`` : 1 rounds once in an engine that rounds twice.
    """

    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    once: NDArray[np.int64]

    def words(self, config: EngineConfig, kg: int) -> NDArray[np.uint8]:
        """Return the parameter words of a kernel group."""
        return pack_parameters(
            config, self.bias[kg], self.multiplier[kg], self.shift[kg], self.once[kg]
        )


@dataclass(frozen=True)
class WordCopy:
    """Copy weight words as they lie in memory.

    Parameters
    ----------
    byte : of the block, the first
    word : of its room in the buffer, the first
    words : how many
    size : bytes of all in memory
    wide : a weight word has two bytes
    """

    byte: int
    word: int
    words: int
    size: int
    wide: bool

    def cycles(self, config: EngineConfig, timing: Timing) -> int:
        """Return the cycles of the load."""
        return timing.words(self.size // config.rows)


@dataclass(frozen=True)
class KernelLoad:
    """Make weight words of kernels from byte ``byte`` of a block, from word ``word`` of its room.

    Parameters
    ----------
    steps : in which the kernels of a channel are made
    kernels : how many there are, of one word for each channel
    channels, taps : of the kernels in memory
    """

    byte: int
    word: int
    steps: int
    kernels: int
    channels: int
    taps: int

    def cycles(self, config: EngineConfig, timing: Timing) -> int:
        """Return the cycles of the load."""
        return timing.kernels(self.channels, self.taps, self.steps)


@dataclass(frozen=True)
class PixelLoad:
    """Copy pixel words of a value in memory, which are weight words as they lie.

    Parameters
    ----------
    value : its name
    group : channel group
    pixel : (row, column) of the first; a load can begin there
    words : how many, that follow one another in memory
    word : of the block's room in the buffer, the first
    """

    value: str
    group: int
    pixel: tuple[int, int]
    words: int
    word: int

    def cycles(self, config: EngineConfig, timing: Timing) -> int:
        """Return the cycles of the load."""
        return timing.words(self.words)


WeightLoad: TypeAlias = WordCopy | KernelLoad | PixelLoad
"""What the load unit does for weights."""


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightSource(ABC):
    """Weights that are loaded together, with the parameters of their kernel groups.

    Parameters
    ----------
    sections : in order, covering all kernel groups
    parameters : Parameters
    """

    sections: tuple[Section, ...]
    parameters: Parameters

    #: Weight words have two bytes in memory and more than ``weight_bits`` in the buffer.
    wide: ClassVar[bool] = False
    #: Where the kernels of tiles are transformed, or "".
    transformed: ClassVar[str] = ""

    @cached_property
    def section_of(self) -> tuple[Section, ...]:
        """The section of each kernel group."""
        return tuple(section for section in self.sections for _ in range(section.n_kg))

    @property
    def from_memory(self) -> tuple[str, ...]:
        """Names of the values that weights are."""
        return ()

    @property
    def steps(self) -> tuple[KernelStep, ...]:
        """How the engine transforms kernels, which it must be told before."""
        return ()

    def kernel_words(self, config: EngineConfig, kg: int) -> int:
        """Return the weight words of a kernel group, its parameters included."""
        return config.param_words + self.section_of[kg].words

    def block_words(self, config: EngineConfig, block: Block) -> int:
        """Return the weight words of a block as it is loaded."""
        words = sum(self.kernel_words(config, kg) for kg in block.kernel_groups)
        return align(words, config.weights_per_byte)

    def word_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of a weight word in memory."""
        return config.rows // config.weights_per_byte

    def size_bytes(self, config: EngineConfig) -> int:
        """Return the bytes of all kernel groups in memory."""
        whole = Block(0, len(self.section_of))
        return self.block_words(config, whole) * self.word_bytes(config)

    @abstractmethod
    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a block of kernel groups in memory."""

    @abstractmethod
    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield how a block comes into the weight buffer."""

    def _copies(self, config: EngineConfig, block: Block) -> Iterator[WordCopy]:
        """Copy a block in pieces, so that the first can go where the array is already done.

        Of a large buffer in smaller parts: what is waited for is as long, however large it is.
        Where two such blocks do not fit, one piece ends with the room beside the other block.
        """
        words, size = self.block_words(config, block), self.word_bytes(config)
        tight = self.wide or 2 * words > config.weight_depth
        piece = max(64, min(config.weight_depth // (16 if tight else 4), _MOST_PIECE))
        burst = max(1, config.burst_beats * config.bus_bytes // size)
        room = max(0, config.weight_depth - words) // burst * burst if tight else 0
        for start, end in ((0, min(room, words)), (min(room, words), words)):
            for first in range(start, end, piece):
                count = min(piece, end - first)
                yield WordCopy(first * size, first, count, count * size, self.wide)


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredWeights(WeightSource):
    """Weight words that lie in memory as in the buffer."""

    def image(self, config: EngineConfig, block: Block) -> NDArray[np.uint8]:
        """Return the bytes of a block: parameters, then weight words, of each kernel group."""
        words: list[NDArray[np.integer]] = []
        for kg in block.kernel_groups:
            own = self.section_of[kg].weight_words(kg)
            words += [self.parameters.words(config, kg), own]
        return pack_weights(config, np.concatenate(words))

    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield how a block comes into the weight buffer."""
        yield from self._copies(config, block)


@dataclass(frozen=True, kw_only=True, eq=False)
class GateWeights(StoredWeights):
    """A value of one pixel, whose words are all weight words of each kernel group.

    Parameters
    ----------
    gate : its name
    """

    gate: str

    @property
    def from_memory(self) -> tuple[str, ...]:
        """Names of the values that weights are."""
        return (self.gate,)

    def loads(self, config: EngineConfig, block: Block) -> Iterator[WeightLoad]:
        """Yield the loads of the words in memory, and then of those that are data."""
        yield from self._copies(config, block)
        word = 0
        for kg in block.kernel_groups:
            word += config.param_words
            for _ in range(self.section_of[kg].steps):
                yield PixelLoad(self.gate, kg, (0, 0), 1, word)
                word += 1


class WeightFields(TypedDict):
    """What a compute command says of weights; fields of :class:`~tilewright.isa.Compute`."""

    segment_log2: int
    fold: int
    split: int
    segment: int
    last_segment: int
    n_kg: int
    n_cg: int
    weight_base: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Arrangement:
    """Which weights the rows of the array have in which step.

    Parameters
    ----------
    sections : in order, covering all kernel groups
    segment_log2 : log2 of the rows that share a channel
    per_group : kernel group g of a section reads channel group ``cg + g`` only, instead of all
    order : ChannelOrder of the results
    """

    sections: tuple[Section, ...]
    segment_log2: int
    per_group: bool
    order: ChannelOrder


@dataclass(frozen=True, kw_only=True, eq=False)
class Weights:
    """The weights of an operation.

    Parameters
    ----------
    arrangement : Arrangement
    source : what they are loaded with
    slot : of several kernels of each kernel group in the source, which is its own
    """

    arrangement: Arrangement
    source: WeightSource
    slot: int = 0

    @property
    def sections(self) -> tuple[Section, ...]:
        """Kernel groups that reduce over the same channels, in order."""
        return self.arrangement.sections

    @property
    def per_group(self) -> bool:
        """Whether each kernel group reads a channel group of its own."""
        return self.arrangement.per_group

    @cached_property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return sum(section.n_kg for section in self.sections)

    def segments(
        self, config: EngineConfig, windows: Windows, section: Section
    ) -> tuple[int, int, int]:
        """Return channel groups per kernel group, steps of a segment, and of the last group's."""
        if self.per_group:
            # A segment may be all rows.
            segment = 1 << self.arrangement.segment_log2
            return windows.groups, segment, segment
        groups = -(-section.channels // config.rows)
        width = config.rows >> section.fold
        last = min(section.channels - (groups - 1) * config.rows, width)
        return groups * windows.planes, width if groups > 1 else last, last

    def channel_groups(self, config: EngineConfig, block: Block) -> tuple[int, int]:
        """Return the channel groups of the layer's input that a block reads, as (first, end)."""
        spans = []
        for section in self.sections:
            mine = section.common(block)
            if mine is None:
                continue
            if self.per_group:
                first = section.cg + mine.kg - section.kg
                spans.append((first, first + mine.n_kg))
            else:
                spans.append((section.cg, section.cg - (-section.channels // config.rows)))
        return min(first for first, _ in spans), max(end for _, end in spans)

    def first_channel_group(self, section: Section, kg: int) -> int:
        """Return the first channel group of the layer's input that a kernel group reads."""
        return section.cg + (kg - section.kg if self.per_group else 0)

    def first_word(self, config: EngineConfig, block: Block, kg: int) -> int:
        """Return the word of a kernel group's parameters, from that of its block on.

        Where there are several kernels, parameters lie before the first only, and what lies before
        the others is as good: only sums that become results need them.
        """
        before = sum(self.source.kernel_words(config, i) for i in range(block.kg, kg))
        return before + self.slot * self.source.section_of[kg].words

    def fields(
        self, config: EngineConfig, windows: Windows, work: Work, first_word: int
    ) -> WeightFields:
        """Return what the command of some work says of its weights."""
        groups, segment, last = self.segments(config, windows, work.section)
        if work.section.split:
            segment, last = (min(steps, config.rows // 2) for steps in (segment, last))
        return {
            "segment_log2": self.arrangement.segment_log2 - work.section.fold,
            "fold": work.section.fold,
            "split": int(work.section.split),
            "segment": windows.steps_before(segment),
            "last_segment": last,
            "n_kg": work.block.n_kg,
            "n_cg": groups,
            "weight_base": first_word % config.weight_depth,
        }
