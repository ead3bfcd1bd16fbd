"""The weight buffer: a word of weights for each step of the array."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import weight_write, word_write
from tilewright.hdl.buffers.words import WordBuffer
from tilewright.hdl.lib.delay import delayed

__all__ = ["WeightBuffer"]


class WeightBuffer(wiring.Component):
    """A ring of ``weight_depth`` words, each ``rows`` weights of ``weight_width`` bits.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(weight_write)
    i_kernels : In(word_write(rows * kernel_width)); transformed weights, not together with ``i``;
        only where the engine transforms kernels
    addr : In(16)
    o : Out(rows * weight_width)
    split : In(1), o_upper : Out(rows * weight_width), with ``split_columns``: the word behind
        ``o``, or the same one; ``split`` is steady

    Timing
    ------
    As for :class:`WordBuffer`, pipelined and far or neither.
    """

    @classmethod
    def latency(cls, config):
        """Return the cycles from an address to its word."""
        return WordBuffer.latency(config.pipelined, far=config.pipelined)

    def __init__(self, config):
        self._config = config
        kernels = word_write(config.rows * config.kernel_width)
        upper = {"split": In(1), "o_upper": Out(config.rows * config.weight_width)}
        super().__init__(
            {
                "i": In(weight_write(config)),
                **({"i_kernels": In(kernels)} if config.transform_at_load else {}),
                "addr": In(16),
                "o": Out(config.rows * config.weight_width),
                **(upper if config.split_columns else {}),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, i = self._config, self.i
        built = {
            "pipelined": config.pipelined,
            "far": config.pipelined,
            "dsp": config.dsp,
            "by_rows": True,
        }
        if config.split_columns:
            self._banks(m, built)
            return m
        m.submodules.low = low = WordBuffer(
            width=8 * config.rows,
            depth=config.weight_depth // config.weights_per_byte,
            parts=config.weights_per_byte,
            **built,
        )
        above = config.kernel_width - 8
        m.d.comb += [
            low.i.addr.eq(i.addr),
            low.i.data.eq(i.data),
            low.i.valid.eq(i.valid & (i.half != 2 if above else 1)),
            low.addr.eq(self.addr),
        ]
        if not above:
            m.d.comb += self.o.eq(low.o)
            return m
        m.submodules.high = high = WordBuffer(
            width=above * config.rows, depth=config.weight_depth, **built
        )
        m.d.comb += [
            high.i.addr.eq(low.i.addr),
            high.i.valid.eq(i.valid & (i.half != 1)),
            high.addr.eq(self.addr),
        ]
        if config.transform_at_load:
            with m.If(self.i_kernels.valid):
                m.d.comb += [
                    low.i.addr.eq(self.i_kernels.addr),
                    low.i.valid.eq(1),
                    high.i.valid.eq(1),
                ]
        for k in range(config.rows):
            byte = i.data.word_select(k, 8)
            extended = Mux(i.half == 2, byte[:above], byte[7].replicate(above))
            if config.transform_at_load:
                whole = self.i_kernels.data.word_select(k, config.kernel_width)
                extended = Mux(self.i_kernels.valid, whole[8:], extended)
                m.d.comb += low.i.data.word_select(k, 8).eq(
                    Mux(self.i_kernels.valid, whole[:8], byte)
                )
            m.d.comb += [
                high.i.data.word_select(k, above).eq(extended),
                self.o.word_select(k, config.weight_width).eq(
                    Cat(low.o.word_select(k, 8), high.o.word_select(k, above))
                ),
            ]
        return m

    def _banks(self, m, built):
        """Add memories of even and of odd words: two that are neighbours are read at once."""
        config, i, words = self._config, self.i, []
        width, halves = config.rows * config.weight_width, config.weights_per_byte == 2
        for k in range(2):
            m.submodules[f"bank_{k}"] = bank = WordBuffer(
                width=width, depth=config.weight_depth // 2, **built
            )
            if halves:  # a word as it is written has both
                m.d.comb += [bank.i.valid.eq(i.valid), bank.i.addr.eq(i.addr)]
            else:
                m.d.comb += [
                    bank.i.valid.eq(i.valid & (i.addr[0] == k)),
                    bank.i.addr.eq(i.addr[1:]),
                ]
            m.d.comb += [
                bank.i.data.eq(i.data.word_select(k, width) if halves else i.data),
                bank.addr.eq(self.addr[1:] if k else (self.addr + 1)[1:]),
            ]
            words.append(bank.o)
        even, odd = words
        which = delayed(m, self.addr[0], self.latency(config) - 1)
        o_is_odd, upper_is_odd = Signal(), Signal()
        m.d.sync += [o_is_odd.eq(which), upper_is_odd.eq(which ^ self.split)]
        m.d.comb += [
            self.o.eq(Mux(o_is_odd, odd, even)),
            self.o_upper.eq(Mux(upper_is_odd, odd, even)),
        ]
