"""How much a part for the host computes."""

from __future__ import annotations

import math
from collections.abc import Mapping

from onnx import ModelProto, NodeProto, ValueInfoProto
from onnx.shape_inference import infer_shapes

Shape = tuple[int, ...]
_FREE = frozenset(
    """
    Cast Concat Constant Expand Flatten Gather GatherElements GatherND Identity Pad Reshape Shape
    Size Slice Split Squeeze Tile Transpose Unsqueeze DepthToSpace SpaceToDepth
    """.split()
)


def operations(model: ModelProto) -> int:
    """Operations on an image: multiplications of matrices, else elements read or written.

    What only moves elements counts none; a dimension that depends on values counts as one.
    """
    inferred = infer_shapes(model, data_prop=True).graph
    values = (*inferred.input, *inferred.value_info, *inferred.output)
    shapes = {v.name: _shape(v) for v in values}
    shapes |= {t.name: tuple(t.dims) for t in inferred.initializer}
    return sum(_of(node, shapes) for node in inferred.node)


def _shape(value: ValueInfoProto) -> Shape:
    dims = value.type.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") else 1 for d in dims)


def _of(node: NodeProto, shapes: Mapping[str, Shape]) -> int:
    if node.op_type in _FREE:
        return 0
    read = [shapes.get(name, ()) for name in node.input if name]
    written = [shapes.get(name, ()) for name in node.output if name]
    if node.op_type == "MatMul" and read and read[0]:
        return math.prod(written[0]) * read[0][-1]
    return max((math.prod(shape) for shape in (*read, *written)), default=0)
