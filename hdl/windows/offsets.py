"""The offsets of deformable convolutions: which ones are next."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.lib.loops import LoopCounter
from tilewright.isa import Compute, Deform, EngineConfig
from tilewright.isa.widths import offset_addr_width, result_count_width

__all__ = ["OffsetSequencer"]


class _ChannelWalk(wiring.Component):
    """Word and byte of channel after channel, ``step`` at a time, from pixel 0's first one.

    Members
    -------
    base, byte : In; of the first channel
    group_step : In; words from one channel group to the next
    restart : In(1); back to the first channel
    back : In(1); back to where ``mark`` was last
    advance : In(1); ``step`` channels on
    mark : In(1); with ``advance``: remember where that is
    o_word, o_byte : Out
    """

    def __init__(self, config, *, step):
        self._step = step
        word, byte = offset_addr_width(config), (config.rows - 1).bit_length()
        super().__init__(
            {
                "base": In(word),
                "byte": In(byte),
                "group_step": In(word),
                "restart": In(1),
                "back": In(1),
                "advance": In(1),
                "mark": In(1),
                "o_word": Out(word),
                "o_byte": Out(byte),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        marked_word, marked_byte = Signal.like(self.o_word), Signal.like(self.o_byte)
        word, byte = Signal.like(self.o_word), Signal(len(self.o_byte) + 1)
        here = Cat(self.o_word, self.o_byte)
        marked = Cat(marked_word, marked_byte)
        m.d.comb += [
            byte.eq(self.o_byte + self._step),
            word.eq(self.o_word + Mux(byte[-1], self.group_step, 0)),
        ]
        onward = Cat(word, byte[:-1])
        with m.If(self.restart):
            first = Cat(self.base, self.byte)
            m.d.sync += [here.eq(first), marked.eq(first)]
        with m.Elif(self.back):
            m.d.sync += here.eq(marked)
        with m.Elif(self.advance):
            m.d.sync += here.eq(onward)
            with m.If(self.mark):
                m.d.sync += marked.eq(onward)
        return m


class OffsetSequencer(wiring.Component):
    """Addresses of the offsets and masks, output pixel after output pixel.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout), deform : In(Deform layout); stable
    start : In(1); a command begins
    take : In(1); a segment begins; at the earliest two cycles after ``start``
    last : In(1); with ``take``: it is its pass's last
    addr, mask_addr : Out(offset_addr_width); words of pixel 0 of the segment in the cycle after
        ``take``, of the next pixel in every cycle after that
    byte, mask_byte : Out; which byte of the word is the segment's
    """

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        addr, byte = offset_addr_width(config), (config.rows - 1).bit_length()
        super().__init__(
            {
                "command": In(command_layout(Compute, config)),
                "deform": In(command_layout(Deform)),
                "start": In(1),
                "take": In(1),
                "last": In(1),
                "addr": Out(addr),
                "mask_addr": Out(addr),
                "byte": Out(byte),
                "mask_byte": Out(byte),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, c, d = self._config, self.command, self.deform
        done = self.take & self.last

        # The first pixel of the pass.
        count_width = min(len(c.n_ox), result_count_width(config))
        m.submodules.ox = ox = LoopCounter(width=count_width)
        m.submodules.oy = oy = LoopCounter(width=len(c.n_oy))
        pixel, row, next_row = (
            Signal.like(self.addr),
            Signal.like(self.addr),
            Signal.like(self.addr),
        )
        m.d.comb += [
            ox.count.eq(c.n_ox),
            oy.count.eq(c.n_oy),
            ox.start.eq(self.start),
            oy.start.eq(self.start),
            ox.step.eq(done),
            oy.step.eq(done & ox.last),
            next_row.eq(row + d.row_step),
        ]
        with m.If(self.start | (done & ox.last & oy.last)):
            m.d.sync += [pixel.eq(0), row.eq(0)]
        with m.Elif(done & ox.last):
            m.d.sync += [pixel.eq(next_row), row.eq(next_row)]
        with m.Elif(done):
            m.d.sync += pixel.eq(pixel + config.cols)

        # The channel of the tap: all taps again for channel groups that share their positions.
        m.submodules.tap = tap = LoopCounter(width=len(d.taps))
        m.submodules.group = group = LoopCounter(width=len(d.shared))
        restart = self.start | done
        m.d.comb += [
            tap.count.eq(d.taps),
            group.count.eq(d.shared),
            tap.start.eq(restart),
            group.start.eq(restart),
            tap.step.eq(self.take),
            group.step.eq(self.take & tap.last),
        ]
        m.submodules.offsets = offsets = _ChannelWalk(config, step=2)
        m.submodules.masks = masks = _ChannelWalk(config, step=1)
        for walk, base, byte in (
            (offsets, d.offset_base, d.offset_byte),
            (masks, d.mask_base, d.mask_byte),
        ):
            m.d.comb += [
                walk.base.eq(base),
                walk.byte.eq(byte),
                walk.group_step.eq(d.group_step),
                walk.restart.eq(restart),
                walk.back.eq(self.take & tap.last & ~group.last),
                walk.advance.eq(self.take),
                walk.mark.eq(tap.last),
            ]
        with m.If(self.take):
            m.d.sync += [
                self.addr.eq(offsets.o_word + pixel),
                self.mask_addr.eq(masks.o_word + pixel),
                self.byte.eq(offsets.o_byte),
                self.mask_byte.eq(masks.o_byte),
            ]
        with m.Else():
            m.d.sync += [self.addr.eq(self.addr + 1), self.mask_addr.eq(self.mask_addr + 1)]
        return m
