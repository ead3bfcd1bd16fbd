"""Results on their way to memory."""

from __future__ import annotations

from tilewright.compiler.codegen.hazards import ring_spans
from tilewright.compiler.codegen.images import Places
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.schedule import ArrayOp, Block, LoweredGraph
from tilewright.compiler.schedule.array.area import Area, Run, runs
from tilewright.compiler.schedule.array.stacked import stored_parts
from tilewright.isa import Store


class Storer:
    """Emit stores of results.

    Parameters
    ----------
    recorder : Recorder
    lowered : LoweredGraph
    places : where values lie
    """

    def __init__(self, recorder: Recorder, lowered: LoweredGraph, places: Places) -> None:
        self._recorder = recorder
        self._lowered = lowered
        self._places = places

    def area(self, op: ArrayOp, block: Block, area: Area, out_base: int) -> None:
        """Store some of kernel groups, from a word of the output buffer on."""
        layout = self._lowered.layout(op.output)
        for groups, image, part, before, rows in stored_parts(block, area, layout.height):
            first = self._places.address(op.output, image)
            row = before * area.rows + rows  # of those in the output buffer
            for run in runs(layout, groups, part, in_order=True):
                row_of_run = row + run.groups * area.rows + run.first_row
                self._store(op, first, run, out_base + row_of_run * area.width, area.width)

    def _store(self, op: ArrayOp, first: int, run: Run, word: int, width: int) -> None:
        """Store a run of a value that lies from ``first`` on, from a word of the buffer on."""
        depth = self._recorder.config.out_depth
        address, words, base = first + run.address, run.times * run.rows * width, word % depth
        self._recorder.append(
            Store(
                layer=op.layer,
                address=address,
                groups=run.times,
                group_stride=run.stride,
                height=run.rows,
                width=width,
                base=base,
            ),
            ring_spans("results", base, words, depth),
            [self._recorder.memory_span(address, run)],
        )
