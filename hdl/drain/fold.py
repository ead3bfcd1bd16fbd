"""Sums of rows that are parts of one sum, added on their way out of the array."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["Fold"]


class Fold(wiring.Component):
    """Add the upper half of the sums to the lower half, up to ``config.folds`` times.

    Parameters
    ----------
    config : EngineConfig, with ``folds``

    Members
    -------
    i : In(array of requantizers, or at most rows, signed(acc_width)); sums at the heads of the
        drain's chains
    start : In(1); in the next cycle come the first sums of a pass
    fold : In(range(folds + 1)); with ``start``: how often to halve those of the pass
    o : Out(array of as many); modulo ``2**acc_width``

    Timing
    ------
    latency ``config.folds`` cycles, one word per cycle, no backpressure, no reset
    """

    def __init__(self, config):
        self._config = config
        count = config.requantizer_count // config.result_words
        sums = data.ArrayLayout(signed(config.acc_width), count)
        fold = range(config.folds + 1)
        super().__init__({"i": In(sums), "start": In(1), "fold": In(fold), "o": Out(sums)})

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        half = self.i.shape().length
        sums = [self.i[k] for k in range(half)]
        # Of each halving, whether there is one, as long ago as its sums.
        folds = Signal(config.folds, name="folds_0")
        with m.If(self.start):
            m.d.sync += folds.eq(Cat(self.fold > level for level in range(config.folds)))
        for level in range(config.folds):
            half //= 2
            later = [
                Signal(signed(config.acc_width), name=f"sum_{level}_{k}", reset_less=True)
                for k in range(len(sums))
            ]
            for k, total in enumerate(later):
                more = sums[k + half] & folds[level].replicate(config.acc_width) if k < half else 0
                m.d.sync += total.eq(sums[k] + more)
            since = Signal.like(folds, name=f"folds_{level + 1}")
            m.d.sync += since.eq(folds)
            sums, folds = later, since
        m.d.comb += [self.o[k].eq(total) for k, total in enumerate(sums)]
        return m
