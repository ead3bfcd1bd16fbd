"""What a compute command does next."""

from tests.hdl.examples import run
from tilewright.hdl.sequence.pace import PaceSequencer
from tilewright.hdl.sequence.passes import PassSequencer
from tilewright.hdl.sequence.steps import StepSequencer
from tilewright.hdl.sequence.taps import TapSequencer
from tilewright.isa import EngineConfig


def test_pass_sequencer():
    """Two kernel groups of two rows of one strip are four passes."""
    dut = PassSequencer(EngineConfig(rows=2, cols=2))

    async def bench(ctx):
        for name, value in {"n_kg": 2, "n_oy": 2, "n_ox": 1, "out_w": 2, "n_cg": 1}.items():
            ctx.set(dut.command[name], value)
        ctx.set(dut.start, 1)
        await ctx.tick()
        ctx.set(dut.start, 0)
        ctx.set(dut.o.ready, 1)
        passes = 0
        for _ in range(40):
            passes += ctx.get(dut.o.valid)
            await ctx.tick()
        assert passes == 4

    run(dut, bench)


def test_tap_sequencer():
    """A pass of a kernel of two rows and two columns has four segments."""
    dut = TapSequencer(EngineConfig(rows=2, cols=2))

    async def bench(ctx):
        kernel = {"n_cg": 1, "n_r": 2, "n_s": 2, "r_dy": 1, "s_dx": 1, "s_lane": 1, "act_ring": 8}
        for name, value in kernel.items():
            ctx.set(dut.command[name], value)
        ctx.set(dut.i.payload.y, 5)
        await ctx.tick().repeat(2)  # the command is stable before a pass comes
        ctx.set(dut.i.valid, 1)
        ctx.set(dut.o.ready, 1)
        taps = []
        while not taps or not taps[-1][-1]:
            if ctx.get(dut.o.valid):
                taps.append(tuple(ctx.get(dut.o.payload[name]) for name in ("y", "x", "last")))
            await ctx.tick()
            ctx.set(dut.i.valid, 0)
        assert taps == [(5, 0, 0), (5, 1, 0), (6, 0, 0), (6, 1, 1)]

    run(dut, bench)


def test_pace_sequencer():
    """Segments of three steps follow one another every three cycles."""
    config = EngineConfig(rows=4, cols=2, requantizers=4)
    dut = PaceSequencer(config)

    async def bench(ctx):
        for name, value in {"stride_x": 1, "segment": 3, "last_segment": 3, "in_h": 9}.items():
            ctx.set(dut.command[name], value)
        await ctx.tick().repeat(4)
        segment = dut.i.payload
        ctx.set(dut.i.valid, 1)
        ctx.set(segment.closes, 1)
        taken, bursts = 0, []
        for cycle in range(60):
            for name in ("first", "new_kg"):
                ctx.set(segment[name], taken == 0)
            ctx.set(segment.last, taken == 3)
            ctx.set(dut.i.valid, taken < 4)
            if ctx.get(dut.burst_valid) and not ctx.get(dut.burst.parameters):
                bursts.append((cycle, ctx.get(dut.burst.count)))
            taken += bool(ctx.get(dut.i.valid) and ctx.get(dut.i.ready))
            await ctx.tick()
        first = bursts[0][0]
        assert bursts == [(first + 3 * n, 3) for n in range(4)]
        assert ctx.get(dut.idle)

    run(dut, bench)


def test_step_sequencer():
    """Two passes of a kernel group, which read the same two words behind its parameters."""
    dut = StepSequencer(EngineConfig(rows=2, cols=2))

    async def bench(ctx):
        ctx.set(dut.weight_base, 20)
        bursts = (
            {"parameters": 1, "count": 3, "first_of_command": 1},
            {"count": 2, "first": 1, "last": 1, "first_of_kg": 1},
            {"count": 2, "first": 1, "last": 1},
        )
        parameters, steps = [], []
        for burst in bursts:
            for name in ("parameters", "count", "first_of_command", "first", "last", "first_of_kg"):
                ctx.set(dut.i[name], burst.get(name, 0))
            ctx.set(dut.i_valid, 1)
            for _ in range(burst["count"]):
                await ctx.tick()
                ctx.set(dut.i_valid, 0)
                if ctx.get(dut.parameter):
                    parameters.append(ctx.get(dut.addr))
                if ctx.get(dut.step):
                    steps.append((ctx.get(dut.addr), ctx.get(dut.last)))
        assert parameters == [20, 21, 22]
        assert steps == [(23, 0), (24, 1)] * 2

    run(dut, bench)
