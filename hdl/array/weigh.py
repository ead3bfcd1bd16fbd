"""Weights on their way to the array, and parameters among them."""

from amaranth.hdl import Mux, Signal

from tilewright.hdl.array.mac import MacArray
from tilewright.hdl.lib.delay import delayed
from tilewright.hdl.lib.fanout import FanoutTree

__all__ = ["weigh"]


def weigh(m, config, *, data, upper_data, latency, steps, array, command, factor):
    """Connect weights with the array; return them as the drain takes its parameters.

    Parameters
    ----------
    m : Module, to which this is added
    config : EngineConfig
    data, upper_data : what the weight buffer gives; the latter with ``split_columns``, or None
    latency : cycles from a weight's address to the array
    steps : StepSequencer
    array : MacArray
    command : view of a Compute
    factor : weights of products of two maps; None in engines without
    """
    half_way = m.d.sync if config.pipelined else m.d.comb
    weights = Signal(len(data), name="weights", reset_less=True)
    half_way += weights.eq(data)
    if config.split_columns:
        upper = Signal(len(upper_data), name="weights_upper", reset_less=True)
        half_way += upper.eq(upper_data)
    # The drain's, from those who are ahead of the activations.
    parameters = weights
    if MacArray.ahead(config):
        parameters = Signal(len(weights), name="parameters", reset_less=True)
        m.d.sync += parameters.eq(weights)
    step, first = delayed(m, steps.step, latency), steps.first & ~command.resume
    m.d.comb += array.maximum.eq(command.maximum)
    ahead = latency - MacArray.ahead(config)
    own = [weights.word_select(k, config.weight_width).as_signed() for k in range(config.rows)]
    if config.wide_maps:  # those for high bytes count 256 times
        m.submodules.high = high = FanoutTree(width=1, copies=config.rows, dsp=config.dsp)
        low = delayed(m, steps.low, ahead - FanoutTree.LATENCY)
        m.d.comb += high.i.eq(command.wide_in & ~low)
        own = [Mux(high.o[k], weight << 8, weight).as_signed() for k, weight in enumerate(own)]
    if config.split_columns:
        others = [upper.word_select(k, config.weight_width) for k in range(config.rows)]
    if factor is None:
        m.d.comb += array.valid.eq(step)
        if config.split_columns:
            m.d.comb += array.w_upper.eq(upper)
        if config.wide_maps:
            m.d.comb += [array.w[k].eq(weight) for k, weight in enumerate(own)]
        else:
            m.d.comb += array.w.eq(weights)
    else:
        # Of a product, a column after the other adds what its pixel makes of it.
        early = delayed(m, steps.step & steps.product, ahead - FanoutTree.LATENCY)
        m.submodules.products = rows = FanoutTree(width=1, copies=config.rows, dsp=config.dsp)
        m.d.comb += rows.i.eq(early)
        product = delayed(m, early, FanoutTree.LATENCY + MacArray.ahead(config))
        column = Signal(config.cols, init=1)
        with m.If(product):
            m.d.sync += column.eq(column.rotate_left(1))
        m.d.comb += array.valid.eq(Mux(product, column, step.replicate(config.cols)))
        for k, weight in enumerate(own):
            m.d.comb += array.w[k].eq(Mux(rows.o[k], factor[k], weight))
            if config.split_columns:
                other = others[k].as_signed()
                m.d.comb += array.w_upper[k].eq(Mux(rows.o[k], factor[k], other))
        first |= steps.product & ~command.r_dy[0]
    m.d.comb += array.first.eq(delayed(m, first, latency))
    return parameters
