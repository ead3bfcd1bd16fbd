"""Algorithms to try for the layers of a small network, each in a program of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tilewright.compiler.ir import Conv2d, Graph
from tilewright.compiler.schedule.tiles.choose import has_tiles
from tilewright.compiler.winograd.terms import tilings
from tilewright.isa import EngineConfig

#: Convolutions of a network of which each is tried with every algorithm.
FEW_LAYERS = 2


def alternatives(
    graph: Graph, config: EngineConfig, algorithms: Mapping[str, str]
) -> Iterator[Mapping[str, str]]:
    """Yield ``algorithms`` with another one for one layer of a small network.

    Lowering weighs algorithms layer by layer, without what comes before a layer's first result. An
    engine may not have what is yielded.
    """
    layers = [op for op in graph.layers if isinstance(op, Conv2d)]
    if not has_tiles(config) or len(layers) > FEW_LAYERS:
        return
    for op in layers:
        if algorithms.get(op.name, algorithms.get("*", "auto")) == "auto":
            for name in ("direct", *map(str, tilings(op.kernel, op.stride))):
                yield {**algorithms, op.name: name}
