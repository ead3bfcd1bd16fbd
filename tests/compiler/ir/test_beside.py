"""A batch of images as the pixels of one row."""

from dataclasses import replace

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.strategies.batches import pixel_network
from tilewright.compiler import ir
from tilewright.compiler.ir import run, side_by_side

KIND = ir.TensorType((3, 1, 1), 8, True, 1.0, 0)
SCALE = ir.Requantize((1,) * 3, (3,) * 3, 0, -128, 127)


def conv(kernel=1, stride=1, padding=0):
    weight = np.arange(9 * kernel**2).reshape(3, 3, kernel, kernel) % 7
    return ir.Conv2d(
        "c", "x", "y", weight, 4, np.zeros(3, int), (stride,) * 2, (padding,) * 4, (1, 1), 1, SCALE
    )


def graph_of(op, x=KIND, y=KIND):
    return ir.Graph("g", {"x": x, "y": y}, (ir.Input("i", "x"), op, ir.Output("o", "y")))


def test_each_column_is_an_image():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        graph, _ = pixel_network(rng, ENGINES["4x4-bus64"])
        images = int(rng.integers(1, 6))
        wide = side_by_side(graph, images)
        wide.verify()
        x = rng.integers(0, 100, (images, *graph.values["x"].shape))
        together = run(wide, [x[:, :, 0].transpose(1, 2, 0)])
        for index, image in enumerate(x):
            alone = run(graph, [image])
            for value in graph.values:
                column = together[value][:, :, index : index + 1]
                np.testing.assert_array_equal(column, alone[value], err_msg=f"seed {seed}, {value}")


def test_a_constant_is_there_for_each_image():
    held = ir.Constant("k", "k", np.arange(3).reshape(3, 1, 1))
    both = ir.WeightedSum("s", ("x", "k"), "y", np.array([1, 1]), 0, SCALE)
    ops = (ir.Input("i", "x"), held, both, ir.Output("o", "y"))
    wide = side_by_side(ir.Graph("g", dict.fromkeys("xky", KIND), ops), 4)
    wide.verify()
    np.testing.assert_array_equal(wide.constants[0].values, np.arange(3).repeat(4).reshape(3, 1, 4))


@pytest.mark.parametrize(
    "graph",
    [
        graph_of(conv(3, padding=1)),
        graph_of(conv(), *[replace(KIND, shape=(3, 1, 2))] * 2),
        graph_of(ir.Upsample("u", "x", "y", (1, 1))),
    ],
    ids=["neighbours", "larger maps", "an operator of places"],
)
def test_more_than_a_pixel_stays_apart(graph):
    graph.verify()
    assert side_by_side(graph, 2) is None


def test_a_convolution_of_one_tap_reads_one_pixel():
    assert side_by_side(graph_of(conv()), 2) is not None
