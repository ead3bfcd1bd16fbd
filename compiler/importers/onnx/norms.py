"""Norms by their input's own statistics, which exporters before opset 17 write as seven operators.

A variance has no grid of eight bits that suits small and large ones, so they are the host's, as
``LayerNormalization`` is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import NodeProto

from tilewright.compiler.importers.onnx.file import label
from tilewright.errors import UnsupportedError

_WHAT = "a norm by the statistics of its input, of several operators"
_REMEDY = "Use BatchNormalization, which folds into the convolution before it."


def norms_of(nodes: Sequence[NodeProto]) -> dict[str, UnsupportedError]:
    """Return why nodes are parts of ``(x - mean(x)) / sqrt(mean((x - mean(x))**2) + e)``."""
    writers = {name: node for node in nodes for name in node.output}
    found: dict[str, UnsupportedError] = {}
    for node in nodes:
        parts = _parts(node, writers) if node.op_type == "Div" else []
        if parts:
            reason = UnsupportedError(label(node), _WHAT, _REMEDY)
            found |= {label(part): reason for part in parts}
    return found


def _parts(div: NodeProto, writers: Mapping[str, NodeProto]) -> list[NodeProto]:
    """Return the operators of a norm that a division ends, or none."""
    centred, root = _written(div, 0, "Sub", writers), _written(div, 1, "Sqrt", writers)
    total = root and _written(root, 0, "Add", writers)
    mean = centred and _written(centred, 1, "ReduceMean", writers)
    if not centred or not root or not total or not mean or mean.input[0] != centred.input[0]:
        return []
    sides = [_written(total, place, "ReduceMean", writers) for place in (0, 1)]
    variance = sides[0] or sides[1]
    square = variance and writers.get(variance.input[0])
    if not variance or not square or square.op_type not in ("Pow", "Mul"):
        return []
    if {*square.input[: 1 if square.op_type == "Pow" else 2]} != {centred.output[0]}:
        return []
    return [mean, centred, square, variance, total, root, div]


def _written(
    node: NodeProto, place: int, kind: str, writers: Mapping[str, NodeProto]
) -> NodeProto | None:
    """Return what writes an input of a node, if it is of a kind."""
    name = node.input[place] if place < len(node.input) else ""
    writer = writers.get(name)
    return writer if writer is not None and writer.op_type == kind else None
