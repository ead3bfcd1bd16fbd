"""One of a few words."""

from amaranth.hdl import Array, Const, Instance, Module, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Choose"]


class Choose(wiring.Component):
    """Return the word at an index.

    Parameters
    ----------
    width : int, bits of a word
    count : int, words, at least 1
    dsp : str
        "ecp5" instantiates the multiplexers that join look-up tables: up to eight words take half
        a look-up table each and no wires between them, where Yosys takes more, with wires.
        "inferred" leaves it to the synthesizer.

    Members
    -------
    i : In(array of count words)
    index : In(range(count))
    o : Out(width); that word, in the same cycle; some word if there is none at ``index``
    """

    #: Words of a multiplexer of the largest kind.
    LARGEST = 8

    def __init__(self, *, width, count, dsp):
        self._dsp = dsp
        super().__init__(
            {
                "i": In(data.ArrayLayout(width, count)),
                "index": In(range(max(count, 2))),
                "o": Out(width),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        words = [self.i[k] for k in range(self.i.shape().length)]
        if self._dsp != "ecp5":
            m.d.comb += self.o.eq(Array(words)[self.index])
            return m
        chosen = [
            self._join(m, f"{at}", words[at : at + self.LARGEST])
            for at in range(0, len(words), self.LARGEST)
        ]
        above = self.index[self.LARGEST.bit_length() - 1 :]
        m.d.comb += self.o.eq(Array(chosen)[above])
        return m

    def _join(self, m, name, words):
        """Return one of up to ``LARGEST`` words, by the low bits of the index."""
        # A tree is whole; what fills it up makes no two look-up tables the same.
        fill = words[(len(words) + 1) % 2 :]
        words = [*words, *fill][: 1 << (len(words) - 1).bit_length()]
        for level in range((len(words) - 1).bit_length()):
            pairs = zip(words[::2], words[1::2], strict=True)
            words = [
                self._mux(m, f"mux_{name}_{level}_{k}", level, pair) for k, pair in enumerate(pairs)
            ]
        return words[0]

    def _mux(self, m, name, level, pair):
        select, o = self.index[level], Signal(len(self.o), name=name)
        for bit in range(len(o)):
            low, high = (word[bit] for word in pair)
            kinds = (
                {"p_INIT": 0xCACA, "i_A": low, "i_B": high, "i_C": select, "i_D": Const(0)},
                {"i_BLUT": low, "i_ALUT": high, "i_C0": select},
                {"i_D0": low, "i_D1": high, "i_SD": select},
            )
            primitive = ("LUT4", "PFUMX", "L6MUX21")[level]
            m.submodules[f"{name}_{bit}"] = Instance(primitive, o_Z=o[bit], **kinds[level])
        return o
