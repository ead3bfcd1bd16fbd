"""Walks a model and builds the quantized graph."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, TypeProto, ValueInfoProto

from tilewright.compiler.host.check import HOST_OPERATORS
from tilewright.compiler.importers.hosted import Host, Hosted
from tilewright.compiler.importers.onnx import (  # noqa: F401 - they register handlers
    elementwise,
    movement,
    qlinear,
    quantizers,
    weighted,
    windows,
)
from tilewright.compiler.importers.onnx.call import HANDLERS, Call, handler_of
from tilewright.compiler.importers.onnx.constants import FOLDED, constant_of, fold
from tilewright.compiler.importers.onnx.file import STANDARD, ModelFile, label
from tilewright.compiler.importers.onnx.hosting import OF_THE_ENGINE, Hosting
from tilewright.compiler.importers.onnx.remedies import remedy_for
from tilewright.compiler.importers.onnx.tensors import MAX_ELEMENTS, type_name
from tilewright.compiler.importers.onnx.values import Known, Scaled, Stored
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.types import GraphError
from tilewright.errors import Error, UnsupportedError

_INPUT_TYPES: dict[int, tuple[int, bool] | None] = {
    TensorProto.FLOAT: None, TensorProto.FLOAT16: None, TensorProto.DOUBLE: None,
    TensorProto.INT8: (8, True), TensorProto.UINT8: (8, False),
    TensorProto.INT4: (4, True), TensorProto.UINT4: (4, False),
}  # fmt: skip
Shapes = Mapping[str, Sequence[int]]


class Walk:
    """One walk over a model's nodes.

    Parameters
    ----------
    shapes : of inputs without the batch, by name, where the model leaves dimensions open
    host : where the host may compute what the engine has not
    forced : why the host has nodes that the walk by itself would give the engine, by their labels
    """

    def __init__(
        self,
        model: ModelFile,
        shapes: Shapes,
        host: Host,
        forced: Mapping[str, UnsupportedError],
    ) -> None:
        self.model, self.forced = model, forced
        self.builder = Builder()
        self.host = host
        self.hosting = Hosting(self.builder, model.opset, model.quantized)
        self.values: dict[str, Known] = {}
        self.shapes = shapes

    def run(self) -> Graph:
        """Return the graph, of a quantized model with the grids that it says.

        Raises
        ------
        UnsupportedError  Naming the node that has no way into the graph, and a way out.
        """
        for value in self.model.inputs:
            self._input(value)
        self._check_operators()
        last = {name: i for i, node in enumerate(self.model.nodes) for name in node.input}
        for i, node in enumerate(self.model.nodes):
            self._step(node)
            for name in node.input:  # constants are large, and read once
                if last[name] == i and name not in self.model.outputs:
                    self.values.pop(name, None)
        outputs, tail = self.hosting.tail([self._result(name) for name in self.model.outputs])
        read = {n for op in self.builder.ops for n in op.inputs}
        read |= {n for view in outputs for n in view.sources}
        if unused := [name for name in self.builder.inputs if name not in read]:
            raise UnsupportedError(
                unused[0], "the model does not use this input", "Remove the argument."
            )
        try:
            graph = replace(self.builder.graph(self.model.name, outputs), tail=tail)
        except GraphError as error:
            raise UnsupportedError(self.model.name, str(error), remedy_for("", "")) from error
        self.hosting.check(graph, self.host)
        return graph

    def _check_operators(self) -> None:
        """Refuse what neither engine nor host has, before what only leads to it is."""
        for node in self.model.nodes:
            others = {*HOST_OPERATORS, *FOLDED, "Constant"} if node.domain in STANDARD else ()
            if handler_of(node, HANDLERS) is None and node.op_type not in others:
                raise _without_way(node)

    def _input(self, value: ValueInfoProto) -> None:
        kind: TypeProto.Tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or kind.elem_type not in _INPUT_TYPES:
            raise UnsupportedError(
                value.name,
                f"an input of {type_name(kind.elem_type)}",
                "Give the model images in float32, int8 or uint8.",
            )
        shape = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        if not shape or shape[0] not in (None, 1):
            raise UnsupportedError(
                value.name,
                f"an input of the shape {tuple(shape)}",
                "Export the model with a first dimension, the batch, that is dynamic or 1.",
            )
        own: Sequence[int | None] = self.shapes.get(value.name, shape[1:])
        known = [n for n in own if n is not None]
        fits = len(own) == len(shape) - 1 and all(
            n in (None, m) for n, m in zip(shape[1:], own, strict=False)
        )
        if len(known) < len(own) or not fits:
            raise UnsupportedError(
                value.name,
                f"an input of the shape {tuple('?' if n is None else n for n in shape)}",
                f"Say the rest: tw.read_onnx(path, input_shapes={{{value.name!r}: (C, H, W)}}).",
            )
        if min(known, default=1) < 1 or math.prod(known) > MAX_ELEMENTS:
            raise UnsupportedError(
                value.name, f"an input of the shape {tuple(known)}", "Use a positive, smaller one."
            )
        view = self.builder.input(value.name, known)
        integers = _INPUT_TYPES[kind.elem_type]
        self.values[value.name] = (
            view if integers is None else Stored(view, None, integers[0], integers[1])
        )

    def _value(self, name: str) -> Known:
        if name not in self.values and name in self.model.initializers:
            self.values[name] = self.model.array(self.model.initializers[name])
        return self.values.get(name) if name else None

    def _step(self, node: NodeProto) -> None:
        inputs = [self._value(name) for name in node.input]
        if self.hosting.stays(node, inputs):
            self.values.update(zip(node.output, self.hosting.add(node, inputs), strict=True))
            return
        state = self.hosting.state
        try:
            reason = self.forced.get(label(node))
            if reason is not None and any(isinstance(v, View | Hosted) for v in inputs):
                inputs = self._ordered(node, inputs, reason)
            self._on_engine(node, inputs)
        except UnsupportedError as error:
            if self.host == "never":
                raise _for_the_host(node, error) from None
            self.hosting.state = state
            results = self.hosting.add(node, inputs, error)
            self.values.update(zip(node.output, results, strict=True))

    def _ordered(
        self, node: NodeProto, inputs: list[Known], reason: UnsupportedError
    ) -> list[Known]:
        """Return operands of a layer that the host has brought into order, or raise ``reason``."""
        first = inputs[0] if inputs else None
        if node.op_type not in (*OF_THE_ENGINE, "MatMul") or not isinstance(first, View | Hosted):
            raise reason
        return [self.hosting.carried(node, first, reason), *inputs[1:]]

    def _on_engine(self, node: NodeProto, inputs: list[Known]) -> None:
        """Add what a node becomes in the graph."""
        read = [self.hosting.view(v) if isinstance(v, Hosted) else v for v in inputs]
        call = Call(self.builder, self.model, node, read)
        try:
            result = self._result_of(call)
        except Error:
            raise
        except Exception as error:  # whatever it is, the user learns which node it is about
            reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            raise UnsupportedError(
                call.where, f"{node.op_type}: {reason}", remedy_for(node.domain, node.op_type)
            ) from error
        results: list[Any] = result if isinstance(result, list) else [result]
        for i, name in enumerate(node.output):
            if not name:
                continue
            value = results[i] if i < len(results) else None
            if isinstance(value, View):
                call.check_shape(value.shape)
            self.values[name] = value

    def _result_of(self, call: Call) -> Any:
        node = call.node
        standard = node.domain in STANDARD
        if standard and node.op_type == "Constant":
            return constant_of(call)
        for name, value in zip(node.input, call.inputs, strict=True):
            if name and value is None:
                call.refuse(
                    f"{node.op_type} reads {name!r}, a second result that is not computed",
                    "Use the first result only.",
                )
        constants = [v for v in call.inputs if not isinstance(v, View | Stored)]
        arrays = [v for v in constants if v is None or isinstance(v, np.ndarray)]
        folds = standard and node.op_type in FOLDED and len(arrays) == len(call.inputs)
        if folds:
            return fold(call, arrays)
        handler = handler_of(node, HANDLERS)
        if handler is None:
            raise _without_way(node)
        if any(a.ref_attr_name for a in node.attribute):
            call.refuse("an attribute that refers to a function's", "Inline functions.")
        scaled = all(isinstance(v, Scaled | np.ndarray) or v is None for v in call.inputs)
        if scaled and standard and node.op_type in FOLDED and node.op_type not in _OF_WEIGHTS:
            reals = [v.real.astype(np.float32) if isinstance(v, Scaled) else v for v in constants]
            return fold(call, reals)
        result = handler(call)
        call.check_attributes()
        return result

    def _result(self, name: str) -> View | Hosted:
        value = self._value(name)
        if isinstance(value, Hosted):
            return value
        if isinstance(value, Stored):
            if value.grid is None:
                raise UnsupportedError(name, "a result without a scale", "Dequantize it.")
            return self.builder.quantized(name, value.view, value.grid)
        if value is None:
            what = "a second result of an operator, which is not computed"
            raise UnsupportedError(name, what, "Leave it out.")
        if not isinstance(value, View):
            raise UnsupportedError(
                name, "a result that does not depend on the inputs", "Leave it out."
            )
        return value


def _without_way(node: NodeProto) -> UnsupportedError:
    domain, operator = str(node.domain), str(node.op_type)  # bytes, where they are no text
    what = f"{operator} has no way to the engine"
    return UnsupportedError(label(node), what, remedy_for(domain, operator))


def _for_the_host(node: NodeProto, error: UnsupportedError) -> UnsupportedError:
    """Return the error with the host as a way out, if the host has the operator."""
    if node.domain not in STANDARD or node.op_type not in HOST_OPERATORS:
        return error
    remedy = f'{error.remedy} Or let the host compute it, at the network\'s ends: host="edges".'
    return UnsupportedError(error.where, error.what, remedy)


_OF_WEIGHTS = ("Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
"""Operators that leave weights integers times scales."""
