"""Random layers on engines whose buffers are far too small for them: golden beside isa.

    python -m tests.strategies.small --seeds 0:1000 [--rtl]

Buffers have 16 words or a few more. With ``--rtl``, on one engine of each of the cosimulation's,
RTL too, elements and cycles. Ends with 1 if anything differs or is refused for its size.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
import typer
from rich.progress import track

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tests.strategies.agree import compare
from tilewright.api.compile import compile_graph
from tilewright.api.verify import DivergenceError, verify
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import EngineConfig
from tilewright.program import Program
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

#: Each is compiled: words for activations, weights, results and partial sums.
RTL_DEPTHS = {
    "4x2-small": (24, 16, 16, 0),
    "2x2-bus32": (48, 32, 16, 16),
    "4x4-bus64": (24, 64, 32, 32),
    "8x7-bus64": (16, 32, 16, 0),
    "8x7-bus32": (32, 128, 32, 0),
    "8x5-bus64-w4": (48, 64, 16, 64),
}


def small_engine(rng: np.random.Generator) -> EngineConfig:
    """Return an engine of the cosimulation with buffers of 16 to 256 words."""
    config = ENGINES[str(rng.choice(list(ENGINES)))]
    depth = {
        "act_depth": int(rng.choice([16, 24, 48, 96, 256])),
        "weight_depth": 1 << int(rng.integers(4, 9)),
        "out_depth": 1 << int(rng.integers(4, 8)),
    }
    if config.pipelined and rng.random() < 0.4:
        depth["partial_depth"] = 1 << int(rng.integers(4, 8))
    return replace(config, **depth)


def in_parts(program: Program) -> bool:
    """Return whether the sums of a layer are in parts."""
    layers = [layer for group in program.schedule for layer in group.layers]
    return any(layer.weights.endswith("parts") for layer in layers)


def compare_seed(seed: int) -> tuple[bool, int]:
    """Return whether a random layer is in parts, and how many elements differ."""
    rng = np.random.default_rng(seed)
    config = small_engine(rng)
    graph, inputs = random_layer(rng, config)
    program = compile_graph(graph, Target(engine=config))
    return in_parts(program), compare(program, inputs).wrong


def verify_seed(seed: int) -> bool:
    """Compare golden, isa and RTL, elements and cycles; return whether the layer is in parts."""
    name = list(RTL_DEPTHS)[seed % len(RTL_DEPTHS)]
    act, weight, out, partial = RTL_DEPTHS[name]
    config = replace(
        ENGINES[name], act_depth=act, weight_depth=weight, out_depth=out, partial_depth=partial
    )
    rng = np.random.default_rng(seed)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    graph, inputs = random_layer(rng, config)
    program = compile_graph(graph, Target(engine=config, memory=latency))
    verify(program, inputs)
    return in_parts(program)


def main(
    seeds: Annotated[str, typer.Option(help="FIRST:END.")] = "0:1000",
    rtl: Annotated[bool, typer.Option(help="On RTL, too.")] = False,
) -> None:
    """Compare a range of seeds."""
    first, end = map(int, seeds.split(":"))
    parts, bad = 0, []
    for seed in track(range(first, end), "layers"):
        try:
            cut, wrong = (verify_seed(seed), 0) if rtl else compare_seed(seed)
        except (EngineLimitError, DivergenceError) as error:
            bad.append(f"seed {seed}: {error}")
            continue
        parts += cut
        if wrong:
            bad.append(f"seed {seed}: {wrong} elements differ")
    print(*bad, sep="\n")
    print(f"{end - first} layers, {parts} in parts, {len(bad)} bad")
    raise typer.Exit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
