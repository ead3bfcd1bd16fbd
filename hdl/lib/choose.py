"""One of a few words."""

from amaranth.hdl import Module
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.families import get_family

__all__ = ["Choose"]


class Choose(wiring.Component):
    """Return the word at an index.

    Parameters
    ----------
    width : int, bits of a word
    count : int, words, at least 1
    dsp : str
        Family that has the multiplexers: :mod:`tilewright.hdl.families`.

    Members
    -------
    i : In(array of count words)
    index : In(range(count))
    o : Out(width); that word, in the same cycle; some word if there is none at ``index``
    """

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
        get_family(self._dsp).choose(m, words, self.index, self.o)
        return m
