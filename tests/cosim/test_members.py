"""Group convolutions of few results as sums of what stays apart: golden == isa == rtl.

python -m tests.cosim.test_members --seeds 0:1000 [--rtl]
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
from tilewright.api.simulate import simulate
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import EngineConfig
from tilewright.target import Target

BEFORE = ("", "dense", "dense", "select", "concat")
ENGINE = EngineConfig(rows=4, cols=3, act_depth=256, weight_depth=1024, bus_width=32)


def conv(rng, config, values, number, kernels, groups=1, kernel=(1, 1), stride=1, dilation=1):
    """Return a convolution of the last of some values, and add its result to them."""
    x = values[f"x{number}"]
    reach = [(size - 1) * dilation + 1 for size in kernel]
    # What a window is short of the input is padding.
    padding = tuple(
        int(n)
        for size, more in zip(x.shape[1:], reach, strict=True)
        for n in (more // 2, max(0, more - 1 - size - more // 2) + more // 2)
    )
    shape = tuple(
        (size + sum(padding[2 * axis : 2 * axis + 2]) - reach[axis]) // stride + 1
        for axis, size in enumerate(x.shape[1:])
    )
    y = values[f"x{number + 1}"] = random_type(rng, (kernels, *shape))
    most = 1 << (config.weight_bits - 1)
    weight = rng.integers(-most, most, (kernels, x.shape[0] // groups, *kernel))
    return ir.Conv2d(
        f"layer{number}", f"x{number}", f"x{number + 1}", weight, config.weight_bits,
        rng.integers(-99, 99, kernels), (stride, stride), padding, (dilation, dilation), groups,
        random_requantize(rng, y, config.multiplier_width),
    )  # fmt: skip


def grouped(rng, config, groups, members, kernels, size, before, **window):
    """Return a graph of a group convolution, and inputs.

    ``before`` : what it reads: "", the input; "dense", a dense convolution; "select", channels of
        the input, each as often as there are members; "concat", the input and more of it
    """
    channels = groups * members
    some = {"": channels, "dense": int(rng.integers(1, 9)), "select": groups}
    x = random_type(rng, (some.get(before, channels - groups), *size))
    values, ops = {"x0": x}, []
    if before == "dense":
        ops.append(conv(rng, config, values, 0, channels))
    elif before:
        values["x1"] = replace(x, shape=(channels, *size))
        chosen = np.repeat(np.arange(groups), members)
        if before == "concat":
            values["more"] = replace(x, shape=(groups, *size))
            ops.append(ir.SelectChannels("more", "x0", "more", np.arange(groups)))
            ops.append(ir.Concat("concat", ("x0", "more"), "x1"))
        else:
            ops.append(ir.SelectChannels("select", "x0", "x1", chosen))
    number = len(values) - 1 - ("more" in values)
    ops.append(conv(rng, config, values, number, groups * kernels, groups, **window))
    last = f"x{number + 1}"
    graph = ir.Graph("grouped", values, (ir.Input("i", "x0"), *ops, ir.Output("o", last)))
    return graph, [rng.integers(x.qmin, x.qmax + 1, (1, *x.shape))]


def random_case(seed):
    """Return a program of a random group convolution, and inputs; None: the engine has no room."""
    rng = np.random.default_rng(seed)
    config = ENGINES[str(rng.choice(list(ENGINES)))]
    config = replace(
        config,
        act_depth=int(rng.choice([32, 96, 512])),
        weight_depth=1 << int(rng.integers(6, 11)),
        out_depth=1 << int(rng.integers(4, 9)),
    )
    window = {
        "kernel": tuple(int(n) for n in rng.integers(1, 5, 2)),
        "stride": int(rng.integers(1, 3)),
        "dilation": int(rng.choice([1, 1, 2])),
    }
    groups, members, kernels = (int(n) for n in rng.integers([2, 2, 1], [20, 7, 4]))
    size = tuple(int(n) for n in rng.integers(3, 14, 2))
    graph, inputs = grouped(
        rng, config, groups, members, kernels, size, str(rng.choice(BEFORE)), **window
    )
    try:
        return compile_graph(graph, Target(engine=config)), inputs
    except EngineLimitError:
        return None


@pytest.mark.parametrize("seed", range(16))
def test_group_convolutions_of_few_results(seed):
    case = random_case(seed)
    if case is not None:
        assert not compare(*case).wrong, seed


@pytest.mark.parametrize(("act_depth", "kernel"), [(64, 3), (128, 3), (128, 5), (256, 5)])
def test_members_of_several_values_that_do_not_fit_together(act_depth, kernel):
    """Blocks have a channel group or two of each value on chip, at other distances."""
    config, rng = replace(ENGINE, act_depth=act_depth), np.random.default_rng(kernel)
    case = grouped(rng, config, 12, 4, 1, (9, 9), "select", kernel=(kernel, kernel))
    program = compile_graph(case[0], Target(engine=config))
    assert not compare(program, case[1]).wrong


@pytest.mark.parametrize("kernels", [1, 2])
def test_members_of_all_groups_are_added_up_at_once(kernels):
    """MetaMixer's layers of three channels to one took nine times as long."""
    rng = np.random.default_rng(kernels)
    window = {"kernel": (3, 3)}
    graph, inputs = grouped(rng, ENGINE, 16, 3, kernels, (12, 12), "dense", **window)
    program = compile_graph(graph, Target(engine=ENGINE))
    verify(program, inputs)
    taps, words = 3 * 9, 12 * 4 * 4 * kernels  # 12 rows of 4 words, 4 kernel groups of results
    layers = simulate(program, inputs).layers
    (cycles,) = (layer.cycles for layer in layers if layer.name == "layer1")
    assert cycles < 1.15 * taps * words


def main(seeds: str = "0:1000", rtl: bool = False) -> None:
    """Compare a range of seeds."""
    first, end = map(int, seeds.split(":"))
    refused, bad = 0, []
    for seed in track(range(first, end), "group convolutions"):
        case = random_case(seed)
        if case is None:
            refused += 1
        elif compare(*case).wrong:
            bad.append(seed)
        elif rtl:
            verify(*case)
    print(f"{end - first} cases, {refused} too large, {len(bad)} wrong: {bad}")
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
