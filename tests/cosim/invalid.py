"""Programs that say what they must not: what executor and RTL make of them.

Every command waits for all before it, so that no change of a field makes a race of two commands.
The engines have 64 KiB of addresses, and the memory is as large: what the RTL asks for is there.

    python -m tests.cosim.invalid [--seeds 0:250] [--engine plain]
"""

import random
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Annotated

import numpy as np
import typer

from tests.cosim.deform_programs import DeformAuthor, random_case
from tests.cosim.programs import Author, HandMade, Tile
from tilewright.api.compile import compile_graph
from tilewright.compiler.ir import (
    Conv2d,
    Graph,
    Input,
    Lookup,
    Output,
    Product,
    Requantize,
    TensorType,
)
from tilewright.isa import (
    Check,
    Compute,
    End,
    EngineConfig,
    Fetch,
    Unit,
    encode,
)
from tilewright.isa.registers import Status
from tilewright.sim.effects.compute import run_compute
from tilewright.sim.effects.machine import Machine
from tilewright.sim.errors import Endless, ExecutionError
from tilewright.sim.events import Events
from tilewright.sim.fetched import memory_reader
from tilewright.sim.rtl import RtlEngine, RtlError
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

MEMORY = 1 << 16
TIMING = MemoryTiming(7, 4)
WATCHDOG = 20_000
CYCLE_LIMIT = 1_000_000  # of a program without an end, such as a Fetch of itself

ENGINES = {
    "plain": EngineConfig(
        rows=2, cols=3, act_depth=96, weight_depth=512, out_depth=64, bus_width=32, queue_depth=8,
        burst_beats=8, addr_width=16,
    ),
    "whole": EngineConfig(
        rows=4, cols=2, act_depth=256, weight_depth=512, out_depth=64, bus_width=64, queue_depth=8,
        burst_beats=8, addr_width=16, tables=1, partial_depth=64, data_width=12, kernel_width=12,
        transform_at_load=True, offset_depth=512, offset_fraction=4, mask_fraction=3, prefetch=True,
    ),
    "tiles": EngineConfig(
        rows=4, cols=3, requantizers=2, act_depth=152, weight_depth=1024, out_depth=64,
        bus_width=32, queue_depth=8, burst_beats=8, addr_width=16, tables=3, partial_depth=64,
        data_width=13, kernel_width=14, transform_at_load=True, early_parameters=False,
    ),
    "wide": EngineConfig(
        rows=2, cols=3, act_depth=96, weight_depth=512, out_depth=64, bus_width=32, queue_depth=8,
        burst_beats=8, addr_width=16, wide_maps=True,
    ),
    "halves": EngineConfig(
        rows=4, cols=7, act_depth=96, weight_depth=512, out_depth=64, bus_width=32, queue_depth=8,
        burst_beats=8, addr_width=16, shared_words=True, split_columns=True,
    ),
}  # fmt: skip


#: Of rules that every executor has: hardware goes on with what is not defined.
UNDEFINED = (
    "as many words and accesses as rows that share words take",
    "an out_w that ends in the last output word, if columns are split",
)


class Serial(DeformAuthor):
    """Writes commands each of which waits for all before it."""

    def _append(self, command, after):
        after = {unit: count - 1 for unit, count in self.counts.items() if count}
        if isinstance(command, Compute):
            command = replace(command, fence=1)
        return Author._append(self, command, after)


@cache
def source(name, seed):
    """Return a sound program for an engine."""
    config, rng = ENGINES[name], random.Random(seed)
    if name == "tiles":
        return _fill(tiled(config, seed))
    if name == "wide":
        return _fill(widened(config, seed))
    if name == "halves" and seed % 2:
        return _fill(halved(config, seed))
    if name == "plain" and seed % 2:
        return _fill(multiplied(config, seed))
    author = Serial(config, rng)
    if config.offset_depth and seed % 2:
        author.deform(random_case(rng, config))
        author.deform(random_case(rng, config))
        return _fill(author.finish())
    tiles = [Tile(base, 2, 2, config.cols + 1) for base in (0, 40)]
    size = 2 * 2 * tiles[0].width
    author.load(tiles[0])
    for index in range(3):
        kind = rng.choice(("dense", "depthwise", "maximum"))
        out = size * (index % 2)
        computed = author.compute(tiles[index % 2], kind, target=tiles[1 - index % 2], out=out)
        author.store(tiles[0], out, {Unit.COMPUTE: computed})
    return _fill(author.finish())


def tiled(config, seed):
    """Return the program of a network: layers in tiles on chip, an activation, a few channels."""
    rng = np.random.default_rng(seed)
    kind = TensorType((4, 5, 8), 8, True, 1.0, 0)
    ops = [
        convolution(rng, *name, kernel)
        for name, kernel in zip(("xy", "yz", "zt"), (3, 3, 1), strict=True)
    ]
    ops.append(Lookup("table", "t", "u", rng.integers(-128, 128, 256)))
    graph = Graph("g", dict.fromkeys("xyztu", kind), (Input("i", "x"), *ops, Output("o", "u")))
    tiles = "F(2x2,3x3)" if seed % 2 else "F(4x2,3x3)"
    return network(config, graph, rng, algorithms={"xy": tiles, "yz": tiles})


def widened(config, seed):
    """Return the program of a network whose values between layers have 16 bits."""
    rng = np.random.default_rng(seed)
    kinds = dict.fromkeys("xyzt", TensorType((4, 5, 8), 8, True, 1.0, 0))
    for name in "yz" if seed % 2 else "zt":
        kinds[name] = replace(kinds[name], bits=16, signed=bool(seed & 2))
    pairs = zip(("xy", "yz", "zt"), (3, 1, 3), strict=True)
    ops = [convolution(rng, *name, kernel, kinds[name[1]]) for name, kernel in pairs]
    graph = Graph("g", kinds, (Input("i", "x"), *ops, Output("o", "t")))
    return network(config, graph, rng)


def halved(config, seed):
    """Return the program of a network of few pixels."""
    rng = np.random.default_rng(seed)
    kinds = dict.fromkeys("xyz", TensorType((4, 3, 3), 8, True, 1.0, 0))
    ops = [convolution(rng, *name, 3) for name in ("xy", "yz")]
    return network(config, Graph("g", kinds, (Input("i", "x"), *ops, Output("o", "z"))), rng)


def multiplied(config, seed):
    """Return the program of a network that multiplies two maps, of some signs and zero points."""
    rng = np.random.default_rng(seed)
    kinds = {name: TensorType((4, 5, 8), 8, True, 1.0, 0) for name in "xyzt"}
    for index, name in enumerate("yz"):
        signed = bool(seed >> index + 1 & 1)
        kinds[name] = replace(kinds[name], signed=signed, zero_point=9 if seed in (3, 5) else 0)
    ops = [convolution(rng, *name, 1, kinds[name[1]]) for name in ("xy", "xz")]
    scale = Requantize((3,) * 4, (9,) * 4, 0, -128, 127)
    ops.append(Product("product", "y", "z", "t", scale))
    graph = Graph("g", kinds, (Input("i", "x"), *ops, Output("o", "t")))
    return network(config, graph, rng)


def convolution(rng, source, target, kernel, kind=None):
    """Return a layer of 4 channels, to the grid of a type."""
    zero, low = (kind.zero_point, kind.qmin) if kind else (0, -128)
    return Conv2d(
        source + target, source, target, rng.integers(-30, 31, (4, 4, kernel, kernel)), 8,
        rng.integers(-200, 200, 4), (1, 1), (kernel // 2,) * 4, (1, 1), 1,
        Requantize((1,) * 4, (8,) * 4, zero, low, kind.qmax if kind else 127),
    )  # fmt: skip


def network(config, graph, rng, algorithms=(), batch=1):
    """Return a network's program; ``expected`` is what the executor makes of it."""
    target = Target(engine=config, memory=TIMING)
    program = compile_graph(
        graph, target, algorithms=dict(algorithms), objective="traffic", batch=batch
    )
    memory = program.memory([rng.integers(-128, 128, (batch, *graph.values["x"].shape))])
    author = Serial(config, random.Random(0))
    author.data = bytearray(memory.tobytes())
    boot = Fetch(address=program.streams[Unit.LOAD][0], unit=Unit.LOAD, count=program.boot_count)
    for event in Events(config, TIMING, memory_reader(config, memory), boot):
        if not isinstance(event.command, Check | Fetch | End):
            author._append(event.command, {})
    made = author.finish()
    return replace(made, expected=made.isa(TIMING)[0])


def _fill(program):
    """Return the program with a memory that is as large as the engine's addresses."""
    images = [np.zeros(MEMORY, np.uint8) for _ in range(2)]
    for image, data in zip(images, (program.image, program.expected), strict=True):
        image[: data.size] = data
    return replace(program, image=images[0], expected=images[1])


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    ``endless``: it did not, so that no command is at fault. ``races``: a command reads what it
    writes itself; which comes first is not defined.
    """

    status: Status
    unit: Unit
    index: int
    cycles: int = 0
    message: str = ""
    endless: bool = False
    races: bool = False

    @property
    def place(self):
        """Status and the command at fault."""
        return self.status, self.unit, self.index


class Watched(Machine):
    """An executor that notes commands which read what they write."""

    races = False

    def _execute(self, command):
        if not isinstance(command, Compute) or not command.to_act:
            super()._execute(command)
            return
        before, deform = deepcopy(self.buffers), self._deform
        super()._execute(command)
        written = before.activations != self.buffers.activations
        rng = np.random.default_rng(0)
        for _ in range(2 if written.any() else 0):
            again = deepcopy(before)
            again.activations[written] ^= rng.integers(1, 256, np.count_nonzero(written), np.uint8)
            run_compute(self.config, command, again, deform)
            self.races |= any(
                not np.array_equal(getattr(again, name), getattr(self.buffers, name))
                for name in ("activations", "results", "sums", "partial")
            )


def changed(program: HandMade, rng: random.Random):
    """Return a program with a change that hardly any program would survive, and what it is.

    ``races``: commands may now run together that use the same place; who is first is not defined.
    """
    image, what, races = program.image.copy(), [], False
    count = program.streams.boot_count
    for _ in range(rng.choice((1, 1, 1, 2))):
        if rng.random() < 0.03:
            count = rng.choice((0, program.config.queue_depth + 1, 65535, count + 1))
            what.append(f"COUNT = {count}")
            races = True
            continue
        unit = rng.choice(list(Unit))
        commands = program.streams.commands[unit]
        index = rng.randrange(len(commands))
        if len(commands) > 50:  # of which most are alike
            kind = rng.choice(sorted({type(c).__name__ for c in commands}))
            index = rng.choice([i for i, c in enumerate(commands) if type(c).__name__ == kind])
        size = program.config.command_bytes(unit)
        at = program.streams.addresses[unit] + index * size
        if rng.random() < 0.1:
            bit = rng.randrange(8 * size)
            image[at + bit // 8] ^= 1 << bit % 8
            what.append(f"{unit.name} {index} bit {bit}")
            races |= 20 <= bit < 52 or isinstance(commands[index], Fetch)
            continue
        command = commands[index]
        fields = [f for f in (*command.FIELDS, *command.OPTIONS) if f.name != "layer"]
        if not program.config.compute_options:
            fields = [f for f in fields if f in command.FIELDS]
        field = rng.choice(fields)
        low, high = field.range
        now = getattr(command, field.name)
        if field.name.startswith("wait"):
            low, high = now, min(high, now + 5000)  # not to wait is a race
        races |= isinstance(command, Fetch)
        near = min(max(now + rng.choice((-1, 1)), low), high)
        value = rng.choice((low, high, near, near, rng.randint(low, high), min(max(0, low), high)))
        data = encode(replace(command, **{field.name: value}), size)
        image[at : at + size] = np.frombuffer(data, np.uint8)
        what.append(f"{unit.name} {index} {type(command).__name__}.{field.name} = {value}")
    return image, count, ", ".join(what), races


def run_isa(program, image, count):
    """Run on the executor; return the outcome."""
    machine = Watched(program.config, image, TIMING)
    try:
        machine.run(program.streams.addresses[Unit.LOAD], count)
        outcome = Outcome(Status.DONE, Unit.LOAD, 0, machine.finished + 1, races=machine.races)
    except ExecutionError as error:
        endless = isinstance(error, Endless)
        outcome = Outcome(error.status, error.unit, error.index, 0, str(error), endless)
    # Hardware's watchdog may come first: a command may take as long as its counts say.
    slow = _too_slow(machine.events)
    return outcome if slow is None else replace(slow, message=f"too slow, then {outcome}")


def _too_slow(events):
    """Return the outcome if no command is done for too long: it names the first unit at work."""
    dones = sorted(event.done for of_unit in events.values() for event in of_unit)
    for a, b in pairwise([0, *dones]):
        if b - a > WATCHDOG:
            now = a + WATCHDOG
            at_work = [u for u in Unit if any(e.start <= now < e.done for e in events[u])]
            unit = min(at_work, default=Unit.LOAD)
            index = sum(e.done <= now for e in events[unit])
            return Outcome(Status.WATCHDOG, unit, index)
    return None


def run_rtl(program, session, image, count):
    """Run on the RTL; return the outcome."""
    first = program.streams.addresses[Unit.LOAD]
    try:
        run = session.run(
            image, 0, first, count, TIMING, watchdog=WATCHDOG, cycle_limit=CYCLE_LIMIT,
            check_hazards=False,
        )  # fmt: skip
    except RtlError as error:
        if "no interrupt" not in str(error):
            raise
        return Outcome(Status.WATCHDOG, Unit.LOAD, 0, message=str(error), endless=True)
    return Outcome(run.status, run.unit, run.index, run.cycles)


def compare(program, rtl, rng):
    """Run a changed program on both; return what was changed, what is wrong, how it ended."""
    image, count, what, races = changed(program, rng)
    images = [image.copy(), image.copy()]
    isa = run_isa(program, images[0], count)
    wrong = ""
    with rtl.session() as session:
        hard = run_rtl(program, session, images[1], count)
        if any(text in isa.message for text in UNDEFINED):
            same = True
        elif isa.endless or hard.endless:
            same = isa.status is hard.status
        elif isa.status is Status.DONE:
            same = isa.place == hard.place and isa.cycles == hard.cycles
            same = same and (races or isa.races or np.array_equal(*images))
        else:
            same = isa.place == hard.place
        if not same:
            wrong = f"isa {isa}, rtl {hard}"
            if isa.status is hard.status is Status.DONE:
                wrong += f", {np.count_nonzero(images[0] != images[1])} bytes differ"
        # Whatever happened, a soft reset brings the engine back.
        memory = program.image.copy()
        after = run_rtl(program, session, memory, program.streams.boot_count)
        if after.status is not Status.DONE or not np.array_equal(memory, program.expected):
            wrong += f"; after it a sound program ends with {after}"
    return what, wrong, isa, hard


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:END, of each engine.")] = "0:250",
    engine: Annotated[list[str] | None, typer.Option(help="Names.")] = None,
) -> None:
    """Compare programs that break rules; end with 1 if any did not end alike."""
    first, end = map(int, seeds.split(":"))
    failures, ended = 0, Counter()
    for name in engine or ENGINES:
        rtl = RtlEngine(ENGINES[name])
        for seed in range(first, end):
            what, wrong, isa, _ = compare(source(name, seed % 8), rtl, random.Random(seed))
            ended[isa.status.name] += 1
            if wrong:
                failures += 1
                print(f"{name} seed {seed}: {what}: {wrong}", flush=True)
    print(f"{ended.total()} programs: {dict(ended)}; {failures} did not end alike")
    raise typer.Exit(1 if failures else 0)


if __name__ == "__main__":
    typer.run(main)
