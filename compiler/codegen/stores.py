"""Results on their way to memory."""

from __future__ import annotations

from tilewright.compiler.codegen.hazards import ring_spans
from tilewright.compiler.codegen.images import Places
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.schedule import ArrayOp, Block, LoweredGraph
from tilewright.compiler.schedule.array.area import Area, runs
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
        layout, first = self._lowered.layout(op.output), self._places.address(op.output)
        depth = self._recorder.config.out_depth
        for run in runs(layout, block, area, in_order=True):
            address, words = first + run.address, run.times * run.rows * area.width
            base = (out_base + (run.groups * area.rows + run.first_row) * area.width) % depth
            self._recorder.append(
                Store(
                    layer=op.layer,
                    address=address,
                    groups=run.times,
                    group_stride=run.stride,
                    height=run.rows,
                    width=area.width,
                    base=base,
                ),
                ring_spans("results", base, words, depth),
                [self._recorder.memory_span(address, run)],
            )
