"""Programs of several images, for any number of images: golden beside isa, or all three.

    python -m tests.strategies.batches --seeds 0:1000 [--rtl]

Networks of all operators on engines of all kinds, single layers on engines whose buffers are far
too small, and networks of single pixels, whose images lie side by side. Ends with 1 if any element
differs, with ``--rtl`` if any cycle does.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import typer
from rich.progress import track

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer, random_requantize, random_type
from tests.strategies.agree import compare, compiled
from tests.strategies.engines import random_engine
from tests.strategies.operators import Inputs, random_network
from tests.strategies.small import small_engine
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.ir import Graph
from tilewright.errors import Error
from tilewright.isa import EngineConfig
from tilewright.program import Program

KINDS = ("network", "pixels", "small")


def pixel_network(rng: np.random.Generator, config: EngineConfig) -> tuple[Graph, Inputs]:
    """Return a network of operators that read one pixel, and one image of its inputs."""
    grid = random_type(rng, (1, 1, 1), bits=8)

    def size() -> int:
        return int(rng.integers(1, 4 * config.rows))

    values = {"x": replace(grid, shape=(size(), 1, 1))}
    ops: list[ir.Op] = [ir.Input("input", "x")]
    for number in range(int(rng.integers(1, 6))):
        name, output = f"layer{number}", f"v{number}"
        source = str(rng.choice(list(values)[-2:]))
        channels = values[source].shape[0]
        kind = str(rng.choice(["linear", "linear", "conv", "concat", "sum"]))
        kernels = size() if kind in ("linear", "conv") else channels
        y = replace(grid, shape=(kernels, 1, 1))
        scale = random_requantize(rng, y, config.multiplier_width, config.rounding)
        weight, bias = rng.integers(-8, 8, (kernels, channels)), rng.integers(-99, 99, kernels)
        if kind == "concat":
            y = replace(y, shape=(2 * channels, 1, 1))
            ops.append(ir.Concat(name, (source, source), output))
        elif kind == "sum":
            factors = rng.integers(-8, 8, 1)
            ops.append(ir.WeightedSum(name, (source,), output, factors, 3, scale))
        elif kind == "linear":
            ops.append(ir.Linear(name, source, output, weight, 4, bias, scale))
        else:
            ops.append(
                ir.Conv2d(
                    name, source, output, weight[..., None, None], 4, bias, (1, 1), (0, 0, 0, 0),
                    (1, 1), 1, scale,
                )
            )  # fmt: skip
        values[output] = y
    read = {value for op in ops for value in op.inputs}
    ops += [ir.Output(f"output {v}", v) for v in values if v not in read]
    graph = Graph("pixels", values, tuple(ops))
    x = values["x"]
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def drawn(rng: np.random.Generator, kind: str) -> tuple[EngineConfig, Graph, Inputs]:
    """Return an engine and a network of a kind."""
    if kind == "small":
        config = small_engine(rng)
        return config, *random_layer(rng, config)
    config = random_engine(rng, roomy=rng.random() < 0.8)
    make = pixel_network if kind == "pixels" else random_network
    return config, *make(rng, config)


def compare_seed(
    seed: int, kind: str, config: EngineConfig | None = None, *, rtl: bool = False
) -> Program | None:
    """Compare a random network's program of 1 to 5 images; None if the engine does not run it.

    Raises
    ------
    AssertionError  If elements differ.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    if config is None:
        config, graph, _ = drawn(rng, kind)
    else:
        make = pixel_network if kind == "pixels" else random_network
        graph, _ = make(rng, config)
    batch = int(rng.integers(1, 6))
    kinds = [graph.values[op.output] for op in graph.inputs]
    count = int(rng.integers(1, batch + 3))
    inputs = [rng.integers(k.qmin, k.qmax + 1, (count, *k.shape)) for k in kinds]
    one = [array[:1] for array in inputs]
    try:
        program = compiled(rng, config, graph, one, batch)
    except Error:
        return None
    if rtl:
        verify(program, inputs)
        return program
    wrong = compare(program, inputs).wrong
    assert not wrong, f"seed {seed}, {kind}: {wrong} elements differ in {count} of {batch} images"
    return program


def main(seeds: str = "0:300", rtl: bool = False) -> None:
    """Compare a range of seeds."""
    first, end = map(int, seeds.split(":"))
    found: Counter[str] = Counter()
    names = list(ENGINES)
    for seed in track(range(first, end), "batches"):
        for kind in KINDS:
            if rtl and kind == "small":
                continue
            config = ENGINES[names[seed % len(names)]] if rtl else None
            program = compare_seed(seed, kind, config, rtl=rtl)
            if program is None:
                found[f"{kind}, refused"] += 1
                continue
            how = "in columns" if program.in_columns else f"{min(program.batch, 2)} or more"
            found[f"{kind}, {how}"] += 1
    print(dict(found))


if __name__ == "__main__":
    typer.run(main)
