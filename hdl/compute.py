"""The compute unit: commands in, results out."""

from typing import NamedTuple

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.broadcast import complete_latency, segment_broadcast
from tilewright.hdl.array.mac import MacArray
from tilewright.hdl.array.weigh import weigh
from tilewright.hdl.buffers.ports import (
    lane_addresses,
    lane_words,
    lane_write,
    odd_writes,
    word_write,
)
from tilewright.hdl.buffers.weights import WeightBuffer
from tilewright.hdl.drain.partial import tile_layout
from tilewright.hdl.drain.requantize import BOUNDS
from tilewright.hdl.drain.unit import Drain
from tilewright.hdl.lib.delay import delayed
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.sequence.pace import PaceSequencer
from tilewright.hdl.sequence.passes import PassSequencer
from tilewright.hdl.sequence.runs import end_commands, take_commands
from tilewright.hdl.sequence.steps import StepSequencer
from tilewright.hdl.sequence.taps import TapSequencer, segment_layout
from tilewright.hdl.windows.factor import Factor
from tilewright.hdl.windows.offsets import OffsetSequencer
from tilewright.hdl.windows.sampler import Sampler
from tilewright.hdl.windows.window import WindowFeeder
from tilewright.isa import EngineConfig, Unit

__all__ = ["ComputeUnit"]


class _Parts(NamedTuple):
    """The components, from a command to its results."""

    passes: PassSequencer
    taps: TapSequencer
    pace: PaceSequencer
    steps: StepSequencer
    feeder: WindowFeeder
    array: MacArray
    drain: Drain


class ComputeUnit(wiring.Component):
    """Run compute commands: sequencers, window feeder, segment broadcast, array, drain.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    i : In(stream of one command's bits); taken at the start or, without ``config.prefetch``, with
        ``done``
    done_load, done_store : In(count_width); commands that the other units have completed
    halt : In(1); start nothing more
    act_addr : Out, act_data : In; the activation buffer's read port
    weight_addr : Out(16), weight_data : In; the weight buffer's read port
    weight_split : Out(1), weight_upper : In; with ``split_columns``, what it gives to upper columns
    offset_addr, mask_addr : Out(16), offset_data, mask_data : In; the offset buffer's, if any
    table_write : In(word_write(8)); activation tables
    o_act : Out(lane_write), o_out : Out(word_write); results
    o_act_odd, o_out_odd : likewise, of odd pixels, where two words of results leave in a cycle
    start, done : Out(1); a command starts; a command's last result is being written
    error : Out(1), status : Out(8); the command that waits is none
    busy, step, stall_load, stall_store, stall_command, stall_result : Out(1); for the counters

    Timing
    ------
    Exact and closed: ``tilewright.sim.timing.compute``. A command occupies the array from its
    start until its last pass is captured, and ``settle_cycles`` longer; its drain overlaps the
    next command. Without ``config.prefetch``, it does until its last result is written.
    """

    #: Cycles that a sampled window comes later than one that is read.
    SAMPLE_DELAY = Sampler.LATENCY - Sampler.AHEAD - WindowFeeder.SAMPLED
    #: Cycles from the start of a Deform until it is done.
    DEFORM = 1

    @classmethod
    def weight_latency(cls, config: EngineConfig) -> int:
        """Return the cycles from a weight's address to the array."""
        return WeightBuffer.latency(config) + config.pipelined + MacArray.ahead(config)

    @classmethod
    def burst_delay(cls, config: EngineConfig) -> int:
        """Return the cycles from a burst to its weight address: its window arrives later."""
        broadcast = 3 if config.pipelined else 1  # from a window to the array's activations
        arrival = WindowFeeder.latency(config) + broadcast
        return arrival - cls.weight_latency(config) - StepSequencer.LATENCY

    @classmethod
    def start_latency(cls, config: EngineConfig) -> int:
        """Return the cycles from a start to the first kernel group's first cycle."""
        skid = SkidBuffer.LATENCY if config.pipelined else 0
        return 3 + TapSequencer.latency(config) + skid

    @classmethod
    def product_latency(cls, config: EngineConfig) -> int:
        """Return the cycles from a burst's first weight address to its first product."""
        return cls.weight_latency(config) + MacArray.LATENCY

    @classmethod
    def capture_latency(cls, config: EngineConfig) -> int:
        """Return the cycles from a burst of one step, its pass's last, to the capture."""
        to_product = StepSequencer.LATENCY + cls.product_latency(config)
        return cls.burst_delay(config) + to_product - Drain.AHEAD

    @classmethod
    def settle_cycles(cls, config: EngineConfig, drain: int) -> int:
        """Return for how long a command keeps the array after its last capture.

        Requantizers that are shared by many rows, or partial sums, may still be busy with it, for
        ``drain`` cycles, when a command of short passes captures for the first time, which is at
        least ``first`` cycles after its start; or when its parameters come, if those are earlier
        and there are no registers in which they wait.
        """
        first = cls.start_latency(config) + 2 + config.param_words + cls.capture_latency(config)
        if not config.early_parameters:
            to_drain = cls.burst_delay(config) + StepSequencer.LATENCY + cls.weight_latency(config)
            first = min(first, cls.start_latency(config) + config.parameter_pause + to_drain)
        return max(0, drain - first - 1)

    def __init__(self, config):
        self._config = config
        offsets = {
            "offset_addr": Out(16),
            "offset_data": In(config.rows * 8),
            "mask_addr": Out(16),
            "mask_data": In(config.rows * 8),
        }
        upper = {"weight_split": Out(1), "weight_upper": In(config.rows * config.weight_width)}
        super().__init__(
            {
                "i": In(stream.Signature(unsigned(8 * config.command_bytes(Unit.COMPUTE)))),
                "done_load": In(config.count_width),
                "done_store": In(config.count_width),
                "halt": In(1),
                "act_addr": Out(lane_addresses(config)),
                "act_data": In(lane_words(config)),
                "weight_addr": Out(16),
                "weight_data": In(config.rows * config.weight_width),
                "table_write": In(word_write(8)),
                "o_act": Out(lane_write(config)),
                "o_out": Out(word_write(config.rows * 8)),
                **odd_writes(config),
                **(upper if config.split_columns else {}),
                "start": Out(1),
                "done": Out(1),
                "error": Out(1),
                "status": Out(8),
                "busy": Out(1),
                "step": Out(1),
                "stall_load": Out(1),
                "stall_store": Out(1),
                "stall_command": Out(1),
                "stall_result": Out(1),
                **(offsets if config.offset_depth else {}),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config = self._config
        parts = self._parts(m)
        overrun = Signal()
        if config.offset_depth:
            m.d.sync += overrun.eq(parts.passes.overrun | parts.steps.overrun | parts.drain.overrun)
        run = take_commands(m, self, config, parts.drain.done, overrun)
        self._sequence(m, parts, run)
        burst_after = self._delay_bursts(m, parts.pace, run.sampled)
        burst, burst_valid = burst_after(self.burst_delay(config))
        m.d.comb += [parts.steps.i.eq(burst), parts.steps.i_valid.eq(burst_valid)]
        # The registers of the broadcast are among those between a window and the array.
        burst, burst_valid = burst_after(WindowFeeder.latency(config) - complete_latency(config))
        segment_broadcast(
            m,
            config,
            command=run.command,
            window=parts.feeder.window,
            complete=burst_valid & ~burst.parameters,
            x=parts.array.x,
            low=burst.low if config.wide_maps else None,
        )
        factor = None
        if config.multiplies_maps:
            burst, burst_valid = burst_after(WindowFeeder.latency(config) - 1 - Factor.KEEPS)
            factor = self._factor(m, parts, run.command, burst_valid & ~burst.parameters)
        parameters = weigh(
            m,
            config,
            data=self.weight_data,
            upper_data=self.weight_upper if config.split_columns else None,
            latency=self.weight_latency(config),
            steps=parts.steps,
            array=parts.array,
            command=run.command,
            factor=factor,
        )
        self._drain_passes(m, parts, run.command, parameters)
        end_commands(m, self, config, run, drain=parts.drain, idle=parts.pace.idle)
        return m

    def _parts(self, m):
        """Add the components, from a command to its results."""
        config = self._config
        m.submodules.passes = passes = PassSequencer(config)
        m.submodules.taps = taps = TapSequencer(config)
        m.submodules.pace = pace = PaceSequencer(config)
        m.submodules.steps = steps = StepSequencer(config)
        m.submodules.feeder = feeder = WindowFeeder(config)
        m.submodules.array = array = MacArray(config)
        m.submodules.drain = drain = Drain(config)
        return _Parts(passes, taps, pace, steps, feeder, array, drain)

    def _sequence(self, m, parts, run):
        """Connect the sequencers, and what they address, with the command that runs."""
        config = self._config
        passes, taps, pace, steps, feeder, _, _ = parts
        command, launched, deform, sampled = run.command, run.launched, run.deform, run.sampled
        m.d.comb += [
            passes.command.eq(command),
            passes.start.eq(launched),
            taps.command.eq(command),
            steps.weight_base.eq(command.weight_base),
            feeder.stride_x.eq(command.stride_x),
            feeder.in_w.eq(command.in_w),
            feeder.pad.eq(command.pad),
            pace.command.eq(command),
            feeder.access.eq(pace.access),
            feeder.access_valid.eq(pace.access_valid),
            self.act_addr.eq(feeder.addr),
            feeder.i_lanes.eq(self.act_data),
            self.weight_addr.eq(steps.addr),
            self.step.eq(steps.step),
        ]
        if config.data_width > 9:
            m.d.comb += [
                feeder.signed.eq(command.signed),
                feeder.transform.eq(command.transform),
                feeder.coefficients.eq(command.coefficients),
            ]
        if config.offset_depth:
            m.d.comb += [
                pace.deform.eq(sampled),
                pace.last_parts.eq(deform.last_parts),
                passes.sampled.eq(sampled),
                passes.last_parts.eq(deform.last_parts),
                feeder.sampled.eq(sampled),
            ]
            self._sample(m, feeder, pace, command, deform, launched)
        if config.split_columns:
            m.d.comb += [steps.split.eq(command.split), self.weight_split.eq(command.split)]
        wiring.connect(m, passes.o, taps.i)
        if config.pipelined:
            m.submodules.segments = segments = SkidBuffer(segment_layout(config))
            wiring.connect(m, taps.o, segments.i)
            wiring.connect(m, segments.o, pace.i)
        else:
            wiring.connect(m, taps.o, pace.i)

    def _delay_bursts(self, m, pace, sampled):
        """Return a function that returns the burst of so many cycles before, and if it is one."""
        config = self._config
        usual = self.burst_delay(config)
        window = WindowFeeder.latency(config) - complete_latency(config)
        bursts = [(pace.burst, pace.burst_valid)]
        for _ in range(max(window, usual) + (self.SAMPLE_DELAY if config.offset_depth else 0)):
            later, later_valid = Signal.like(pace.burst, reset_less=True), Signal()
            m.d.sync += [later.eq(bursts[-1][0]), later_valid.eq(bursts[-1][1])]
            bursts.append((later, later_valid))

        def burst_after(cycles):
            """Return the burst of so many cycles before, or more if its window is sampled."""
            burst, valid = bursts[cycles]
            if config.offset_depth:
                late, late_valid = bursts[cycles + self.SAMPLE_DELAY]
                burst = data.View(burst.shape(), Mux(sampled, late, burst))
                valid = Mux(sampled, late_valid, valid)
            return burst, valid

        return burst_after

    def _factor(self, m, parts, command, arrives):
        """Add the factor of products; return it as weights."""
        m.submodules.factor = factor = Factor(self._config)
        m.d.comb += [
            factor.window.eq(parts.feeder.window),
            factor.arrives.eq(arrives),
            factor.zero.eq(command.pad),
            factor.signed.eq(command.s_dx[0]),
        ]
        return factor.w

    def _drain_passes(self, m, parts, command, parameters):
        """Connect the drain: what each pass is for, its parameters, and where results go."""
        config = self._config
        taps, steps, array, drain = parts.taps, parts.steps, parts.array, parts.drain
        weight_latency = self.weight_latency(config)
        # Several passes are on their way between sequencer and capture.
        place = taps.i.payload
        where, last_row = [place.dst, place.out, place.pixels, place.last_row], Signal()
        goes = [drain.i.place.dst, drain.i.place.out, drain.i.place.pixels, last_row]
        if config.shared_words or config.split_columns:
            where.append(place.fresh if config.split_columns else place.first_of_kg)
            goes.append(drain.i.place.fresh)
        if config.split_columns:
            m.d.comb += drain.i.target.split.eq(command.split)
        if config.shared_words:
            m.d.comb += [
                drain.i.target.shared.eq(command.accesses.any()),
                drain.i.target.width.eq(command.out_w),
                drain.i.target.dst_row.eq(command.dst_row_step),
                drain.i.target.out_row.eq(command.out_row_step),
            ]
        if config.wide_maps:
            m.d.comb += [
                drain.i.bounds.wide.eq(command.wide_out),
                drain.i.target.dst_row.eq(command.dst_row_step),
                drain.i.target.out_row.eq(command.out_row_step),
            ]
        # Its output must be a register of block RAM, where nothing else holds it.
        fifo = SyncFIFO if config.pipelined else SyncFIFOBuffered
        m.submodules.places = places = fifo(
            width=len(Cat(where)), depth=32 if config.offset_depth else 16
        )
        to_capture = self.product_latency(config) - Drain.AHEAD
        m.d.comb += [
            places.w_en.eq(taps.i.valid & taps.i.ready),
            places.w_data.eq(Cat(where)),
            places.r_en.eq(drain.take),
            Cat(goes).eq(places.r_data),
            drain.i.target.to_act.eq(command.to_act),
            drain.i.target.to_out.eq(command.to_out),
            drain.i.target.step.eq(command.dst_step),
            drain.i.target.lane.eq(command.dst_lane),
            *(drain.i.bounds[name].eq(self._bound(command, name)) for name in BOUNDS),
            drain.acc.eq(array.acc),
            drain.capture.eq(delayed(m, steps.last, to_capture)),
            drain.new_parameters.eq(delayed(m, steps.last & steps.first_of_kg, to_capture)),
            drain.last.eq(delayed(m, steps.last & steps.last_of_command, to_capture)),
            drain.parameter.eq(
                delayed(m, steps.parameter, weight_latency - (not config.pipelined))
            ),
            drain.parameter_word.eq(parameters),
        ]
        if config.pipelined:
            early = [
                delayed(m, steps.last, to_capture - 1),
                delayed(m, steps.last & steps.first_of_kg, to_capture - 1),
                delayed(m, steps.parameter, weight_latency - 1),
            ]
            if config.result_words == 2:
                early.append(command.pair)
                m.d.comb += drain.i.target.pair.eq(command.pair)
            m.d.comb += drain.early.eq(Cat(early))
        wiring.connect(m, wiring.flipped(self.table_write), drain.table_write)
        if config.folds:
            m.d.comb += drain.i.fold.eq(command.fold)
        if config.tables:
            m.d.comb += drain.i.table.eq(command.table)
        wiring.connect(m, wiring.flipped(self.o_act), drain.o_act)
        wiring.connect(m, wiring.flipped(self.o_out), drain.o_out)
        for name in odd_writes(config):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(drain, name))
        if config.partial_depth:
            m.d.comb += [
                drain.i.partial.eq(command.partial),
                drain.i.rows.dst_row.eq(command.dst_row_step),
                drain.i.rows.out_row.eq(command.out_row_step),
                drain.i.rows.last_row.eq(last_row),
            ]
            for name in tile_layout().members:
                m.d.comb += drain.i.tile[name].eq(command[name])

    def _bound(self, command, name):
        """Return a bound of results; of bytes, nine bits say it."""
        low = command[name]
        if not self._config.wide_maps:
            return low
        above = Mux(command.wide_out, command[f"{name}_high"], low[-1].replicate(8))
        return Cat(low, above).as_signed()

    def _sample(self, m, feeder, pace, command, deform, launched):
        """Add the sampler, between the pace, the offset buffer and the feeder."""
        m.submodules.sequence = sequence = OffsetSequencer(self._config)
        m.submodules.sampler = sampler = Sampler(self._config)
        m.d.comb += [
            sequence.command.eq(command),
            sequence.deform.eq(deform),
            sequence.start.eq(launched),
            sequence.take.eq(pace.i.valid & pace.i.ready),
            sequence.last.eq(pace.i.payload.last),
            self.offset_addr.eq(sequence.addr),
            self.mask_addr.eq(sequence.mask_addr),
            sampler.command.eq(command),
            sampler.deform.eq(deform),
            sampler.access.eq(pace.access),
            sampler.access_valid.eq(pace.access_valid),
            sampler.byte.eq(sequence.byte),
            sampler.mask_byte.eq(sequence.mask_byte),
            sampler.offsets.eq(self.offset_data),
            sampler.masks.eq(self.mask_data),
            sampler.i_lanes.eq(self.act_data),
            feeder.sample_addr.eq(sampler.addr),
            feeder.sample.eq(sampler.sample),
            feeder.sample_valid.eq(sampler.sample_valid),
            feeder.sample_part.eq(sampler.sample_part),
        ]
