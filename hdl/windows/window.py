"""From accesses to windows: the same ``cols`` pixels of every channel of a group."""

from functools import reduce
from math import gcd
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.hdl.buffers.ports import lane_addresses, lane_words
from tilewright.hdl.lib.choose import Choose
from tilewright.hdl.lib.fanout import Fanout
from tilewright.hdl.lib.sums import add_with_carry
from tilewright.hdl.sequence.pace import access_layout
from tilewright.isa import EngineConfig
from tilewright.isa.passes import window_parts
from tilewright.isa.tiles import MAX_TAPS
from tilewright.isa.widths import act_addr_width, column_width

__all__ = ["WindowFeeder"]


class WindowFeeder(wiring.Component):
    """Read the lanes, put their pixels in order, replace those outside the input.

    Where the engine transforms windows, a window may also be the sum of several accesses, each
    multiplied by a small coefficient.

    Window pixel j is input column ``x + j * stride_x``. It lies in lane ``(lane + j * stride_x)
    % cols``; when the stride and ``cols`` have a common divisor g, pixels j and ``j + cols / g``
    share a lane, and the window is assembled in g parts. With ``config.double_reads``, two pixels
    that share a lane are read together, if one is in an even and one in an odd word: those of the
    lower and of the upper half of the window, where g is 2. Where rows share words, an access is
    for the pixels of one row, which its mask names.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    stride_x : In(4), in_w : In(column_width - 1), pad : In(8); stable while accesses are under way
    signed : In(1), transform : In(1), coefficients : In(8 x 4 bits); stable likewise, as in
        ``Compute``; only where windows are transformed
    access : In(access_layout), access_valid : In(1)
    sampled : In(1); pixels come from the sampler, where the engine has one: with these ports
    sample_addr : In(lane_addresses), sample : In(8 * rows), sample_valid : In(1), sample_part : In
    addr : Out(lane_addresses), i_lanes : In(lane_words); to the activation buffer
    window : Out(array of cols words of rows x window_width bits); holds between accesses

    Timing
    ------
    ``window`` shows a part ``latency(config)`` cycles after its access, or as many cycles after
    ``sample_valid`` as there are from ``SAMPLED`` on.
    """

    #: Channels that share the registers which pick their pixels.
    FAN_OUT = 2
    #: Cycles from an access to the decision what its words are for, and so for a sample's.
    SAMPLED = 2 + ActivationBuffer.LATENCY

    @classmethod
    def latency(cls, config: EngineConfig) -> int:
        """Return the cycles from an access to the window."""
        arrival = 1 + cls._addr_cycles(config) + ActivationBuffer.latency(config)
        return arrival + 2 + (2 if config.data_width > 9 else 0)

    @classmethod
    def _addr_cycles(cls, config: EngineConfig) -> int:
        """Return the cycles from a pixel's place to the address of its lane."""
        return 2 if config.pipelined else 0

    def __init__(self, config):
        self._config = config
        sampler = {
            "sampled": In(1),
            "sample_addr": In(lane_addresses(config)),
            "sample": In(8 * config.rows),
            "sample_valid": In(1),
            "sample_part": In(range(config.cols)),
        }
        window = data.ArrayLayout(unsigned(config.rows * config.window_width), config.cols)
        super().__init__(
            {
                "stride_x": In(4),
                "in_w": In(column_width(config) - 1),
                "pad": In(8),
                "signed": In(1),
                "transform": In(1),
                "coefficients": In(data.ArrayLayout(4, MAX_TAPS)),
                "access": In(access_layout(config)),
                "access_valid": In(1),
                "addr": Out(lane_addresses(config)),
                "i_lanes": In(lane_words(config)),
                "window": Out(window),
                **(sampler if config.offset_depth else {}),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, a = self._config, self.access
        base_1 = Signal(act_addr_width(config), reset_less=True)
        base_2 = Signal.like(base_1)
        m.d.sync += base_1.eq(a.group + a.row + a.word)
        addr_domain = m.d.sync if config.pipelined else m.d.comb
        addr_domain += base_2.eq(base_1)
        pixels = [self._place(m, j) for j in range(config.cols)]
        lane_of = self._pair_of_words if config.double_reads else self._lane
        lanes = [lane_of(m, addr_domain, lane, base_2, pixels) for lane in range(config.cols)]
        other = self._other(m)
        # The same decisions again when the words arrive, for a few channels each.
        taps = self._taps(m) if config.data_width > 9 else None
        for j, pixel in enumerate(pixels):
            decisions = self._late(m, j, pixel)
            for k, decision in enumerate(decisions):
                words = [lane[2 * j // config.cols] for lane in lanes]
                self._window(m, (j, k), decision, words, other, taps)
        return m

    @property
    def _share(self):
        """How many channels share registers."""
        return min(self._config.rows, self.FAN_OUT)

    def _copies(self, width):
        """Return what hands ``width`` bits to all channels."""
        return Fanout(width=width, copies=self._config.rows // self._share, dsp=self._config.dsp)

    def _place(self, m, j):
        """Return where window pixel j lies, and whether this access is for it."""
        config, a, cols = self._config, self.access, self._config.cols
        # Small tables of the stride: no multiplier, no division.
        table = Signal(data.StructLayout({"x": 8, "lane": 4, "word": 8, "part": 4}))
        with m.Switch(self.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    m.d.sync += [
                        table.x.eq(j * stride),
                        table.lane.eq(j * stride % cols),
                        table.word.eq(j * stride // cols),
                        table.part.eq(j // (cols // window_parts(config, stride))),
                    ]
        lane_sum = Signal(5)
        pixel = Signal(_pixel_layout(config), reset_less=True, name=f"pixel_{j}")
        m.d.comb += lane_sum.eq(a.lane + table.lane)
        mine = self.access_valid & (table.part == a.part)
        m.d.sync += [
            pixel.lane.eq(Mux(lane_sum >= cols, lane_sum - cols, lane_sum)),
            pixel.word.eq(table.word + (lane_sum >= cols)),
            pixel.column.eq(a.x + table.x),
            pixel.row_valid.eq(a.row_valid),
            pixel.wanted.eq(mine & (a.mask[j] if config.shared_words else 1)),
        ]
        return pixel

    def _lane(self, m, addr_domain, lane, base, pixels):
        """Address a lane's word for the pixel that wants it, if any does.

        Returns the word for pixels of the lower half of the window, and for those of the upper.
        """
        offset = Signal(5, reset_less=True)
        addr_domain += offset.eq(_offset(lane, pixels))
        if self._config.offset_depth:
            addr = (base + offset)[: len(base)]
            return 2 * [self._halves(m, lane, 2 * [addr[1:]])(addr[0])]
        addr_domain += self.addr[lane].eq(base + offset)
        return 2 * [self.i_lanes[lane]]

    def _pair_of_words(self, m, addr_domain, lane, base, pixels):
        """Address a lane's even and its odd word, each for the pixel that wants it.

        As :meth:`_lane`: for one pixel, or for one of the lower half of the window and one of the
        upper, where the stride has them in words that lie an odd number apart.
        """
        config = self._config
        both = Signal(name=f"both_{lane}")
        strides = [s for s in range(16) if window_parts(config, s) < gcd(s, config.cols)]
        m.d.sync += both.eq(reduce(or_, (self.stride_x == s for s in strides), Const(0)))
        lower = [p for j, p in enumerate(pixels) if 2 * j < config.cols]
        upper = [p for j, p in enumerate(pixels) if 2 * j >= config.cols]
        offset, offset_upper = (
            Signal(5, reset_less=True, name=f"{n}_{lane}") for n in ("offset", "upper")
        )
        wanted_upper, both_1 = (
            Signal(reset_less=True, name=f"{n}_{lane}") for n in ("wanted", "apart")
        )
        alone = _offset(lane, upper) & (~both).replicate(5)
        addr_domain += [
            offset.eq(_offset(lane, lower) | alone),
            offset_upper.eq(_offset(lane, upper)),
            wanted_upper.eq(Cat(p.wanted & (p.lane == lane) for p in upper).any()),
            both_1.eq(both),
        ]
        addr, addr_upper = ((base + o)[: len(base)] for o in (offset, offset_upper))
        # Which half the lower pixel's word is in, or the only one's; what nobody wants is anywhere.
        odd = Signal(name=f"odd_{lane}")
        m.d.comb += odd.eq(Mux(both_1 & wanted_upper, ~addr_upper[0], addr[0]))
        ways = Mux(odd, addr_upper, addr)[1:], Mux(odd, addr, addr_upper)[1:]
        word = self._halves(m, lane, ways)
        return [word(odd), word(odd ^ both_1)]

    def _other(self, m):
        """Return what pixels are that do not come from the lanes: padding, or samples."""
        m.submodules.pads = pads = self._copies(len(self.pad))
        m.d.comb += pads.i.eq(self.pad)
        other = Cat(pad.replicate(self._share) for pad in pads.o)
        if self._config.offset_depth:
            sample = Signal(8 * self._config.rows, reset_less=True)
            m.d.sync += sample.eq(Mux(self.sampled, self.sample, other))
            other = sample
        return other

    def _taps(self, m):
        """Return what an access is multiplied by when its words come, for a few channels each."""
        tap = Signal(tap_layout(), reset_less=True)
        m.d.sync += [tap.eq(0), tap.first.eq(~self.transform | (self.access.tap == 0))]
        m.d.sync += tap.signed.eq(self.signed)
        with m.If(self.transform):
            code = self.coefficients[self.access.tap]
            m.d.sync += Cat(tap.shift, tap.again, tap.negative).eq(code)
        for _ in range(1 + ActivationBuffer.LATENCY):
            later = Signal.like(tap, reset_less=True)
            m.d.sync += later.eq(tap)
            tap = later
        m.submodules.late_tap = taps = self._copies(len(tap.as_value()))
        m.d.comb += taps.i.eq(tap)
        return taps.o

    def _late(self, m, j, pixel):
        """Return what is done with window pixel j when the words come, for a few channels each."""
        config = self._config
        late = Signal(data.StructLayout({"lane": range(config.cols), "inside": 1, "wanted": 1}))
        m.d.comb += [
            late.lane.eq(pixel.lane),
            # A negative column is a large unsigned one.
            late.inside.eq(pixel.row_valid & (pixel.column < self.in_w)),
            late.wanted.eq(pixel.wanted),
        ]
        arrival = self._addr_cycles(config) + ActivationBuffer.latency(config)
        for _ in range(arrival - Fanout.LATENCY):
            later = Signal.like(late, reset_less=True)
            m.d.sync += later.eq(late)
            late = later
        m.submodules[f"late_{j}"] = copies = self._copies(len(late.as_value()))
        m.d.comb += copies.i.eq(late)
        if config.offset_depth:
            with m.If(self.sampled):
                mine = self.sample_valid & (self.sample_part == j)
                m.d.comb += [
                    data.View(late.shape(), copies.i).inside.eq(0),
                    data.View(late.shape(), copies.i).wanted.eq(mine),
                ]
        return [data.View(late.shape(), copy) for copy in copies.o]

    def _window(self, m, place, decision, lanes, other, taps):
        """Choose a few channels' pixels, and put them into the window or add them to it.

        Parameters
        ----------
        place : (j, k), the window's pixel, and which channels
        """
        j, k = place
        config, share, width = self._config, self._share, self._config.window_width
        part = slice(8 * share * k, 8 * share * (k + 1))
        picked = Signal(8 * share, reset_less=True)
        inside, wanted = Signal(reset_less=True), Signal(reset_less=True)
        m.submodules[f"choose_{j}_{k}"] = choose = Choose(
            width=len(picked), count=config.cols, dsp=config.dsp
        )
        m.d.comb += [
            choose.i.eq(Cat(lane[part] for lane in lanes)),
            choose.index.eq(decision.lane),
        ]
        m.d.sync += picked.eq(choose.o)
        m.d.sync += [inside.eq(decision.inside), wanted.eq(decision.wanted)]
        pixels_in = Mux(inside, picked, other[part])
        window = Signal(width * share, reset_less=True)
        m.d.comb += self.window[j][width * share * k : width * share * (k + 1)].eq(window)
        if taps is not None:
            chosen = Signal(tap_layout(), reset_less=True)
            m.d.sync += chosen.eq(taps[k])
            self._sum(m, window, pixels_in, wanted, chosen)
        else:
            with m.If(wanted):
                m.d.sync += window.eq(pixels_in)

    def _halves(self, m, lane, places):
        """Read a lane in halves, at ``places`` or where the sampler says.

        Returns a function that returns the word of the odd half, or else of the even one, where a
        bit says so that is there with the places.
        """

        def word(odd):
            for _ in range(1 + ActivationBuffer.LATENCY):
                later = Signal(reset_less=True)
                m.d.sync += later.eq(odd)
                odd = later
            return Mux(odd, self.i_lanes[lane][1], self.i_lanes[lane][0])

        for half, place in enumerate(places):
            if self._config.offset_depth:
                place = Mux(self.sampled, self.sample_addr[lane][half], place)
            m.d.sync += self.addr[lane][half].eq(place)
        return word

    def _sum(self, m, window, pixels, wanted, tap):
        """Add the pixels of a few channels to their windows, or begin with them."""
        width = self._config.window_width
        share = len(window) // width
        # Sign, then the multiple, then the sum: a register each.
        tap_1, tap_2 = (Signal(tap_layout(), reset_less=True) for _ in range(2))
        wanted_1, wanted_2 = Signal(reset_less=True), Signal(reset_less=True)
        m.d.sync += [wanted_1.eq(wanted), wanted_2.eq(wanted_1), tap_1.eq(tap), tap_2.eq(tap_1)]
        for k in range(share):
            byte, kept = pixels[8 * k : 8 * k + 8], window[width * k : width * (k + 1)]
            pixel, multiple = (
                Signal(signed(9), reset_less=True),
                Signal(signed(13), reset_less=True),
            )
            m.d.sync += [
                pixel.eq(Cat(byte, byte[7] & tap.signed)),
                multiple.eq((pixel << tap_1.shift) + Mux(tap_1.again, pixel, 0)),
            ]
            before, term = Signal(width), Signal(width)
            m.d.comb += [
                before.eq(kept & ~tap_2.first.replicate(width)),
                term.eq(multiple ^ tap_2.negative.replicate(13).as_signed()),
            ]
            with m.If(wanted_2):
                m.d.sync += kept.eq(add_with_carry(before, term, tap_2.negative))


def _offset(lane, pixels):
    """Return the word of the pixel that wants one of a lane, if any does, from the access's on."""
    return reduce(or_, (p.word & (p.wanted & (p.lane == lane)).replicate(5) for p in pixels))


def _pixel_layout(config):
    """Return where a pixel lies: lane, word from the access's on, column of the input."""
    return data.StructLayout(
        {
            "lane": range(config.cols),
            "word": 5,
            "column": column_width(config),
            "row_valid": 1,
            "wanted": 1,
        }
    )


def tap_layout():
    """Return what a tap is multiplied by: ``2**shift``, once more itself, negative."""
    return data.StructLayout({"first": 1, "signed": 1, "shift": 2, "again": 1, "negative": 1})
