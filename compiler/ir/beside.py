"""A batch of images as the pixels of one row."""

from dataclasses import replace

from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.op import Op

__all__ = ["side_by_side"]


def side_by_side(graph: Graph, images: int) -> Graph | None:
    """Return the graph that computes as many images at once: (C, 1, images) for each (C, 1, 1).

    Column i of every value is that of image i, bit for bit. None if there are larger values, or an
    operator whose results of a pixel depend on more than that pixel.
    """
    if any(kind.shape[1:] != (1, 1) for kind in graph.values.values()):
        return None
    ops: list[Op] = []
    for op in graph.ops:
        wide = op.side_by_side(images)
        if wide is None:
            return None
        ops.append(wide)
    values = {
        name: replace(kind, shape=(kind.shape[0], 1, images)) for name, kind in graph.values.items()
    }
    return Graph(graph.name, values, tuple(ops))
