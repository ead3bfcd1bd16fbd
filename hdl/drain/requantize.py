"""From an accumulator to a quantized activation."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.multiplier import WideMultiplier
from tilewright.hdl.lib.fanout import Fanout

__all__ = ["Requantize"]

_FIRST = 31  # where the first of two roundings is, in bits of the product


class Requantize(wiring.Component):
    """Add the bias, scale, round, add the zero point and saturate.

    ``o = clamp(round((acc + bias) * multiplier / 2**shift) + zero_point, qmin, qmax)``,
    bit-exact with the integer reference (``tilewright.compiler.ir.arithmetic.requantize``).

    Parameters
    ----------
    acc_width : int, bits, 16..32
    multiplier_width : int, bits, 8..31
    dsp, place
        As for :class:`~tilewright.hdl.array.multiplier.Multiplier`.
    pipelined : bool
        Registers between any two additions.
    rounding : "half_even" or "double"

    Members
    -------
    acc, bias : In(signed(acc_width)); the compiler proves that their sum fits as many bits
    multiplier : In(unsigned(multiplier_width))
    shift : In(6)
    once : In(1), with rounding "double": round once, half away from zero
    zero_point, qmin, qmax : In(signed(9)); sampled ``late(pipelined)`` cycles after ``acc``
    o : Out(8), the low byte of the result

    Timing
    ------
    latency ``latency(pipelined)`` cycles, one item per cycle, no backpressure, no reset.

    Source
    ------
    docs/decisions/0001-rounding.md, docs/decisions/0022-tflite.md
    """

    @classmethod
    def late(cls, pipelined):
        """Return the cycles from an accumulator to its bounds."""
        return WideMultiplier.latency(pipelined) + (4 if pipelined else 3)

    @classmethod
    def latency(cls, pipelined):
        """Return the cycles from an accumulator to its activation."""
        return cls.late(pipelined) + (3 if pipelined else 1)

    def __init__(
        self, *, acc_width, multiplier_width, dsp, pipelined, place=None, rounding="half_even"
    ):
        self._dsp, self._pipelined, self._place = dsp, pipelined, place
        self._twice = rounding == "double"
        super().__init__(
            {
                "acc": In(signed(acc_width)),
                "bias": In(signed(acc_width)),
                "multiplier": In(unsigned(multiplier_width)),
                "shift": In(6),
                **({"once": In(1)} if rounding == "double" else {}),
                "zero_point": In(signed(9)),
                "qmin": In(signed(9)),
                "qmax": In(signed(9)),
                "o": Out(8),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        width = len(self.multiplier)
        pipelined = self._pipelined
        m.submodules.mul = mul = WideMultiplier(
            a_width=len(self.acc),
            b_width=width,
            dsp=self._dsp,
            pipelined=pipelined,
            place=self._place,
            more=_FIRST - 1 if self._twice else None,
        )
        stage = m.d.sync if pipelined else m.d.comb

        # Bias.
        multiplier_1 = Signal.like(self.multiplier)
        total_1 = Signal.like(self.acc)
        stage += [total_1.eq(self.acc + self.bias), multiplier_1.eq(self.multiplier)]
        m.d.comb += [mul.a.eq(total_1), mul.b.eq(multiplier_1)]

        shifts = [self.shift]
        until = pipelined + WideMultiplier.latency(pipelined)
        for _ in range(until):
            delayed = Signal.like(self.shift)
            m.d.sync += delayed.eq(shifts[-1])
            shifts.append(delayed)
        shift = shifts[-1]
        if self._twice:
            once = self._delayed(m, self.once, until - 1)
            m.d.comb += mul.more.eq((shifts[-2] >= _FIRST) & ~once)

        # Shift right, keeping one bit below the point (guard) and whether anything was lost
        # below that (sticky): all that rounding to nearest even needs. No result outside +-1023
        # survives the clamp below, so above the point eleven bits are enough, and those that the
        # rest of the shift moves there; of the others, whether they are more than the sign, byte by
        # byte.
        guarded = Cat(0, mul.p).as_signed()
        kept = 1 + 11 + 7
        coarse, sticky_a = Signal(signed(kept)), Signal()
        fine_shift, lost = Signal(3), Signal(7)  # lost: the bytes that are shifted out whole
        high = [guarded[i : i + 8] for i in range(kept - 1, len(guarded), 8)]
        above = Signal(len(high))  # the byte is more than the sign
        seen = Signal.like(above)  # the byte is above what is kept
        sign_a = Signal()
        out = [shifts[-2][3:] > i for i in range(7)]
        if self._twice:  # what the first rounding took away does not count in the second
            low, all_count = _FIRST // 8 + 1, (shifts[-2] <= _FIRST) | once
            out[:low] = [shifted & all_count for shifted in out[:low]]
        m.d.sync += [
            fine_shift.eq(shift[:3]),
            sign_a.eq(mul.p[-1]),
            above.eq(Cat((byte != mul.p[-1].replicate(len(byte))) for byte in high)),
            seen.eq(Cat(shift[3:] <= i for i in range(len(seen)))),
            lost.eq(Cat(out)),
            sticky_a.eq(
                Cat(guarded[8 * i : 8 * i + 8].any() & lost[i] for i in range(len(lost))).any()
            ),
        ]
        with m.Switch(shift[3:]):
            for i in range(8):
                shifted = guarded >> 8 * i
                with m.Case(i):
                    m.d.sync += coarse.eq(shifted)
        fine, sticky_b = Signal.like(coarse), Signal()
        sign_b, over_b = Signal(), Signal()
        m.d.sync += [sign_b.eq(sign_a), over_b.eq((above & seen).any())]
        with m.Switch(fine_shift):
            for i in range(8):
                with m.Case(i):
                    m.d.sync += [fine.eq(coarse >> i), sticky_b.eq(sticky_a | coarse[:i].any())]

        wide = fine[1:].as_signed()
        narrow, guard, sticky_c = Signal(signed(11)), Signal(), Signal()
        fits = ~over_b & (wide[10:].all() | ~wide[10:].any())
        m.d.sync += [
            narrow.eq(Mux(fits, wide[:11].as_signed(), Mux(sign_b, -1023, 1023))),
            guard.eq(fine[0]),
            sticky_c.eq(sticky_b),
        ]
        up = guard & (sticky_c | narrow[0])
        if self._twice:
            # Half up if the first rounding is left out, nothing if it was the only one, and else
            # half away from zero.
            up = self._delayed(m, (shifts[-2] < _FIRST) & ~once, 4)
            none = self._delayed(m, (shifts[-2] == _FIRST) & ~once, 4)
            up = guard & ~none & (up | sticky_c | ~narrow[10])
        rounded = Signal(signed(12))
        stage += rounded.eq(narrow + up)

        # All requantizers have the same bounds, and each its own copy.
        bounds = Cat(self.zero_point, self.qmin, self.qmax)
        if pipelined:
            m.submodules.bounds = own = Fanout(width=len(bounds), copies=1, dsp=self._dsp)
            m.d.comb += own.i.eq(bounds)
            bounds = own.o[0]
        placed = Signal(signed(13))
        qmin, qmax = Signal.like(self.qmin), Signal.like(self.qmax)
        stage += [
            placed.eq(rounded + bounds[:9].as_signed()),
            qmin.eq(bounds[9:18]),
            qmax.eq(bounds[18:]),
        ]
        o = Signal.like(self.o)
        m.d.sync += o.eq(Mux(placed < qmin, qmin[:8], Mux(placed > qmax, qmax[:8], placed[:8])))
        m.d.comb += self.o.eq(o)
        return m

    def _delayed(self, m, value, cycles):
        """Return a bit as it was some cycles ago."""
        for _ in range(cycles):
            later = Signal()
            m.d.sync += later.eq(value)
            value = later
        return value
