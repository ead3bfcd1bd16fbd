"""Multipliers with their registers: explicit DSP primitives, or inferred."""

from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    Instance,
    Module,
    Mux,
    Shape,
    Signal,
    signed,
    unsigned,
)
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["DualMultiplier", "Multiplier", "PairMultiplier", "WideMultiplier", "operand_width"]


def operand_width(dsp: str) -> int:
    """Return how wide, in bits, the operands of a multiplier may be, signed or not."""
    return 16 if dsp == "ice40" else 18


def _sb_mac16(a, b, p, **parameters):
    """Return an SB_MAC16 with input registers.

    Source: Lattice FPGA-TN-02007, DSP Function Usage Guide for iCE40 Devices.
    """
    zeros = ("AHOLD", "BHOLD", "CHOLD", "DHOLD", "IRSTTOP", "IRSTBOT", "ORSTTOP", "ORSTBOT")
    zeros += ("OLOADTOP", "OLOADBOT", "ADDSUBTOP", "ADDSUBBOT", "OHOLDTOP", "OHOLDBOT")
    zeros += ("CI", "ACCUMCI", "SIGNEXTIN")
    defaults = {"p_A_REG": Const(1, 1), "p_B_REG": Const(1, 1)}
    defaults |= {"i_C": Const(0, 16), "i_D": Const(0, 16)}
    defaults |= {f"i_{name}": Const(0) for name in zeros}
    return Instance(
        "SB_MAC16",
        i_CLK=ClockSignal(),
        i_CE=Const(1),
        i_A=a,
        i_B=b,
        o_O=p,
        **(defaults | parameters),
    )


class Multiplier(wiring.Component):
    """Multiply two registered operands into a registered product.

    Parameters
    ----------
    a_shape, b_shape : Shape
        At most ``operand_width(dsp)`` bits each, signed or not: the primitives have a sign input
        per operand.
    dsp : str
        "ecp5" instantiates MULT18X18D, "ice40" SB_MAC16, with input and output registers (inference
        leaves them outside, which costs fmax); "inferred" leaves it to the synthesizer.

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
        if max(self._a_shape.width, self._b_shape.width) > operand_width(dsp):
            raise ValueError(
                f"operands must be at most {operand_width(dsp)} bits wide, not {a_shape!r} and "
                f"{b_shape!r}"
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
        elif self._dsp == "ice40":
            a, b, p = Signal(16), Signal(16), Signal(32)
            m.d.comb += [a.eq(self.a), b.eq(self.b), self.p.eq(p)]
            m.submodules.dsp = _sb_mac16(
                a,
                b,
                p,
                p_A_SIGNED=Const(int(self._a_shape.signed), 1),
                p_B_SIGNED=Const(int(self._b_shape.signed), 1),
                p_PIPELINE_16x16_MULT_REG2=Const(1, 1),
                p_TOPOUTPUT_SELECT=Const(3, 2),
                p_BOTOUTPUT_SELECT=Const(3, 2),
            )
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


class DualMultiplier(wiring.Component):
    """Multiply two activations by one weight with one SB_MAC16.

    The halves of the primitive multiply bytes, signed. An activation above 127 counts for 256 less
    there; the primitive's adders make up for it.

    Members
    -------
    a : In(array of 2 signed(9)); -128..255
    b : In(signed(8))
    p : Out(array of 2 signed(16))

    Timing
    ------
    latency ``LATENCY`` cycles, one pair of products per cycle, no reset. It is one more than a
    :class:`Multiplier` and a register have: the last register is the primitive's own.
    """

    LATENCY = Multiplier.LATENCY + 1

    def __init__(self):
        super().__init__(
            {
                "a": In(data.ArrayLayout(signed(9), 2)),
                "b": In(signed(8)),
                "p": Out(data.ArrayLayout(signed(16), 2)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        lost = [Signal(8, name=f"lost_{k}", reset_less=True) for k in range(2)]
        for a, byte in zip(self.a, lost, strict=True):
            m.d.sync += byte.eq(Mux(a[7] & ~a[8], self.b, 0))
        one = Const(1, 1)
        m.submodules.dsp = _sb_mac16(
            Cat(a[:8] for a in self.a),
            Cat(self.b, self.b),
            self.p.as_value(),
            i_C=Cat(Const(0, 8), lost[1]),
            i_D=Cat(Const(0, 8), lost[0]),
            p_C_REG=one,
            p_D_REG=one,
            p_MODE_8x8=one,
            p_A_SIGNED=one,
            p_B_SIGNED=one,
            p_TOP_8x8_MULT_REG=one,
            p_BOT_8x8_MULT_REG=one,
            p_TOPADDSUB_LOWERINPUT=Const(1, 2),
            p_BOTADDSUB_LOWERINPUT=Const(1, 2),
            p_TOPADDSUB_UPPERINPUT=one,
            p_BOTADDSUB_UPPERINPUT=one,
            p_TOPOUTPUT_SELECT=Const(1, 2),
            p_BOTOUTPUT_SELECT=Const(1, 2),
        )
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
    """Multiply a signed operand by an unsigned one of up to twice a multiplier's width.

    Splits both at ``operand_width(dsp)`` bits into :class:`Multiplier` products and adds them in
    one more stage, or two.

    Parameters
    ----------
    a_width : int, bits, 2..2 * operand_width(dsp)
        Signed operand.
    b_width : int, bits, 1..2 * operand_width(dsp)
        Unsigned operand.
    dsp : str
        As for :class:`Multiplier`.
    pipelined : bool
        A register between the multipliers, whose places are fixed, and the adder.

    Members
    -------
    a : In(signed(a_width))
    b : In(unsigned(b_width))
    p : Out(signed(a_width + b_width))

    Timing
    ------
    latency ``latency(pipelined)`` cycles, one product per cycle, no reset.
    """

    @classmethod
    def latency(cls, pipelined):
        """Return the cycles from operands to their product."""
        return Multiplier.LATENCY + pipelined + 1

    def __init__(self, *, a_width, b_width, dsp, pipelined):
        self._dsp, self._pipelined = dsp, pipelined
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
        split = operand_width(self._dsp)

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
                product = Signal.like(part.p, reset_less=True, name=f"product_{i}_{k}")
                domain = m.d.sync if self._pipelined else m.d.comb
                domain += product.eq(part.p)
                total = total + (product << (a_shift + b_shift))
        p = Signal.like(self.p, reset_less=True)
        m.d.sync += p.eq(total)
        m.d.comb += self.p.eq(p)
        return m
