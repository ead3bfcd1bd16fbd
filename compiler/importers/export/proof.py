"""The graph beside the module that it was made from, in reals."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves

from tilewright.compiler.importers.export.importer import Imported
from tilewright.compiler.importers.export.trace import where
from tilewright.compiler.quantized.graph import Graph
from tilewright.errors import Error

TOLERANCE = 1e-4
"""Of the root mean square of what is compared."""
_TIES = 0.01
"""Share of indices that nearly equal numbers may change."""


def outputs_of(model: nn.Module, images: Sequence[Tensor]) -> list[Tensor]:
    """Run a module; returns its results as a list, those of a dictionary in its order.

    None, as for what a model returns only when it is trained, is left out.
    """
    with torch.no_grad():
        return [x for x in tree_leaves(model(*images)) if x is not None]


def prove(model: nn.Module, imported: Imported, images: Sequence[Tensor]) -> None:
    """Compare an imported graph with the module.

    Raises
    ------
    Error  Naming the first operator whose result differs by more than ``TOLERANCE``.
    """
    wanted = outputs_of(model, images)
    if _worst(wanted, results(imported.graph, images)) <= TOLERANCE:
        return
    batch = imported.trace.batch
    sample = [torch.cat([x[:1]] * batch) for x in images]
    with torch.no_grad():
        values = imported.graph.values(sample)
        recorder = _Recorder(imported)
        arguments = iter(sample)
        constants = imported.trace.constants
        recorder.run(
            *(
                constants[n] if n in constants else next(arguments)
                for n in imported.trace.graph.nodes
                if n.op == "placeholder"
            )
        )
    for node, view in imported.views.items():
        known = all(name in values for name in view.sources)
        result = recorder.results.get(node)
        if known and result is not None and _worst([result], [view.of(values)]) > TOLERANCE:
            raise Error(
                f"{where(node)}: {node.target} gives other values in the imported graph than in "
                "the model. Please report this; writing the operator differently may help"
            )
    raise Error(
        f"{imported.graph.name}: the exported graph gives other values than the model, which "
        "depends on something besides its inputs, such as random numbers or the number of images"
    )


def prove_equal(
    graph: Graph,
    wanted: Sequence[Tensor],
    images: Sequence[Tensor],
    tolerance: float = TOLERANCE,
) -> None:
    """Compare a graph after its passes with the module's results.

    Raises
    ------
    Error  If they differ by more than ``tolerance``.
    """
    worst = _worst(wanted, results(graph, images))
    if not worst <= tolerance:
        raise Error(
            f"{graph.name}: folding constants and batch norms changed its results by {worst:.2g} "
            "of their power. Please report this; look for weights of very different sizes"
        )


def results(graph: Graph, images: Sequence[Tensor]) -> list[Tensor]:
    """Run a graph in reals; returns its results, those of several shapes one after another."""
    with torch.no_grad():
        found = graph.results(graph.values(images))
    return [torch.cat(x) if isinstance(x, list) else x for x in found]


def _worst(wanted: Sequence[Tensor], have: Sequence[Tensor]) -> float:
    """Largest difference, relative to the root mean square of what is wanted.

    Of integers, as of an index, it is the share that differs.
    """
    worst = 0.0
    for a, b in zip(wanted, have, strict=True):
        if a.shape != b.shape:
            return float("inf")
        if not b.is_floating_point():
            different = float((a.double() != b.double()).double().mean()) if a.numel() else 0.0
            worst = max(worst, 0.0 if different <= _TIES else different)
            continue
        difference = float((a.double() - b.double()).square().mean().sqrt())
        size = float(a.double().square().mean().sqrt())
        worst = max(worst, difference / size if size else difference)
    return worst


class _Recorder(fx.Interpreter):
    """Runs the exported graph and keeps results."""

    def __init__(self, imported: Imported) -> None:
        super().__init__(fx.GraphModule({}, imported.trace.graph))
        self.results: dict[fx.Node, Tensor] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.results[n] = result.clone()
        return result
