"""The segment broadcast: which row of the array hears which channel.

Channels queue up towards row 0, one row a cycle, and every segment of rows listens to its own
lowest row. With 8 rows in two segments, in the cycle in which the queues hold channels 1 and 5::

    window        c0  c1  c2  c3  c4  c5  c6  c7      all at once, when it is complete
    queue         c1  c2  c3  c3  c5  c6  c7  c7      one row on, each cycle
                   |               |
    row  0..3 <----+   4..7 <------+                  a segment hears its lowest row

Long ways have a register at half-way, and one at the end::

    queue -> near (own) or far (first of four rows) -> x, a pixel for each column
"""

from amaranth.hdl import Cat, Mux, Signal

from tilewright.hdl.lib.fanout import Fanout, FanoutTree

__all__ = ["complete_latency", "segment_broadcast"]

#: Rows near each other.
FAN_OUT = 4


def _copies(config):
    """Return the kind of registers that tell all rows something."""
    return FanoutTree if config.pipelined else Fanout


def complete_latency(config):
    """Return the cycles from ``complete`` to the queues."""
    return _copies(config).LATENCY


def _register(name, width):
    return Signal(width, name=name, reset_less=True)


def segment_broadcast(m, config, *, command, window, complete, x, low=None):
    """Connect windows with the array.

    Parameters
    ----------
    m : Module, to which registers are added
    config : EngineConfig
    command : view of a Compute: ``segment_log2``, ``signed``, ``segment``, ``split``
    window : array of ``cols`` words of rows x window_width bits
    complete : 1 bit; the window is whole ``complete_latency(config)`` cycles later
    x : array of rows x cols signed(data_width), driven

    low : 1 bit, with ``complete``, in engines with ``wide_maps``; pixels are low bytes, unsigned

    Timing
    ------
    With ``config.pipelined``, ``x`` shows a segment's first channel three cycles after its window,
    else one. Of a product, it shows that one until the next window.
    """
    half_way = m.d.sync if config.pipelined else m.d.comb
    rows, cols = config.rows, config.cols
    share = min(rows, FAN_OUT)
    m.submodules.complete = whole = _copies(config)(width=1, copies=rows, dsp=config.dsp)
    m.d.comb += whole.i.eq(complete)

    pixel_width = config.window_width

    queue = [_register(f"queue_{k}", pixel_width * cols) for k in range(rows)]
    near = [_register(f"near_{k}", pixel_width * cols) for k in range(rows)]
    far = [_register(f"far_{k}", pixel_width * cols) for k in range(0, rows, share)]
    # Whom each row listens to: another near one, by the segment's size, or a far one.
    share_log2 = share.bit_length() - 1
    holds = [command.segment == 0] if config.multiplies_maps else []
    splits = [command.split] if config.split_columns else []
    signed = command.signed
    if config.wide_maps:  # of the window that is on its way, as long as its pixels are heard
        signed = Signal()
        with m.If(complete):
            m.d.sync += signed.eq(command.signed & ~low)
    choice = Signal(share_log2 + 1 + len(holds) + len(splits))
    m.d.sync += choice.eq(
        Cat(*(command.segment_log2 == log2 for log2 in range(share_log2)), signed, *holds, *splits)
    )
    m.submodules.listen = listen = _copies(config)(width=len(choice), copies=rows, dsp=config.dsp)
    m.submodules.distance = distance = Fanout(
        width=len(command.segment_log2), copies=rows // share, dsp=config.dsp
    )
    m.d.comb += [listen.i.eq(choice), distance.i.eq(command.segment_log2)]
    for k in range(rows):
        pixels = [window[j].word_select(k, pixel_width) for j in range(cols)]
        if splits and k < rows // 2:  # upper columns: other channels of the pixels of lower ones
            for j in range(cols // 2, cols // 2 * 2):
                other = window[j - cols // 2].word_select(k + rows // 2, pixel_width)
                pixels[j] = Mux(listen.o[k][-1], other, pixels[j])
        channel = Cat(pixels)
        with m.If(whole.o[k]):
            m.d.sync += queue[k].eq(channel)
        if k + 1 < rows:
            with m.Elif(~listen.o[k][share_log2 + 1] if holds else 1):
                m.d.sync += queue[k].eq(queue[k + 1])
        half_way += near[k].eq(queue[k])
        if k % share == 0:
            with m.Switch(distance.o[k // share]):
                for log2 in range(share_log2 + 1, (rows - 1).bit_length() + 1):
                    with m.Case(log2):
                        half_way += far[k // share].eq(queue[k >> log2 << log2])
                with m.Default():
                    half_way += far[k // share].eq(queue[k])
        heard = Signal(pixel_width * cols)
        m.d.comb += heard.eq(far[k // share])
        for log2 in range(share_log2):
            with m.If(listen.o[k][log2]):
                m.d.comb += heard.eq(near[k >> log2 << log2])
        for j in range(cols):
            pixel = heard.word_select(j, pixel_width)
            end = _register(f"x_{k}_{j}", config.data_width)
            m.d.comb += x[k][j].eq(end)
            sign = pixel[7] & listen.o[k][share_log2]
            half_way += end.eq(Cat(pixel, sign) if pixel_width == 8 else pixel)
