"""Interpolation between four pixels of one channel, in integers."""

from amaranth.hdl import Const, Module, Mux, Signal, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.lib.sums import tree_sum

__all__ = ["Bilinear", "FabricMultiplier"]


class FabricMultiplier(wiring.Component):
    """Multiply by a few bits, without a DSP: the array has taken those.

    Parameters
    ----------
    a_width : int, bits
    b_width : int, bits, 0 or more

    Members
    -------
    a : In(signed(a_width))
    b : In(b_width)
    p : Out(signed(a_width + b_width))

    Timing
    ------
    latency ``LATENCY`` cycles, one product per cycle, no reset.
    """

    LATENCY = 2

    def __init__(self, *, a_width, b_width):
        super().__init__(
            {"a": In(signed(a_width)), "b": In(b_width), "p": Out(signed(a_width + b_width))}
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        terms = [Mux(bit, self.a, 0) << i for i, bit in enumerate(self.b)]
        half = len(terms) // 2
        sums = []
        for part in (terms[:half], terms[half:]):
            sums.append(Signal.like(self.p, name=f"sum_{len(sums)}", reset_less=True))
            m.d.sync += sums[-1].eq(tree_sum(part or [Const(0)]))
        m.d.sync += self.p.eq(sums[0] + sums[1])
        return m


class Bilinear(wiring.Component):
    """Interpolate between four pixels, scale by a mask, round once.

    ``o = zero + round_half_even(mask * sum(w * (p - zero)) / 2**(2 * fraction + mask_fraction))``
    with the weights of rows ``2**fraction - fy`` and ``fy``, of columns ``2**fraction - fx`` and
    ``fx``. With a mask of at most ``2**mask_fraction`` the result lies between pixels and ``zero``.

    Parameters
    ----------
    fraction, mask_fraction : int, bits

    Members
    -------
    p_00, p_01, p_10, p_11 : In(signed(9)); pixels of row 0 and row 1, each left and right
    zero : In(signed(9)); stable
    fx, fy : In(fraction), mask : In(mask_fraction + 1); sampled ``FX``, ``FY``, ``MASK`` cycles
        after the pixels
    o : Out(8); the low byte of the result

    Timing
    ------
    latency ``LATENCY`` cycles, one result per cycle, no reset.
    """

    FX = 1
    FY = FX + FabricMultiplier.LATENCY + 2
    MASK = FY + FabricMultiplier.LATENCY + 1
    LATENCY = MASK + FabricMultiplier.LATENCY + 2

    def __init__(self, *, fraction, mask_fraction):
        pixels = {f"p_{i}{j}": In(signed(9)) for i in range(2) for j in range(2)}
        super().__init__(
            {
                **pixels,
                "zero": In(signed(9)),
                "fx": In(fraction),
                "fy": In(fraction),
                "mask": In(mask_fraction + 1),
                "o": Out(8),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()

        def later(value, cycles=1):
            for _ in range(cycles):
                register = Signal(value.shape(), reset_less=True)
                m.d.sync += register.eq(value)
                value = register
            return value

        def scaled(value, factor):
            multiplier = FabricMultiplier(a_width=len(value), b_width=len(factor))
            m.submodules += multiplier
            m.d.comb += [multiplier.a.eq(value), multiplier.b.eq(factor)]
            return multiplier.p

        fraction, mask_fraction = len(self.fx), len(self.mask) - 1
        # Relative to zero, between left and right, in both rows.
        rows = []
        for left, right in ((self.p_00, self.p_01), (self.p_10, self.p_11)):
            step = later(right - left)
            base = later(left - self.zero, 1 + FabricMultiplier.LATENCY)
            row = Signal(signed(10 + fraction), reset_less=True)
            m.d.sync += row.eq((base << fraction) + scaled(step, self.fx))
            rows.append(row)
        # Between the rows.
        base = later(rows[0], 1 + FabricMultiplier.LATENCY)
        value = Signal(signed(10 + 2 * fraction), reset_less=True)
        m.d.sync += value.eq((base << fraction) + scaled(later(rows[1] - rows[0]), self.fy))
        total = scaled(value, self.mask)
        # To nearest, ties to even.
        whole = Signal(signed(10), reset_less=True)
        guard, sticky = Signal(reset_less=True), Signal(reset_less=True)
        shift = 2 * fraction + mask_fraction
        m.d.sync += whole.eq(total >> shift)
        if shift:
            m.d.sync += [guard.eq(total[shift - 1]), sticky.eq(total[: shift - 1].any())]
        m.d.sync += self.o.eq(whole + self.zero + (guard & (sticky | whole[0])))
        return m
