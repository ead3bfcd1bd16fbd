"""The output buffer where two words of results come in a cycle."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import word_write
from tilewright.hdl.buffers.words import WordBuffer
from tilewright.hdl.lib.place import Place

__all__ = ["ResultBanks"]


class ResultBanks(wiring.Component):
    """A ring of pixel words in two banks, of even and of odd words; written in both in a cycle.

    Parameters
    ----------
    config : EngineConfig, with ``2 * rows`` requantizers

    Members
    -------
    i, i_odd : In(word_write(8 * rows)); of words that come in one cycle, one is even, one odd
    addr, enable, o : as of :class:`~tilewright.hdl.buffers.words.WordBuffer`

    Timing
    ------
    That of a pipelined ``WordBuffer``.
    """

    def __init__(self, config):
        self._config = config
        width = 8 * config.rows
        super().__init__(
            {
                "i": In(word_write(width)),
                "i_odd": In(word_write(width)),
                "addr": In(16),
                "enable": In(1, init=1),
                "o": Out(width),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, words = self._config, []
        for k in range(2):
            bank = WordBuffer(
                width=8 * config.rows,
                depth=config.out_depth // 2,
                dsp=config.dsp,
                place=Place(config.rows - 1, config.rows, rank=3),
            )
            m.submodules[f"bank_{k}"] = bank
            mine, mine_odd = (i.valid & (i.addr[0] == k) for i in (self.i, self.i_odd))
            m.d.comb += [
                bank.i.valid.eq(mine | mine_odd),
                bank.i.addr.eq(Mux(mine, self.i.addr, self.i_odd.addr)[1:]),
                bank.i.data.eq(Mux(mine, self.i.data, self.i_odd.data)),
                bank.addr.eq(self.addr[1:]),
                bank.enable.eq(self.enable),
            ]
            words.append(bank.o)
        # Which bank was read, beside its word: the memory's register keeps it, the other does not.
        read, which = Signal(), Signal()
        with m.If(self.enable):
            m.d.sync += read.eq(self.addr[0])
        m.d.sync += which.eq(read)
        m.d.comb += self.o.eq(Mux(which, words[1], words[0]))
        return m
