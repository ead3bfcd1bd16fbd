"""Rows of results that share words: where the input goes on when a row of them ends."""

from typing import NamedTuple

from amaranth.hdl import Mux, Signal, Value

from tilewright.hdl.lib.loops import RingStep

__all__ = ["NextRow", "next_row"]


class NextRow(NamedTuple):
    """Where the next row's windows are, as in ``segment_layout``.

    Without ``config.shared_words``, only the row.
    """

    row: Value
    x: Value | None
    word: Value | None
    lane: Value | None


def next_row(m, config, command, at):
    """Return where windows are a row of results further on, had that row begun where this one did.

    Columns go back by ``row_dx``: pixels keep their numbers in the word that the rows share.

    Parameters
    ----------
    m : Module, to which this is added
    config : EngineConfig
    command : view of a Compute, stable for a cycle before
    at : view with ``row``; where rows share words, ``x``, ``word`` and ``lane`` too
    """
    m.submodules.next_row = step = RingStep(width=len(at.row))
    m.d.comb += [step.ring.eq(command.act_ring), step.step.eq(command.oy_step), step.i.eq(at.row)]
    if not config.shared_words:
        return NextRow(step.o, None, None, None)
    borrows, up = Signal(), Signal(range(config.cols + 1))
    more = Signal.like(at.word)
    m.d.sync += [up.eq(config.cols - command.row_lane), more.eq(command.row_word + 1)]
    m.d.comb += borrows.eq(at.lane < command.row_lane)
    return NextRow(
        step.o,
        at.x - command.row_dx,
        at.word - Mux(borrows, more, command.row_word),
        Mux(borrows, at.lane + up, at.lane - command.row_lane),
    )
