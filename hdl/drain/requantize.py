"""From an accumulator to a quantized activation."""

from dataclasses import dataclass

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.multiplier import WideMultiplier
from tilewright.hdl.lib.delay import delayed
from tilewright.hdl.lib.fanout import Fanout

__all__ = ["BOUNDS", "Requantize"]

#: What all results of a command are moved by and lie between.
BOUNDS = ("zero_point", "qmin", "qmax")

_FIRST = 31  # where the first of two roundings is, in bits of the product


@dataclass(frozen=True)
class _Shift:
    """The shift of a product, as it comes and a cycle before; ``once`` as ``early``, if it is."""

    now: Value
    early: Value
    once: Value | None = None


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
    wide : bool
        Results have up to 16 bits, bounds 17, and one byte is shown.

    Members
    -------
    acc, bias : In(signed(acc_width)); the compiler proves that their sum fits as many bits
    multiplier : In(unsigned(multiplier_width))
    shift : In(6)
    once : In(1), with rounding "double": round once, half away from zero
    zero_point, qmin, qmax : In(signed(9)); sampled ``late(pipelined)`` cycles after ``acc``
    high : In(1), with ``wide``: show the high byte; sampled with the bounds
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
        self,
        *,
        acc_width,
        multiplier_width,
        dsp,
        pipelined,
        place=None,
        rounding="half_even",
        wide=False,
    ):
        self._dsp, self._pipelined, self._place = dsp, pipelined, place
        self._twice, self._wide = rounding == "double", wide
        # Bits that are kept above the point: no result beyond survives the clamp.
        self._kept = 19 if wide else 11
        bound = In(signed(17 if wide else 9))
        super().__init__(
            {
                "acc": In(signed(acc_width)),
                "bias": In(signed(acc_width)),
                "multiplier": In(unsigned(multiplier_width)),
                "shift": In(6),
                **({"once": In(1)} if rounding == "double" else {}),
                **dict.fromkeys(BOUNDS, bound),
                **({"high": In(1)} if wide else {}),
                "o": Out(8),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        m.submodules.mul = mul = WideMultiplier(
            a_width=len(self.acc),
            b_width=len(self.multiplier),
            dsp=self._dsp,
            pipelined=self._pipelined,
            place=self._place,
            more=_FIRST - 1 if self._twice else None,
        )
        stage = m.d.sync if self._pipelined else m.d.comb
        multiplier, total = Signal.like(self.multiplier), Signal.like(self.acc)
        stage += [total.eq(self.acc + self.bias), multiplier.eq(self.multiplier)]
        m.d.comb += [mul.a.eq(total), mul.b.eq(multiplier)]

        shift = self._shift_of_product(m, mul)
        narrow, guard, sticky = self._shifted(m, mul.p, shift)
        rounded = Signal(signed(self._kept + 1))
        stage += rounded.eq(narrow + self._up(m, narrow, guard, sticky, shift))
        self._placed(m, rounded, stage)
        return m

    def _shift_of_product(self, m, mul):
        """Return the shift of the product that the multiplier shows, and what rounding needs."""
        until = self._pipelined + WideMultiplier.latency(self._pipelined)
        early = now = self.shift
        for _ in range(until):
            later = Signal.like(self.shift)
            m.d.sync += later.eq(now)
            early, now = now, later
        if not self._twice:
            return _Shift(now, early)
        once = delayed(m, self.once, until - 1)
        m.d.comb += mul.more.eq((early >= _FIRST) & ~once)
        return _Shift(now, early, once)

    def _shifted(self, m, product, shift):
        """Shift right, in whole bytes and then in bits, and keep eleven bits above the point.

        Of what is below, the first bit (guard) and whether any other is set (sticky) are all that
        rounding to nearest even needs. No result outside of +-1023 survives the clamp, so eleven
        bits above the point are enough (19 for results of 16 bits), and those that the rest of the
        shift moves there; of the others, whether they are more than the sign, byte by byte.
        """
        guarded, most = Cat(0, product).as_signed(), (1 << (self._kept - 1)) - 1
        kept = 1 + self._kept + 7
        coarse, sticky_a = Signal(signed(kept)), Signal()
        fine_shift, lost = Signal(3), Signal(7)  # lost: the bytes that are shifted out whole
        high = [guarded[i : i + 8] for i in range(kept - 1, len(guarded), 8)]
        above = Signal(len(high))  # the byte is more than the sign
        seen = Signal.like(above)  # the byte is above what is kept
        sign_a = Signal()
        out = [shift.early[3:] > i for i in range(7)]
        if shift.once is not None:  # what the first rounding took does not count in the second
            low, all_count = _FIRST // 8 + 1, (shift.early <= _FIRST) | shift.once
            out[:low] = [shifted & all_count for shifted in out[:low]]
        m.d.sync += [
            fine_shift.eq(shift.now[:3]),
            sign_a.eq(product[-1]),
            above.eq(Cat((byte != product[-1].replicate(len(byte))) for byte in high)),
            seen.eq(Cat(shift.now[3:] <= i for i in range(len(seen)))),
            lost.eq(Cat(out)),
            sticky_a.eq(
                Cat(guarded[8 * i : 8 * i + 8].any() & lost[i] for i in range(len(lost))).any()
            ),
        ]
        with m.Switch(shift.now[3:]):
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
        narrow, guard, sticky_c = Signal(signed(self._kept)), Signal(), Signal()
        above_sign = wide[self._kept - 1 :]
        fits = ~over_b & (above_sign.all() | ~above_sign.any())
        m.d.sync += [
            narrow.eq(Mux(fits, wide[: self._kept].as_signed(), Mux(sign_b, -most, most))),
            guard.eq(fine[0]),
            sticky_c.eq(sticky_b),
        ]
        return narrow, guard, sticky_c

    def _up(self, m, narrow, guard, sticky, shift):
        """Return whether rounding adds one: to even, or half away from zero the second time."""
        if shift.once is None:
            return guard & (sticky | narrow[0])
        # Half up if the first rounding is left out, nothing if it was the only one.
        up = delayed(m, (shift.early < _FIRST) & ~shift.once, 4)
        none = delayed(m, (shift.early == _FIRST) & ~shift.once, 4)
        return guard & ~none & (up | sticky | ~narrow[-1])

    def _placed(self, m, rounded, stage):
        """Add the zero point and clamp; all requantizers have the same bounds, each its copy."""
        bounds, width = Cat(self.zero_point, self.qmin, self.qmax), len(self.qmin)
        if self._wide:
            bounds = Cat(bounds, self.high)
        if self._pipelined:
            m.submodules.bounds = own = Fanout(width=len(bounds), copies=1, dsp=self._dsp)
            m.d.comb += own.i.eq(bounds)
            bounds = own.o[0]
        placed = Signal(signed(self._kept + 2))
        qmin, qmax = Signal.like(self.qmin), Signal.like(self.qmax)
        stage += [
            placed.eq(rounded + bounds[:width].as_signed()),
            qmin.eq(bounds[width : 2 * width]),
            qmax.eq(bounds[2 * width : 3 * width]),
        ]
        high = Signal() if self._wide else None
        if self._wide:
            stage += high.eq(bounds[-1])

        def byte(value):
            return Mux(high, value[8:16], value[:8]) if self._wide else value[:8]

        o = Signal.like(self.o)
        result = Mux(placed < qmin, byte(qmin), Mux(placed > qmax, byte(qmax), byte(placed)))
        m.d.sync += o.eq(result)
        m.d.comb += self.o.eq(o)
