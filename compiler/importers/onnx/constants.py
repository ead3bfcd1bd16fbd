"""Operators that read only constants: computed, if results are no larger than tensors may be."""

from __future__ import annotations

import math

import numpy as np
from onnx import AttributeProto, TensorProto, helper
from onnx.reference import ReferenceEvaluator

from tilewright.compiler.importers.onnx.call import Call
from tilewright.compiler.importers.onnx.file import label
from tilewright.compiler.importers.onnx.tensors import MAX_ELEMENTS, Array, elements
from tilewright.errors import Error, UnsupportedError

_ELEMENTWISE = frozenset(
    "Abs Add And Cast Ceil Clip Div Equal Exp Floor Greater GreaterOrEqual Less LessOrEqual Log "
    "Max Min Mod Mul Neg Not Or Pow Reciprocal Relu Round Sigmoid Sign Sqrt Sub Tanh Where "
    "Identity".split()
)
_MOVING = frozenset(
    "Concat Flatten Gather GatherElements Reshape Slice Split Squeeze Transpose Unsqueeze "
    "ReduceSum ReduceMean ReduceProd ReduceMax ReduceMin Shape Size CumSum".split()
)
_GROWING = frozenset("ConstantOfShape Expand Range Tile".split())
FOLDED = _ELEMENTWISE | _MOVING | _GROWING
"""Operators whose results are computed where all they read is constant."""


def constant_of(call: Call) -> Array:
    """Return the value of a Constant."""
    for attribute in call.node.attribute:
        match attribute.name, attribute.type:
            case "value", AttributeProto.TENSOR:
                return call.model.array(attribute.t)
            case "value_float", AttributeProto.FLOAT:
                return np.array(attribute.f, np.float32)
            case "value_floats", AttributeProto.FLOATS:
                return np.array(list(attribute.floats), np.float32)
            case "value_int", AttributeProto.INT:
                return np.array(attribute.i, np.int64)
            case "value_ints", AttributeProto.INTS:
                return np.array(list(attribute.ints), np.int64)
    call.refuse("a Constant without a value that is numbers", "Check the model.")


def fold(call: Call, arrays: list[Array | None]) -> list[Array]:
    """Run an operator on constants.

    Raises
    ------
    UnsupportedError  If it fails, or its result is too large.
    """
    node = call.node
    names = [f"i{k}" if array is not None else "" for k, array in enumerate(arrays)]
    given = {n: a for n, a in zip(names, arrays, strict=True) if a is not None}
    try:
        if _predicted(call, arrays) > MAX_ELEMENTS:
            raise Error(f"its result has more than {MAX_ELEMENTS} elements")
        for attribute in node.attribute:
            if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
                raise Error("it has a graph of its own")
            if attribute.type == AttributeProto.TENSOR:
                if elements(attribute.t) > 1 or attribute.t.data_location == TensorProto.EXTERNAL:
                    raise Error("it has a tensor as attribute")
        outputs = [f"o{k}" for k in range(len(node.output))]
        own = helper.make_node(node.op_type, names, outputs)
        own.attribute.extend(node.attribute)
        types = helper.np_dtype_to_tensor_dtype
        graph = helper.make_graph(
            [own],
            "constants",
            [helper.make_tensor_value_info(n, types(a.dtype), a.shape) for n, a in given.items()],
            [helper.make_empty_tensor_value_info(n) for n in outputs],
        )
        opset = [helper.make_opsetid("", call.model.opset)]
        results = ReferenceEvaluator(helper.make_model(graph, opset_imports=opset)).run(None, given)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise UnsupportedError(
            label(node), f"{node.op_type} of constants: {reason}", "Fold constants beforehand."
        ) from error
    return [np.asarray(r) for r in results]


def _predicted(call: Call, arrays: list[Array | None]) -> int:
    """Elements of the result, at most."""
    kind, given = call.node.op_type, [a for a in arrays if a is not None]
    if kind in _ELEMENTWISE:
        return math.prod(np.broadcast_shapes(*(a.shape for a in given)))
    first = given[0] if given else np.zeros(0)
    match kind:
        case "ConstantOfShape":
            return math.prod(int(n) for n in first.reshape(-1))
        case "Expand":
            shape = tuple(int(n) for n in given[1].reshape(-1))
            return math.prod(np.broadcast_shapes(first.shape, shape))
        case "Tile":
            return int(first.size) * math.prod(int(n) for n in given[1].reshape(-1))
        case "Range":
            start, end, step = (float(a.reshape(-1)[0]) for a in given)
            return math.ceil((end - start) / step) if step else MAX_ELEMENTS + 1
        case "Gather":
            return int(first.size) * int(given[1].size)
    return sum(int(a.size) for a in given) + 64
