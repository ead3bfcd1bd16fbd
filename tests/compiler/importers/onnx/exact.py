"""What a quantized file says, in float64: without the noise of onnxruntime's float32.

A float bias is rounded to the accumulator's grid first, as onnxruntime's optimizer does it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import NodeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = np.ndarray[Any, np.dtype[Any]]


def evaluate(model: onnx.ModelProto, x: Array, given: Mapping[str, Array] = {}) -> dict[str, Array]:
    """Return all tensors; what is ``given`` is read in the place of what is computed."""
    found: dict[str, Array] = {}
    values = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    scales: dict[str, Array] = {}
    values[model.graph.input[0].name] = x.astype(np.float64)
    for node in model.graph.node:
        inputs = [values[name] if name else None for name in node.input]
        own = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type in ("Conv", "Gemm") and len(inputs) > 2 and node.input[2] not in scales:
            step = scales[node.input[0]] * scales[node.input[1]]
            inputs[2] = np.rint(inputs[2] / step) * step
        if node.op_type == "DequantizeLinear":
            scales[node.output[0]] = inputs[1].astype(np.float64)
        if node.op_type in _MOVES and node.input[0] in scales:
            scales[node.output[0]] = scales[node.input[0]]
        if node.op_type in _KERNELS:
            result = _KERNELS[node.op_type](inputs, own, node)
        else:  # what only moves elements, or computes a constant
            result = _moved(inputs, node)
        found[node.output[0]] = result
        values[node.output[0]] = given.get(node.output[0], result)
    return found


def _moved(inputs: Any, node: NodeProto) -> Array:
    if node.op_type not in _MOVES:
        raise NotImplementedError(f"{node.name}: {node.op_type} in float64")
    names = [name for name in node.input if name]
    present = [array for array in inputs if array is not None]
    (result,) = ReferenceEvaluator(node).run(None, dict(zip(names, present, strict=True)))
    return np.asarray(result)


def _along(values: Array, rank: int, axis: int) -> Array:
    values = values.astype(np.float64)
    return values.reshape(()) if values.size == 1 else values.reshape(
        [-1 if i == axis % rank else 1 for i in range(rank)]
    )  # fmt: skip


def _quantize(i: Any, own: Any, node: NodeProto) -> Array:
    x, scale, zero = i
    axis, ends = own.get("axis", 1), np.iinfo(zero.dtype)
    # Constants are of the type that they have in the file: float32, as for any tool that folds.
    rounded = np.rint(x / _along(scale, x.ndim, axis).astype(x.dtype)) + _along(zero, x.ndim, axis)
    return rounded.clip(ends.min, ends.max).astype(zero.dtype)


def _dequantize(i: Any, own: Any, node: NodeProto) -> Array:
    x, scale, zero = [*i, np.zeros((), np.int8)][:3]
    axis = own.get("axis", 1)
    return (x - _along(zero, x.ndim, axis)) * _along(scale, x.ndim, axis)


def _conv(i: Any, own: Any, node: NodeProto) -> Array:
    x, w, b = [
        None if a is None else torch.from_numpy(a.astype(np.float64)) for a in [*i, None][:3]
    ]
    top, left, bottom, right = own.get("pads", [0] * 4)
    x = torch.nn.functional.pad(x, (left, right, top, bottom))
    return torch.conv2d(
        x, w, b, own.get("strides", 1), 0, own.get("dilations", 1), own.get("group", 1)
    ).numpy()


def _max_pool(i: Any, own: Any, node: NodeProto) -> Array:
    x = torch.from_numpy(i[0].astype(np.float64))
    result = torch.max_pool2d(x, own["kernel_shape"], own["strides"], own.get("pads", [0])[0])
    return result.numpy().astype(i[0].dtype)


def _gemm(i: Any, own: Any, node: NodeProto) -> Array:
    return i[0] @ (i[1].T if own.get("transB") else i[1]) + i[2]


_KERNELS: Mapping[str, Callable[[Any, Any, NodeProto], Array]] = {
    "Add": lambda i, own, node: i[0] + i[1],
    "Clip": lambda i, own, node: i[0].clip(i[1], i[2]),
    "Constant": lambda i, own, node: numpy_helper.to_array(own["value"]),
    "Conv": _conv,
    "DequantizeLinear": _dequantize,
    "Gemm": _gemm,
    "Identity": lambda i, own, node: i[0],
    "MaxPool": _max_pool,
    "QuantizeLinear": _quantize,
    "ReduceMean": lambda i, own, node: i[0].mean((2, 3), keepdims=bool(own.get("keepdims", 1))),
    "Relu": lambda i, own, node: i[0].clip(0),
}
_MOVES = (
    "Cast", "Concat", "ConstantOfShape", "Flatten", "Pad", "Reshape", "Slice", "Squeeze",
    "Transpose", "Unsqueeze",
)  # fmt: skip


def noise_by_layer(path: Path, images: Array) -> tuple[int, int]:
    """Elements in which onnxruntime's layers are off, each by its own operands, and all."""
    model = onnx.load(path)
    rounded = [n.output[0] for n in model.graph.node if n.op_type == "QuantizeLinear"]
    shown = {o.name for o in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in rounded if n not in shown)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    argument = session.get_inputs()[0]
    step = 1 if argument.shape[0] == 1 else len(images)
    different = total = 0
    for i in range(0, len(images), step):
        x = images[i : i + step]
        given = dict(zip(rounded, session.run(rounded, {argument.name: x}), strict=True))
        exact = evaluate(model, x, given)
        different += sum(int((given[n] != exact[n]).sum()) for n in rounded)
        total += sum(given[n].size for n in rounded)
    return different, total
