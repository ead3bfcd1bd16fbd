"""The multipliers that the tests build, and all of them side by side."""

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.multiplier import DualMultiplier, Multiplier, WideMultiplier
from tilewright.hdl.families import FAMILIES

# Of the array, of each part of the requantizer, and the ends of the primitives' ranges.
SHAPES = (
    (signed(9), signed(8)),
    (unsigned(8), signed(8)),
    (unsigned(16), unsigned(16)),
    (signed(16), unsigned(16)),
    (signed(16), signed(16)),
    (unsigned(18), unsigned(18)),
    (signed(14), unsigned(18)),
    (signed(18), signed(18)),
    (signed(2), unsigned(1)),
)
# Widths of a signed and an unsigned operand, of one, two and four parts.
WIDE = ((18, 18), (32, 18), (32, 31), (36, 36))


# Shapes of both operands, and the latency; wide ones with every second pipelined.
CASES = (
    *((a, b, Multiplier.LATENCY) for a, b in SHAPES),
    *((signed(a), unsigned(b), WideMultiplier.latency(n % 2)) for n, (a, b) in enumerate(WIDE)),
)


def kinds(n):
    """Return the ways in which multiplier n of ``CASES`` can be built."""
    width = max(shape.width for shape in CASES[n][:2])
    parts = 1 if n < len(SHAPES) else 2
    families = sorted(FAMILIES.all().items())
    return [dsp for dsp, family in families if width <= parts * family.operand_width]


def multiplier(n, dsp):
    """Return multiplier n of ``CASES``."""
    a, b, latency = CASES[n]
    if n < len(SHAPES):
        return Multiplier(a_shape=a, b_shape=b, dsp=dsp)
    pipelined = latency == WideMultiplier.latency(True)
    return WideMultiplier(a_width=a.width, b_width=b.width, dsp=dsp, pipelined=pipelined)


def product_shape(a, b):
    width = a.width + b.width
    return signed(width) if a.signed or b.signed else unsigned(width)


class SideBySide(wiring.Component):
    """Every multiplier, built in every way on the same operands; and one that has two products.

    Members
    -------
    a_<n>, b_<n> : In; operands of multiplier n
    ecp5_<n>, ice40_<n>, inferred_<n> : Out; its products
    dual_a_<k>, dual_b : In, dual_p_<k> : Out; the one with two products
    """

    def __init__(self):
        members = {"dual_b": In(signed(8))}
        for k in range(2):
            members |= {f"dual_a_{k}": In(signed(9)), f"dual_p_{k}": Out(signed(16))}
        for n, (a, b, _) in enumerate(CASES):
            product = product_shape(a, b)
            members |= {f"a_{n}": In(a), f"b_{n}": In(b)}
            members |= {f"{dsp}_{n}": Out(product) for dsp in kinds(n)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for n in range(len(CASES)):
            for dsp in kinds(n):
                m.submodules[f"{dsp}_{n}"] = dut = multiplier(n, dsp)
                m.d.comb += [
                    dut.a.eq(getattr(self, f"a_{n}")),
                    dut.b.eq(getattr(self, f"b_{n}")),
                    getattr(self, f"{dsp}_{n}").eq(dut.p),
                ]
        m.submodules.dual = dual = DualMultiplier(dsp="ice40")
        m.d.comb += dual.b.eq(self.dual_b)
        for k in range(2):
            m.d.comb += [
                dual.a[k].eq(getattr(self, f"dual_a_{k}")),
                getattr(self, f"dual_p_{k}").eq(dual.p[k]),
            ]
        return m
