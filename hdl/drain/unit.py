"""Results on their way from the array: requantized and written, one pixel after another."""

from amaranth.hdl import (
    Cat,
    ClockDomain,
    ClockSignal,
    DomainRenamer,
    Module,
    Mux,
    Signal,
    signed,
)
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from tilewright.hdl.buffers.ports import lane_write, odd_writes, word_write
from tilewright.hdl.drain.chains import copy_accumulators
from tilewright.hdl.drain.fold import Fold
from tilewright.hdl.drain.layout import result_layout
from tilewright.hdl.drain.lookup import Lookup, add_lookups
from tilewright.hdl.drain.pairs import write_pairs
from tilewright.hdl.drain.partial import PartialSums
from tilewright.hdl.drain.requantize import BOUNDS, Requantize
from tilewright.hdl.drain.write import Written, write_results
from tilewright.hdl.lib.delay import delayed
from tilewright.hdl.lib.fanout import Fanout, FanoutTree
from tilewright.hdl.lib.place import Place
from tilewright.isa import EngineConfig

__all__ = ["Drain"]


class Drain(wiring.Component):
    """Copy the accumulators aside and requantize them while the array goes on.

    The copies form ``requantizers`` shift chains: requantizer i takes rows ``i * n .. i * n + n -
    1`` (n = rows / requantizers) of pixel 0, then of pixel 1, and so on. The rows' parameters
    rotate with them, so that no multiplexer is needed. With ``2 * rows`` requantizers, each row has
    two chains, of even and of odd pixels; where they may not leave together, they take turns. What
    is a term of a tile goes to the partial sums first (:class:`PartialSums`), and follows as
    totals, a window for each result of the tile. Of results of 16 bits, the chains go round: a pass
    leaves as high bytes, and again as low ones.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    acc : In(array of rows x cols signed(acc_width))
    capture : In(1); the accumulators are complete ``AHEAD`` cycles later; at least
        ``isa.passes.result_cycles`` apart, or as long as a pass of terms takes
    i : In(result_layout); sampled with ``capture``; but without ``config.prefetch``, all except
        ``place`` must stay until ``done``, and without ``config.pipelined``, ``place`` until
        ``take``
    take : Out(1); ``i.place`` is used up
    new_parameters : In(1); with ``capture``: the parameters shifted in are those of this pass on
    last : In(1); with ``capture``: this pass is its command's last
    parameter : In(1), parameter_word : In(array of rows weight_bits); one parameter word; without
        ``config.pipelined``, ``parameter`` comes one cycle before
    early : In(3 or 4); ``capture``, ``new_parameters`` and ``parameter`` of the next cycle, and
        ``i.target.pair``, if there is one; only with ``config.pipelined``
    table_write : In(word_write(8)); into every requantizer's tables
    o_act : Out(lane_write), o_out : Out(word_write)
    o_act_odd, o_out_odd : likewise, of odd pixels; only with ``2 * rows`` requantizers
    done : Out(1); the last result of a command is written in this cycle
    overrun : Out(1); a pass was captured before the results of the one before had left

    Timing
    ------
    ``done`` follows the capture by ``isa.passes.command_drain + latency(config)`` cycles.
    """

    #: Cycles from ``capture`` to the accumulators' last.
    AHEAD = 1

    @classmethod
    def latency(cls, config: EngineConfig) -> int:
        """Return the cycles that a result is on its way, after its turn has come."""
        requantize = Requantize.latency(config.pipelined) + config.fold_cycles
        return cls.AHEAD + requantize + (Lookup.LATENCY if config.tables else 0) + 1

    def __init__(self, config):
        self._config = config
        cells = data.ArrayLayout(
            data.ArrayLayout(signed(config.acc_width), config.cols), config.rows
        )
        super().__init__(
            {
                "acc": In(cells),
                "capture": In(1),
                "i": In(result_layout(config)),
                "take": Out(1),
                "new_parameters": In(1),
                "last": In(1),
                "parameter": In(1),
                **({"early": In(3 + (config.result_words == 2))} if config.pipelined else {}),
                "parameter_word": In(data.ArrayLayout(config.weight_width, config.rows)),
                "table_write": In(word_write(8)),
                "o_act": Out(lane_write(config)),
                "o_out": Out(word_write(config.rows * 8)),
                **odd_writes(config),
                "done": Out(1),
                "overrun": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        pipelined = config.pipelined
        # Data needs no reset, and none has to reach it.
        m.domains.data = ClockDomain("data", reset_less=True, local=True)
        m.d.comb += ClockSignal("data").eq(ClockSignal())
        now = Signal(self._head())
        parameters, control = self._shift_parameters(m, now)
        copies = copy_accumulators(m, config, self.acc, control)
        entering, enters, heads = self._take_turns(m, now, copies)
        stages = [now]
        for _ in range(Requantize.latency(pipelined) + (Lookup.LATENCY if config.tables else 0)):
            later = Signal(now.shape())
            m.d.sync += later.eq(stages[-1])
            stages.append(later)

        constants = self._hold_constants(m, entering, enters, stages)
        bounds = self._bounds(m, constants, stages)
        place = constants("place", len(stages) - 1)
        target = constants("target", len(stages) - 1)
        lookups = add_lookups(m, config, self.table_write, constants) if config.tables else []
        words = self._requantize(m, heads, parameters, bounds, lookups)
        if config.result_words == 2:
            written = Written(
                stages[-1], place, target, [Cat(half) for half in self._halves(words)]
            )
            to = (self.o_act, self.o_act_odd), (self.o_out, self.o_out_odd)
            done = write_pairs(m, config, written, *to)
        else:
            written = Written(stages[-1], place, target, Cat(words))
            done = write_results(m, config, written, self.o_act, self.o_out)
        last_result = written.head.complete & (written.head.lane == config.cols - 1)
        m.d.comb += [
            self.take.eq(self.capture if pipelined else last_result),
            self.done.eq(done),
        ]
        return m

    @property
    def _share(self):
        """Rows per requantizer, of those of a word."""
        return self._config.rows_per_requantizer

    def _halves(self, of_requantizers):
        """Return what is of even pixels' requantizers, and what of odd pixels'."""
        rows = self._config.rows
        return of_requantizers[:rows], of_requantizers[rows:]

    def _head(self):
        """Return which pixel and row are at the heads of the chains; it travels along with them."""
        low = {"low": 1} if self._config.wide_maps else {}  # bytes: the pass leaves again
        lane = range(self._config.cols)
        pair = {"pair": 1} if self._config.result_words == 2 else {}  # and the next pixel's too
        head = {"valid": 1, "first": 1, "complete": 1, "lane": lane, "done": 1}
        return data.StructLayout(head | pair | low)

    def _shift_parameters(self, m, now):
        """Shift parameters in from each row's weights; take them over at a capture, if ``early``.

        Returns
        -------
        each row's parameters, and its copies of ``capture``, ``new_parameters``, ``parameter``
        """
        config, share, layout = self._config, self._share, self._parameter_layout()
        rows, pipelined = config.rows, config.pipelined
        param_bits = config.param_words * config.weight_bits
        parameters = [
            Signal(layout.size if config.early_parameters else param_bits, name=f"parameters_{k}")
            for k in range(rows)
        ]
        copied = FanoutTree if pipelined else Fanout
        width = len(self.early) if pipelined else 3
        m.submodules.control = control = copied(width=width, copies=rows, dsp=config.dsp)
        m.d.comb += control.i.eq(
            self.early if pipelined else Cat(self.capture, self.new_parameters, self.parameter)
        )
        for k in range(rows):
            capture, new_parameters, parameter = delayed(m, control.o[k][:3], config.fold_cycles)
            word = Signal(config.weight_bits, name=f"word_{k}")
            early = config.early_parameters
            waiting = Signal(param_bits, name=f"waiting_{k}") if early else parameters[k]
            take_over = capture & new_parameters & early
            word_domain = m.d.data if pipelined else m.d.comb
            word_domain += word.eq(
                delayed(m, self.parameter_word[k], config.fold_cycles)
            )  # low bits
            with m.If(parameter):
                m.d.data += waiting.eq(Cat(waiting[config.weight_bits :], word))
            first = k - k % share
            successor = first + (k + 1 - first) % share
            with m.If(take_over):
                m.d.data += parameters[k].eq(waiting)
            with m.Elif(now.valid & (share > 1)):
                m.d.data += parameters[k].eq(parameters[successor])
        return parameters, control

    def _parameter_layout(self):
        """Return the parameters of a channel."""
        config = self._config
        return data.StructLayout(
            {
                "bias": signed(config.acc_width),
                "multiplier": config.multiplier_width,
                "shift": 6,
                **({"once": 1} if config.rounding == "double" else {}),
            }
        )

    def _take_turns(self, m, now, copies):
        """Let the chains move on, from a capture until all results have left.

        Returns
        -------
        what enters the requantizers, when it does, and the heads of the chains
        """
        config, share = self._config, self._share
        cols = config.cols
        row, last = Signal(range(max(share, 2))), Signal()
        at_end, following = now.lane == cols - 1, now.lane + 1
        if config.result_words == 2:
            at_end |= now.pair & (now.lane == (cols - 1) // 2 * 2)
            following += now.pair
        m.d.comb += [
            now.complete.eq(now.valid & (row == share - 1)),
            now.first.eq(now.valid & (row == 0) & (now.lane == 0)),
            now.done.eq(now.complete & at_end & last),
        ]
        with m.If(now.valid):
            m.d.sync += row.eq(row + 1)
            with m.If(now.complete):
                m.d.sync += [row.eq(0), now.lane.eq(following)]
                with m.If(at_end):
                    m.d.sync += now.valid.eq(0)
        if config.wide_maps:
            wide = self._leave_twice(m, now, last)
        captured, captured_last = Signal(), Signal()
        coming = Signal(result_layout(config), reset_less=True)
        m.d.sync += [captured.eq(self.capture), coming.eq(self.i), captured_last.eq(self.last)]
        heads = [
            copies[k][j] for j in range(config.result_words) for k in range(0, config.rows, share)
        ]
        entering, enters, enters_last = coming, captured, captured_last
        if config.split_columns:
            heads = self._join(m, coming, captured, heads, copies)
            coming, captured, captured_last = (
                data.View(coming.shape(), delayed(m, coming.as_value(), 1)),
                *(delayed(m, bit, 1) for bit in (captured, captured_last)),
            )
            entering, enters, enters_last = coming, captured, captured_last
        if config.folds:
            folded_heads = []
            for name, half in zip(("fold", "fold_odd"), self._halves(heads), strict=True):
                folded_heads += self._fold(m, name, coming, captured, half) if half else []
            heads = folded_heads
            entering = data.View(coming.shape(), delayed(m, coming.as_value(), config.folds))
            enters, enters_last = delayed(m, Cat(captured, captured_last), config.folds)
        if config.partial_depth:
            entering, enters, enters_last = self._partial(m, coming, captured, captured_last, heads)
        left = now.complete & at_end
        if config.wide_maps:
            left &= now.low | ~wide
        m.d.comb += self.overrun.eq(enters & now.valid & ~left)
        with m.If(enters):
            m.d.sync += [now.valid.eq(1), now.lane.eq(0), row.eq(0), last.eq(enters_last)]
            if config.result_words == 2:
                m.d.sync += now.pair.eq(entering.target.pair)
            if config.wide_maps:
                m.d.sync += [now.low.eq(0), wide.eq(entering.bounds.wide)]
        return entering, enters, heads

    def _leave_twice(self, m, now, last):
        """Let the chains go round once more for low bytes; return a register that says so."""
        wide = Signal()
        through = now.complete & (now.lane == self._config.cols - 1)
        again = wide & ~now.low
        m.d.comb += now.done.eq(through & ~again & last)
        with m.If(through):
            m.d.sync += [now.valid.eq(again), now.low.eq(again), now.lane.eq(0)]
        return wide

    def _join(self, m, coming, captured, heads, copies):
        """Return the heads of the chains, with those of columns that are parts of the same sums."""
        config, half = self._config, self._config.cols // 2
        split = Signal()
        with m.If(captured):
            m.d.sync += split.eq(coming.target.split)
        others = [
            copies[k][half + j]
            for j in range(config.result_words)
            for k in range(0, config.rows, self._share)
        ]
        totals = []
        for k, (head, other) in enumerate(zip(heads, others, strict=True)):
            total = Signal(signed(config.acc_width), name=f"joined_{k}", reset_less=True)
            m.d.sync += total.eq(head + (other & split.replicate(config.acc_width)))
            totals.append(total)
        return totals

    def _fold(self, m, name, coming, captured, heads):
        """Return the heads of the chains, with sums of rows added that are parts of others."""
        m.submodules[name] = fold = Fold(self._config)
        m.d.comb += [fold.start.eq(captured), fold.fold.eq(coming.fold)]
        m.d.comb += [fold.i[k].eq(head) for k, head in enumerate(heads)]
        return list(fold.o)

    def _hold_constants(self, m, entering, enters, stages):
        """Return a function that returns constants of the pass at a stage."""
        config = self._config

        def constants(kind, stage):
            """Return constants of the pass at a stage: passes are ``drain_cycles`` apart."""
            if not (
                config.pipelined if kind == "place" else config.prefetch or config.partial_depth
            ):
                return self.i[kind]
            reached, result, load = 0, entering[kind], enters
            while True:
                held = Signal(entering[kind].shape(), reset_less=True, name=f"{kind}_{reached}")
                with m.If(load):
                    m.d.sync += held.eq(result)
                if reached == stage:
                    return held
                reached = min(stage, reached + config.drain_cycles)
                result, load = held, stages[reached - 1].first

        return constants

    def _bounds(self, m, constants, stages):
        """Return bounds of results, one for each few requantizers; ``wide``: of a high byte."""
        config, pipelined = self._config, self._config.pipelined
        late = Requantize.late(pipelined)
        if pipelined:
            # Requantizers are all over the FPGA, and so are copies of their bounds.
            held = constants("bounds", late - Fanout.LATENCY)
            if config.wide_maps:
                command, held = held, Signal.like(held)
                m.d.comb += held.eq(command)
                m.d.comb += held.wide.eq(command.wide & ~stages[late - Fanout.LATENCY].low)
            m.submodules.bounds = trunk = Fanout(
                width=len(held.as_value()),
                copies=-(-config.requantizer_count // FanoutTree.SHARE),
                dsp=config.dsp,
            )
            m.d.comb += trunk.i.eq(held)
            return [data.View(held.shape(), copy) for copy in trunk.o]
        return [constants("bounds", late)]

    def _requantize(self, m, heads, parameters, bounds, lookups):
        """Add the requantizers, and tables behind them; return the words that they fill."""
        config, share, layout = self._config, self._share, self._parameter_layout()
        pipelined = config.pipelined
        words = []
        for i in range(config.requantizer_count):
            requantize = Requantize(
                acc_width=config.acc_width,
                multiplier_width=config.multiplier_width,
                dsp=config.dsp,
                pipelined=pipelined,
                place=Place(i, config.requantizer_count, rank=1),
                rounding=config.rounding,
                wide=config.wide_maps,
            )
            m.submodules[f"requantize_{i}"] = DomainRenamer("data")(requantize)
            head_parameters = layout(parameters[i * share % config.rows][: layout.size])
            own = bounds[i * len(bounds) // config.requantizer_count]
            m.d.comb += [
                requantize.acc.eq(heads[i]),
                *(getattr(requantize, name).eq(head_parameters[name]) for name, _ in layout),
                *(getattr(requantize, name).eq(own[name]) for name in BOUNDS),
                *([requantize.high.eq(own.wide)] if config.wide_maps else []),
            ]
            byte = requantize.o
            if lookups:
                m.d.comb += lookups[i].i.eq(byte)
                byte = lookups[i].o
            word = Signal(share * 8)
            m.d.data += word.eq(Cat(word[8:], byte) if share > 1 else byte)
            words.append(word)
        return words

    def _partial(self, m, coming, captured, captured_last, heads):
        """Send terms through the partial sums.

        Returns what enters the requantizers, when, and whether it ends its command; replaces
        ``heads`` by totals where those are due.
        """
        config = self._config
        m.submodules.partial = partial = PartialSums(config)
        first = Signal()  # the pass is its command's first: it comes with new parameters
        entering, enters, enters_last = Signal.like(coming), Signal(), Signal()
        held = Signal.like(coming, reset_less=True)
        m.d.sync += first.eq(self.new_parameters)
        with m.If(captured):
            m.d.sync += held.eq(coming)
        m.d.comb += [
            partial.start.eq(captured & coming.partial),
            partial.begins.eq(first),
            partial.ends.eq(captured_last),
            partial.tile.eq(held.tile),
            enters.eq((captured & ~coming.partial) | partial.launch),
            enters_last.eq(Mux(partial.launch, partial.final, captured_last)),
            entering.eq(coming),
        ]
        place, rows = held.place, held.rows
        missing = rows.last_row & (partial.row >= held.tile.last_h)
        wraps = partial.column & (held.target.lane == config.cols - 1)
        with m.If(partial.launch):
            m.d.comb += [
                entering.eq(held),
                entering.place.pixels.eq(Mux(partial.blank | missing, 0, place.pixels)),
                entering.target.lane.eq(Mux(wraps, 0, held.target.lane + partial.column)),
            ]
            for name, step in (("dst", rows.dst_row), ("out", rows.out_row)):
                # A row is a few bits.
                way = Mux(partial.row[0], step, 0) + Mux(partial.row[1], step << 1, 0)
                also = partial.column if name == "out" else wraps
                m.d.comb += entering.place[name].eq(place[name] + way + also)
        totals = Signal()
        with m.If(enters):
            m.d.sync += totals.eq(partial.launch)
        for i, head in enumerate(heads):
            m.d.comb += partial.acc[i].eq(head)
            heads[i] = Mux(totals, partial.total[i], head)
        return entering, enters, enters_last
