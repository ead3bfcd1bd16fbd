"""Values of up to 16 bits, as rows of high and of low bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tilewright.compiler.ir import TensorType
from tilewright.compiler.schedule.array.reduction import Sum
from tilewright.compiler.schedule.array.result import Result
from tilewright.compiler.schedule.array.section import Section
from tilewright.compiler.schedule.array.weights import Arrangement
from tilewright.compiler.schedule.array.windows import Windows
from tilewright.compiler.schedule.array.work import Work
from tilewright.isa import EngineConfig
from tilewright.isa.passes import result_cycles
from tilewright.isa.wide import PLANES


def is_wide(kind: TensorType) -> bool:
    """Return whether values take more than a byte."""
    return kind.bits > 8


def stored_type(kind: TensorType) -> TensorType:
    """Return the type of what lies in memory and on chip: values, or rows of their bytes."""
    if not is_wide(kind):
        return kind
    channels, height, width = kind.shape
    return replace(kind, shape=(channels, PLANES * height, width), bits=8, zero_point=0)


@dataclass(frozen=True, eq=False)
class WideSum(Sum):
    """Each sum is a result of 16 bits: a row of high bytes and one of low bytes."""

    def shortest_pass(self, config: EngineConfig, pair: bool) -> int:
        """Return the cycles in which both bytes of a pass leave."""
        return result_cycles(config, pair, wide=True)

    @property
    def tile_rows(self) -> int:
        """Rows of bytes that are computed together."""
        return PLANES

    def row_step(self, result: Result, work: Work) -> int:
        """Return the rows from the high bytes of a result to its low ones."""
        return 1


def rows_of_bytes(kernel_rows: int, dilation: int) -> int:
    """Return the kernel rows over rows of bytes: those of both bytes, and those between."""
    return PLANES * ((kernel_rows - 1) * dilation + 1)


def over_bytes(config: EngineConfig, windows: Windows, arrangement: Arrangement) -> Arrangement:
    """Return the weights of wide windows: those of a kernel row for both of its rows of bytes.

    ``arrangement`` : for the kernel over values
    """
    sections = tuple(
        _over_bytes(config, windows, arrangement, section) for section in arrangement.sections
    )
    return replace(arrangement, sections=sections)


def _over_bytes(
    config: EngineConfig, windows: Windows, arrangement: Arrangement, section: Section
) -> Section:
    rows, columns = windows.kernel
    if arrangement.per_group:
        segments = [1 << arrangement.segment_log2] * windows.groups
    else:
        firsts = range(0, section.channels, config.rows)
        segments = [min(config.rows, section.channels - first) for first in firsts]
    taps = section.steps // sum(segments)
    kernel_rows = taps // columns
    step = (rows // PLANES - 1) // max(1, kernel_rows - 1)
    words, first = [], 0
    for segment in segments:
        shape = (section.n_kg, kernel_rows, columns, segment, config.rows)
        given = section.weights[:, first : first + taps * segment].reshape(shape)
        spread = np.zeros((section.n_kg, rows, *shape[2:]), section.weights.dtype)
        for plane in range(PLANES):
            spread[:, plane :: PLANES * max(step, 1)] = given
        words.append(spread.reshape(section.n_kg, -1, config.rows))
        first += taps * segment
    return replace(section, weights=np.ascontiguousarray(np.concatenate(words, axis=1)))
