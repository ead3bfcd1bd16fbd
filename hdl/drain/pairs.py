"""Two words of results in a cycle on their way into the buffers, each to its place."""

from amaranth.hdl import Mux, Signal

from tilewright.hdl.drain.write import At, first_of_pass, stepped, stepping

__all__ = ["write_pairs"]


def write_pairs(m, config, written, o_act, o_out):
    """Write the words of an even and of an odd pixel, when they are whole: together or in turn.

    As :func:`~tilewright.hdl.drain.write.write_results`; ``written.word`` and ``o_act``, ``o_out``
    are those of even pixels and those of odd ones.
    """
    cols = config.cols
    done, place, target = written.head, written.place, written.target
    whole = Signal(done.shape())
    m.d.sync += whole.eq(done)
    # Of the pixel that leaves, or the first of the two; then of the next one, and of the one after.
    at = At(Signal(range(cols)), Signal.like(place.dst), Signal.like(place.out))
    second = At(*(Signal.like(part) for part in at))
    third = At(*(Signal.like(part) for part in at))
    following, begins = stepped(m, config, target, at), first_of_pass(m, config, written)
    step = stepping(config, target, whole)
    # The last pixel of an odd number has none beside it.
    both = whole.pair & (whole.lane != cols - 1)
    if config.split_columns:
        both &= ~(target.split & (whole.lane == cols // 2 - 1))
    wraps = second.lane == cols - 1
    apart = At(Mux(wraps, 0, second.lane + 1), second.dst + wraps, second.out + 1)
    m.d.comb += [now.eq(then) for now, then in zip(second, following, strict=True)]
    m.d.comb += [now.eq(then) for now, then in zip(third, apart, strict=True)]
    with m.If(begins):
        m.d.sync += [at.lane.eq(target.lane), at.dst.eq(place.dst), at.out.eq(place.out)]
    with m.Elif(step):
        m.d.sync += [
            now.eq(Mux(both, then, one)) for now, one, then in zip(at, second, third, strict=True)
        ]
    if config.shared_words:
        _share_words(m, config, written, (second, third), begins=begins, step=step, both=both)
    valid, valid_odd = Signal(), Signal()
    m.d.comb += [
        valid.eq(done.complete & (done.pair | ~done.lane[0]) & (done.lane < place.pixels)),
        valid_odd.eq(
            done.complete & (done.pair | done.lane[0]) & (done.lane + done.pair < place.pixels)
        ),
    ]
    odd = At(*(Mux(whole.pair, then, now) for now, then in zip(at, second, strict=True)))
    for k, (is_valid, place_of) in enumerate(((valid, at), (valid_odd, odd))):
        m.d.sync += [
            o_act[k].valid.eq(is_valid & target.to_act),
            o_out[k].valid.eq(is_valid & target.to_out),
        ]
        m.d.comb += [
            o_act[k].lane.eq(place_of.lane),
            o_act[k].addr.eq(place_of.dst),
            o_act[k].data.eq(written.word[k]),
            o_out[k].addr.eq(place_of.out),
            o_out[k].data.eq(written.word[k]),
        ]
    return whole.done


def _share_words(m, config, written, following, *, begins, step, both):
    """Let the next row of results begin behind the last pixel of one.

    Parameters
    ----------
    following : places of the next pixel and of the one after, which are changed
    begins, step, both : 1 bit; a pass begins; one pixel leaves at least; two
    """
    place, target = written.place, written.target
    second, third = following
    # Pixels that are left of the row, with the one that leaves, or the first of the two.
    left, ends, ends_odd = Signal.like(target.width), Signal(), Signal()
    next_dst, next_out = Signal.like(second.dst), Signal.like(second.out)
    first = At(target.lane, next_dst, next_out)
    m.d.comb += [ends.eq(target.shared & (left == 1)), ends_odd.eq(target.shared & (left == 2))]
    with m.If(ends):
        m.d.comb += [now.eq(then) for now, then in zip(second, first, strict=True)]
    with m.If(ends_odd):
        m.d.comb += [now.eq(then) for now, then in zip(third, first, strict=True)]
    more = Mux(ends | (both & ends_odd), target.width, 0)
    with m.If(begins):
        m.d.sync += [
            left.eq(target.width),
            next_dst.eq(place.dst + target.dst_row),
            next_out.eq(place.out + target.out_row),
        ]
    with m.Elif(step):
        m.d.sync += left.eq(left - 1 - both + more)
        with m.If(ends | (both & ends_odd)):
            m.d.sync += [
                next_dst.eq(next_dst + target.dst_row),
                next_out.eq(next_out + target.out_row),
            ]
