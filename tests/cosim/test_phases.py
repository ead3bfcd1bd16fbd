"""Convolutions whose dilated rows do not fit on chip, phase by phase: golden == isa == rtl.

python -m tests.cosim.test_phases --seeds 0:1000 [--rtl]
"""

from dataclasses import replace

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_requantize, random_type
from tests.strategies.agree import compare
from tilewright.api.compile_graph import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import EngineConfig
from tilewright.target import Target

ENGINE = EngineConfig(
    rows=4, cols=3, act_depth=32, weight_depth=256, out_depth=32, bus_width=32, requantizers=2
)


def dilated(rng, config, channels, height, width, layers):
    """Return a graph of dilated convolutions, one after another, the first one's rows as given.

    ``layers`` : of each, kernels, kernel size, dilation, and rows of padding in dilations. All that
    is computed is an output, too.
    """
    values = {"x0": random_type(rng, (channels, height, width))}
    ops, outputs = [ir.Input("i", "x0")], []
    for n, (kernels, kernel, dilation, pad) in enumerate(layers):
        before = values[f"x{n}"].shape
        rows = int(pad * dilation[0])
        columns = int(rng.integers(0, (kernel[1] - 1) * dilation[1] + 1))
        padding = (rows, rows + int(rng.integers(0, 3)), columns, columns)
        sizes = (
            size + sum(padding[2 * axis : 2 * axis + 2]) - (kernel[axis] - 1) * dilation[axis]
            for axis, size in enumerate(before[1:])
        )
        shape = (kernels, *(max(1, size) for size in sizes))
        grown = [
            (n - 1) + (kernel[axis] - 1) * dilation[axis] + 1 for axis, n in enumerate(shape[1:])
        ]
        padding = (
            padding[0], grown[0] - before[1] - padding[0],
            padding[2], grown[1] - before[2] - padding[2],
        )  # fmt: skip
        y = values[f"x{n + 1}"] = random_type(rng, shape)
        most = 1 << (config.weight_bits - 1)
        weight = rng.integers(-most, most, (kernels, before[0], *kernel))
        bias = rng.integers(-99, 99, kernels)
        requantize = random_requantize(rng, y, config.multiplier_width)
        arguments = weight, config.weight_bits, bias, (1, 1), padding, dilation, 1, requantize
        ops.append(ir.Conv2d(f"layer{n}", f"x{n}", f"x{n + 1}", *arguments))
        outputs.append(ir.Output(f"o{n}", f"x{n + 1}"))
    x = values["x0"]
    graph = ir.Graph("dilated", values, (*ops, *outputs))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def random_case(seed):
    """Return a program of dilated convolutions on some small engine, and inputs; None: refused."""
    rng = np.random.default_rng(seed)
    config = ENGINES[str(rng.choice(list(ENGINES)))]
    config = replace(
        config,
        act_depth=int(rng.choice([16, 24, 48])),
        weight_depth=1 << int(rng.integers(5, 9)),
        out_depth=1 << int(rng.integers(4, 7)),
    )
    rows, columns = int(rng.integers(2, 9)), int(rng.integers(1, 4))
    layers = []
    for _ in range(int(rng.integers(1, 4))):
        kernel = int(rng.integers(2, 5)), int(rng.integers(1, 4))
        if rng.random() < 0.3:
            rows = int(rng.integers(2, 9))
        pad = int(rng.integers(0, kernel[0]))
        layers.append((int(rng.integers(1, 2 * config.rows)), kernel, (rows, columns), pad))
    height = int(rng.integers(sum((k[0] - 1) * d[0] for _, k, d, _ in layers) + 1, 80))
    sizes = int(rng.integers(1, 3 * config.rows)), height, int(rng.integers(1, 12))
    graph, inputs = dilated(rng, config, *sizes, layers)
    batch = int(rng.choice([1, 1, 2]))
    try:
        program = compile_graph(graph, Target(engine=config), batch=batch)
    except EngineLimitError:
        return None
    return program, inputs * batch if batch == 1 else [np.concatenate(inputs * batch)]


def by_phases(program):
    """Return the layers that are computed by phases."""
    layers = [layer for group in program.schedule for layer in group.layers]
    return [layer.name for layer in layers if layer.writes.endswith("_rows")]


@pytest.mark.parametrize("seed", range(12))
def test_dilated_rows_that_do_not_fit(seed):
    case = random_case(seed)
    if case is not None:
        assert not compare(*case).wrong, seed


def test_phases_take_the_cycles_of_rows_that_fit():
    """ASPP's branches on the boards' engines ran at an eighth of the peak, part by part."""
    rng = np.random.default_rng(0)
    graph, inputs = dilated(rng, ENGINE, 8, 28, 9, [(8, (3, 3), (12, 2), 1)] * 2)
    target = Target(engine=ENGINE)
    program, roomy = (
        compile_graph(graph, replace(target, engine=replace(ENGINE, act_depth=depth)))
        for depth in (ENGINE.act_depth, 1024)
    )
    assert by_phases(program) == ["layer0", "layer1"]
    assert not by_phases(roomy)
    results = verify(program, inputs)
    assert results.cycles < 1.3 * verify(roomy, inputs).cycles


def main(seeds: str = "0:1000", rtl: bool = False) -> None:
    """Compare a range of seeds."""
    first, end = map(int, seeds.split(":"))
    phased = refused = 0
    bad = []
    for seed in track(range(first, end), "dilated convolutions"):
        case = random_case(seed)
        if case is None:
            refused += 1
            continue
        phased += bool(by_phases(case[0]))
        if compare(*case).wrong:
            bad.append(seed)
        elif rtl:
            verify(*case)
    print(f"{end - first} cases, {phased} by phases, {refused} too large, {len(bad)} wrong: {bad}")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
