"""The inner loops of a compute command: channel group, kernel row, kernel column, access."""

from math import gcd

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from tilewright.compiler.isa import Compute
from tilewright.hdl.loops import LoopCounter, RingStep
from tilewright.hdl.passes import pass_layout
from tilewright.hdl.records import command_layout

__all__ = ["TapSequencer", "access_layout", "burst_layout"]


def access_layout(config):
    """Return one read of the activation buffer: a window of ``cols`` pixels, or a part of it."""
    return data.StructLayout(
        {
            "group": 16,  # lane word of the channel group's ring
            "row": 16,  # lane words from there to the kernel row's input column 0
            "row_valid": 1,  # the kernel row lies inside the input
            "x": signed(17),  # input column of output pixel 0
            "word": signed(13),  # floor(x / cols)
            "lane": range(config.cols),  # x mod cols
            "part": range(config.cols),  # which part of the window, where one access is too few
        }
    )


def burst_layout(config):
    """Return a run of weight words that the step sequencer reads, one per cycle."""
    return data.StructLayout(
        {
            "parameters": 1,  # requantization parameters instead of weights
            "count": 8,
            "first_of_command": 1,
            "first_of_kg": 1,  # first pass of its kernel group
            "first": 1,  # first segment of its pass
            "last": 1,  # last segment of its pass
            "last_of_command": 1,
        }
    )


class TapSequencer(wiring.Component):
    """Issue the accesses and the weight bursts of each pass, at a fixed pace.

    A segment takes ``max(steps, parts)`` cycles: its window is read in ``parts`` accesses in the
    first of them, while the array still works on the window before. Nothing behind this sequencer
    can stall, so all of a command's timing is decided here.

    Parameters
    ----------
    config : EngineConfig

    Members
    -------
    command : In(Compute layout)
    i : In(stream of pass_layout)
    access : Out(access_layout), access_valid : Out(1)
    burst : Out(burst_layout), burst_valid : Out(1), in the cycle of the window's last access
    began : Out(1); a pass begins: ``i.payload`` is its description in this cycle
    idle : Out(1)

    Timing
    ------
    From idle, the first kernel group begins in the cycle after ``i`` is valid. A kernel group
    takes ``parts + 1 + param_words`` cycles and then its passes, each its segments' cycles or
    ``config.drain_cycles``, whichever is more. ``parts`` and the segment lengths follow
    ``command`` by two cycles.
    """

    def __init__(self, config):
        self._config = config
        super().__init__(
            {
                "command": In(command_layout(Compute)),
                "i": In(stream.Signature(pass_layout(config))),
                "access": Out(access_layout(config)),
                "access_valid": Out(1),
                "burst": Out(burst_layout(config)),
                "burst_valid": Out(1),
                "began": Out(1),
                "idle": Out(1),
            }
        )

    def elaborate(self, platform):
        """Build the netlist."""
        m = Module()
        config, c = self._config, self.command
        access, burst = self.access, self.burst

        parts = Signal(range(config.cols + 1))
        with m.Switch(c.stride_x):
            for stride in range(16):
                with m.Case(stride):
                    m.d.sync += parts.eq(gcd(stride, config.cols))

        # Cycles of a segment, less one: registered, the command is stable.
        full, short = Signal(8), Signal(8)
        m.d.sync += [
            full.eq(Mux(c.segment > parts, c.segment, parts) - 1),
            short.eq(Mux(c.last_segment > parts, c.last_segment, parts) - 1),
        ]

        m.submodules.cg = cg = LoopCounter(width=16)
        m.submodules.r = r = LoopCounter(width=8)
        m.submodules.s = s = LoopCounter(width=8)

        current = Signal(pass_layout(config))
        load, running, segment_end, pass_end = Signal(), Signal(), Signal(), Signal()
        phase = Signal(8)  # cycle of this segment, or of the parameters
        spare = Signal(range(config.drain_cycles + 1))  # cycles that the pass must still last
        first = Signal()

        m.d.comb += [
            self.i.ready.eq(load),
            self.began.eq(load),
            cg.count.eq(c.n_cg),
            r.count.eq(c.n_r),
            s.count.eq(c.n_s),
            cg.start.eq(load),
            r.start.eq(load),
            s.start.eq(load),
            segment_end.eq(running & (phase == Mux(cg.last, short, full))),
            pass_end.eq(s.last & r.last & cg.last),
            s.step.eq(segment_end),
            r.step.eq(segment_end & s.last),
            cg.step.eq(segment_end & s.last & r.last),
        ]

        # Addresses: one register per loop level, reloaded from the level above.
        y = Signal(signed(17))
        m.submodules.next_row = next_row = RingStep()
        m.d.comb += [
            next_row.ring.eq(c.act_ring),
            next_row.step.eq(c.r_step),
            next_row.i.eq(access.row),
        ]
        with m.If(load):
            p = self.i.payload
            m.d.sync += [
                current.eq(p),
                access.group.eq(p.group),
                access.row.eq(p.row),
                y.eq(p.y),
                access.x.eq(p.x),
                access.word.eq(p.word),
                access.lane.eq(c.x0_lane),
            ]
        with m.Elif(segment_end):
            lane = Signal(5)
            m.d.comb += lane.eq(access.lane + c.s_lane)
            with m.If(~s.last):
                m.d.sync += [
                    access.x.eq(access.x + c.s_dx),
                    access.lane.eq(Mux(lane >= config.cols, lane - config.cols, lane)),
                    access.word.eq(access.word + c.s_word + (lane >= config.cols)),
                ]
            with m.Else():
                m.d.sync += [
                    access.x.eq(current.x),
                    access.word.eq(current.word),
                    access.lane.eq(c.x0_lane),
                ]
                with m.If(~r.last):
                    m.d.sync += [access.row.eq(next_row.o), y.eq(y + c.r_dy)]
                with m.Else():
                    m.d.sync += [
                        access.group.eq(access.group + c.cg_step),
                        access.row.eq(current.row),
                        y.eq(current.y),
                    ]

        m.d.comb += [
            access.part.eq(phase),
            access.row_valid.eq((y >= 0) & (y < c.in_h)),
            burst.first_of_command.eq(current.first_of_command),
            burst.first_of_kg.eq(current.first_of_kg),
            burst.last_of_command.eq(current.last_of_command),
            burst.first.eq(first),
            burst.last.eq(pass_end),
            burst.count.eq(Mux(cg.last, c.last_segment, c.segment)),
        ]

        def proceed():
            """Take the next pass, if there is one."""
            with m.If(self.i.valid):
                m.d.comb += load.eq(1)
                with m.If(self.i.payload.first_of_kg):
                    m.next = "PARAMETERS"
                with m.Else():
                    m.next = "RUN"
            with m.Else():
                m.next = "IDLE"

        with m.If(spare != 0):
            m.d.sync += spare.eq(spare - 1)
        with m.FSM():
            with m.State("IDLE"):
                m.d.comb += self.idle.eq(1)
                with m.If(self.i.valid):
                    proceed()
            with m.State("PARAMETERS"):
                # The pause lets the last pass of the kernel group before be captured, and with it
                # that group's parameters be taken over, before these replace them.
                m.d.comb += [
                    burst.parameters.eq(1),
                    burst.count.eq(config.param_words),
                    self.burst_valid.eq(phase == parts + 1),
                ]
                m.d.sync += phase.eq(phase + 1)
                with m.If(phase == parts + config.param_words):
                    m.d.sync += [phase.eq(0), spare.eq(config.drain_cycles - 1)]
                    m.next = "RUN"
            with m.State("RUN"):
                m.d.comb += [
                    running.eq(1),
                    self.access_valid.eq(phase < parts),
                    self.burst_valid.eq(phase == parts - 1),
                ]
                m.d.sync += phase.eq(phase + 1)
                with m.If(segment_end):
                    m.d.sync += [phase.eq(0), first.eq(0)]
                    with m.If(pass_end):
                        with m.If(spare == 0):
                            proceed()
                        with m.Else():
                            m.next = "WAIT"
            with m.State("WAIT"):
                with m.If(spare == 0):
                    proceed()
        with m.If(load):
            m.d.sync += [phase.eq(0), first.eq(1), spare.eq(config.drain_cycles - 1)]
        return m
