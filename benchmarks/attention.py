"""Matrix products of attention, from queries, keys and values in memory to the result in memory.

    python -m benchmarks.attention [--rows 16 --cols 7 --bus 64 ...]

For each number of heads, tokens and channels of a head: cycles by the cycle model of
``softmax``-less attention, two products of which the first has its weights turned, and the share of
the peak: MACs / (rows * cols * cycles). Prints a table.
"""

from __future__ import annotations

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import tilewright as tw
from tilewright.compiler.ir import Graph, Input, MatMul, Output, Requantize, TensorType

SUITE = ((1, 196, 64), (3, 196, 64), (6, 196, 64), (4, 49, 32), (2, 64, 64))
"""Heads, tokens, channels of a head."""


def attention(heads: int, tokens: int, channels: int) -> Graph:
    """Return the products of attention over a square map of tokens, with nothing between them."""
    side = int(tokens**0.5)
    assert side * side == tokens
    maps = TensorType((heads * channels, side, side), 8, True, 1.0, 0)
    scores = TensorType((heads * tokens, side, side), 8, True, 1.0, 0)

    def scale(count: int, shift: int) -> Requantize:
        return Requantize((1,) * count, (shift,) * count, 0, -128, 127)

    ops = (
        *(Input(name, name) for name in "qkv"),
        MatMul("scores", "q", "k", "s", True, heads, scale(heads * tokens, 10)),
        MatMul("mix", "s", "v", "y", False, heads, scale(heads * channels, 12)),
        Output("output", "y"),
    )
    values = {"q": maps, "k": maps, "v": maps, "s": scores, "y": maps}
    return Graph("attention", values, ops)


def main(
    rows: int = 16,
    cols: int = 7,
    bus: int = 64,
    act_depth: int = 1024,
    weight_depth: int = 4096,
    out_depth: int = 1024,
) -> None:
    """Print the table."""
    engine = tw.EngineConfig(
        rows=rows, cols=cols, bus_width=bus, act_depth=act_depth, weight_depth=weight_depth,
        out_depth=out_depth,
    )  # fmt: skip
    table = Table("heads", "tokens", "channels", "cycles", "turning and Q K", "A V", "of peak")
    for heads, tokens, channels in SUITE:
        graph = attention(heads, tokens, channels)
        program = tw.compile_graph(graph, tw.Target(engine=engine))
        rng = np.random.default_rng(0)
        shape = (1, *graph.values["q"].shape)
        inputs = [rng.integers(-128, 128, shape) for _ in range(3)]
        run = tw.simulate(program, inputs, backend="isa")
        golden = tw.simulate(program, inputs, backend="golden")
        np.testing.assert_array_equal(run.outputs[0], golden.outputs[0])
        macs = 2 * heads * tokens**2 * channels
        layers = [f"{layer.cycles:,}" for layer in run.layers]
        assert run.cycles is not None
        share = f"{macs / (engine.multipliers * run.cycles):.1%}"
        table.add_row(*map(str, (heads, tokens, channels)), f"{run.cycles:,}", *layers, share)
    Console().print(table)


if __name__ == "__main__":
    typer.run(main)
