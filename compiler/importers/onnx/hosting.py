"""Nodes that the host computes: kept as they are, and cut out as models of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)
from onnx.shape_inference import infer_shapes

from tilewright.compiler.host import HostModel
from tilewright.compiler.host.check import HOST_OPERATORS, STANDARD
from tilewright.compiler.importers.hosted import Hosted, Region
from tilewright.compiler.importers.onnx.call import HANDLERS, handler_of
from tilewright.compiler.importers.onnx.tensors import Array
from tilewright.compiler.importers.onnx.values import Known, Scaled, Stored
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

_IR_VERSION = 10
#: What the engine is for: these bring a tensor back to it.
OF_THE_ENGINE = ("Conv", "ConvTranspose", "Gemm", "QLinearConv", "QLinearMatMul", "QGemm")
#: Functions whose results onnx infers nothing of.
_LIKE_THEIR_INPUT = ("GroupNormalization", "RMSNormalization")


@dataclass(frozen=True, eq=False)
class _Node:
    proto: NodeProto
    inputs: Sequence[Known]


class Hosting(Region):
    """Values on the host, the nodes that compute them, and models cut out of these.

    Parameters
    ----------
    builder : where the operators go that compute what the engine reads again
    opset : int, of the file
    quantized : whether the file says where it rounds
    """

    def __init__(self, builder: Builder, opset: int, quantized: bool) -> None:
        super().__init__(builder)
        self.opset, self.quantized = opset, quantized
        self.nodes: dict[str, _Node] = {}

    def stays(self, node: NodeProto, inputs: Sequence[Known]) -> bool:
        """Whether a node goes on with what is on the host."""
        if not any(isinstance(v, Hosted) for v in inputs) or node.op_type in OF_THE_ENGINE:
            return False
        if not _is_hostable(node) and handler_of(node, HANDLERS) is not None:
            return node.op_type == "Dropout" and len(node.input) < 3  # which does nothing
        if node.op_type == "MatMul":
            return not isinstance(inputs[1], np.ndarray | Scaled)
        rounded = all(v.grid is not None for v in inputs if isinstance(v, Hosted))
        mixed = any(isinstance(v, View | Stored) for v in inputs)
        return not mixed or (self.quantized and not rounded)

    def add(
        self, node: NodeProto, inputs: Sequence[Known], reason: UnsupportedError | None = None
    ) -> list[Known]:
        """Keep a node for the host; returns its results.

        Parameters
        ----------
        reason : why the engine does not compute it; None of what reads what is on the host

        Raises
        ------
        UnsupportedError  ``reason``, if it is nothing for the host either.
        """
        if node.op_type == "Dropout" and reason is None:
            return [inputs[0], *[None] * (len(node.output) - 1)]
        inner = [v.reason for v in inputs if isinstance(v, Hosted)]
        reason = inner[0] if inner else reason
        assert reason is not None
        if not _is_hostable(node) or any(isinstance(v, Stored) for v in inputs):
            raise reason
        copy = NodeProto.FromString(node.SerializeToString())
        copy.domain = ""
        record = _Node(copy, inputs)
        kinds = self._inferred(record)
        if kinds is None:
            raise reason
        results: list[Known] = []
        for name in node.output:
            if name and name in kinds:
                self.nodes[name] = record
                results.append(_hosted(name, kinds[name], reason, node, inputs))
            else:
                results.append(None)
        return results

    def carried(self, node: NodeProto, value: View | Hosted, reason: UnsupportedError) -> View:
        """Return a layer's operand in the order in which the engine reads it, by the host.

        Parameters
        ----------
        node : the layer, whose first input ``value`` is

        Raises
        ------
        UnsupportedError  ``reason``, if the host cannot.
        """
        shape = (1, *value.shape) if isinstance(value, View) else value.dims or ()
        order = list(range(len(shape)))
        if node.op_type == "MatMul" and len(shape) > 2:  # whose channels are last
            order = [0, order[-1], *order[1:-1]]
        back = [order.index(place) - 1 for place in range(1, len(shape))]
        name = f"{reason.where}.ordered"
        move = helper.make_node("Transpose", [node.input[0]], [name], name=name, perm=order)
        (result,) = self.add(move, [value], reason)
        if not isinstance(result, Hosted):
            raise reason
        view, grid = self.view(result), self._grid_of(value)
        if grid is not None:
            view = self.builder.quantized(name, view, grid)
        return self.builder.transposed(view, back)

    def _grid_of(self, value: View | Hosted) -> Quantization | None:
        if isinstance(value, Hosted):
            return value.grid
        grids = {self.builder.tensors[name].quantization for name in value.sources}
        return grids.pop() if len(grids) == 1 else None

    def _inferred(self, record: _Node) -> Mapping[str, ValueInfoProto] | None:
        """Types and shapes of a node's results; None if it cannot be."""
        graph = GraphProto(name="node", node=[record.proto])
        for name, value in zip(record.proto.input, record.inputs, strict=True):
            if name and name not in {v.name for v in (*graph.input, *graph.initializer)}:
                _declare(graph, name, value)
        graph.output.extend(ValueInfoProto(name=name) for name in record.proto.output if name)
        try:
            found = infer_shapes(self._model(graph), strict_mode=True, data_prop=True).graph
        except Exception:  # of several kinds: the node does not fit what it reads
            return None
        kinds = {v.name: v for v in found.output}
        first = next((v for v in graph.input if v.name == record.proto.input[0]), None)
        if record.proto.op_type in _LIKE_THEIR_INPUT and first is not None:
            for value in kinds.values():
                value.type.CopyFrom(first.type)
        known = all(v.type.tensor_type.elem_type for v in kinds.values())
        return kinds if known else None

    def _model(self, graph: GraphProto) -> ModelProto:
        return ModelProto(
            graph=graph, ir_version=_IR_VERSION, opset_import=[helper.make_opsetid("", self.opset)]
        )

    def cut(self, names: Sequence[str]) -> tuple[HostModel, list[View]]:
        """Return a model that computes values from tensors of the engine, and these."""
        graph = GraphProto(name="host")
        order: list[_Node] = []
        views: list[View] = []
        known: dict[int, str] = {}
        seen: set[str] = set()

        def visit(name: str) -> None:
            record = self.nodes[name]
            if name in seen:
                return
            seen.update(filter(None, record.proto.output))
            for value in record.inputs:
                if isinstance(value, Hosted):
                    visit(value.name)
            order.append(record)

        for name in names:
            visit(name)
        for record in order:
            copy = NodeProto.FromString(record.proto.SerializeToString())
            for place, value in enumerate(record.inputs):
                if value is None:
                    continue
                if isinstance(value, Hosted):
                    copy.input[place] = value.name
                    continue
                if id(value) not in known:
                    known[id(value)] = f"in{len(known)}"
                    _declare(graph, known[id(value)], value)
                    if isinstance(value, View):
                        views.append(value)
                copy.input[place] = known[id(value)]
            graph.node.append(copy)
        graph.output.extend(ValueInfoProto(name=name) for name in names)
        found = infer_shapes(self._model(graph), data_prop=True)
        return HostModel(found.SerializeToString()), views


def _is_hostable(node: NodeProto) -> bool:
    return node.domain in STANDARD and node.op_type in HOST_OPERATORS


def _declare(graph: GraphProto, name: str, value: Known) -> None:
    """Add a value that a node reads to a graph: an input, or a constant."""
    match value:
        case View():
            shape = (1, *value.shape)
            graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        case Hosted():
            graph.input.append(helper.make_tensor_value_info(name, value.kind, value.dims))
        case Scaled():
            graph.initializer.append(numpy_helper.from_array(value.real.astype(np.float32), name))
        case np.ndarray():
            array: Array = value.astype(np.float32) if value.dtype.kind == "f" else value
            graph.initializer.append(numpy_helper.from_array(array, name))


def _hosted(
    name: str,
    value: ValueInfoProto,
    reason: UnsupportedError,
    node: NodeProto,
    inputs: Sequence[Known],
) -> Known:
    kind = value.type.tensor_type
    dims = None
    if kind.HasField("shape"):
        dims = tuple(d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim)
    floats = kind.elem_type == TensorProto.FLOAT
    result = Hosted(name, dims, kind.elem_type, floats, reason, _grid(node, inputs))
    if node.op_type == "Shape" and isinstance(inputs[0], Hosted) and inputs[0].is_known:
        return np.array(inputs[0].dims, np.int64)
    return result


def _grid(node: NodeProto, inputs: Sequence[Known]) -> Quantization | None:
    """Return the grid on which a dequantizer's results lie."""
    if node.op_type != "DequantizeLinear" or not isinstance(inputs[0], Hosted):
        return None
    scale, zero = inputs[1], inputs[2] if len(inputs) > 2 else np.zeros(1, np.int64)
    kind, kinds = inputs[0].kind, (TensorProto.INT8, TensorProto.UINT8)
    if kind not in kinds or not isinstance(scale, np.ndarray) or not isinstance(zero, np.ndarray):
        return None
    if scale.size != 1 or zero.size != 1:
        return None
    signed = kind == TensorProto.INT8
    return Quantization(float(scale.reshape(-1)[0]), int(zero.reshape(-1)[0]), 8, signed)
