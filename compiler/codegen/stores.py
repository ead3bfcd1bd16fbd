"""Results on their way to memory."""

from __future__ import annotations

from tilewright.compiler.codegen.hazards import ring_spans
from tilewright.compiler.codegen.images import MemoryMap
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.schedule import ArrayOp, Block, LoweredGraph
from tilewright.isa import Store


class Storer:
    """Emit stores of results.

    Parameters
    ----------
    recorder : Recorder
    lowered : LoweredGraph
    memory : where values lie
    """

    def __init__(self, recorder: Recorder, lowered: LoweredGraph, memory: MemoryMap) -> None:
        self._recorder = recorder
        self._lowered = lowered
        self._memory = memory

    def rows(self, op: ArrayOp, block: Block, start: int, stop: int, out_base: int) -> None:
        """Store rows of some kernel groups, from a word of the output buffer on."""
        layout = self._lowered.layout(op.output)
        address = (
            self._memory.values[op.output].address
            + block.kg * layout.group_bytes
            + start * layout.row_bytes
        )
        height = stop - start
        words = block.n_kg * height * layout.width
        self._recorder.append(
            Store(
                layer=op.layer,
                address=address,
                groups=block.n_kg,
                group_stride=layout.group_bytes,
                height=height,
                width=layout.width,
                base=out_base,
            ),
            ring_spans("results", out_base, words, self._recorder.config.out_depth),
            [
                self._recorder.memory_span(
                    address, height * layout.row_bytes, block.n_kg, layout.group_bytes
                )
            ],
        )
