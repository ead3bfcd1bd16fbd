"""Multipliers with their registers, as the family has them."""

from amaranth.hdl import Cat, Const, Module, Shape, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.families import get_family

__all__ = ["DualMultiplier", "Multiplier", "PairMultiplier", "WideMultiplier"]


class Multiplier(wiring.Component):
    """Multiply two registered operands into a registered product.

    Parameters
    ----------
    a_shape, b_shape : Shape
        At most the family's ``operand_width`` bits each, signed or not.
    dsp : str
        Family that the multiplier comes from: :mod:`tilewright.hdl.families`.
    place : Place or None
        What of the array it works for, if that is one place.

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

    def __init__(self, *, a_shape, b_shape, dsp, place=None):
        self._a_shape, self._b_shape = Shape.cast(a_shape), Shape.cast(b_shape)
        self._family, self._place = get_family(dsp), place
        widest = self._family.operand_width
        if max(self._a_shape.width, self._b_shape.width) > widest:
            raise ValueError(
                f"operands must be at most {widest} bits wide, not {a_shape!r} and {b_shape!r}"
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
        self._family.multiply(m, self.a, self.b, self.p, self._place)
        return m


class DualMultiplier(wiring.Component):
    """Multiply two activations by one weight with one primitive.

    Parameters
    ----------
    dsp : str
        A family with ``columns_per_multiplier`` 2.
    place : Place or None, as for :class:`Multiplier`

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

    def __init__(self, *, dsp, place=None):
        self._family, self._place = get_family(dsp), place
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
        self._family.multiply_two(m, self.a, self.b, self.p, self._place)
        return m


class PairMultiplier(wiring.Component):
    """Multiply one activation by two 4-bit weights with one :class:`Multiplier`.

    ``a * (high * 2**12 + low)``: the lower product has 12 bits, and where it is negative it has
    borrowed from the upper one.

    Parameters
    ----------
    dsp, place
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

    def __init__(self, *, dsp, place=None):
        self._dsp, self._place = dsp, place
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
        m.submodules.mul = mul = Multiplier(
            a_shape=signed(9), b_shape=signed(17), dsp=self._dsp, place=self._place
        )
        m.d.comb += [
            mul.a.eq(self.a),
            mul.b.eq((self.high << 12) + self.low),
            self.p_low.eq(mul.p[:12]),
            self.p_high.eq(mul.p[12:24].as_signed() + mul.p[11]),
        ]
        return m


class WideMultiplier(wiring.Component):
    """Multiply a signed operand by an unsigned one of up to twice a multiplier's width.

    Splits both at the family's ``operand_width`` into :class:`Multiplier` products and adds them in
    one more stage, or two. Four products are three numbers, since the first and the last lie side
    by side; these and ``more`` become two before the only carry chain.

    Parameters
    ----------
    a_width : int, bits, 2..2 * operand_width
        Signed operand.
    b_width : int, bits, 1..2 * operand_width
        Unsigned operand.
    dsp, place
        As for :class:`Multiplier`.
    pipelined : bool
        A register between the multipliers, whose places are fixed, and the adder.
    more : int or None
        A bit of the product at which one more can be added; the sum must fit.

    Members
    -------
    a : In(signed(a_width))
    b : In(unsigned(b_width))
    more : In(1), with ``more``: add it; a cycle before the product
    p : Out(signed(a_width + b_width))

    Timing
    ------
    latency ``latency(pipelined)`` cycles, one product per cycle, no reset.
    """

    @classmethod
    def latency(cls, pipelined):
        """Return the cycles from operands to their product."""
        return Multiplier.LATENCY + pipelined + 1

    def __init__(self, *, a_width, b_width, dsp, pipelined, place=None, more=None):
        self._dsp, self._pipelined, self._place, self._more = dsp, pipelined, place, more
        super().__init__(
            {
                "a": In(signed(a_width)),
                "b": In(unsigned(b_width)),
                **({} if more is None else {"more": In(1)}),
                "p": Out(signed(a_width + b_width)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        split = get_family(self._dsp).operand_width

        def parts(value, is_signed):
            if len(value) <= split:
                return [(value.as_signed() if is_signed else value, 0)]
            high = value[split:]
            return [(value[:split], 0), (high.as_signed() if is_signed else high, split)]

        products = []
        for i, (a, a_shift) in enumerate(parts(self.a, True)):
            for k, (b, b_shift) in enumerate(parts(self.b, False)):
                part = Multiplier(
                    a_shape=a.shape(), b_shape=b.shape(), dsp=self._dsp, place=self._place
                )
                m.submodules[f"part_{i}_{k}"] = part
                m.d.comb += [part.a.eq(a), part.b.eq(b)]
                product = Signal.like(part.p, reset_less=True, name=f"product_{i}_{k}")
                domain = m.d.sync if self._pipelined else m.d.comb
                domain += product.eq(part.p)
                products.append((product, a_shift + b_shift))
        p = Signal.like(self.p, reset_less=True)
        m.d.sync += p.eq(self._sum(m, products))
        m.d.comb += self.p.eq(p)
        return m

    def _sum(self, m, products):
        """Return the sum of products, each with its place, and of what is added to them."""
        numbers = [product << place for product, place in products]
        if len(products) < 4:
            return sum(numbers, Const(0) if self._more is None else self.more << self._more)
        low, _, _, high = (product for product, _ in products)
        x, y, z = (Signal.like(self.p, name=f"number_{name}") for name in "xyz")
        m.d.comb += [x.eq(Cat(low, high)), y.eq(numbers[1]), z.eq(numbers[2])]
        # Bit by bit, three numbers are a sum and twice a carry.
        ones, twos = x ^ y ^ z, ((x & y) | (x & z) | (y & z)) << 1
        if self._more is not None:
            # Once more above its place, and there no carry arrives.
            at = self._more
            above, carried = ones[at:] ^ twos[at:], ones[at:] & twos[at:]
            ones, twos = Cat(ones[:at], above), Cat(twos[:at], self.more, carried)
        return ones[: len(self.p)] + twos[: len(self.p)]
