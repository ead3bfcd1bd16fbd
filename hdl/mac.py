"""The array: one multiplier and one accumulator per cell."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

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
    ``acc`` shows a product ``LATENCY`` cycles after its operands; ``valid``, ``first`` and
    ``maximum`` belong to the operands of the same cycle.
    """

    LATENCY = Multiplier.LATENCY + 1

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
        control = [self.valid, self.first, self.maximum]
        for _ in range(Multiplier.LATENCY):
            delayed = [Signal() for _ in control]
            m.d.sync += [d.eq(c) for d, c in zip(delayed, control, strict=True)]
            control = delayed
        valid, first, maximum = control

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
                    self._accumulate(m, self.acc[row][j], product, valid, first, maximum)
        return m

    def _accumulate(self, m, acc, product, valid, first, maximum):
        # One adder serves both: acc + ~p = acc - p - 1 is negative iff p >= acc.
        operand, total = Signal(signed(32)), Signal(signed(32))
        m.d.comb += [
            operand.eq(Mux(maximum, ~product, product)),
            total.eq(acc + operand),
        ]
        with m.If(valid):
            with m.If(first | (maximum & total[-1])):
                m.d.sync += acc.eq(product)
            with m.Elif(~maximum):
                m.d.sync += acc.eq(total)
