"""Random layers on engines whose buffers are much too small for their rows.

    python -m tests.cosim.random_wide [--first 0] [--count 1000] [--rtl]

Compares golden and isa, and with ``--rtl`` the RTL of three engines, elements and cycles.
"""

from collections import Counter
from dataclasses import replace
from typing import Annotated

import numpy as np
import typer

from tests.compiler.schedule.samples import conv, residual
from tests.cosim.random_deformable import random_deformable
from tests.cosim.random_layers import random_layer, random_requantize, random_type
from tests.strategies.agree import compare
from tests.strategies.engines import DOMAINS, choose
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import EngineConfig
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

#: Buffers down to their least sizes; weights have room.
TINY = {
    "rows": (2, 4, 8), "cols": (2, 3, 4, 5, 7), "maximum": (True,), "tables": (0, 2),
    "act_depth": (16, 20, 24, 33, 50, 64, 100), "out_depth": (16, 32, 64),
    "weight_depth": (65536,), "partial_depth": (0, 64, 512), "offset_depth": (0, 16, 64),
    "acc_width": (28, 32), "multiplier_width": (18, 24), "addr_width": (32,), "count_width": (16,),
    "queue_depth": (8, 12, 32),
}  # fmt: skip
#: For RTL: one without pipelining, one with a sampler, one with tiles.
RTL_ENGINES = {
    "4x2": EngineConfig(
        rows=4, cols=2, requantizers=1, act_depth=40, weight_depth=1024, out_depth=16,
        bus_width=32, queue_depth=8, burst_beats=4, outstanding=1, multiplier_width=16,
        prefetch=False, dsp="ice40", counters=False, early_parameters=False, acc_width=24,
        pipelined=False,
    ),
    "2x4-sampler": EngineConfig(
        rows=2, cols=4, act_depth=64, weight_depth=2048, out_depth=16, bus_width=64,
        queue_depth=12, offset_depth=16, offset_fraction=4, mask_fraction=4, outstanding=2,
    ),
    "4x3-tiles": EngineConfig(
        rows=4, cols=3, requantizers=2, act_depth=48, weight_depth=4096, out_depth=32,
        bus_width=32, data_width=13, kernel_width=14, partial_depth=64, transform_at_load=True,
    ),
}  # fmt: skip


def tiny_engine(rng):
    """Return an engine with small buffers."""
    while True:
        config = choose(lambda _, values: values[int(rng.integers(len(values)))], DOMAINS | TINY)
        if config:
            return config


def upsampled(rng, config):
    """Return a graph of one layer that moves pixels, and its input."""
    factor = int(rng.integers(2, 4))
    channels = int(rng.integers(1, 2 * config.rows))
    size = tuple(int(n) for n in rng.integers(2, (8, 60)))
    x = random_type(rng, (channels, *size))
    shape = (channels, size[0] * factor, size[1] * factor)
    if config.weight_bits == 8 and rng.random() < 0.6:
        y = random_type(rng, shape, bits=8)
        requantize = random_requantize(rng, y, config.multiplier_width)
        op = ir.UpsampleBilinear("layer", "x", "y", (factor, factor), requantize)
    else:
        y = replace(x, shape=shape)
        op = ir.Upsample("layer", "x", "y", (factor, factor))
    graph = ir.Graph("up", {"x": x, "y": y}, (ir.Input("i", "x"), op, ir.Output("o", "y")))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def wide_layer(rng, config):
    """Return a graph of one layer and its inputs."""
    if rng.random() < 0.15:
        return upsampled(rng, config)
    if config.offset_depth and rng.random() < 0.5:
        return random_deformable(rng, replace(config, offset_depth=4096), reach=4)
    return random_layer(rng, config, int(rng.choice([60, 200, 500])))


def wide_network(rng, config):
    """Return a residual block, now and then with a concatenation behind it, and its input."""
    channels = int(rng.integers(1, 2 * config.rows))
    size = int(rng.integers(4, 14)), int(rng.integers(20, 150))
    graph = residual(channels, size)
    ops, values = list(graph.ops), dict(graph.values)
    if rng.random() < 0.5:
        kernel = int(rng.choice([1, 3, 5]))
        values |= {"c": replace(values["x"], shape=(2 * channels, *size)), "y": values["x"]}
        ops[-2:] = [
            ir.Concat("cat", ("s", "a"), "c"),
            conv("last", "c", "y", 2 * channels, kernel=kernel, kernels=channels),
            ir.Output("output", "y"),
        ]
    for number, op in enumerate(ops):
        if isinstance(op, ir.Conv2d):
            ops[number] = replace(op, weight=rng.integers(-2, 3, op.weight.shape))
    graph = ir.Graph("wide", values, tuple(ops))
    return graph, [rng.integers(-128, 128, (1, channels, *size))]


def compiled(rng, config, make=wide_layer):
    """Return a program of a random graph, and its inputs; None where the engine is too small."""
    graph, inputs = make(rng, config)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    target = Target(engine=config, memory=latency)
    objective = "time" if make is wide_layer else "traffic"  # which runs more layers together
    try:
        return compile_graph(graph, target, objective=objective), inputs
    except EngineLimitError as error:
        if "act_depth" in str(error):  # offsets that reach too far
            return None
        raise


def strips_of_columns(program):
    """Return the strips of columns of the group that has most."""
    return max(group.columns for group in program.schedule)


def main(
    first: Annotated[int, typer.Option(help="The first seed.")] = 0,
    count: Annotated[int, typer.Option(help="How many seeds.")] = 1000,
    rtl: Annotated[bool, typer.Option(help="On RTL, too.")] = False,
) -> None:
    """Compare, and say how many layers were cut."""
    found: Counter[str] = Counter()
    names = list(RTL_ENGINES)
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        config = RTL_ENGINES[names[seed % len(names)]] if rtl else tiny_engine(rng)
        case = compiled(rng, config)
        if case is None:
            found["too small"] += 1
            continue
        program, inputs = case
        if rtl:
            verify(program, inputs)
        elif compare(program, inputs).wrong:
            raise SystemExit(f"seed {seed}: golden and isa differ")
        found["cut" if strips_of_columns(program) > 1 else "whole"] += 1
        if (seed + 1 - first) % 50 == 0:
            print(seed + 1 - first, dict(found), flush=True)
    print(dict(found))


if __name__ == "__main__":
    typer.run(main)
