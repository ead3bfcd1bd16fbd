"""Multipliers with their registers: explicit DSP primitives, or inferred."""

from amaranth.hdl import ClockSignal, Const, Instance, Module, Shape, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Multiplier", "PairMultiplier", "WideMultiplier"]


class Multiplier(wiring.Component):
    """Multiply two registered operands into a registered product.

    Parameters
    ----------
    a_shape, b_shape : Shape
        At most 18 bits each, signed or not: the primitive has a sign input per operand.
    dsp : str
        "ecp5" instantiates MULT18X18D with input and output registers (inference leaves them
        outside, which costs fmax); "inferred" leaves it to the synthesizer.

    Members
    -------
    a : In(a_shape)
    b : In(b_shape)
    p : Out(signed(a width + b width)), unsigned if both operands are

    Timing
    ------
    latency ``LATENCY`` cycles, one product per cycle, no reset.

    Raises
    ------
    ValueError
        If an operand is wider than the primitive.
    """

    LATENCY = 2

    def __init__(self, *, a_shape, b_shape, dsp):
        self._a_shape, self._b_shape = Shape.cast(a_shape), Shape.cast(b_shape)
        self._dsp = dsp
        if max(self._a_shape.width, self._b_shape.width) > 18:
            raise ValueError(
                f"operands must be at most 18 bits wide, not {a_shape!r} and {b_shape!r}"
            )
        width = self._a_shape.width + self._b_shape.width
        any_signed = self._a_shape.signed or self._b_shape.signed
        super().__init__(
            {
                "a": In(self._a_shape),
                "b": In(self._b_shape),
                "p": Out(signed(width) if any_signed else unsigned(width)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        if self._dsp == "ecp5":
            m.submodules.dsp = self._mult18x18d()
        else:
            a, b = Signal.like(self.a), Signal.like(self.b)
            m.d.sync += [a.eq(self.a), b.eq(self.b), self.p.eq(a * b)]
        return m

    def _mult18x18d(self):
        a, b, p = Signal(18), Signal(18), Signal(36)
        m = Module()
        # Sign- or zero-extension to 18 bits follows from the shapes.
        m.d.comb += [a.eq(self.a), b.eq(self.b), self.p.eq(p)]
        zero = Const(0)
        # SRIA and SRIB, the shift chain's inputs, cannot be routed to a constant: leave them open.
        # C, which serves only a dynamic SOURCEB, stays open too: its zeros would have to be routed.
        ports = {"i_SIGNEDA": Const(int(self._a_shape.signed)), "o_SIGNEDP": Signal()}
        ports["i_SIGNEDB"] = Const(int(self._b_shape.signed))
        ports |= {"i_SOURCEA": zero, "i_SOURCEB": zero}
        for i in range(18):
            ports |= {f"i_A{i}": a[i], f"i_B{i}": b[i]}
        for i in range(36):
            ports[f"o_P{i}"] = p[i]
        for i in range(4):
            ports |= {
                f"i_CLK{i}": ClockSignal() if i == 0 else zero,
                f"i_CE{i}": Const(1),
                f"i_RST{i}": zero,
            }
        parameters = {
            "p_REG_INPUTA_CLK": "CLK0",
            "p_REG_INPUTB_CLK": "CLK0",
            "p_REG_OUTPUT_CLK": "CLK0",
            "p_REG_PIPELINE_CLK": "NONE",
            "p_REG_INPUTC_CLK": "NONE",
            "p_GSR": "DISABLED",
            "p_RESETMODE": "SYNC",
        }
        m.submodules.mult = Instance("MULT18X18D", **parameters, **ports)
        return m


class PairMultiplier(wiring.Component):
    """Multiply one activation by two 4-bit weights with one :class:`Multiplier`.

    ``a * (high * 2**12 + low)``: the lower product has 12 bits, and where it is negative it has
    borrowed from the upper one.

    Parameters
    ----------
    dsp : str
        As for :class:`Multiplier`.

    Members
    -------
    a : In(signed(9)); -128..255, so that a product fits 12 bits
    low, high : In(signed(4))
    p_low, p_high : Out(signed(12))

    Timing
    ------
    latency ``LATENCY`` cycles, one pair of products per cycle, no reset. ``p_high`` has an addition
    behind the multiplier's register.
    """

    LATENCY = Multiplier.LATENCY

    def __init__(self, *, dsp):
        self._dsp = dsp
        super().__init__(
            {
                "a": In(signed(9)),
                "low": In(signed(4)),
                "high": In(signed(4)),
                "p_low": Out(signed(12)),
                "p_high": Out(signed(12)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.mul = mul = Multiplier(a_shape=signed(9), b_shape=signed(17), dsp=self._dsp)
        m.d.comb += [
            mul.a.eq(self.a),
            mul.b.eq((self.high << 12) + self.low),
            self.p_low.eq(mul.p[:12]),
            self.p_high.eq(mul.p[12:24].as_signed() + mul.p[11]),
        ]
        return m


class WideMultiplier(wiring.Component):
    """Multiply a signed operand of up to 36 bits by an unsigned one of up to 36 bits.

    Splits both at 18 bits into :class:`Multiplier` products and adds them in one more stage.

    Parameters
    ----------
    a_width : int, bits, 2..36
        Signed operand.
    b_width : int, bits, 1..36
        Unsigned operand.
    dsp : str
        As for :class:`Multiplier`.

    Members
    -------
    a : In(signed(a_width))
    b : In(unsigned(b_width))
    p : Out(signed(a_width + b_width))

    Timing
    ------
    latency ``LATENCY`` cycles, one product per cycle, no reset.
    """

    LATENCY = Multiplier.LATENCY + 1
    SPLIT = 18

    def __init__(self, *, a_width, b_width, dsp):
        self._dsp = dsp
        super().__init__(
            {
                "a": In(signed(a_width)),
                "b": In(unsigned(b_width)),
                "p": Out(signed(a_width + b_width)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        split = self.SPLIT

        def parts(value, is_signed):
            if len(value) <= split:
                return [(value.as_signed() if is_signed else value, 0)]
            high = value[split:]
            return [(value[:split], 0), (high.as_signed() if is_signed else high, split)]

        total = Const(0)
        for i, (a, a_shift) in enumerate(parts(self.a, True)):
            for k, (b, b_shift) in enumerate(parts(self.b, False)):
                part = Multiplier(a_shape=a.shape(), b_shape=b.shape(), dsp=self._dsp)
                m.submodules[f"part_{i}_{k}"] = part
                m.d.comb += [part.a.eq(a), part.b.eq(b)]
                total = total + (part.p << (a_shift + b_shift))
        m.d.sync += self.p.eq(total)
        return m
