"""The array: one multiplier and one accumulator per cell."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.multiplier import DualMultiplier, Multiplier, PairMultiplier
from tilewright.hdl.families import get_family
from tilewright.hdl.lib.fanout import Fanout, FanoutTree
from tilewright.hdl.lib.place import Place

__all__ = ["MacArray"]


class MacArray(wiring.Component):
    """``rows`` x ``cols`` multiply-accumulate (or multiply-maximum) cells.

    Row k multiplies its own ``cols`` activations by one weight. Each row has its own activations,
    so no wire crosses the array: what rows share is decided before (the segment broadcast).

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    x : In(array of rows x cols signed(data_width)); with 4-bit weights, only even rows' are used
    w : In(array of rows signed(operand_width(config))); ``ahead(config)`` cycles before their ``x``
    w_upper : In, likewise, with ``split_columns``: for columns from ``cols // 2`` on
    valid : In(1), where maps are multiplied In(cols), one for each column; accumulate the product
        of this cycle's ``x`` and ``w``
    first : In(1); start from this product instead of adding it
    maximum : In(1); keep the larger instead of the sum; the weights must be 0 or 1; ignored
        without ``config.maximum``
    acc : Out(array of rows x cols signed(acc_width))

    Timing
    ------
    ``acc`` shows a product ``LATENCY`` cycles after its operands; ``valid`` and ``first`` belong to
    the operands of the same cycle, ``maximum`` must be steady while there are products.
    """

    LATENCY = Multiplier.LATENCY + 2
    #: Bits of a weight that is a pixel less its zero point.
    FACTOR_WIDTH = 9

    @classmethod
    def operand_width(cls, config):
        """Return the bits of a weight."""
        least = cls.FACTOR_WIDTH if config.multiplies_maps else 0
        if config.wide_maps:  # as it counts for high bytes
            least = config.weight_width + 8
        return max(config.weight_width, least)

    @classmethod
    def ahead(cls, config):
        """Return the cycles by which weights come before activations: on their way to each cell."""
        return Fanout.LATENCY if config.pipelined else 0

    def __init__(self, config):
        self._config = config

        def cells(shape):
            return data.ArrayLayout(data.ArrayLayout(shape, config.cols), config.rows)

        weights = data.ArrayLayout(signed(self.operand_width(config)), config.rows)
        super().__init__(
            {
                "x": In(cells(signed(config.data_width))),
                "w": In(weights),
                **({"w_upper": In(weights)} if config.split_columns else {}),
                "valid": In(config.cols if config.multiplies_maps else 1),
                "first": In(1),
                "maximum": In(1),
                "acc": Out(cells(signed(config.acc_width))),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        control = Cat(self.first, self.valid)
        for _ in range(Multiplier.LATENCY + 1 - FanoutTree.LATENCY):
            later = Signal.like(control)
            m.d.sync += later.eq(control)
            control = later
        m.submodules.control = copies = FanoutTree(
            width=len(control), copies=config.rows, dsp=config.dsp
        )
        m.d.comb += copies.i.eq(control)
        m.submodules.maximum = maxima = FanoutTree(width=1, copies=config.rows, dsp=config.dsp)
        m.d.comb += maxima.i.eq(self.maximum & config.maximum)

        # Rows of a pair have one activation: with 4-bit weights, one multiplier has both products.
        # Columns have one weight: there are multipliers that serve two of them.
        paired = config.weight_bits == 4
        dual = get_family(config.dsp).columns_per_multiplier == 2 and not paired
        weights = []  # of each row, for each column
        for k in range(config.rows):
            if self.ahead(config):
                weights.append(self._copies(m, k))
            else:
                weights.append([self.w[k]] * config.cols)
        for k in range(0, config.rows, 1 + paired):
            products, place = {}, Place(k, config.rows, rank=0)
            for j, both in self._multiplied(dual):
                name = f"mul_{k}_{j}"
                if both:
                    m.submodules[name] = mul = DualMultiplier(dsp=config.dsp, place=place)
                    m.d.comb += [mul.a[0].eq(self.x[k][j]), mul.a[1].eq(self.x[k][j + 1])]
                    m.d.comb += mul.b.eq(weights[k][j])
                    products |= {(k, j): mul.p[0], (k, j + 1): mul.p[1]}
                    continue
                if paired:
                    m.submodules[name] = mul = PairMultiplier(dsp=config.dsp, place=place)
                    m.d.comb += [mul.a.eq(self.x[k][j]), mul.low.eq(weights[k][j])]
                    m.d.comb += mul.high.eq(weights[k + 1][j])
                    cells = {(k, j): mul.p_low, (k + 1, j): mul.p_high}
                else:
                    mul = Multiplier(
                        a_shape=signed(config.data_width),
                        b_shape=signed(self.operand_width(config)),
                        dsp=config.dsp,
                        place=place,
                    )
                    m.submodules[name] = mul
                    m.d.comb += [mul.a.eq(self.x[k][j]), mul.b.eq(weights[k][j])]
                    cells = {(k, j): mul.p}
                # A register between the multiplier, whose place is fixed, and the adder.
                for cell, product in cells.items():
                    products[cell] = Signal.like(product, reset_less=True)
                    m.d.sync += products[cell].eq(product)
            for (row, column), product in products.items():
                first, *valid = copies.o[row]
                self._accumulate(
                    m,
                    self.acc[row][column],
                    product,
                    valid=valid[column if config.multiplies_maps else 0],
                    first=first,
                    maximum=maxima.o[row],
                )
        return m

    def _copies(self, m, k):
        """Return row k's weight for each column, on its way."""
        config, copies = self._config, []
        lower = config.cols // 2 if config.split_columns else config.cols
        halves = [("", self.w, lower)]
        if config.split_columns:
            halves.append(("_upper", self.w_upper, config.cols - lower))
        for name, w, count in halves:
            m.submodules[f"weight{name}_{k}"] = own = Fanout(
                width=self.operand_width(config), copies=count, dsp=config.dsp
            )
            m.d.comb += own.i.eq(w[k])
            copies += [copy.as_signed() for copy in own.o]
        return copies

    def _multiplied(self, dual):
        """Yield the columns at which a multiplier begins, and whether it has the next one too."""
        config, j = self._config, 0
        while j < config.cols:
            weights_end = config.split_columns and j + 1 == config.cols // 2
            both = dual and j + 1 < config.cols and not weights_end
            yield j, both
            j += 1 + both

    def _accumulate(self, m, acc, product, *, valid, first, maximum):
        value = Signal(signed(self._config.acc_width), reset_less=True)
        larger = Signal()
        m.d.comb += acc.eq(value)
        if self._config.maximum:
            # Of activations, since weights are 0 or 1 here. It is the borrow of a subtraction, and
            # nothing more: this is one of the slowest paths.
            difference = Signal(10)
            m.d.comb += [
                difference.eq((value[:9] ^ 0x100) - (product[:9] ^ 0x100)),
                larger.eq(difference[9]),
            ]
        with m.If(valid & (first | larger | ~maximum)):
            m.d.sync += value.eq(Mux(first | maximum, product, value + product))
