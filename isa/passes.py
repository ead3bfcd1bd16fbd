"""Cycles of a pass of the array: arithmetic that hardware, compiler and cycle model share.

A *pass* computes ``rows`` channels of one word of ``cols`` output pixels. It runs through windows;
of each window, through one *segment* of every channel group: a step a cycle. A window takes as many
cycles as it has *parts*, accesses to the activation buffer, and its segment no fewer. A pass takes
at least as long as the results of the one before need to leave.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

from tilewright.isa.commands import Compute
from tilewright.isa.config import EngineConfig
from tilewright.isa.wide import PLANES, writes_wide
from tilewright.isa.widths import result_count_width

#: Cycles from the last addition of a pass of terms to the first total that is read: sums may still
#: be on their way into the memory of partial sums.
PARTIAL_GAP = 1
#: Cycles from the read of a partial sum to the total at the requantizer.
PARTIAL_LATENCY = 7


@dataclass(frozen=True, kw_only=True)
class PassShape:
    """What a pass runs through.

    Parameters
    ----------
    windows : segments of one channel group, 1 where taps are summed on their way
    groups : channel groups reduced over, at least 1
    segment : steps of every segment but those of the last channel group
    last_segment : steps of those
    """

    windows: int
    groups: int
    segment: int
    last_segment: int

    @classmethod
    def of(cls, config: EngineConfig, command: Compute) -> PassShape:
        """Return what a command's passes run through."""
        if command.product:
            return cls.of_product(config, command.factor_steps)
        return cls(
            windows=command.windows,
            groups=command.n_cg,
            segment=command.segment,
            last_segment=command.last_segment,
        )

    @classmethod
    def of_product(cls, config: EngineConfig, factor_steps: int) -> PassShape:
        """Return what a pass of a product runs through: a step for each column.

        ``factor_steps`` : as in Compute
        """
        return cls(windows=1, groups=1 + factor_steps, segment=1, last_segment=config.cols)

    @property
    def steps(self) -> int:
        """Cycles in which the array multiplies, and weight words, but for a product's."""
        return self.windows * ((self.groups - 1) * self.segment + self.last_segment)

    def cycles(self, parts: int) -> int:
        """Return the cycles of its segments, whose windows have so many parts each."""
        last = max(self.last_segment, parts)
        return self.windows * ((self.groups - 1) * max(self.segment, parts) + last)


def is_split(config: EngineConfig, command: Compute) -> bool:
    """Return whether the upper half of the columns sums other channels of a command's pixels."""
    return config.split_columns and bool(command.split)


def word_columns(config: EngineConfig, split: bool) -> int:
    """Return the output pixels of a word: a pass's."""
    return config.cols // 2 if split else config.cols


def window_parts(config: EngineConfig, stride_x: int, split: bool = False) -> int:
    """Return the accesses that a window takes: the divisor that ``stride_x`` and cols share.

    Or half of 2, with ``double_reads``: pixels that share a lane are ``stride_x / 2`` words apart.
    ``split`` : a window has half of the pixels, and takes the accesses in which those are
    """
    shared = gcd(stride_x, config.cols)
    if config.double_reads and shared == 2 and stride_x % 4 == 2:
        return 1
    return -(-word_columns(config, split) * shared // config.cols)


def weight_words(config: EngineConfig, command: Compute) -> int:
    """Return the weight words of a kernel group, without its parameters."""
    if command.product:
        return 1 + command.factor_steps
    return PassShape.of(config, command).steps * (2 if is_split(config, command) else 1)


def command_parts(config: EngineConfig, command: Compute) -> int:
    """Return the parts of a command's windows, unless a Deform says how they are sampled."""
    if command.transform:
        return command.taps
    if command.product:  # the factor's window comes first, unless it has a segment of its own
        return 2 - command.factor_steps
    return command.accesses or window_parts(config, command.stride_x, is_split(config, command))


def result_cycles(config: EngineConfig, pair: bool, wide: bool = False) -> int:
    """Return the cycles in which the results of a pass leave the array, by one or two words.

    ``wide`` : as two bytes each
    """
    single = config.single_drain_cycles * (PLANES if wide else 1)
    return config.drain_cycles if pair and config.result_words == 2 else single


def shortest_pass(config: EngineConfig, command: Compute) -> int:
    """Return the cycles that a pass takes at least, however little it computes."""
    if not command.partial:
        return result_cycles(config, bool(command.pair), writes_wide(config, command))
    return pass_span(config, command.tile_h, command.tile_w, bool(command.last))


def pass_span(config: EngineConfig, tile_h: int, tile_w: int, last: bool) -> int:
    """Return the cycles between two captures of a command of terms of tiles.

    For so long the memory of partial sums is busy, or its results are.
    """
    if not last:
        return tile_w * config.drain_cycles
    return drain_span(config, tile_h, tile_w, last)


def drain_span(config: EngineConfig, tile_h: int, tile_w: int, last: bool) -> int:
    """Return the cycles in which a pass of terms leaves the array and its results go on.

    They are added first. One window of ``drain_cycles`` follows for each result of the tile, or one
    without results: it carries the command's end.
    """
    windows = tile_h * tile_w if last else 1
    return (tile_w + windows) * config.drain_cycles + PARTIAL_GAP + PARTIAL_LATENCY


def command_drain(config: EngineConfig, command: Compute) -> int:
    """Return the cycles in which the last pass of a command leaves the array."""
    if not command.partial:
        return result_cycles(config, bool(command.pair), writes_wide(config, command))
    return drain_span(config, command.tile_h, command.tile_w, bool(command.last))


def kernel_group_cycles(
    config: EngineConfig, command: Compute, parts: int, last_parts: int | None = None
) -> int:
    """Return the cycles from one kernel group of a command to the next.

    Parameters
    ----------
    parts : of every window
    last_parts : of those of the last word of a row, if they have others
    """
    last_parts = parts if last_parts is None else last_parts
    shape, shortest = PassShape.of(config, command), shortest_pass(config, command)
    whole, last = max(shape.cycles(parts), shortest), max(shape.cycles(last_parts), shortest)
    lead = 1 if command.transform or command.product else parts
    lasts = 1 if command.accesses else command.n_oy
    passes = (command.passes - lasts) * whole + lasts * last
    return kernel_group_lead(config, lead) + passes


def kernel_group_lead(config: EngineConfig, parts: int) -> int:
    """Return the cycles of a kernel group beside its passes.

    ``parts`` : of its first window; 1 of one that is transformed, which is assembled before.
    """
    return parts + config.parameter_pause + 1 + config.param_words


def least_last_parts(config: EngineConfig, command: Compute) -> int:
    """Return the least ``Deform.last_parts`` of a command.

    A window's weights come with its last part, and a pass's results leave with its last window. So
    the word after a longer one must not be so short that it catches up with that word's weights or
    results.
    """
    pixels = command.out_w - (command.n_ox - 1) * config.cols
    if command.n_ox == 1:  # all words are alike
        return pixels
    segment = command.segment if command.n_cg > 1 else 0
    parts = min(config.cols, max(pixels, segment, command.last_segment))
    busy = PassShape.of(config, command).cycles(parts)
    return parts if busy >= shortest_pass(config, command) else config.cols


def word_pixels(config: EngineConfig, command: Compute, word: int) -> int:
    """Return the results of an output word of a row: ``cols``, or what is left of ``out_w``.

    That is counted down word by word, and wraps. The word is no split one.
    """
    left = (command.out_w - word * config.cols) % (1 << min(13, result_count_width(config)))
    return min(left, config.cols)


def overruns(config: EngineConfig, command: Compute, last_parts: int) -> bool:
    """Return whether the last word of a row of a sampled command comes too early.

    Hardware stops then: pixels of the word are not sampled, or its first weights are due before
    those of the word before are over, or its results before those of the word before have left.
    """
    if word_pixels(config, command, command.n_ox - 1) > last_parts:
        return True
    if command.n_ox == 1:
        return False
    shape, shortest = PassShape.of(config, command), shortest_pass(config, command)
    whole, last = shape.cycles(config.cols), command.last_segment
    # From the last weights of the word before to the first of this one.
    gap = max(whole, shortest) - whole + max(last, config.cols) - config.cols + last_parts
    results = gap + shape.cycles(last_parts) - max(last, last_parts)
    return gap < last or results < shortest
