"""Words of results on their way into the buffers, each to its place."""

from functools import reduce
from operator import or_
from typing import NamedTuple

from amaranth.hdl import Mux, Signal, Value
from amaranth.lib import data

from tilewright.hdl.lib.loops import LoopCounter

__all__ = ["At", "Written", "first_of_pass", "stepped", "stepping", "write_results"]


class Written(NamedTuple):
    """What leaves the requantizers, and what is said of it.

    Parameters
    ----------
    head : which pixel and row leaves in this cycle; the word is whole a cycle later
    place, target : of its pass, as in ``result_layout``
    word : of all rows; or that of an even and that of an odd pixel
    """

    head: data.View
    place: data.View
    target: data.View
    word: Value | list[Value]


class At(NamedTuple):
    """Where a result goes."""

    lane: Value  #: of the activation buffer
    dst: Value  #: word there
    out: Value  #: word of the output buffer


def write_results(m, config, written, o_act, o_out):
    """Write a word, when it is whole, to where it belongs.

    Returns whether the last result of a command is written in this cycle.

    Parameters
    ----------
    m : Module, to which this is added
    config : EngineConfig
    written : Written
    o_act, o_out : lane_write and word_write, driven
    """
    cols = config.cols
    done, place, target = written.head, written.place, written.target
    # The word is whole in the cycle after its last row left the requantizer.
    whole = Signal(done.shape())
    m.d.sync += whole.eq(done)
    at = At(Signal(range(cols)), Signal.like(place.dst), Signal.like(place.out))
    following, begins = stepped(m, config, target, at), first_of_pass(m, config, written)
    step = stepping(config, target, whole)
    first_dst, first_out = place.dst, place.out
    if config.wide_maps:  # low bytes lie a row further
        first_dst = place.dst + Mux(done.low, target.dst_row, 0)
        first_out = place.out + Mux(done.low, target.out_row, 0)
    with m.If(begins):
        m.d.sync += [at.lane.eq(target.lane), at.dst.eq(first_dst), at.out.eq(first_out)]
    with m.Elif(step):
        m.d.sync += [now.eq(then) for now, then in zip(at, following, strict=True)]
    if config.shared_words:
        _share_words(m, place, target, at, begins=begins, step=step)
    valid = done.complete & (done.lane < place.pixels)
    m.d.sync += [o_act.valid.eq(valid & target.to_act), o_out.valid.eq(valid & target.to_out)]
    m.d.comb += [
        o_act.lane.eq(at.lane),
        o_act.addr.eq(at.dst),
        o_act.data.eq(written.word),
        o_out.addr.eq(at.out),
        o_out.data.eq(written.word),
    ]
    return whole.done


def first_of_pass(m, config, written):
    """Return whether a result leaves that goes to its pass's place, not behind the one before."""
    done, target, begins = written.head, written.target, Signal()
    m.d.comb += begins.eq(done.complete & (done.lane == 0))
    goes_on = [target.shared] if config.shared_words else []
    if config.split_columns:
        goes_on.append(target.split)
    if goes_on:
        with m.If(reduce(or_, goes_on) & ~written.place.fresh):
            m.d.comb += begins.eq(0)
    return begins


def stepping(config, target, whole):
    """Return whether a whole word is a pixel's that the pass has, behind which the next one goes.

    ``whole`` : what is written, a cycle after it left the requantizers
    """
    if not config.split_columns:
        return whole.complete
    return whole.complete & ~(target.split & (whole.lane >= config.cols // 2))


def stepped(m, config, target, at):
    """Return where the result behind one goes, in the cycle after ``target`` came."""
    cols = config.cols
    # Lane and word of each result; a step is a few bits: small tables, no division.
    step_lane, step_word, step_out = Signal(range(cols)), Signal(3), Signal(3)
    wraps_from, wraps = Signal(range(cols + 1)), Signal()
    m.d.sync += step_out.eq(target.step)
    with m.Switch(target.step):
        for step in range(8):
            with m.Case(step):
                m.d.sync += [
                    step_lane.eq(step % cols),
                    step_word.eq(step // cols),
                    wraps_from.eq(cols - step % cols),
                ]
    m.d.comb += wraps.eq(at.lane >= wraps_from)
    return At(
        at.lane + step_lane - Mux(wraps, cols, 0),
        at.dst + step_word + wraps,
        at.out + step_out,
    )


def _share_words(m, place, target, at, *, begins, step):
    """Go on with the next row of results behind the last pixel of one."""
    m.submodules.pixels = pixels = LoopCounter(width=len(target.width))
    next_dst, next_out = Signal.like(at.dst), Signal.like(at.out)
    m.d.comb += [pixels.count.eq(target.width), pixels.start.eq(begins), pixels.step.eq(step)]
    with m.If(begins):
        m.d.sync += [
            next_dst.eq(place.dst + target.dst_row),
            next_out.eq(place.out + target.out_row),
        ]
    with m.Elif(step & pixels.last & target.shared):
        m.d.sync += [
            at.lane.eq(target.lane),
            at.dst.eq(next_dst),
            at.out.eq(next_out),
            next_dst.eq(next_dst + target.dst_row),
            next_out.eq(next_out + target.out_row),
        ]
