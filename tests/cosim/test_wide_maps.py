"""Feature maps of up to 16 bits, in turns of high and low bytes: golden == isa == rtl.

python -m tests.cosim.test_wide_maps --seeds 0:1000 [--rtl 4x4]
"""

from dataclasses import replace

import numpy as np
import pytest
import typer
from rich.progress import track

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer, random_requantize, random_type
from tests.strategies.agree import compare, compiled
from tests.strategies.operators import random_network
from tilewright.api.compile_graph import compile_graph
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import Compute, Unit
from tilewright.target import Target

#: Engines with maps of 16 bits: some share requantizers or words, fold, or keep no next command.
WIDE = {
    "2x2": replace(ENGINES["2x2-bus32"], wide_maps=True),
    "4x4": replace(ENGINES["4x4-bus64"], wide_maps=True),
    "8x7": replace(ENGINES["8x7-bus64"], wide_maps=True, folds=1),
    "8x7-shared": replace(ENGINES["8x7-bus64"], wide_maps=True, shared_words=True),
    "8x7-tables": replace(ENGINES["8x7-bus32"], wide_maps=True),
}
#: Layers that read and write them.
KINDS = ("conv", "depthwise", "group", "linear", "avg", "add", "rescale", "large", "transposed")


def widened(rng, kind, share=0.7):
    """Return a type of the same shape, of more than 8 bits as often as ``share`` says."""
    if rng.random() > share:
        return replace(kind, bits=8, zero_point=0)
    bits = int(rng.choice([9, 12, 15, 16, 16]))
    return replace(kind, bits=bits, signed=bool(rng.integers(2)), zero_point=0)


def extremes(rng, kind):
    """Return an image of a type, with its ends now and then."""
    image = rng.integers(kind.qmin, kind.qmax + 1, (1, *kind.shape))
    ends = rng.random(image.shape)
    return np.where(ends < 0.1, kind.qmin, np.where(ends > 0.9, kind.qmax, image))


def random_wide_layer(rng, config):
    """Return a graph of one layer that reads or writes more than 8 bits, and inputs."""
    while True:
        graph, _ = random_layer(rng, config)
        if graph.name in KINDS:
            break
    values, op = dict(graph.values), graph.layers[0]
    values["x"] = widened(rng, values["x"])
    values["y"] = widened(rng, values["y"], 0.0 if graph.name == "transposed" else 0.7)
    if "z" in values:
        values["z"] = widened(rng, values["z"])
    requantize = random_requantize(rng, values["y"], config.multiplier_width, config.rounding)
    shift = int(rng.integers(-3, 3)) + values["x"].bits - values["y"].bits
    changes = {
        "requantize": replace(
            requantize, shift=tuple(min(63, max(0, s + shift)) for s in requantize.shift)
        )
    }
    if isinstance(op, ir.Add):
        bits = int(rng.choice([8, 12, 16]))
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        for side in ("requantize_a", "requantize_b"):
            changes[side] = replace(getattr(op, side), qmin=low, qmax=high)
        changes["shared_bits"] = bits
    ops = tuple(replace(o, **changes) if o is op else o for o in graph.ops)
    inputs = [extremes(rng, values[o.output]) for o in graph.inputs]
    return ir.Graph(graph.name, values, ops), inputs


def random_wide_network(rng, config):
    """Return a graph of layers whose values between have more than 8 bits, and inputs.

    A dense, a depthwise and a pointwise convolution with a shortcut around the latter two, a
    product of two maps of bytes with a result of 16 bits, and a concatenation.
    """
    channels, size = int(rng.integers(1, 2 * config.rows)), tuple(rng.integers(5, 14, 2).tolist())
    x = replace(random_type(rng, (int(rng.integers(1, 2 * config.rows)), *size)), zero_point=0)
    values, ops = {"x": x}, [ir.Input("input", "x")]

    def output(name, share=0.8):
        values[name] = widened(rng, replace(x, shape=(channels, *size)), share)
        return values[name]

    def scaled(name, bits):
        kind = values[name]
        requantize = random_requantize(rng, kind, config.multiplier_width)
        moved = [min(63, max(0, s + bits - kind.bits - 8)) for s in requantize.shift]
        return replace(requantize, shift=tuple(moved))

    def conv(name, source, kernel, groups):
        read = values[source]
        output(name)
        weight = rng.integers(-128, 128, (channels, read.shape[0] // groups, kernel, kernel))
        side = kernel // 2
        requantize = scaled(name, read.bits + int(rng.integers(2, 5)))
        bias = rng.integers(-99, 99, channels)
        ops.append(ir.Conv2d(
            name, source, name, weight, 8, bias, (1, 1), (side,) * 4, (1, 1), groups, requantize,
        ))  # fmt: skip

    conv("dense", "x", 3, 1)
    conv("depthwise", "dense", 3, channels)
    conv("pointwise", "depthwise", 1, 1)
    output("sum")
    low, high = -(1 << 15), (1 << 15) - 1
    side = ir.Requantize((1,) * channels, (int(rng.integers(2)),) * channels, 0, low, high)
    ops.append(ir.Add("add", "dense", "pointwise", "sum", side, side, scaled("sum", 20), 16, True))
    values["a"], values["b"] = (replace(values["sum"], bits=8) for _ in range(2))
    for name in ("a", "b"):
        ops.append(ir.Rescale(name, "sum", name, scaled(name, values["sum"].bits)))
    output("product", 1.0)
    ops.append(ir.Product("product", "a", "b", "product", scaled("product", 15)))
    values["both"] = replace(values["product"], shape=(2 * channels, *size))
    ops.append(ir.Concat("concat", ("product", "product"), "both"))
    channels = int(rng.integers(1, 2 * config.rows))
    conv("last", "both", 1, 1)
    ops += [ir.Output("output", "last"), ir.Output("other", "sum")]
    return ir.Graph("network", values, tuple(ops)), [extremes(rng, x)]


def random_case(seed, engine=None):
    """Return a program of a random layer or network, and inputs; None: the engine has no room.

    ``engine`` : of ``WIDE``, as it is; any of them with other buffers if None
    """
    rng = np.random.default_rng(seed)
    config = WIDE[engine or str(rng.choice(list(WIDE)))]
    if engine is None:
        config = replace(
            config,
            act_depth=int(rng.choice([24, 64, 512])),
            weight_depth=1 << int(rng.integers(5, 11)),
            out_depth=1 << int(rng.integers(4, 9)),
        )
    make = random_wide_network if seed % 4 == 3 else random_wide_layer
    try:
        graph, inputs = make(rng, config)
        return compile_graph(graph, Target(engine=config)), inputs
    except (EngineLimitError, ir.VerifyError):
        return None


def uses(program):
    """Return whether commands of a program read, and write, 16 bits."""
    commands = [c for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    return any(c.wide_in for c in commands), any(c.wide_out for c in commands)


@pytest.mark.parametrize("seed", range(12))
def test_random_layers_of_16_bits(seed):
    case = random_case(seed)
    if case is not None:
        assert not compare(*case).wrong, seed


@pytest.mark.parametrize(
    ("op", "seed"),
    [
        (ir.Gate, 4), (ir.MatMul, 8), (ir.DynamicConv2d, 0), (ir.ConvTranspose2d, 10),
        (ir.UpsampleBilinear, 10), (ir.PixelUnshuffle, 10), (ir.WeightedSum, 6),
        (ir.WeightedSum, 10), (ir.Concat, 10),
    ],
)  # fmt: skip
def test_operators_beside_convolutions(op, seed):
    """Operands of a sum may have bytes and 16 bits: all were read like the first."""
    rng = np.random.default_rng(seed)
    config = replace(WIDE["8x7-tables"], act_depth=1024)
    graph, inputs = random_network(rng, config, layers=3, only=op)
    program = compiled(rng, config, graph, inputs)
    touched = {
        v for layer in graph.layers if type(layer) is op for v in (*layer.inputs, *layer.outputs)
    }
    assert max(graph.values[v].bits for v in touched) > 8
    assert not compare(program, inputs).wrong


@pytest.mark.parametrize("seed", [1, 17, 164])
def test_what_buffers_do_not_hold_comes_in_parts(seed):
    """Parts of a kernel may begin with a row of low bytes; 164 had no room for one row of taps."""
    case = random_case(seed)
    assert case is not None
    assert not compare(*case).wrong


@pytest.mark.parametrize("name", ["2x2", "4x4"])
@pytest.mark.parametrize("seed", [3, 6])
def test_16_bits_in_hardware(name, seed):
    case = random_case(seed, name)
    assert case is not None
    assert all(uses(case[0]))
    verify(*case)


def main(seeds: str = "0:1000", rtl: str | None = None) -> None:
    """Compare a range of seeds; those in hardware on one engine of ``WIDE``."""
    first, end = map(int, seeds.split(":"))
    refused, reads, writes, bad = 0, 0, 0, []
    for seed in track(range(first, end), "wide layers"):
        case = random_case(seed, rtl)
        if case is None:
            refused += 1
            continue
        reads, writes = reads + uses(case[0])[0], writes + uses(case[0])[1]
        if compare(*case).wrong:
            bad.append(seed)
        elif rtl:
            verify(*case)
    print(
        f"{end - first} cases, {refused} refused, {reads} read and {writes} write 16 bits, "
        f"{len(bad)} wrong: {bad}"
    )
    raise SystemExit(bool(bad))


if __name__ == "__main__":
    typer.run(main)
