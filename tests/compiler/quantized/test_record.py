"""Graphs as data and back: what files of them hold."""

import json

import numpy as np
import pytest
import torch

from tilewright.compiler.quantized import GraphError, Quantization, print_graph
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.record import from_record, to_record

GRID = Quantization(0.1, 3, 8, True, low=-100, high=127)


def graph():
    """Attributes that have defaults: a shared grid, square offsets, moves; a narrow range."""
    builder = Builder()
    x = builder.quantized("x", builder.input("x", (2, 4, 4)), GRID)
    (name,) = x.sources
    total = builder.emit(q.Binary("add", (name, name), "sum", "add", GRID))
    (distance,) = builder.taken(x, [0], 0).sources
    weight, ones = torch.ones(2, 2, 3, 3, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    distance = builder.realized("d", builder.taken(x, [0], 0))
    deformed = builder.emit(
        q.DeformConv(
            "deform", (total, distance), "y", weight, ones, ones, 2, (1, 1), (1, 1), (1, 1), 1, 1,
            True,
        )
    )  # fmt: skip
    twice = builder.emit(q.Upsample("up", (deformed,), "up", (2, 1)))
    moved = q.Conv(
        "moved", (twice,), "moved", torch.ones(2, 1, 1, 1, dtype=torch.float64),
        torch.zeros(2, dtype=torch.float64), ones, 2, (1, 1), (0, 0, 0, 0), (1, 1), 2, True,
    )  # fmt: skip
    view = builder.move([x], lambda places: places[0])
    outputs = [view, type(view)((builder.emit(moved),), (2, 8, 4))]
    return builder.graph("g", outputs)


def test_a_record_is_json_and_reads_back():
    made = graph()
    record, arrays = to_record(made)
    again = from_record(json.loads(json.dumps(record)), arrays)
    assert print_graph(again) == print_graph(made)
    assert again.tensors == made.tensors
    add, deform, conv = (
        next(op for op in again.ops if isinstance(op, kind))
        for kind in (q.Binary, q.DeformConv, q.Conv)
    )
    assert (add.shared, deform.square, conv.moves) == (GRID, True, True)
    images = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(1)).double()
    for name, value in made.values([images], quantized=True).items():
        np.testing.assert_array_equal(again.values([images], quantized=True)[name], value)


def test_an_older_record_lacks_what_has_a_default():
    record, arrays = to_record(graph())
    data = json.loads(json.dumps(record))
    for op in data["ops"]:
        for name in ("shared", "square", "moves"):
            op.pop(name, None)
    again = from_record(data, arrays)
    assert [getattr(op, "shared", None) for op in again.ops] == [None] * len(again.ops)


@pytest.mark.parametrize(
    "grid", [[0.1, 3, 8, True, -200, None], [0.1, 3, 8, True, 5, 4], [0.1, 3, 8, True, 1.5, 2]]
)
def test_a_range_that_is_none_is_refused(grid):
    record, arrays = to_record(graph())
    data = json.loads(json.dumps(record))
    data["grids"]["x"] = grid
    with pytest.raises(GraphError):
        from_record(data, arrays)
