"""From offsets to samples: positions, addresses, four pixels each, interpolation."""

from itertools import count

from amaranth.hdl import Cat, Module, Mux, Signal, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.multiplier import Multiplier
from tilewright.hdl.buffers.activations import ActivationBuffer
from tilewright.hdl.buffers.offsets import OffsetBuffer
from tilewright.hdl.buffers.ports import lane_addresses, lane_words
from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.lib.fanout import Fanout
from tilewright.hdl.lib.sums import times
from tilewright.hdl.sequence.pace import access_layout
from tilewright.hdl.windows.bilinear import Bilinear
from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.widths import ROW_WIDTH, act_addr_width, column_width

__all__ = ["Sampler"]


class Sampler(wiring.Component):
    """Sample one pixel of a window per cycle, all ``rows`` channels of it at once.

    The pixels around a position lie in two neighbouring lanes, and in each of them in words whose
    addresses differ by an odd number: the buffer reads all four in the same cycle.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout), deform : In(Deform layout); stable while accesses are under way
    access : In(access_layout), access_valid : In(1); one part of a window for each pixel
    byte, mask_byte : In; of the words that come ``OffsetBuffer.LATENCY`` cycles later
    offsets, masks : In(8 * rows)
    addr : Out(lane_addresses); are to be registered on the way to the buffer
    i_lanes : In(lane_words)
    sample : Out(8 * rows); ``LATENCY`` cycles after its access
    sample_valid : Out(1), sample_part : Out(range(cols)); ``AHEAD`` cycles before the sample

    Timing
    ------
    One sample per cycle, no backpressure.
    """

    #: Cycles from an access to the integer and fraction of its position's offset.
    POSITION = OffsetBuffer.LATENCY + 2
    #: From there to ``addr``.
    ADDRESS = 7
    #: From ``addr`` to the four pixels: a register, the buffer, lanes, rows.
    PIXELS = 1 + ActivationBuffer.LATENCY + 2
    LATENCY = POSITION + ADDRESS + PIXELS + Bilinear.LATENCY
    AHEAD = 1
    #: Channels that share the registers which pick their pixels.
    FAN_OUT = 4

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        byte = (config.rows - 1).bit_length()
        super().__init__(
            {
                "command": In(command_layout(Compute, config)),
                "deform": In(command_layout(Deform)),
                "access": In(access_layout(config)),
                "access_valid": In(1),
                "byte": In(byte),
                "mask_byte": In(byte),
                "offsets": In(8 * config.rows),
                "masks": In(8 * config.rows),
                "addr": Out(lane_addresses(config)),
                "i_lanes": In(lane_words(config)),
                "sample": Out(8 * config.rows),
                "sample_valid": Out(1),
                "sample_part": Out(range(config.cols)),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        position = self._position(m)
        corners, rows, lanes = self._addresses(m, position)
        self._samples(m, position, corners, rows, lanes)
        valid, part = self.access_valid, self.access.part
        for _ in range(self.LATENCY - self.AHEAD):
            valid, part = _later(m, valid), _later(m, part)
        m.d.comb += [self.sample_valid.eq(valid), self.sample_part.eq(part)]
        return m

    def _position(self, m):
        """Return the offset and the mask of each access, ``POSITION`` cycles after it.

        And whether a sample is taken there.
        """
        d = self.deform
        byte, mask_byte = self.byte, self.mask_byte
        for _ in range(OffsetBuffer.LATENCY):
            byte, mask_byte = _later(m, byte), _later(m, mask_byte)
        dy, dx, mask = (Signal(signed(8), name="dy"), Signal(signed(8), name="dx"), Signal(8))
        m.d.sync += [
            Cat(dy, dx).eq(self.offsets.word_select(byte[1:], 16)),
            mask.eq(self.masks.word_select(mask_byte, 8)),
        ]
        # Fractions and masks of all widths become the widest ones.
        finest, finest_mask = self._config.offset_fraction, self._config.mask_fraction
        fixed = data.StructLayout({"fraction": finest, "whole": signed(8)})
        y, x = Signal(fixed), Signal(fixed)
        scale = Signal(finest_mask + 1)
        with m.Switch(d.fraction):
            for fraction in range(finest + 1):
                up = finest - fraction
                with m.Case(fraction):
                    m.d.sync += [y.eq(dy << up), x.eq(dx << up)]
        with m.Switch(d.mask_fraction):
            with m.Case(0):
                m.d.sync += scale.eq(1 << finest_mask)
            for fraction in range(1, finest_mask + 1):
                with m.Case(fraction):
                    m.d.sync += scale.eq(mask << (finest_mask - fraction))
        taken = _later(m, (dy >= d.dy_least) & (dy <= d.dy_most))
        return y, x, scale, taken

    def _without_offset(self, m):
        """Return where pixels would be without offsets, ``POSITION`` cycles after their access.

        That is one stride further than the pixel before, from where its window begins.
        """
        config, c, d, a = self._config, self.command, self.deform, self.access
        cols, width = config.cols, act_addr_width(config)
        stride = Signal(data.StructLayout({"lane": range(cols), "word": 4}))
        with m.Switch(c.stride_x):
            for step in range(16):
                with m.Case(step):
                    m.d.sync += [stride.lane.eq(step % cols), stride.word.eq(step // cols)]
        column_shape = signed(max(column_width(config), 9) + 1)
        here = Signal(
            data.StructLayout(
                {
                    "group": width,
                    "word": width,
                    "lane": range(cols),
                    "x": column_shape,
                    "y": signed(ROW_WIDTH),
                    "row": signed(ROW_WIDTH + 1),  # counted from the first one in the ring
                }
            ),
            reset_less=True,
        )
        lane, wraps = Signal(range(2 * cols)), Signal()
        m.d.comb += [lane.eq(here.lane + stride.lane), wraps.eq(lane >= cols)]
        m.d.sync += [
            here.group.eq(a.group),
            here.y.eq(a.y),
            here.row.eq(a.y - d.first_row),
        ]
        with m.If(a.part == 0):
            m.d.sync += [here.x.eq(a.x), here.lane.eq(a.lane), here.word.eq(a.word)]
        with m.Else():
            m.d.sync += [
                here.x.eq(here.x + c.stride_x),
                here.lane.eq(Mux(wraps, lane - cols, lane)),
                here.word.eq(here.word + stride.word + wraps),
            ]
        for _ in range(self.POSITION - 1):
            here = _later(m, here)
        return here

    def _addresses(self, m, position):
        """Drive ``addr``.

        Return, each as it is when ``addr`` is there: whether the four pixels are inside the input,
        whether the lower row is in the odd half, left and right; and the two lanes.
        """
        config, c, d = self._config, self.command, self.deform
        cols, width = config.cols, act_addr_width(config)
        y, x, _, taken = position
        here = self._without_offset(m)

        # 1: add the offset; divide it by cols, after adding a multiple that makes it positive.
        words = -(-128 // cols)
        dividend = Signal(range(words * cols + 128))
        m.d.comb += dividend.eq(x.whole + words * cols)
        factor, shift = _reciprocal(cols, words * cols + 127)
        quotient = _later(m, times(dividend, factor) >> shift)
        dividend = _later(m, dividend)
        column = _later(m, here.x + x.whole)
        row_y = _later(m, here.y + y.whole)
        group, word, lane = (_later(m, part) for part in (here.group, here.word, here.lane))
        # 2: the rest of the division; the row, multiplied by the pitch until 3.
        m.submodules.pitch = pitch = Multiplier(
            a_shape=signed(14), b_shape=unsigned(min(width, 16)), dsp=config.dsp
        )
        m.d.comb += [
            pitch.a.eq(_later(m, here.row + y.whole)),
            pitch.b.eq(d.row_pitch),
        ]
        rest = Signal(4, reset_less=True)
        m.d.sync += rest.eq(dividend - times(quotient, cols))
        quotient, group, word, lane = (_later(m, v) for v in (quotient, group, word, lane))
        in_rows, in_columns = Signal(2, reset_less=True), Signal(2, reset_less=True)
        m.d.sync += [
            in_rows.eq(Cat((row_y >= 0) & (row_y < c.in_h), (row_y >= -1) & (row_y + 1 < c.in_h))),
            in_columns.eq(
                Cat((column >= 0) & (column < c.in_w), (column >= -1) & (column + 1 < c.in_w))
            ),
        ]
        inside = Signal(4, reset_less=True)
        taken = _later(m, _later(m, taken))
        m.d.sync += inside.eq(
            Cat(in_rows[i] & in_columns[j] & taken for i in range(2) for j in range(2))
        )
        # 3: the lane.
        lane_sum = Signal(range(2 * cols))
        m.d.comb += lane_sum.eq(lane + rest)
        left = _later(m, Mux(lane_sum >= cols, lane_sum - cols, lane_sum)[: len(lane)])
        word = _later(m, (group + word + quotient - words + (lane_sum >= cols))[:width])
        # 4 and 5: the row's place in the ring, and the next one's; the words beside.
        places = self._row_places(m, pitch.p)
        last = left == cols - 1
        right = _later(m, Mux(last, 0, left + 1)[: len(left)])
        both = [_later(m, word), _later(m, (word + last)[:width])]
        left, both = _later(m, left), [_later(m, word) for word in both]
        left, right = _later(m, left), _later(m, right)
        # 6: addresses of the four pixels.
        address = [[_later(m, (place + w)[:width]) for w in both] for place in places]
        left, right = _later(m, left), _later(m, right)
        # 7: by half. In a lane, one row is in the even half, the other one in the odd half.
        odd = [address[0][j][0] for j in range(2)]
        halves = [
            [_later(m, Mux(odd[j] ^ half, address[1][j], address[0][j])[1:]) for half in range(2)]
            for j in range(2)
        ]
        odd = _later(m, Cat(odd))
        left, right = _later(m, left), _later(m, right)
        for k in range(cols):
            for half in range(2):
                m.d.comb += self.addr[k][half].eq(Mux(left == k, halves[0][half], halves[1][half]))
        for _ in range(4):
            inside = _later(m, inside)
        return inside, odd, (left, right)

    def _row_places(self, m, row):
        """Return where two rows begin in the ring, two cycles after ``row`` of the first."""
        c, d, width = self.command, self.deform, act_addr_width(self._config)
        wide = signed(width + 3)
        places = []
        for i in range(2):
            begin, wrapped = Signal(wide), Signal(wide)
            m.d.sync += [
                begin.eq(d.row_base + (d.row_pitch if i else 0)),
                wrapped.eq(d.row_base + (d.row_pitch if i else 0) - c.act_ring),
            ]
            sums = [Signal(wide, name=f"row_{i}_{k}", reset_less=True) for k in range(2)]
            m.d.sync += [sums[0].eq(row + begin), sums[1].eq(row + wrapped)]
            places.append(_later(m, Mux(sums[1] < 0, sums[0], sums[1])[:width]))
        return places

    def _samples(self, m, position, inside, odd, lanes):
        """Pick the four pixels of every channel and interpolate."""
        config, c = self._config, self.command
        share = min(config.rows, self.FAN_OUT)
        copies = config.rows // share

        def fan_out(name, value, cycles):
            """Return ``value``, ``cycles`` later, for each few channels."""
            for _ in range(cycles - Fanout.LATENCY):
                value = _later(m, value)
            fan = Fanout(width=len(value), copies=copies, dsp=config.dsp)
            m.submodules[name] = fan
            m.d.comb += fan.i.eq(value)
            return fan.o

        y, x, scale, _ = position
        read = 1 + ActivationBuffer.LATENCY  # from ``addr`` to the words
        where = fan_out("where", Cat(inside, odd, *lanes), read)
        pixels = self.ADDRESS + self.PIXELS
        fx = fan_out("fx", x.fraction, pixels + Bilinear.FX)
        fy = fan_out("fy", y.fraction, pixels + Bilinear.FY)
        mask = fan_out("mask", scale, pixels + Bilinear.MASK)
        zero = Signal(signed(9))
        m.d.sync += zero.eq(Cat(c.pad, c.pad[7] & c.signed))
        layout = data.StructLayout(
            {"inside": 4, "odd": 2, "left": len(lanes[0]), "right": len(lanes[1])}
        )
        for k in range(copies):
            part = slice(8 * share * k, 8 * share * (k + 1))
            at = data.View(layout, where[k])
            words = []
            for lane in (at.left, at.right):
                picked = [Signal(8 * share, reset_less=True) for _ in range(2)]
                for half, word in enumerate(picked):
                    with m.Switch(lane):
                        for i in range(config.cols):
                            with m.Case(i):
                                m.d.sync += word.eq(self.i_lanes[i][half][part])
                words.append(picked)
            inside, odd = _later(m, at.inside), _later(m, at.odd)
            pixels = [
                [
                    _later(
                        m,
                        Mux(
                            inside[2 * i + j],
                            Mux(odd[j] ^ i, words[j][1], words[j][0]),
                            c.pad.replicate(share),
                        ),
                    )
                    for j in range(2)
                ]
                for i in range(2)
            ]
            for channel in range(share):
                m.submodules[f"bilinear_{k * share + channel}"] = bilinear = Bilinear(
                    fraction=config.offset_fraction, mask_fraction=config.mask_fraction
                )
                m.d.comb += [
                    bilinear.zero.eq(zero),
                    bilinear.fx.eq(fx[k]),
                    bilinear.fy.eq(fy[k]),
                    bilinear.mask.eq(mask[k]),
                    self.sample.word_select(k * share + channel, 8).eq(bilinear.o),
                ]
                for i in range(2):
                    for j in range(2):
                        byte = pixels[i][j].word_select(channel, 8)
                        m.d.comb += getattr(bilinear, f"p_{i}{j}").eq(Cat(byte, byte[7] & c.signed))


def _later(m, value):
    """Return a value in the next cycle."""
    register = Signal(value.shape(), reset_less=True)
    m.d.sync += register.eq(value)
    return register


def _reciprocal(divisor, largest):
    """Return factor and shift that divide every number up to ``largest`` exactly."""
    for shift in count(divisor.bit_length()):
        factor = -(-(1 << shift) // divisor)
        if all(n * factor >> shift == n // divisor for n in range(largest + 1)):
            return factor, shift
    return None
