"""The offset buffer: of deformable convolutions."""

from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import word_write
from tilewright.isa import EngineConfig
from tilewright.isa.widths import offset_addr_width

__all__ = ["OffsetBuffer"]


class OffsetBuffer(wiring.Component):
    """A ring of ``offset_depth`` words, of which two are read in a cycle: one of each half.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(word_write(8 * rows)); the address wraps at ``offset_depth``
    addr, mask_addr : In(offset_addr_width); in different halves, if both words count
    offsets, masks : Out(8 * rows)

    Timing
    ------
    The words follow their addresses by ``LATENCY`` cycles; a word can be read from the cycle after
    its write.
    """

    LATENCY = 2

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        width, addr = 8 * config.rows, offset_addr_width(config)
        super().__init__(
            {
                "i": In(word_write(width)),
                "addr": In(addr),
                "mask_addr": In(addr),
                "offsets": Out(width),
                "masks": Out(width),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        width, depth = 8 * self._config.rows, self._config.offset_depth // 2
        inner = len(self.addr) - 1  # address bits within a half
        words = []
        for half in range(2):
            memory = Memory(shape=unsigned(width), depth=depth, init=[])
            m.submodules[f"half_{half}"] = memory
            write, read = memory.write_port(), memory.read_port()
            word = Signal(width, name=f"word_{half}", reset_less=True)
            mine = self.addr[-1] == half
            m.d.comb += [
                write.en.eq(self.i.valid & (self.i.addr[inner] == half)),
                write.addr.eq(self.i.addr[:inner]),
                write.data.eq(self.i.data),
                read.en.eq(1),
                read.addr.eq(Mux(mine, self.addr[:inner], self.mask_addr[:inner])),
            ]
            m.d.sync += word.eq(read.data)
            words.append(word)
        which, which_1 = Signal(), Signal()
        m.d.sync += [which.eq(self.addr[-1]), which_1.eq(which)]
        m.d.comb += [
            self.offsets.eq(Mux(which_1, words[1], words[0])),
            self.masks.eq(Mux(which_1, words[0], words[1])),
        ]
        return m
