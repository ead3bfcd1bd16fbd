"""The multipliers that the tests build, and all of them side by side."""

from amaranth.hdl import Module, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.multiplier import Multiplier, WideMultiplier

# Of the array, of each part of the requantizer, and the ends of the primitive's range.
SHAPES = (
    (signed(9), signed(8)),
    (unsigned(8), signed(8)),
    (unsigned(18), unsigned(18)),
    (signed(14), unsigned(18)),
    (signed(18), signed(18)),
    (signed(2), unsigned(1)),
)
# Widths of a signed and an unsigned operand, of one, two and four parts.
WIDE = ((18, 18), (32, 18), (32, 31), (36, 36))


# Shapes of both operands, and the latency.
CASES = (
    *((a, b, Multiplier.LATENCY) for a, b in SHAPES),
    *((signed(a), unsigned(b), WideMultiplier.LATENCY) for a, b in WIDE),
)


def multiplier(n, dsp):
    """Return multiplier n of ``CASES``."""
    a, b, _ = CASES[n]
    if n < len(SHAPES):
        return Multiplier(a_shape=a, b_shape=b, dsp=dsp)
    return WideMultiplier(a_width=a.width, b_width=b.width, dsp=dsp)


def product_shape(a, b):
    width = a.width + b.width
    return signed(width) if a.signed or b.signed else unsigned(width)


class SideBySide(wiring.Component):
    """Every multiplier, built both ways on the same operands.

    Members
    -------
    a_<n>, b_<n> : In; operands of multiplier n
    primitive_<n>, inferred_<n> : Out; its products
    """

    def __init__(self):
        members = {}
        for n, (a, b, _) in enumerate(CASES):
            product = product_shape(a, b)
            members |= {f"a_{n}": In(a), f"b_{n}": In(b)}
            members |= {f"primitive_{n}": Out(product), f"inferred_{n}": Out(product)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        for kind, dsp in (("primitive", "ecp5"), ("inferred", "inferred")):
            for n in range(len(CASES)):
                m.submodules[f"{kind}_{n}"] = dut = multiplier(n, dsp)
                m.d.comb += [
                    dut.a.eq(getattr(self, f"a_{n}")),
                    dut.b.eq(getattr(self, f"b_{n}")),
                    getattr(self, f"{kind}_{n}").eq(dut.p),
                ]
        return m
