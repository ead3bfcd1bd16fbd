"""The compute unit: commands in, results out."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO, SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from tilewright.hdl.array.mac import MacArray
from tilewright.hdl.buffers.ports import lane_addresses, lane_words, lane_write, word_write
from tilewright.hdl.buffers.weights import WeightBuffer
from tilewright.hdl.commands.decode import command_view, outside, reached
from tilewright.hdl.commands.records import command_layout
from tilewright.hdl.drain.partial import TILES, tile_code, tile_layout
from tilewright.hdl.drain.unit import Drain
from tilewright.hdl.lib.fanout import Fanout, FanoutTree
from tilewright.hdl.lib.skid import SkidBuffer
from tilewright.hdl.sequence.pace import PaceSequencer
from tilewright.hdl.sequence.passes import PassSequencer
from tilewright.hdl.sequence.steps import StepSequencer
from tilewright.hdl.sequence.taps import TapSequencer, segment_layout
from tilewright.hdl.windows.offsets import OffsetSequencer
from tilewright.hdl.windows.sampler import Sampler
from tilewright.hdl.windows.window import WindowFeeder
from tilewright.isa import Compute, Deform, EngineConfig, Unit
from tilewright.isa.passes import drain_span
from tilewright.isa.registers import Status
from tilewright.isa.tiles import MAX_TILE_COLUMNS, MAX_TILE_ROWS
from tilewright.isa.widths import act_addr_width, result_count_width

__all__ = ["ComputeUnit"]


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
    offset_addr, mask_addr : Out(16), offset_data, mask_data : In; the offset buffer's, if any
    table_write : In(word_write(8)); activation tables
    o_act : Out(lane_write), o_out : Out(word_write); results
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
    #: Rows near each other.
    FAN_OUT = 4

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
        least ``first`` cycles after its start.
        """
        first = cls.start_latency(config) + 2 + config.param_words + cls.capture_latency(config)
        return max(0, drain - first - 1)

    def __init__(self, config):
        self._config = config
        offsets = {
            "offset_addr": Out(16),
            "offset_data": In(config.rows * 8),
            "mask_addr": Out(16),
            "mask_data": In(config.rows * 8),
        }
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
        layout = command_layout(Compute, config)

        m.submodules.passes = passes = PassSequencer(config)
        m.submodules.taps = taps = TapSequencer(config)
        m.submodules.pace = pace = PaceSequencer(config)
        m.submodules.steps = steps = StepSequencer(config)
        m.submodules.feeder = feeder = WindowFeeder(config)
        m.submodules.array = array = MacArray(config)
        m.submodules.drain = drain = Drain(config)

        # Start.
        waiting = layout(self.i.payload[: layout.size])
        command = Signal(layout) if config.prefetch else waiting
        occupied, launched, ends = Signal(), Signal(), Signal()
        known, legal, fenced = Signal(), Signal(), Signal()
        # A Deform: the one that waits, if it is one; the one whose command runs or is next.
        is_deform, deform_done = Signal(), Signal()
        deform_waits, deform_legal, sampled = Const(0, 1), Const(0, 1), Signal()
        if config.offset_depth:
            rows_log2 = (config.rows - 1).bit_length()
            waiting_deform = command_view(Deform, self.i.payload)
            deform_waits = waiting_deform.opcode == Deform.OPCODE
            rest = self.i.payload[command_layout(Deform).size :]
            deform_legal = (
                deform_waits
                & ~(rest.any() & config.prefetch)
                & (waiting_deform.fraction <= config.offset_fraction)
                & (waiting_deform.mask_fraction <= config.mask_fraction)
                & ~waiting_deform.offset_byte[0]
                & ~waiting_deform.offset_byte[rows_log2:].any()
                & ~waiting_deform.mask_byte[rows_log2:].any()
                & waiting_deform.row_pitch[0]
                & (waiting_deform.shared != 0)
                & (waiting_deform.last_parts != 0)
                & (waiting_deform.last_parts <= config.cols)
            )
            deform = Signal(command_layout(Deform))
            with m.If(self.start & is_deform):
                m.d.sync += [deform.eq(waiting_deform), sampled.eq(1)]
            with m.Elif(ends):
                m.d.sync += sampled.eq(0)
        load_ready, store_ready = Signal(), Signal()
        m.d.comb += [
            self.status.eq(Status.BAD_COMMAND),
            self.start.eq(
                known & legal & load_ready & store_ready & ~occupied & ~self.halt & ~fenced
            ),
            self.i.ready.eq(self.start if config.prefetch else ends | (self.start & is_deform)),
            self.stall_load.eq(known & ~occupied & ~load_ready),
            self.stall_store.eq(known & ~occupied & load_ready & ~store_ready),
            self.stall_command.eq(~known & ~occupied),
            self.stall_result.eq(known & ~occupied & load_ready & store_ready & fenced),
            self.done.eq(drain.done | deform_done),
        ]
        m.d.sync += [
            # Not before those before it are done: their number says which one it is.
            self.error.eq(known & ~legal & ~self.busy),
            known.eq(self.i.valid & ~self.start & ~self.i.ready),
            load_ready.eq(reached(self.done_load, waiting.wait_load)),
            store_ready.eq(reached(self.done_store, waiting.wait_store)),
            legal.eq(
                deform_legal
                | (waiting.opcode == Compute.OPCODE)
                & ~(self.i.payload[layout.size :].any() & config.prefetch)
                & (
                    waiting.segment_log2 >= config.least_segment_log2
                    if config.least_segment_log2
                    else 1  # the comparison would be constant, which linters report
                )
                & (waiting.segment_log2 <= (config.rows - 1).bit_length())
                & (waiting.table <= config.tables)
                & (~waiting.maximum | config.maximum)
                & ~(waiting.transform if config.partial_depth and config.data_width == 9 else 0)
                & self._sound(waiting)
            ),
            is_deform.eq(deform_waits),
            deform_done.eq(self.start & is_deform),
            launched.eq(self.start & ~is_deform),
        ]
        with m.If(self.start & ~is_deform):
            m.d.sync += occupied.eq(1)
        with m.If(ends):
            m.d.sync += occupied.eq(0)

        # Sequencers.
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
                feeder.sampled.eq(sampled),
            ]
            self._sample(m, feeder, pace, command, deform, launched)
        wiring.connect(m, passes.o, taps.i)
        if config.pipelined:
            m.submodules.segments = segments = SkidBuffer(segment_layout(config))
            wiring.connect(m, taps.o, segments.i)
            wiring.connect(m, segments.o, pace.i)
        else:
            wiring.connect(m, taps.o, pace.i)
        copied = FanoutTree if config.pipelined else Fanout
        bursts = [(pace.burst, pace.burst_valid)]
        usual = self.burst_delay(config)
        window = WindowFeeder.latency(config) - copied.LATENCY
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

        burst, burst_valid = burst_after(usual)
        m.d.comb += [steps.i.eq(burst), steps.i_valid.eq(burst_valid)]

        # Segment broadcast: channels queue up towards row 0, one row a cycle, and every segment
        # of rows listens to its own lowest row; long ways have a register at half-way, and one at
        # the end.
        half_way = m.d.sync if config.pipelined else m.d.comb
        rows, cols = config.rows, config.cols
        share = min(rows, self.FAN_OUT)
        m.submodules.complete = complete = copied(width=1, copies=rows, dsp=config.dsp)
        burst, burst_valid = burst_after(window)
        m.d.comb += complete.i.eq(burst_valid & ~burst.parameters)

        pixel_width = config.window_width

        def register(name, width=pixel_width * cols):
            return Signal(width, name=name, reset_less=True)

        queue = [register(f"queue_{k}") for k in range(rows)]
        near = [register(f"near_{k}") for k in range(rows)]
        far = [register(f"far_{k}") for k in range(0, rows, share)]
        # Whom each row listens to: another near one, by the segment's size, or a far one.
        share_log2 = share.bit_length() - 1
        choice = Signal(share_log2 + 1)
        m.d.sync += choice.eq(
            Cat(*(command.segment_log2 == log2 for log2 in range(share_log2)), command.signed)
        )
        m.submodules.listen = listen = copied(width=len(choice), copies=rows, dsp=config.dsp)
        m.submodules.distance = distance = Fanout(
            width=len(command.segment_log2), copies=rows // share, dsp=config.dsp
        )
        m.d.comb += [listen.i.eq(choice), distance.i.eq(command.segment_log2)]
        for k in range(rows):
            channel = Cat(feeder.window[j].word_select(k, pixel_width) for j in range(cols))
            with m.If(complete.o[k]):
                m.d.sync += queue[k].eq(channel)
            if k + 1 < rows:
                with m.Else():
                    m.d.sync += queue[k].eq(queue[k + 1])
            half_way += near[k].eq(queue[k])
            if k % share == 0:
                with m.Switch(distance.o[k // share]):
                    for log2 in range(share_log2 + 1, (rows - 1).bit_length() + 1):
                        with m.Case(log2):
                            half_way += far[k // share].eq(queue[k >> log2 << log2])
                    with m.Default():
                        half_way += far[k // share].eq(queue[k])
            heard = Signal(pixel_width * cols)
            m.d.comb += heard.eq(far[k // share])
            for log2 in range(share_log2):
                with m.If(listen.o[k][log2]):
                    m.d.comb += heard.eq(near[k >> log2 << log2])
            for j in range(cols):
                pixel = heard.word_select(j, pixel_width)
                x = register(f"x_{k}_{j}", config.data_width)
                m.d.comb += array.x[k][j].eq(x)
                sign = pixel[7] & listen.o[k][-1]
                half_way += x.eq(Cat(pixel, sign) if pixel_width == 8 else pixel)

        # Array.
        def delayed(signal, cycles):
            for _ in range(cycles):
                later = Signal()
                m.d.sync += later.eq(signal)
                signal = later
            return signal

        weights = register("weights", len(self.weight_data))
        half_way += weights.eq(self.weight_data)
        weight_latency = self.weight_latency(config)
        # The drain's, from those who are ahead of the activations.
        parameters = register("parameters", len(weights)) if MacArray.ahead(config) else weights
        if MacArray.ahead(config):
            m.d.sync += parameters.eq(weights)
        m.d.comb += [
            array.w.eq(weights),
            array.valid.eq(delayed(steps.step, weight_latency)),
            array.first.eq(delayed(steps.first, weight_latency)),
            array.maximum.eq(command.maximum),
        ]

        # Drain. Several passes are on their way between sequencer and capture.
        place = taps.i.payload
        where = Cat(place.dst, place.out, place.pixels, place.last_row)
        last_row = Signal()
        # Its output must be a register of block RAM, where nothing else holds it.
        fifo = SyncFIFO if config.pipelined else SyncFIFOBuffered
        m.submodules.places = places = fifo(
            width=len(where), depth=32 if config.offset_depth else 16
        )
        to_capture = self.product_latency(config) - Drain.AHEAD
        m.d.comb += [
            places.w_en.eq(taps.i.valid & taps.i.ready),
            places.w_data.eq(where),
            places.r_en.eq(drain.take),
            Cat(drain.i.place.dst, drain.i.place.out, drain.i.place.pixels, last_row).eq(
                places.r_data
            ),
            drain.i.target.to_act.eq(command.to_act),
            drain.i.target.to_out.eq(command.to_out),
            drain.i.target.step.eq(command.dst_step),
            drain.i.target.lane.eq(command.dst_lane),
            drain.i.bounds.zero_point.eq(command.zero_point),
            drain.i.bounds.qmin.eq(command.qmin),
            drain.i.bounds.qmax.eq(command.qmax),
            drain.acc.eq(array.acc),
            drain.capture.eq(delayed(steps.last, to_capture)),
            drain.new_parameters.eq(delayed(steps.last & steps.first_of_kg, to_capture)),
            drain.last.eq(delayed(steps.last & steps.last_of_command, to_capture)),
            drain.parameter.eq(delayed(steps.parameter, weight_latency - (not config.pipelined))),
            drain.parameter_word.eq(parameters),
        ]
        if config.pipelined:
            m.d.comb += drain.early.eq(
                Cat(
                    delayed(steps.last, to_capture - 1),
                    delayed(steps.last & steps.first_of_kg, to_capture - 1),
                    delayed(steps.parameter, weight_latency - 1),
                )
            )
        wiring.connect(m, wiring.flipped(self.table_write), drain.table_write)
        if config.tables:
            m.d.comb += drain.i.table.eq(command.table)
        wiring.connect(m, wiring.flipped(self.o_act), drain.o_act)
        wiring.connect(m, wiring.flipped(self.o_out), drain.o_out)
        if config.partial_depth:
            m.d.comb += [
                drain.i.partial.eq(command.partial),
                drain.i.rows.dst_row.eq(command.dst_row_step),
                drain.i.rows.out_row.eq(command.out_row_step),
                drain.i.rows.last_row.eq(last_row),
            ]
            for name in tile_layout().members:
                m.d.comb += drain.i.tile[name].eq(command[name])
        if not config.prefetch:
            m.d.comb += [ends.eq(drain.done), self.busy.eq(occupied)]
            return m

        # The drain of a command overlaps the next one.
        with m.If(~occupied):
            m.d.sync += command.eq(waiting)
        pending = Signal(8)  # commands started but not done
        m.d.comb += self.busy.eq(occupied | (pending != 0))
        m.d.sync += [
            fenced.eq((waiting.fence | deform_waits) & (pending != 0)),
            pending.eq(pending + self.start - self.done),
        ]
        finished = Signal()
        settled = self._settled(m, command, drain.capture & drain.last)
        with m.If(ends):
            m.d.sync += finished.eq(0)
        with m.Elif(settled):
            m.d.sync += finished.eq(1)
        m.d.comb += ends.eq(occupied & (finished | settled) & pace.idle)
        return m

    def _sound(self, c):
        """Return whether a compute command's numbers are such as the unit can count."""
        config = self._config
        most = Const(1) << c.segment_log2
        unplaced = Cat(c.dst_step == step for step in range(0, 8, config.cols)).any()
        sound = (
            ~outside(result_count_width(config), c.n_kg, c.n_oy, c.n_ox, c.out_w)
            & ~outside(act_addr_width(config) + 1, c.n_cg)
            & ~outside(8, c.n_r, c.n_s, c.segment, c.last_segment, c.stride_x, c.dst_step)
            & (c.segment <= most)
            & (c.last_segment <= most)
            & ~(c.to_act & unplaced)
            & (c.dst_lane < config.cols if config.cols < 16 else 1)  # it would be constant
        )
        if config.partial_depth:
            tiles = (
                (c.last_h != 0)
                & (c.last_h <= c.tile_h)
                & (c.tile_h <= MAX_TILE_ROWS)
                & (c.tile_w != 0)
                & (c.tile_w <= MAX_TILE_COLUMNS)
                & (c.dst_step == c.tile_w)
                & (c.n_kg == 1)
            )
            sound &= ~c.partial | tiles
        return sound

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

    def _settled(self, m, command, captured):
        """Return whether a command need not keep the array any longer, after its last capture."""
        config = self._config
        usual = self.settle_cycles(config, config.drain_cycles)
        spans = {
            tile: self.settle_cycles(config, drain_span(config, *tile))
            for tile in TILES
            if config.partial_depth
        }
        longest = max([usual, *spans.values()])
        if not longest:
            return captured
        cycles = Signal(range(longest + 1), init=usual)
        if config.partial_depth:
            with m.Switch(Cat(command.tile_h, command.tile_w, command.last, command.partial)):
                for tile, span in spans.items():
                    with m.Case(tile_code(*tile)):
                        m.d.sync += cycles.eq(span)
                with m.Default():
                    m.d.sync += cycles.eq(usual)
        settled, left = Signal(), Signal.like(cycles, init=0)
        m.d.comb += settled.eq((left == 1) | (captured & (cycles == 0)))
        with m.If(captured):
            m.d.sync += left.eq(cycles)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return settled
