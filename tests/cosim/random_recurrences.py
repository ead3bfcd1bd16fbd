"""Recurrences of any direction, on small engines, between layers or from memory to memory."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_requantize, random_type
from tilewright.api.compile_graph import compile_graph
from tilewright.compiler import ir
from tilewright.errors import Error
from tilewright.isa import EngineConfig
from tilewright.target import Target


def recurrent(rng, config, shape, *, columns, backwards, tail):
    """Return a graph of a recurrence, and inputs; ``tail``: a layer reads what it makes."""
    channels, x, y = shape[0], random_type(rng, shape), random_type(rng, shape)
    most, taps = 1 << (config.weight_bits - 1), 2 * int(rng.integers(0, 4)) + 1
    width = config.multiplier_width
    weight = rng.integers(-most, most, (channels, channels, 1, taps))
    message = random_requantize(rng, y, width)
    if rng.random() < 0.7:  # a ReLU
        message = replace(message, qmin=max(message.qmin, min(y.zero_point, message.qmax)))
    ops = [
        ir.Input("i", "x"),
        ir.Recurrence(
            "slices", "x", "y", weight, config.weight_bits, rng.integers(-99, 99, channels),
            columns, backwards, nearly_same(rng, y, width), message,
        ),
    ]  # fmt: skip
    values, results = {"x": x, "y": y}, ["y"]
    if tail:
        values["z"] = random_type(rng, shape)
        ops.append(ir.Rescale("after", "y", "z", random_requantize(rng, values["z"], width)))
        results = ["z"] if rng.random() < 0.5 else ["y", "z"]
    ops += [ir.Output(f"o{n}", value) for n, value in enumerate(results)]
    graph = ir.Graph("recurrent", values, tuple(ops))
    graph.verify()
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *shape))]


def nearly_same(rng, kind, multiplier_width):
    """Return a requantization by factors around one."""
    channels, half = kind.shape[0], 1 << (multiplier_width - 1)
    multiplier = rng.integers(half, 2 * half, channels)
    shift = rng.integers(multiplier_width - 1, multiplier_width + 2, channels)
    if rng.random() < 0.3:
        multiplier, shift = np.ones(channels, int), rng.integers(0, 2, channels)
    scale = tuple(map(int, multiplier)), tuple(map(int, shift))
    return ir.Requantize(*scale, kind.zero_point, kind.qmin, kind.qmax)


def random_case(seed, config=None):
    """Return a program of a recurrence and inputs, or why the engine refuses it and None.

    ``config`` : of the engine; some small one if None
    """
    rng = np.random.default_rng([22, seed])
    columns = bool(rng.random() < 0.5)
    config = config or ENGINES[str(rng.choice(list(ENGINES)))]
    if columns and config.rows % config.bus_bytes:
        config = replace(config, rows=max(4, config.rows), bus_width=32)
    rows = config.rows
    shape = int(rng.integers(1, 2 * rows + 2)), *(int(n) for n in rng.integers(1, 10, 2))
    graph, inputs = recurrent(
        rng, config, shape, columns=columns, backwards=bool(rng.random() < 0.5),
        tail=bool(rng.random() < 0.5),
    )  # fmt: skip
    try:
        return compile_graph(graph, Target(engine=config)), inputs
    except Error as error:
        return error, None


def small_engine() -> EngineConfig:
    """Return an engine that is quick to build, with pixel words of whole beats."""
    return EngineConfig(
        rows=4, cols=3, act_depth=128, weight_depth=256, out_depth=64, bus_width=32, requantizers=2
    )
