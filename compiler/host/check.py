"""Which models the host runs: data from a file, which may hold anything, is checked before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from tilewright.compiler.host.errors import HostError
from tilewright.compiler.host.wire import check_size
from tilewright.errors import Error

MAX_BYTES = 1 << 25
"""Of a model, constants included."""
MAX_NODES, MAX_ELEMENTS, MAX_RANK = 4096, 1 << 24, 16
OPSETS = range(13, 24)
STANDARD = ("", "ai.onnx")

#: Standard operators that a part for the host may have: none has a graph of its own, draws random
#: numbers, or loops.
HOST_OPERATORS = frozenset(
    """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization
    Cast CastLike Ceil Celu Clip Compress Concat Constant ConstantOfShape Cos Cosh CumSum
    DepthToSpace DequantizeLinear Div Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor
    Gather GatherElements GatherND Gelu GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
    GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LayerNormalization LRN LeakyRelu Less LessOrEqual Log
    LogSoftmax LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish
    Mod Mul Neg NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear
    RMSNormalization Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize RoiAlign Round
    ScatterElements ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax
    Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK
    Transpose Trilu Unique Unsqueeze Where Xor
    """.split()
)


def check_model(data: bytes) -> ModelProto:
    """Return the model whose bytes are ``data``.

    Raises
    ------
    HostError  If it is none, too large, or has anything but standard operators on tensors that
    are in the model itself.
    """
    if len(data) > MAX_BYTES:
        raise HostError(f"a part for the host of {len(data)} bytes; at most {MAX_BYTES} are taken")
    try:
        check_size(data, ModelProto.DESCRIPTOR)
        model: ModelProto = ModelProto.FromString(data)
        _check(model)
    except (Error, DecodeError) as error:
        raise HostError(f"a part for the host is not taken: {error}"[:500]) from error
    return model


def _check(model: ModelProto) -> None:
    graph = model.graph
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if not opsets.keys() <= set(STANDARD) or not set(opsets.values()) <= set(OPSETS):
        raise HostError(f"operators of {dict(list(opsets.items())[:4])}")
    if model.functions or model.training_info or graph.sparse_initializer:
        raise HostError("functions, training, or sparse tensors")
    if not 0 < len(graph.node) <= MAX_NODES or not graph.input or not graph.output:
        raise HostError(f"{len(graph.node)} operators; 1 to {MAX_NODES}, on inputs, are taken")
    _check_names(graph)
    for value in graph.input:
        _check_input(value)
    for tensor in graph.initializer:
        _check_tensor(tensor)
    for node in graph.node:
        _check_node(node)


def _check_names(graph: GraphProto) -> None:
    """Check that each value is written once, and before it is read."""
    written = {""}
    for name in (*(v.name for v in graph.input), *(t.name for t in graph.initializer)):
        if not name or name in written:
            raise HostError(f"two tensors {name[:100]!r}")
        written.add(name)
    for node in graph.node:
        if not written.issuperset(node.input):
            raise HostError(f"{node.op_type[:100]} reads what is not written before")
        for name in filter(None, node.output):
            if name in written:
                raise HostError(f"{node.op_type[:100]} writes {name[:100]!r} a second time")
            written.add(name)
    if not written.issuperset(v.name for v in graph.output):
        raise HostError("a result that nothing writes")


def _check_input(value: ValueInfoProto) -> None:
    shape = input_shape(value)
    kind = value.type.tensor_type.elem_type
    if kind != TensorProto.FLOAT or not shape or shape[0] != 1:
        raise HostError(f"an input of type {kind} and shape {shape[:8]}")
    if len(shape) > MAX_RANK or min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise HostError(f"an input of the shape {shape[:8]}")


def input_shape(value: ValueInfoProto) -> tuple[int, ...]:
    """Return the shape of an input, batch included; 0 for what is not said."""
    dims = value.type.tensor_type.shape.dim
    return tuple(int(d.dim_value) if d.HasField("dim_value") else 0 for d in dims)


def described(value: ValueInfoProto) -> tuple[str, tuple[int | None, ...] | None]:
    """Return the element type of a value, and its shape as far as it is known."""
    kind = value.type.tensor_type
    names = {number: str(name).lower() for name, number in TensorProto.DataType.items()}
    shape = None
    if kind.HasField("shape"):
        shape = tuple(int(d.dim_value) or None for d in kind.shape.dim[:MAX_RANK])
    return names.get(kind.elem_type, "undefined"), shape


def _check_tensor(tensor: TensorProto) -> None:
    shape = tuple(tensor.dims)
    if tensor.data_location != TensorProto.DEFAULT or tensor.external_data:
        raise HostError("a tensor outside the file")
    if len(shape) > MAX_RANK or min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise HostError(f"a tensor of the shape {shape[:8]}")


def _check_node(node: NodeProto) -> None:
    if node.domain not in STANDARD or node.op_type not in HOST_OPERATORS:
        raise HostError(f"the operator {node.domain[:100]}.{node.op_type[:100]}")
    for attribute in node.attribute:
        if attribute.ref_attr_name or attribute.type not in _PLAIN:
            raise HostError(f"{node.op_type} with the attribute {attribute.name[:100]!r}")
        for tensor in _tensors(attribute):
            _check_tensor(tensor)


_A = AttributeProto
_PLAIN = (_A.FLOAT, _A.INT, _A.STRING, _A.TENSOR, _A.FLOATS, _A.INTS, _A.STRINGS)


def _tensors(attribute: AttributeProto) -> Iterable[TensorProto]:
    others: Sequence[object] = (attribute.g.node, attribute.graphs, attribute.tensors)
    if any(others) or attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
        raise HostError(f"the attribute {attribute.name[:100]!r}")
    return (attribute.t,) if attribute.type == AttributeProto.TENSOR else ()
