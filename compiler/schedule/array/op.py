"""What the array does: one loop nest over windows, steps and kernel groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import TensorType
from tilewright.compiler.ir.deformable import reach
from tilewright.compiler.winograd.kernels import KernelTransform, kernel_transform
from tilewright.compiler.winograd.terms import Term, Tiling
from tilewright.errors import Error
from tilewright.isa import EngineConfig

MAX_STEP = 7
"""Pixels from one result to the next, at most: what a command's ``dst_step`` holds."""


class EngineLimitError(Error):
    """An engine is too small for a layer; the message names the parameter that must grow."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Section:
    """Kernel groups of an operation that reduce over the same channels.

    Parameters
    ----------
    kg : int, the first kernel group, counted over the operation
    cg : int, the first channel group read, counted over the operand
    channels : int, channels reduced over, from the first of group ``cg``
    tap : the one tap of the kernel that it reads, counted row by row; None for all
    weights : (n_kg, steps, rows), the weight words of each kernel group
    """

    kg: int
    cg: int
    channels: int
    tap: int | None = None
    weights: NDArray[np.int16]

    @property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return int(self.weights.shape[0])

    @property
    def steps(self) -> int:
        """Weight words of a kernel group: cycles in which a pass multiplies."""
        return int(self.weights.shape[1])


@dataclass(frozen=True, kw_only=True)
class Deformation:
    """Positions at which an operation samples its input, which are data.

    Parameters
    ----------
    offset, mask : value names; the channels lie in memory in the model's order
    fraction, mask_fraction : bits below the point; a mask of None has 0
    shared : channel groups of the operand that share their offsets
    offset_range : the least and the greatest offset, in units of ``2**-fraction`` pixels
    taken : the range of the vertical offsets at which samples are taken
    positions : int, of each channel group: the taps of the kernel
    row_words : words of the offset buffer for one output row, of offsets and of masks
    """

    offset: str
    mask: str | None
    fraction: int
    mask_fraction: int
    shared: int
    offset_range: tuple[int, int]
    taken: tuple[int, int]
    positions: int
    row_words: tuple[int, int]

    @property
    def values(self) -> tuple[str, ...]:
        """What is read."""
        return (self.offset,) if self.mask is None else (self.offset, self.mask)

    @property
    def reached(self) -> tuple[int, int]:
        """The least and the greatest vertical offset of a sample, in units of a fraction."""
        return max(self.offset_range[0], self.taken[0]), min(self.offset_range[1], self.taken[1])

    def rows_at_once(self, config: EngineConfig, rows: int) -> int:
        """Return how many of some rows of positions are in the buffer together.

        They take half of it if that is possible, so that the next are loaded meanwhile.
        """
        room = config.offset_depth if self.mask is None else config.offset_depth // 2
        most = room // max(self.row_words)
        tiles = -(-rows // max(1, most // 2))
        return -(-rows // tiles)


@dataclass(frozen=True)
class Operand:
    """Channel groups that an operation reads, of stored values that lie one behind the other.

    Parameters
    ----------
    parts : value names; a concatenation has several
    first : int, channel groups of the first part that are left out
    """

    parts: tuple[str, ...]
    first: int = 0


@dataclass(frozen=True, eq=False)
class TileTerm:
    """One term of a layer that is computed in tiles.

    The weights of all terms lie together, each kernel once. A layer of many channels has all terms
    once for each of several shares of them, so that there is room for the next weights beside
    those in use.

    Parameters
    ----------
    tiling : Tiling
    index : of the term
    share, shares : which of how many shares of the channels it reduces over
    kernels : the layer's own kernels, if the engine transforms them as it loads them, or none
    """

    tiling: Tiling
    index: int
    share: int = 0
    shares: int = 1
    kernels: tuple[Section, ...] = ()

    @property
    def term(self) -> Term:
        """What is computed."""
        return self.tiling.terms[self.index]

    @property
    def transform(self) -> KernelTransform:
        """How the terms' kernels are made, and in which order they lie."""
        return kernel_transform(self.tiling)

    @property
    def slot(self) -> int:
        """Which of them is its own."""
        return self.transform.slots[self.index]

    @property
    def last(self) -> bool:
        """Whether the results follow: its command makes them of the sums."""
        return self.index == len(self.tiling.terms) - 1 and self.share == self.shares - 1

    def fields(self) -> dict[str, int]:
        """Return what a command says of it, but for the rows of the last tiles."""
        tiling, term = self.tiling, self.term
        return {
            "transform": 1,
            "taps": len(term.coefficients),
            "coefficients": term.codes,
            "partial": 1,
            "first": int(self.index == 0 and self.share == 0),
            "last": int(self.last),
            "tile_h": tiling.m[0],
            "tile_w": tiling.m[1],
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


@dataclass(frozen=True, kw_only=True, eq=False)
class ArrayOp:
    """A layer, or a part of one, as the engine runs it.

    Convolution, pooling, residual addition and rescaling are all this: windows of the input,
    multiplied by weight words step by step, accumulated, requantized.

    Parameters
    ----------
    name, kind : the layer's module path and operator
    layer : int, index in ``Graph.layers``
    operands : Operand; two for an addition, which are read like two channel groups
    output : value name
    input_type, output_type : TensorType; both inputs of an addition have one shape and sign
    kernel, stride, dilation : (vertical, horizontal)
    padding : (top, left); negative where the first window begins inside the input
    out_step, out_offset : (vertical, horizontal); the results are the output's rows
        ``out_offset + i * out_step``, and its columns likewise: a phase of a transposed convolution
    segment_log2 : log2 of the rows that share a channel
    per_group : kernel group g of a section reads channel group ``cg + g`` only, instead of all
    maximum : accumulate by maximum
    pad : int, what stands for pixels outside the input
    zero_point, qmin, qmax : int, of the result
    sections : in order, covering all kernel groups
    bias, multiplier, shift : (n_kg, rows), requantization parameters
    macs : int, useful multiply-accumulates
    gate : value of one pixel whose words in memory are the last weight word of each kernel group,
        or None
    table : (256,) uint8, what each result's byte is replaced by, or None
    term : the operation is one term of a layer that is computed in tiles; its rows and columns are
        tiles of ``out_step`` results, all its taps make one window, and its weights are wide
    deform : Deformation, or None where windows lie on the grid
    planes : channel groups that are read for each one of the layer's input: the samples at each tap
    """

    name: str
    kind: str
    layer: int
    operands: tuple[Operand, ...]
    output: str
    input_type: TensorType
    output_type: TensorType
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    out_step: tuple[int, int] = (1, 1)
    out_offset: tuple[int, int] = (0, 0)
    segment_log2: int
    per_group: bool
    maximum: bool
    pad: int
    zero_point: int
    qmin: int
    qmax: int
    sections: tuple[Section, ...]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    macs: int
    gate: str | None = None
    table: NDArray[np.uint8] | None = None
    term: TileTerm | None = None
    deform: Deformation | None = None
    planes: int = 1

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the stored values that are read, each once."""
        return tuple(dict.fromkeys(v for operand in self.operands for v in operand.parts))

    @cached_property
    def from_memory(self) -> tuple[str, ...]:
        """Names of the values that are read from memory, wherever they are: factors, offsets."""
        gate = () if self.gate is None else (self.gate,)
        return (*gate, *(self.deform.values if self.deform else ()))

    @cached_property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return sum(section.n_kg for section in self.sections)

    @cached_property
    def section_of(self) -> tuple[Section, ...]:
        """The section of each kernel group."""
        return tuple(section for section in self.sections for _ in range(section.n_kg))

    def segments(self, config: EngineConfig, section: Section) -> tuple[int, int, int]:
        """Return channel groups per kernel group, steps of a segment, and of the last group's."""
        if self.per_group:
            # A segment may be all rows. An addition reads its operands like two channel groups.
            groups = max(len(self.operands), self.planes)
            return groups, 1 << self.segment_log2, 1 << self.segment_log2
        groups = -(-section.channels // config.rows)
        last = section.channels - (groups - 1) * config.rows
        return groups * self.planes, config.rows if groups > 1 else last, last

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses that assemble one window."""
        if self.term is not None:
            return self.kernel[0] * self.kernel[1]
        return config.cols if self.deform else gcd(self.stride[1], config.cols)

    def pass_cycles(self, config: EngineConfig, section: Section) -> int:
        """Return the cycles of one pass: ``rows`` channels of ``cols`` pixels."""
        parts = self.parts(config)
        groups, segment, last = self.segments(config, section)
        one = self.term is not None or section.tap is not None
        windows = 1 if one else self.kernel[0] * self.kernel[1]
        busy = windows * ((groups - 1) * max(segment, parts) + max(last, parts))
        return max(busy, self.drains * config.drain_cycles)

    @property
    def drains(self) -> int:
        """How often the results of a pass go by: to partial sums, and as totals."""
        if self.term is None:
            return 1
        height, width = self.out_step
        return width + (height * width if self.term.last else 0)

    @property
    def tile_rows(self) -> int:
        """Rows of results that are computed together."""
        return 1 if self.term is None else self.out_step[0]

    def own_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return which of this operation's rows lie in rows ``start .. stop - 1`` of the output."""
        step, offset = self.out_step[0], self.out_offset[0]
        return -(-(start - offset) // step), -(-(stop - offset) // step)

    @property
    def column_step(self) -> int:
        """Columns from one result to the next."""
        return self.out_step[1] if self.columns > 1 or self.term is not None else 1

    @property
    def columns(self) -> int:
        """Results per row."""
        return -(-(self.output_type.shape[2] - self.out_offset[1]) // self.out_step[1])

    def input_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows that output rows ``start .. stop - 1`` read, as (first, end).

        Rows outside the input are left out; nothing to compute, or padding only, is an empty range
        inside the input.
        """
        height = self.input_type.shape[1]
        start, stop = self.own_rows(start, stop)
        first = start * self.stride[0] - self.padding[0]
        last = (stop - 1) * self.stride[0] - self.padding[0]
        end = last + (self.kernel[0] - 1) * self.dilation[0] + 1 if stop > start else first
        if self.deform and stop > start:
            first, end = reach(self.deform.reached, self.deform.fraction, first, end - 1)
        return min(max(first, 0), height), min(max(end, 0), height)


@dataclass(frozen=True, eq=False)
class Stage:
    """Operations that together compute one value, from the same inputs.

    One, or the value's phases, or the terms of its tiles, which are in order.
    """

    ops: tuple[ArrayOp, ...]

    @property
    def operands(self) -> tuple[Operand, ...]:
        """What is read, by every operation alike."""
        return self.ops[0].operands

    @property
    def inputs(self) -> tuple[str, ...]:
        """Values read, each once."""
        return self.ops[0].inputs

    @property
    def positions(self) -> tuple[str, ...]:
        """Offsets and masks, of which the rows of the output are read."""
        deform = self.ops[0].deform
        return deform.values if deform else ()

    @property
    def output(self) -> str:
        """The value written."""
        return self.ops[0].output

    @property
    def weighted(self) -> tuple[ArrayOp, ...]:
        """Operations that have weights of their own; of tiles, the first terms have all terms'."""
        return tuple(op for op in self.ops if op.term is None or op.term.index == 0)

    @property
    def tile_rows(self) -> int:
        """Rows of results that are computed together."""
        return self.ops[0].tile_rows

    @property
    def output_type(self) -> TensorType:
        """Type of the value written."""
        return self.ops[0].output_type

    def input_rows(self, start: int, stop: int) -> tuple[int, int]:
        """Return the input rows that output rows ``start .. stop - 1`` read, as (first, end)."""
        if len(self.ops) == 1:
            return self.ops[0].input_rows(start, stop)
        height = self.ops[0].input_type.shape[1]
        firsts, ends = [], []
        for (stride, step, offset), (above, below) in self._reaches.items():
            low, high = -(-(start - offset) // step), -(-(stop - offset) // step)
            firsts.append(low * stride + above)
            ends.append((high - 1) * stride + below if high > low else firsts[-1])
        first, end = min(firsts), max(ends)
        return min(max(first, 0), height), min(max(end, 0), height)

    @cached_property
    def _reaches(self) -> dict[tuple[int, int, int], tuple[int, int]]:
        """Input rows from and to which operations of the same rows of results read."""
        result: dict[tuple[int, int, int], tuple[int, int]] = {}
        for op in self.ops:
            key = op.stride[0], op.out_step[0], op.out_offset[0]
            first = -op.padding[0]
            end = first + (op.kernel[0] - 1) * op.dilation[0] + 1
            known = result.get(key, (first, end))
            result[key] = min(known[0], first), max(known[1], end)
        return result
