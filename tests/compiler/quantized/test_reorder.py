"""Elements that change between channels and pixels: a graph's floats stay what they were."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.passes.moves import lower_moves
from tilewright.errors import UnsupportedError

SEED = 5
ORDERS: dict[str, tuple[tuple[int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "rows and channels swapped": ((6, 8, 12), lambda p: p.transpose(1, 0, 2)),
    "columns and channels swapped": ((6, 8, 12), lambda p: p.transpose(2, 1, 0)),
    "channels last": ((6, 8, 12), lambda p: p.transpose(1, 2, 0)),
    "rows and columns swapped": ((6, 8, 12), lambda p: p.transpose(0, 2, 1)),
    "one row": ((6, 8, 12), lambda p: p.reshape(6, 1, 96)),
    "rows of one": ((6, 1, 96), lambda p: p.reshape(6, 8, 12)),
    "windows to channels": (
        (6, 8, 12),
        lambda p: p.reshape(6, 2, 4, 3, 4).transpose(1, 3, 0, 2, 4).reshape(36, 4, 4),
    ),
    "tokens of windows": (
        (6, 8, 12),
        lambda p: p.reshape(6, 2, 4, 3, 4).transpose(1, 3, 2, 4, 0).reshape(6, 16, 6),
    ),
    "every fourth pixel": (
        (3, 16, 16),
        lambda p: p.reshape(3, 4, 4, 4, 4).transpose(0, 2, 4, 1, 3).reshape(48, 4, 4),
    ),
    "zeros among them": (
        (4, 3, 5),
        lambda p: np.pad(p.transpose(2, 0, 1), ((0, 1), (0, 0), (0, 0)), constant_values=-1),
    ),
    "by chance": (
        (4, 4, 6),
        lambda p: np.random.default_rng(SEED).permutation(p.reshape(-1)).reshape(8, 3, 4),
    ),
}


def moved(shape: tuple[int, int, int], place: Callable[[np.ndarray], np.ndarray]) -> Graph:
    builder = Builder()
    view = builder.move([builder.input("x", shape)], lambda places: place(places[0]))
    name = builder.realized("move", view)
    return builder.graph("moved", [View((name,), builder.shape(name))])


@pytest.mark.parametrize("order", ORDERS)
def test_moves_become_convolutions_of_ones(order) -> None:
    shape, place = ORDERS[order]
    graph = moved(shape, place)
    lowered = lower_moves(graph)
    assert not any(isinstance(op, q.Move) for op in lowered.ops)
    x = torch.randn(2, *shape, generator=torch.Generator().manual_seed(SEED))
    (wanted,), (have,) = (g.results(g.values([x])) for g in (graph, lowered))
    assert torch.equal(wanted, have), order


def test_too_many_weights_are_refused() -> None:
    generator = np.random.default_rng(SEED)
    graph = moved((512, 1, 256), lambda p: generator.permutation(p.reshape(-1)).reshape(p.shape))
    with pytest.raises(UnsupportedError, match="in the order that gives"):
        lower_moves(graph)
