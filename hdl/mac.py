"""The array: one multiplier and one accumulator per cell."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.fanout import Fanout
from tilewright.hdl.multiplier import Multiplier, PairMultiplier

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """``rows`` x ``cols`` multiply-accumulate (or multiply-maximum) cells.

    Row k multiplies its own ``cols`` activations by one weight. Each row has its own activations,
    so no wire crosses the array: what rows share is decided before (the segment broadcast).

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    x : In(array of rows x cols signed(9)); with 4-bit weights, only the even rows' are used
    w : In(array of rows signed(weight_bits))
    valid : In(1); accumulate the product of this cycle's ``x`` and ``w``
    first : In(1); start from this product instead of adding it
    maximum : In(1); keep the larger instead of the sum
    acc : Out(array of rows x cols signed(32))

    Timing
    ------
    ``acc`` shows a product ``LATENCY`` cycles after its operands; ``valid`` and ``first`` belong to
    the operands of the same cycle, ``maximum`` must be steady while there are products.
    """

    LATENCY = Multiplier.LATENCY + 2

    def __init__(self, config):
        self._config = config

        def cells(shape):
            return data.ArrayLayout(data.ArrayLayout(shape, config.cols), config.rows)

        super().__init__(
            {
                "x": In(cells(signed(9))),
                "w": In(data.ArrayLayout(signed(config.weight_bits), config.rows)),
                "valid": In(1),
                "first": In(1),
                "maximum": In(1),
                "acc": Out(cells(signed(32))),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        control = Cat(self.valid, self.first)
        for _ in range(Multiplier.LATENCY + 1 - Fanout.LATENCY):
            later = Signal.like(control)
            m.d.sync += later.eq(control)
            control = later
        m.submodules.control = copies = Fanout(width=2, copies=config.rows, dsp=config.dsp)
        m.submodules.maximum = maxima = Fanout(width=1, copies=config.rows, dsp=config.dsp)
        m.d.comb += [copies.i.eq(control), maxima.i.eq(self.maximum)]

        # Rows of a pair have one activation: with 4-bit weights, one multiplier has both products.
        paired = config.weight_bits == 4
        for k in range(0, config.rows, 1 + paired):
            for j in range(config.cols):
                if paired:
                    m.submodules[f"mul_{k}_{j}"] = mul = PairMultiplier(dsp=config.dsp)
                    m.d.comb += [mul.a.eq(self.x[k][j]), mul.low.eq(self.w[k])]
                    m.d.comb += mul.high.eq(self.w[k + 1])
                    products = [mul.p_low, mul.p_high]
                else:
                    mul = Multiplier(
                        a_shape=signed(9), b_shape=signed(config.weight_bits), dsp=config.dsp
                    )
                    m.submodules[f"mul_{k}_{j}"] = mul
                    m.d.comb += [mul.a.eq(self.x[k][j]), mul.b.eq(self.w[k])]
                    products = [mul.p]
                for row, product in enumerate(products, k):
                    control = (*copies.o[row], maxima.o[row])
                    self._accumulate(m, self.acc[row][j], product, *control)
        return m

    def _accumulate(self, m, acc, product, valid, first, maximum):
        # A register between the multiplier, whose place is fixed, and the adder, which serves
        # both: acc + ~p = acc - p - 1 is negative iff p >= acc.
        operand = Signal.like(product, reset_less=True)
        total, value = Signal(signed(32)), Signal(signed(32), reset_less=True)
        m.d.sync += operand.eq(Mux(maximum, ~product, product))
        m.d.comb += [total.eq(value + operand), acc.eq(value)]
        # A maximum is a product: one more bit holds the difference.
        with m.If(valid & (first | ~maximum | total[len(operand)])):
            with m.If(first | maximum):
                m.d.sync += value.eq(Mux(maximum, ~operand, operand))
            with m.Else():
                m.d.sync += value.eq(total)
