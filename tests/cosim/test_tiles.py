"""Layers in tiles: golden == isa == rtl, every element and cycle, for every F the engine knows.

The golden reference is the plain convolution.
"""

import os
from dataclasses import replace
from math import gcd

import numpy as np
import pytest

from tests.cosim.random_layers import random_requantize, random_type, window_out
from tests.seeds import seeds
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import verify
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType
from tilewright.compiler.schedule import EngineLimitError
from tilewright.compiler.winograd.terms import tilings
from tilewright.isa import (
    Compute,
    EngineConfig,
    LoadKernels,
    LoadKernelSteps,
    Unit,
    decode,
    encode,
)
from tilewright.sim.effects.machine import Machine
from tilewright.sim.errors import ExecutionError
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

ENGINES = {
    "4x3": EngineConfig(
        rows=4, cols=3, requantizers=2, act_depth=1024, weight_depth=8192, out_depth=256,
        bus_width=32, data_width=13, kernel_width=14, partial_depth=128, early_parameters=False,
        transform_at_load=True,
    ),
    "8x7": EngineConfig(
        rows=8, cols=7, act_depth=1024, weight_depth=8192, out_depth=512, bus_width=64,
        data_width=15, kernel_width=16, partial_depth=256, tables=1, acc_width=28,
    ),
}  # fmt: skip
KERNELS = ((3, 3), (5, 5), (1, 3), (3, 1), (1, 5), (5, 1), (2, 2), (4, 4), (2, 3), (3, 5))
STRIDED = (((3, 3), (2, 2)), ((5, 5), (2, 2)), ((3, 3), (1, 2)), ((5, 3), (2, 1)), ((4, 5), (3, 3)))
TILINGS = [t for kernel in KERNELS for t in tilings(kernel)]
TILINGS += [t for kernel, stride in STRIDED for t in tilings(kernel, stride)]
# For every tiling, on each engine; a hundred take an hour. The first draw is of every other tiling.
CASES = 100 if os.environ.get("TILEWRIGHT_LONG") else 3


def random_tiles(rng, config, tiling):
    """Return a random convolution that the tiles can compute, and its input."""
    rows = config.rows
    while True:
        padding = tuple(int(n) for n in rng.integers(0, 3, 4))
        height, width = (int(n) for n in rng.integers(2, 16, 2))
        shape = [
            window_out(n, tiling.kernel[i], tiling.stride[i], 1, padding[2 * i : 2 * i + 2])
            for i, n in enumerate((height, width))
        ]
        if min(shape) >= 2 and shape[1] % tiling.m[1] == 0:
            break
    groups = int(rng.choice((1, 1, 2, 3)))
    per_group = int(rng.choice((rows, rows // 2, rng.integers(1, 2 * rows))))
    channels, kernels = per_group * groups, int(rng.integers(1, rows)) * groups
    kind, out = random_type(rng, (channels, height, width)), random_type(rng, (kernels, *shape))
    limit = 1 << int(rng.integers(1, 8))
    conv = Conv2d(
        "conv", "x", "y", rng.integers(1 - limit, limit, (kernels, per_group, *tiling.kernel)), 8,
        rng.integers(-1000, 1000, kernels), tiling.stride, padding, (1, 1), groups,
        random_requantize(rng, out, config.multiplier_width),
    )  # fmt: skip
    graph = Graph("tiles", {"x": kind, "y": out}, (Input("i", "x"), conv, Output("o", "y")))
    return graph, rng.integers(kind.qmin, kind.qmax + 1, kind.shape)


@pytest.mark.slow
@seeds(1, CASES)
@pytest.mark.parametrize("engine", ENGINES)
def test_every_tiling_equals_the_plain_convolution(engine, cases):
    config, compared = ENGINES[engine], 0
    first = list(ENGINES).index(engine)
    drawn = TILINGS[first :: len(ENGINES)] if 0 in cases else TILINGS
    for tiling in drawn:
        name = str(tiling)
        if gcd(tiling.m[1] * tiling.stride[1], config.cols) > 1:
            continue
        for seed in cases:
            rng = np.random.default_rng(seed)
            graph, image = random_tiles(rng, config, tiling)
            latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
            target = Target(engine=config, memory=latency)
            try:
                verify(compile_graph(graph, target, algorithms={"*": name}), [image])
            except EngineLimitError as error:
                # Kernels of which a border is zero are others.
                if "its algorithms are" not in str(error):
                    pytest.fail(f"seed {seed}, {name}, stride {tiling.stride}: {error}")
                continue
            except Exception as error:
                pytest.fail(f"seed {seed}, {name}, stride {tiling.stride}, {engine}: {error}")
            compared += 1
    assert compared > 0.8 * len(cases) * len(drawn)


@pytest.mark.slow
def test_parameters_come_after_the_last_totals():
    """They were replaced while the last row of tiles left, where they have no place to wait."""
    config = replace(ENGINES["4x3"], requantizers=None, partial_depth=256)
    tiling = next(t for t in TILINGS if str(t) == "F(4x2,3x3)")
    for seed in range(3):
        graph, image = random_tiles(np.random.default_rng(seed), config, tiling)
        target = Target(engine=config, memory=MemoryTiming(3, 2))
        verify(compile_graph(graph, target, algorithms={"*": str(tiling)}), [image])


def extreme(channels, data, weights):
    """Return a 3x3 layer whose sums are as large as they can be, or take turns."""
    kind, out = (TensorType((n, 6, 8), 8, True, 1.0, 0) for n in (channels, 2))
    sign = np.indices((2, channels, 3, 3)).sum(0) % 2 * 2 - 1
    conv = Conv2d(
        "conv", "x", "y", sign * 127 if weights == 0 else np.full((2, channels, 3, 3), weights), 8,
        np.zeros(2, int), (1, 1), (1, 1, 1, 1), (1, 1), 1,
        Requantize((1, 1), (16, 16), 0, -128, 127),
    )  # fmt: skip
    image = np.full(kind.shape, data)
    if data == 0:
        image = np.where(np.indices(kind.shape).sum(0) % 2, 127, -128)
    return Graph("g", {"x": kind, "y": out}, (Input("i", "x"), conv, Output("o", "y"))), image


# 28 bits of sums, of which the division takes up to four.
MOST = {"F(4x2,3x3)": 57, "F(2x2,3x3)": 229, "F(4x1,3x3)": 114}


@pytest.mark.slow
@pytest.mark.parametrize("name", MOST)
def test_extremes_at_the_most_channels_are_exact_and_one_more_is_refused(name):
    target = Target(engine=ENGINES["8x7"])
    for data in (-128, 127, 0):
        for weights in (-127, 127, 0):
            graph, image = extreme(MOST[name], data, weights)
            try:
                verify(compile_graph(graph, target, algorithms={"conv": name}), [image])
            except Exception as error:
                pytest.fail(f"data {data}, weights {weights}, {name}: {error}")
    graph, _ = extreme(MOST[name] + 1, 127, 127)
    with pytest.raises(EngineLimitError, match=r"conv: F.* cannot be taken: .*acc_width must be"):
        compile_graph(graph, target, algorithms={"conv": name})


def many_channels(channels):
    """Return a 3x3 layer of small weights, and its input."""
    rng = np.random.default_rng(channels)
    kind, out = (TensorType((n, 5, 6), 8, True, 1.0, 0) for n in (channels, 11))
    conv = Conv2d(
        "conv", "x", "y", rng.integers(-7, 8, (11, channels, 3, 3)), 4, rng.integers(-99, 99, 11),
        (1, 1), (1, 1, 1, 1), (1, 1), 1, Requantize((1,) * 11, (8,) * 11, 0, -128, 127),
    )  # fmt: skip
    graph = Graph("g", {"x": kind, "y": out}, (Input("i", "x"), conv, Output("o", "y")))
    return graph, rng.integers(-128, 128, kind.shape)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "where"), [("4x3", "at load"), ("8x7", "when compiled")])
def test_many_channels_take_turns_in_the_weight_buffer(engine, where):
    graph, image = many_channels(175)
    target = Target(engine=ENGINES[engine], memory=MemoryTiming(30, 4))
    program = compile_graph(graph, target, algorithms={"*": "F(4x2,3x3)"})
    ((layer,),) = (group.layers for group in program.schedule)
    assert layer.transformed == where
    assert f"weights once, transformed {where}" in str(program.schedule[0])
    commands = [c for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    groups = -(-175 // ENGINES[engine].rows)
    # Kernels that come ready come in small pieces, which need no shares.
    shares = [groups // 2, groups - groups // 2] if where == "at load" else [groups]
    assert {c.n_cg for c in commands} == set(shares)
    terms = 24 * len(shares)
    assert len(commands) % (terms * -(-11 // ENGINES[engine].rows)) == 0
    assert sum(c.first for c in commands) == sum(c.last for c in commands) == len(commands) // terms
    verify(program, [image])


def test_traffic_decides_where_kernels_are_transformed():
    graph, image = many_channels(64)
    config = replace(ENGINES["8x7"], transform_at_load=True)
    cycles = {}
    for objective in ("time", "traffic", "energy"):
        program = compile_graph(graph, Target(engine=config), objective=objective)
        ((layer,),) = (group.layers for group in program.schedule)
        assert layer.algorithm[:2] == "F(", objective
        assert layer.transformed == "at load" or objective == "time", objective
        cycles[objective] = simulate(program, [image]).cycles
    assert cycles["time"] == min(cycles.values())
    # In memory, transformed kernels are larger than the layer's own.
    plain = replace(config, transform_at_load=False)
    program = compile_graph(graph, Target(engine=plain), objective="traffic")
    ((layer,),) = (group.layers for group in program.schedule)
    assert (layer.algorithm, layer.transformed) == ("direct", "")


@pytest.mark.parametrize(
    ("command", "changes", "message"),
    [
        (LoadKernels, {"taps": 17}, "1..16 taps"),
        (LoadKernels, {"taps": 8}, "has no tap 8"),
        (LoadKernels, {"steps": 257}, "1..256 steps"),
        (LoadKernels, {"channels": 9}, "at most term_step"),
        (LoadKernels, {"term_step": 400}, "overwrite each other"),
        (LoadKernelSteps, {"words": 257}, "at most 256 steps"),
    ],
)
def test_kernel_commands_that_the_engine_refuses_do_not_run(command, changes, message):
    """The executor is no more lenient than the hardware."""
    graph, image = many_channels(8)
    target = Target(engine=ENGINES["4x3"])
    program = compile_graph(graph, target, algorithms={"*": "F(4x2,3x3)"})
    memory = program.memory([image[None]])
    address, count = program.streams[Unit.LOAD]
    for at in range(address, address + 32 * count, 32):
        found = decode(Unit.LOAD, memory[at : at + 32].tobytes())
        if isinstance(found, command):
            memory[at : at + 32] = np.frombuffer(encode(replace(found, **changes)), np.uint8)
    machine = Machine(program.engine, memory, program.target.memory, strict=True)
    with pytest.raises(ExecutionError, match=message):
        machine.run(program.streams[Unit.LOAD][0], program.boot_count)
