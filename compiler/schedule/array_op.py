"""What the array does: one loop nest over windows, steps and kernel groups."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import TensorType
from tilewright.compiler.isa import EngineConfig
from tilewright.errors import Error


class EngineLimitError(Error):
    """An engine is too small for a layer; the message names the parameter that must grow."""


@dataclass(frozen=True, kw_only=True)
class ArrayOp:
    """A layer, or a part of one, as the engine runs it.

    Convolution, pooling, residual addition and rescaling are all this: windows of the input,
    multiplied by weight words step by step, accumulated, requantized.

    Parameters
    ----------
    name, kind : the layer's module path and operator
    layer : int, index in ``Graph.layers``
    inputs : value names; two for an addition, which are read like two channel groups
    output : value name
    input_type, output_type : TensorType; both inputs of an addition have one shape and sign
    kernel, stride, dilation : (vertical, horizontal)
    padding : (top, bottom, left, right)
    segment_log2 : log2 of the rows that share a channel
    channels : channels reduced over by one kernel group
    per_group : kernel group g reads channel group g only, instead of all
    maximum : accumulate by maximum
    pad : int, what stands for pixels outside the input
    zero_point, qmin, qmax : int, of the result
    weights : (n_kg, steps, rows) int8, the weight words of each kernel group
    bias, multiplier, shift : (n_kg, rows), requantization parameters
    macs : int, useful multiply-accumulates
    """

    name: str
    kind: str
    layer: int
    inputs: tuple[str, ...]
    output: str
    input_type: TensorType
    output_type: TensorType
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int, int, int]
    segment_log2: int
    channels: int
    per_group: bool
    maximum: bool
    pad: int
    zero_point: int
    qmin: int
    qmax: int
    weights: NDArray[np.int8]
    bias: NDArray[np.int64]
    multiplier: NDArray[np.int64]
    shift: NDArray[np.int64]
    macs: int

    @property
    def n_kg(self) -> int:
        """Kernel groups, of ``rows`` output channels."""
        return int(self.weights.shape[0])

    @property
    def steps(self) -> int:
        """Weight words of a kernel group: cycles in which a pass multiplies."""
        return int(self.weights.shape[1])

    def segments(self, config: EngineConfig) -> tuple[int, int, int]:
        """Return channel groups per kernel group, steps of a segment, and of the last group's."""
        if self.segment_log2 < (config.rows - 1).bit_length():
            # An addition reads its operands like two channel groups.
            return len(self.inputs), 1 << self.segment_log2, 1 << self.segment_log2
        groups = -(-self.channels // config.rows)
        last = self.channels - (groups - 1) * config.rows
        return groups, config.rows if groups > 1 else last, last

    def parts(self, config: EngineConfig) -> int:
        """Return the accesses that assemble one window."""
        return gcd(self.stride[1], config.cols)
