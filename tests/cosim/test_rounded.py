"""Layers in tiles with rounded kernels: golden == isa == rtl, and how far from the convolution."""

from dataclasses import replace
from math import gcd

import numpy as np
import pytest

from tests.cosim.test_tiles import ENGINES, TILINGS, random_tiles
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs, verify
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType, run
from tilewright.compiler.ir.ops import RoundedConv2d
from tilewright.compiler.schedule import EngineLimitError, RoundingError
from tilewright.isa import Compute, Unit
from tilewright.program import Program
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

NARROW = replace(ENGINES["4x3"], kernel_width=11)
NAME = "F(4x2,3x3)"
ROUNDED = f"{NAME} rounded"
CASES = 2


def layers(seed, *, weight=None, depth=1, channels=6, zero_point=0, requantize=None, size=(8, 8)):
    """Return a graph of 3x3 convolutions in a row, of all 8-bit weights unless given."""
    rng = np.random.default_rng(seed)
    kind = TensorType((channels, *size), 8, True, 1.0, zero_point)
    values = {f"v{i}": kind for i in range(depth + 1)}
    ops = [
        Conv2d(
            f"conv{i}", f"v{i}", f"v{i + 1}",
            rng.integers(-128, 128, (channels, channels, 3, 3)) if weight is None else weight, 8,
            rng.integers(-1000, 1000, channels), (1, 1), (1, 1, 1, 1), (1, 1), 1,
            requantize or Requantize(
                tuple(map(int, rng.integers(1 << 17, 1 << 18, channels))), (28,) * channels,
                zero_point, -128, 127,
            ),
        )
        for i in range(depth)
    ]  # fmt: skip
    graph = Graph("g", values, (Input("i", "v0"), *ops, Output("o", f"v{depth}")))
    return graph, rng.integers(-128, 128, (3, *kind.shape))


def compiled(graph, config=NARROW, **options):
    options.setdefault("algorithms", {"conv0": ROUNDED})
    return compile_graph(graph, Target(engine=config), **options)


def wide_tiles(rng, config, tiling):
    """Return a random layer whose transformed kernels have more than nine bits, and its input."""
    graph, image = random_tiles(rng, config, tiling)
    conv = graph.layers[0]
    weight = rng.integers(-128, 128, conv.weight.shape)
    weight[0] = 127
    ops = (graph.ops[0], replace(conv, weight=weight), graph.ops[2])
    return replace(graph, ops=ops), image


@pytest.mark.parametrize(
    "tiling",
    [t for t in TILINGS if max(term.kernel.sum() for term in t.terms) > 2],
    ids=lambda t: f"{t}-stride{t.stride}",
)
def test_golden_equals_isa(tiling):
    config = replace(ENGINES["4x3"], kernel_width=9)
    if gcd(tiling.m[1] * tiling.stride[1], config.cols) > 1:
        return
    for seed in range(CASES):
        graph, image = wide_tiles(np.random.default_rng(seed), config, tiling)
        program = compiled(graph, config, algorithms={"conv": f"{tiling} rounded"})
        results = [simulate(program, [image], backend=name) for name in ("golden", "isa")]
        compare_outputs(program, *results)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_equals_rtl(seed):
    rng = np.random.default_rng(seed)
    tiling = next(t for t in TILINGS if str(t) == NAME and t.stride == (1 + seed % 2,) * 2)
    graph, image = wide_tiles(rng, NARROW, tiling)
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    target = Target(engine=NARROW, memory=latency)
    program = compile_graph(graph, target, algorithms={"conv": ROUNDED})
    verify(program, [image])


@pytest.mark.slow
@pytest.mark.parametrize("zero_point", [0, -100, 127])
def test_extremes_in_several_strips_equal_rtl(zero_point):
    graph, _ = layers(1, depth=2, zero_point=zero_point, size=(22, 8))
    config = replace(NARROW, act_depth=128)
    program = compiled(graph, config, algorithms={"conv0": ROUNDED, "conv1": ROUNDED})
    assert any(group.strips > 1 for group in program.schedule)
    for value in (-128, 127):
        verify(program, [np.full((6, 22, 8), value)])


def test_the_graph_says_what_is_computed_and_commands_divide_nothing():
    graph, _ = layers(0)
    program = compiled(graph)
    op = program.graph.layers[0]
    assert isinstance(op, RoundedConv2d)
    assert (op.m, op.kernel, op.stride, op.padding) == ((4, 2), (3, 3), (1, 1), (1, 1, 1, 1))
    assert -1024 <= op.kernels.min() < -512  # one shift less would not fit
    terms = [c for c in program.commands(Unit.COMPUTE) if isinstance(c, Compute)]
    assert {(c.partial, c.third, c.halvings) for c in terms} == {(1, 0, 0)}
    (layer,) = program.schedule[0].layers
    assert (layer.kind, layer.algorithm) == ("RoundedConv2d", ROUNDED)
    assert f"as {ROUNDED}, weights" in str(program.schedule[0])
    assert f"  {program.rounded_layers['conv0']}" in str(program.schedule[0])
    assert program.layers[0].macs == compiled(graph, algorithms={}).layers[0].macs


def test_the_accumulator_makes_kernels_narrower_where_it_must():
    graph, image = layers(2, channels=32)
    wide = replace(NARROW, rows=16, requantizers=None, weight_depth=16384, acc_width=32)
    tight = replace(wide, acc_width=23)
    largest = []
    for config in (wide, tight):
        program = compiled(graph, config)
        largest.append(int(np.abs(program.graph.layers[0].kernels).max()))
        results = [simulate(program, [image], backend=name) for name in ("golden", "isa")]
        compare_outputs(program, *results)
    assert largest[0] >= 2 * largest[1] - 1
    with pytest.raises(EngineLimitError, match=r"conv0: F.* rounded .*acc_width must be at least"):
        compiled(layers(2, weight=np.full((32, 32, 3, 3), 127), channels=32)[0],
                 replace(wide, acc_width=16))  # fmt: skip


def test_kernels_that_lose_nothing_differ_by_the_multiplier_at_most():
    weight = 8 * np.random.default_rng(3).integers(-15, 16, (6, 6, 3, 3))
    graph, images = layers(3, weight=weight)
    program = compiled(graph, examples=images)
    error = program.rounded_layers["conv0"]
    assert error.largest <= 1
    assert error.differing < 0.01
    # Without the third, all factors are powers of two: only the bias is rounded.
    weight = 16 * np.random.default_rng(3).integers(-7, 8, (6, 6, 3, 3))
    graph, images = layers(3, weight=weight)
    op = replace(graph.ops[1], bias=np.zeros(6, int))
    graph = replace(graph, ops=(graph.ops[0], op, graph.ops[2]))
    name = "F(2x2,3x3) rounded"
    program = compiled(
        graph, replace(NARROW, kernel_width=9), algorithms={"conv0": name}, examples=images
    )
    assert program.rounded_layers["conv0"] == RoundingError(0, 0.0, 0.0)


def test_a_channel_that_is_scaled_by_zero_stays_so():
    scale = Requantize((0,) + (200000,) * 5, (63,) + (28,) * 5, 0, -128, 127)
    program = compiled(layers(4, requantize=scale)[0])
    assert program.graph.layers[0].requantize.multiplier[0] == 0


def test_errors_are_of_each_layer_alone():
    graph, images = layers(5, depth=3)
    algorithms = {"conv0": ROUNDED, "conv2": ROUNDED}
    program = compiled(graph, algorithms=algorithms, examples=images)
    assert list(program.rounded_layers) == ["conv0", "conv2"]
    for i in (0, 2):
        differences = []
        for image in images:
            values = run(program.graph, [image])
            exact = graph.layers[i].compute(values, graph.values)
            differences.append(np.abs(values[f"v{i + 1}"] - exact))
        error = program.rounded_layers[f"conv{i}"]
        assert error.largest == np.max(differences)
        assert error.mean == pytest.approx(np.mean(differences))
        assert error.differing == pytest.approx(np.mean(np.array(differences) > 0))
        assert 0 < error.mean < 3
    again = compiled(graph, algorithms=algorithms)
    assert again.rounded_layers == compiled(graph, algorithms=algorithms).rounded_layers
    assert again.rounded_layers != program.rounded_layers


def test_wider_kernels_are_closer():
    graph, images = layers(6)
    means = [
        compiled(graph, replace(NARROW, kernel_width=width), examples=images)
        .rounded_layers["conv0"].mean
        for width in (9, 10, 11)
    ]  # fmt: skip
    assert means[0] > 1.5 * means[1] > 2.25 * means[2]


def test_saved_and_loaded_it_is_the_same(tmp_path):
    graph, images = layers(7)
    program = compiled(graph, examples=images)
    loaded = Program.load(program.save(tmp_path / "p.tw"))
    assert loaded.graph == program.graph
    assert loaded.schedule == program.schedule
    assert loaded.rounded_layers == program.rounded_layers != {}
    np.testing.assert_array_equal(loaded.reference(images)[0], program.reference(images)[0])
    # The graph alone says it all: compiled again, it gives the same program.
    again = compiled(loaded.graph, algorithms={})
    np.testing.assert_array_equal(again.image, program.image)


@pytest.mark.parametrize(
    ("algorithms", "changes", "message"),
    [
        ({"*": ROUNDED}, {}, r"\*: 'F\(4x2,3x3\) rounded' changes results.*each layer's name"),
        ({"conv0": "F(9x9,3x3) rounded"}, {}, r"conv0: its rounded algorithms are F\(4x2,3x3\) ro"),
        ({"i": ROUNDED}, {}, "i: 'F.* rounded' is for convolutions only"),
        ({"conv9": ROUNDED}, {}, "'conv9', which is no convolution's name"),
        ({"conv0": ROUNDED}, {"kernel_width": 14}, "conv0: F.4x2,3x3. is exact on this engine"),
        ({"conv0": ROUNDED}, {"data_width": 10}, "conv0: F.* rounded cannot .*data_width must be"),
        ({"conv0": NAME}, {}, r"conv0: F\(4x2,3x3\) cannot .*kernel_width must.*'F.* rounded' rou"),
    ],
)
def test_refusals(algorithms, changes, message):
    with pytest.raises(EngineLimitError, match=message):
        compiled(layers(0)[0], replace(NARROW, **changes), algorithms=algorithms)


def test_a_graph_of_tiles_that_the_engine_has_not_is_refused():
    graph, _ = layers(8)
    conv = replace(graph.ops[1], stride=(2, 2))
    values = {**graph.values, "v1": replace(graph.values["v1"], shape=(6, 4, 4))}
    graph = replace(graph, values=values, ops=(graph.ops[0], conv, graph.ops[2]))
    program = compiled(graph)
    op = program.graph.layers[0]
    assert isinstance(op, RoundedConv2d)
    # With a stride, terms share kernels: some phases have no transform.
    kernels = op.kernels.copy()
    kernels[-1] += 1
    unequal = {"kernels": np.clip(kernels, -1024, 1023)}
    with pytest.raises(EngineLimitError, match=r"conv0: its kernels are already those of F"):
        compiled(program.graph, algorithms={"conv0": "direct"})
    assert compiled(program.graph, algorithms={"conv0": ROUNDED}).graph is program.graph

    def refused(message, **changes):
        changed = replace(op, **changes)
        ops = tuple(changed if o is op else o for o in program.graph.ops)
        with pytest.raises(EngineLimitError, match=message):
            compiled(replace(program.graph, ops=ops), algorithms={})

    refused("conv0: the engine has no such tiles", output_factors=op.output_factors * 2)
    refused("conv0: the engine has no such tiles", data_factors=op.data_factors * -1)
    refused("conv0: terms of one kernel must have the same", **unequal)
    refused("conv0: the engine's kernel_width must be at least 12", kernels=op.kernels * 2)


def test_automatic_never_rounds():
    graph, _ = layers(9)
    program = compiled(graph, replace(NARROW, kernel_width=9), algorithms={})
    assert program.graph is graph
    assert program.rounded_layers == {}


@pytest.mark.parametrize("change", [{"partial_depth": 0}, {"kernel_width": 8}, {"data_width": 9}])
def test_engines_without_tiles(change):
    """With a kernel_width of 8, small kernels went into commands that the engine refuses."""
    config = replace(NARROW, transform_at_load=False)
    if "partial_depth" in change:
        config = replace(config, kernel_width=8, data_width=9)
    config = replace(config, **change)
    with pytest.raises(EngineLimitError, match="cannot be taken: the engine has no partial_depth"):
        compiled(layers(0)[0], config)
    graph, _ = layers(0, weight=np.ones((6, 6, 3, 3), int))
    program = compiled(graph, config, algorithms={})
    assert {layer.algorithm for layer in program.schedule[0].layers} == {"direct"}
