"""Random convolutions with long kernels and with kernels that are mostly zeros.

    python -m tests.cosim.random_forms [--first 0] [--count 1000] [--rtl]

Compares golden and isa, and with ``--rtl`` the RTL of two engines, elements and cycles.
"""

from collections import Counter
from typing import Annotated

import numpy as np
import typer

from tests.cosim import engines as cosim_engines
from tests.cosim.random_layers import random_requantize, random_type, window_out
from tests.strategies.agree import compare
from tests.strategies.small import in_parts
from tilewright.api.compile import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler.ir import Conv2d, Graph, Input, Output
from tilewright.isa import EngineConfig
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

#: One whose sums stay in the array, one with a memory of partial sums.
ENGINES = {
    "4x4": cosim_engines.ENGINES["4x4-bus64"],
    "4x3-partial": EngineConfig(
        rows=4, cols=3, act_depth=512, weight_depth=512, out_depth=64, bus_width=64, queue_depth=16,
        burst_beats=8, partial_depth=64,
    ),
}  # fmt: skip


def random_conv(rng, config, kind):
    """Return a graph of one convolution, "long" or "sparse", and its integer inputs."""
    channels, kernels = (int(n) for n in rng.integers(1, 3 * config.rows, 2))
    groups, stride, dilation = 1, (1, int(rng.integers(1, 3))), (1, 1)
    if kind == "long":
        if rng.random() < 0.5:
            groups = channels = kernels
        height, width = 1, int(rng.integers(4, 40))
        kernel, dilation = (1, int(rng.integers(200, 800))), (1, int(rng.integers(1, 4)))
        reach = (kernel[1] - 1) * dilation[1]
        left = int(rng.integers(0, reach + 1)) if rng.random() < 0.5 else reach  # causal
        padding = (0, 0, left, max(0, reach + 1 - width - left) + int(rng.integers(0, 9)))
    else:
        channels *= 4
        kernel = (int(rng.integers(1, 12)), int(rng.integers(5, 12)))
        height, width = int(rng.integers(kernel[0], 14)), int(rng.integers(kernel[1], 20))
        padding = tuple(int(rng.integers(0, k)) for k in np.repeat(kernel, 2))
    weight = rng.integers(-8, 8, (kernels, channels // groups, *kernel))
    if kind == "sparse":
        alike = (-(-kernels // config.rows), -(-channels // config.rows))
        blocks = rng.random((*alike, *kernel)) < rng.choice([0.05, 0.2])
        if rng.random() < 0.5:
            blocks[:] = blocks[:1, :1]  # the same taps for all channels
        full = blocks.repeat(config.rows, 0).repeat(config.rows, 1)
        weight *= full[:kernels, :channels]
    out_shape = (
        kernels,
        window_out(height, kernel[0], stride[0], dilation[0], padding[:2]),
        window_out(width, kernel[1], stride[1], dilation[1], padding[2:]),
    )
    x, y = random_type(rng, (channels, height, width)), random_type(rng, out_shape, bits=8)
    conv = Conv2d(
        kind, "x", "y", weight, 5, rng.integers(-1000, 1000, kernels), stride, padding, dilation,
        groups, random_requantize(rng, y, config.multiplier_width),
    )  # fmt: skip
    graph = Graph(kind, {"x": x, "y": y}, (Input("in", "x"), conv, Output("out", "y")))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def compare_seed(seed, rtl=False, engine=None):
    """Return the kind of a random convolution, whether it is in parts, and how many differ."""
    rng = np.random.default_rng(seed)
    config = ENGINES[engine or str(rng.choice(list(ENGINES)))]
    kind = ("long", "sparse")[seed % 2]
    graph, inputs = random_conv(rng, config, kind)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    program = compile_graph(graph, Target(engine=config, memory=latency))
    if rtl:
        verify(program, inputs)
        return kind, in_parts(program), 0
    return kind, in_parts(program), compare(program, inputs).wrong


def main(
    first: int = 0,
    count: int = 1000,
    rtl: Annotated[bool, typer.Option(help="Also run the RTL and compare.")] = False,
) -> None:
    """Compare a range of seeds."""
    seen: Counter = Counter()
    for seed in range(first, first + count):
        kind, cut, wrong = compare_seed(seed, rtl)
        seen[kind, "in parts" if cut else "whole"] += 1
        if wrong:
            raise SystemExit(f"seed {seed}: {wrong} elements differ")
    print(dict(seen))


if __name__ == "__main__":
    typer.run(main)
