"""A product's factor: the window before another one, as weights."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.mac import MacArray
from tilewright.hdl.lib.choose import Choose
from tilewright.hdl.lib.fanout import Fanout
from tilewright.isa import EngineConfig

__all__ = ["Factor"]


class Factor(wiring.Component):
    """Keep the window that another one follows, and show its pixels as weights, one a cycle.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    window : In(array of cols words of rows x window_width bits)
    arrives : In(1); ``KEEPS + 1`` cycles before ``window`` shows the window that follows, and so
        ``KEEPS`` before the last of the factor
    zero : In(8), signed : In(1); of the factor's bytes, stable
    w : Out(array of rows signed(9)); pixel 0 less the zero point ``LATENCY`` cycles after
        ``arrives``, then the others

    Timing
    ------
    One pixel of all channels a cycle, no backpressure. A window may arrive every ``cols`` cycles.
    """

    KEEPS = Fanout.LATENCY
    LATENCY = KEEPS + 3
    #: Channels that share the registers which pick their pixels.
    FAN_OUT = 4

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        window = data.ArrayLayout(unsigned(config.rows * config.window_width), config.cols)
        weights = data.ArrayLayout(signed(MacArray.FACTOR_WIDTH), config.rows)
        super().__init__(
            {
                "window": In(window),
                "arrives": In(1),
                "zero": In(8),
                "signed": In(1),
                "w": Out(weights),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        share = min(config.rows, self.FAN_OUT)
        parts = config.rows // share

        def copied(name, value):
            copies = Fanout(width=len(value), copies=parts, dsp=config.dsp)
            m.submodules[name] = copies
            m.d.comb += copies.i.eq(value)
            return copies.o

        # Which pixel: none other than the first follows an arrival.
        arrived = Signal()
        index, following = Signal(range(config.cols)), Signal(range(config.cols))
        m.d.sync += [arrived.eq(self.arrives), index.eq(following)]
        m.d.comb += following.eq(Mux(arrived, 0, index + 1))
        keep, pick = copied("keep", self.arrives), copied("pick", following)
        kind = copied("kind", Cat(self.zero, self.zero[7] & self.signed, self.signed))
        for part in range(parts):
            zero, is_signed = kind[part][:9].as_signed(), kind[part][9]
            for k in range(share * part, share * (part + 1)):
                pixels = Cat(word.word_select(k, config.window_width)[:8] for word in self.window)
                held = Signal(len(pixels), name=f"held_{k}", reset_less=True)
                with m.If(keep[part]):
                    m.d.sync += held.eq(pixels)
                m.submodules[f"choose_{k}"] = choose = Choose(
                    width=8, count=config.cols, dsp=config.dsp
                )
                pixel = Signal(8, name=f"pixel_{k}", reset_less=True)
                weight = Signal(signed(MacArray.FACTOR_WIDTH), name=f"w_{k}", reset_less=True)
                m.d.comb += [
                    choose.i.eq(held),
                    choose.index.eq(pick[part]),
                    self.w[k].eq(weight),
                ]
                m.d.sync += [
                    pixel.eq(choose.o),
                    weight.eq(Cat(pixel, pixel[7] & is_signed).as_signed() - zero),
                ]
        return m
