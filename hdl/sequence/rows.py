"""Where the input goes on when a row of results ends: the next row of the image, or the next image.

And if rows share words, where in their word.
"""

from typing import NamedTuple

from amaranth.hdl import Mux, Signal, Value

from tilewright.hdl.lib.loops import RingStep

__all__ = ["NextRow", "ends_image", "next_row", "next_y"]


class NextRow(NamedTuple):
    """Where the next row's windows are, as in ``segment_layout``.

    Without ``config.shared_words``, only the row.
    """

    row: Value
    x: Value | None
    word: Value | None
    lane: Value | None


def ends_image(command, y, edge):
    """Return whether a row of results is the last of its image, if there are several.

    ``y``, ``edge`` : an input row that it reads, and which one the last row reads instead
    """
    return command.stacked & (y == edge)


def next_y(command, y, ends):
    """Return the input row that the next row of results reads.

    ``ends`` : the image ends with the row that reads ``y``; None in engines that know but one
    """
    step = command.oy_dy if ends is None else Mux(ends, command.edge_dy, command.oy_dy)
    return y + step


def next_row(m, config, command, at, ends):
    """Return where windows are a row of results further on, had that row begun where this one did.

    Columns go back by ``row_dx``: pixels keep their numbers in the word that the rows share.

    Parameters
    ----------
    m : Module, to which this is added
    config : EngineConfig
    command : view of a Compute, stable for a cycle before
    at : view with ``row``; where rows share words, ``x``, ``word`` and ``lane`` too
    ends : 1 bit, or None; the row is the last of its image
    """
    m.submodules.next_row = step = RingStep(width=len(at.row))
    m.d.comb += [step.ring.eq(command.act_ring), step.step.eq(command.oy_step), step.i.eq(at.row)]
    row = step.o
    if ends is not None:
        m.submodules.next_image = step = RingStep(width=len(at.row))
        m.d.comb += [
            step.ring.eq(command.act_ring),
            step.step.eq(command.edge_step),
            step.i.eq(at.row),
        ]
        row = Mux(ends, step.o, row)
    if not config.shared_words:
        return NextRow(row, None, None, None)
    borrows, up = Signal(), Signal(range(config.cols + 1))
    more = Signal.like(at.word)
    m.d.sync += [up.eq(config.cols - command.row_lane), more.eq(command.row_word + 1)]
    m.d.comb += borrows.eq(at.lane < command.row_lane)
    return NextRow(
        row,
        at.x - command.row_dx,
        at.word - Mux(borrows, more, command.row_word),
        Mux(borrows, at.lane + up, at.lane - command.row_lane),
    )
