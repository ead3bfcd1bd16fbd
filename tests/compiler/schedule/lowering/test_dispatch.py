"""Operators as array operations: what lowering decides, and what it refuses."""

from dataclasses import replace

import numpy as np
import pytest

from tests.compiler.timing import timing
from tilewright.compiler.ir import (
    Add,
    AvgPool2d,
    Concat,
    Conv2d,
    Graph,
    Input,
    MaxPool2d,
    Output,
    Requantize,
    SelectChannels,
    TensorType,
    Upsample,
)
from tilewright.compiler.schedule import Operand, lower
from tilewright.errors import UnsupportedError
from tilewright.isa import Compute, EngineConfig

BYTES = TensorType((4, 8, 8), 8, True, 1.0, 0)


def lowered(graph, config):
    return lower(graph, config, timing(config))


def single(op, *shapes):
    """Return a graph of one operator between ``shapes``."""
    values = {v: replace(BYTES, shape=s) for v, s in zip("xy", shapes, strict=True)}
    return Graph("g", values, (Input("input", "x"), op, Output("output", "y")))


@pytest.mark.parametrize(("size", "stride"), [((8, 8), (1, 1)), ((16, 8), (8, 1))])
def test_the_stride_of_a_single_window_means_nothing(size, stride):
    """A global average over more than 15 rows had a stride that no command can hold."""
    r = Requantize((1,) * 4, (6,) * 4, 0, -128, 127)
    op = AvgPool2d("pool", "x", "y", (8, 8), (8, 8), (0, 0, 0, 0), r)
    graph = single(op, (4, *size), (4, size[0] // 8, 1))
    graph.verify()
    (stage,) = lowered(graph, EngineConfig()).stages
    assert stage.ops[0].windows.stride == stride


@pytest.mark.parametrize("relu", [False, True])
def test_maximum_with_4_bit_weights_needs_values_that_are_not_negative(relu):
    r = Requantize((1,) * 4, (6,) * 4, 0, 0 if relu else -128, 127)
    values = {name: BYTES for name in "xyzw"}
    conv = Conv2d(
        "conv", "x", "y", np.ones((4, 4, 1, 1), int), 4, np.zeros(4, int),
        (1, 1), (0, 0, 0, 0), (1, 1), 1, r,
    )  # fmt: skip
    pools = [
        MaxPool2d(f"pool.{v}", u, v, (3, 3), (1, 1), (1, 1, 1, 1), (1, 1)) for u, v in ("yz", "zw")
    ]
    graph = Graph("g", values, (Input("input", "x"), conv, *pools, Output("output", "w")))
    graph.verify()
    assert len(lowered(graph, EngineConfig(weight_bits=8)).stages) == 3
    if relu:
        assert len(lowered(graph, EngineConfig(weight_bits=4)).stages) == 3
    else:
        with pytest.raises(UnsupportedError, match=r"pool\.z: .*negative.*ReLU"):
            lowered(graph, EngineConfig(weight_bits=4))


def test_an_engine_without_a_maximum_has_no_maximum_pool():
    values = {name: BYTES for name in "xy"}
    pool = MaxPool2d("pool", "x", "y", (3, 3), (1, 1), (1, 1, 1, 1), (1, 1))
    graph = Graph("g", values, (Input("input", "x"), pool, Output("output", "y")))
    with pytest.raises(UnsupportedError, match=r"pool: .*maximum=False.*maximum=True"):
        lowered(graph, EngineConfig(maximum=False))


def moved(*ops, **shapes):
    """Return the stages of a graph of movements between values of ``shapes``; y is its output."""
    values = {v: replace(BYTES, shape=s) for v, s in shapes.items()}
    graph = Graph("g", values, (Input("input", "x"), *ops, Output("output", "y")))
    graph.verify()
    return lowered(graph, EngineConfig(rows=4)).stages


def pointwise(source, output, channels, kernels):
    r = Requantize((1,) * kernels, (6,) * kernels, 0, -128, 127)
    return Conv2d(
        output, source, output, np.ones((kernels, channels, 1, 1), int), 8,
        np.zeros(kernels, int), (1, 1), (0, 0, 0, 0), (1, 1), 1, r,
    )  # fmt: skip


def test_splits_shuffles_and_concatenations_are_not_stored():
    stages = moved(
        SelectChannels("a", "x", "a", np.arange(4)),
        SelectChannels("b", "x", "b", np.arange(4, 12)),
        pointwise("b", "c", 8, 6),
        Concat("cat", ("a", "c"), "d"),
        SelectChannels("shuffle", "d", "e", np.arange(10).reshape(2, 5).T.reshape(-1)),
        pointwise("e", "y", 10, 3),
        x=(12, 5, 5), a=(4, 5, 5), b=(8, 5, 5), c=(6, 5, 5), d=(10, 5, 5), e=(10, 5, 5),
        y=(3, 5, 5),
    )  # fmt: skip
    assert [stage.ops[0].name for stage in stages] == ["c", "y"]
    assert stages[0].operands == (Operand(("x",), 1),)
    assert stages[1].operands == (Operand(("x", "c"), 0),)


def test_what_is_concatenated_twice_is_copied_once():
    stages = moved(
        Concat("cat", ("x", "x"), "d"), pointwise("d", "y", 8, 3), x=(4, 5, 5), d=(8, 5, 5),
        y=(3, 5, 5),
    )  # fmt: skip
    assert [(stage.ops[0].name, stage.ops[0].kind) for stage in stages] == [
        ("cat.1", "Copy"),
        ("y", "Conv2d"),
    ]
    assert stages[1].operands == (Operand(("x", "d.1")),)


def test_operands_in_different_orders_are_added_after_a_copy():
    keep = Requantize((1,) * 4, (0,) * 4, 0, -128, 127)
    stages = moved(
        SelectChannels("flip", "x", "f", np.arange(4)[::-1]),
        Add("add", "x", "f", "y", keep, keep, keep, 8, True),
        x=(4, 5, 5), f=(4, 5, 5), y=(4, 5, 5),
    )  # fmt: skip
    assert [stage.ops[0].kind for stage in stages] == ["Copy", "Add"]
    assert sum(op.macs for op in stages[0].ops) == 0


@pytest.mark.parametrize("kernels", [4, 64])
def test_scattered_channels_are_gathered_where_that_saves_steps(kernels):
    """Every sixth channel: with many kernel groups, reading around the gaps costs more."""
    stages = moved(
        SelectChannels("few", "x", "f", np.arange(0, 48, 6)), pointwise("f", "y", 8, kernels),
        x=(48, 5, 5), f=(8, 5, 5), y=(kernels, 5, 5),
    )  # fmt: skip
    names = [stage.ops[0].name for stage in stages]
    assert names == (["y.gathered", "y"] if kernels == 64 else ["y"])


def test_a_few_zero_weights_change_no_order():
    """Channels were sorted by which weights happen to be zero, at the cost of a scattered copy."""
    rng = np.random.default_rng(3)
    op = pointwise("f", "y", 48, 256)
    weight = np.where(rng.random(op.weight.shape) < 0.02, 0, op.weight)
    stages = moved(
        SelectChannels("few", "x", "f", np.arange(0, 96, 2)), replace(op, weight=weight),
        x=(96, 5, 5), f=(48, 5, 5), y=(256, 5, 5),
    )  # fmt: skip
    assert [stage.ops[0].name for stage in stages] == ["y.gathered", "y"]


def test_large_factors_are_refused_with_a_way_out():
    (step,) = (field.range for field in Compute.FIELDS if field.name == "dst_step")
    moved(Upsample("up", "x", "y", (1, step[1])), x=(4, 2, 2), y=(4, 2, 2 * step[1]))
    with pytest.raises(UnsupportedError, match=r"up: a factor of 8: .*two of them"):
        moved(Upsample("up", "x", "y", (1, 8)), x=(4, 2, 2), y=(4, 2, 16))
