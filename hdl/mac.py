"""The array: one multiplier and one accumulator per cell."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.multiplier import Multiplier

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
    x : In(array of rows x cols signed(9))
    w : In(array of rows signed(8))
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
                "w": In(data.ArrayLayout(signed(8), config.rows)),
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

        for k in range(config.rows):
            for j in range(config.cols):
                mul = Multiplier(a_shape=signed(9), b_shape=signed(8), dsp=config.dsp)
                m.submodules[f"mul_{k}_{j}"] = mul
                m.d.comb += [mul.a.eq(self.x[k][j]), mul.b.eq(self.w[k])]
                acc = self.acc[k][j]
                # One adder serves both: acc + ~p = acc - p - 1 is negative iff p >= acc.
                operand, total = Signal(signed(32)), Signal(signed(32))
                m.d.comb += [
                    operand.eq(Mux(maximum, ~mul.p, mul.p)),
                    total.eq(acc + operand),
                ]
                with m.If(valid):
                    with m.If(first | (maximum & total[-1])):
                        m.d.sync += acc.eq(mul.p)
                    with m.Elif(~maximum):
                        m.d.sync += acc.eq(total)
        return m
