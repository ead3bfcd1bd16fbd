"""Operators of a file that the host computes: in floats, rounded to grids that the file says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

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

from tilewright.compiler.host import HostModel
from tilewright.compiler.importers.hosted import Hosted, Region
from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.importers.tflite.file import File
from tilewright.compiler.importers.tflite.kernels import KERNELS, Constants
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.errors import UnsupportedError

_IR_VERSION, _OPSET = 10, 17
Nodes = list[NodeProto]


def _softmax(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    beta = 0.0 if call.op.options is None else float(call.op.options.Beta())
    constants[f"{y}.beta"] = np.float32(beta)
    return [
        helper.make_node("Mul", [x, f"{y}.beta"], [f"{y}.scaled"]),
        helper.make_node("Softmax", [f"{y}.scaled"], [y], axis=-1),
    ]


def _log_softmax(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    return [helper.make_node("LogSoftmax", [x], [y], axis=-1)]


def _l2_norm(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    return [helper.make_node("LpNormalization", [x], [y], axis=-1, p=2)]


def _arg_max(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    axis = int(call.constant(1, "INT32", "INT64").reshape(-1)[0])
    return [helper.make_node("ArgMax", [x], [y], axis=axis, keepdims=0)]


def _transpose(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    order = call.constant(1, "INT32", "INT64").reshape(-1).tolist()
    return [helper.make_node("Transpose", [x], [y], perm=order)]


def _reshape(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    constants[f"{y}.shape"] = np.array(call.result.shape, np.int64)
    return [helper.make_node("Reshape", [x, f"{y}.shape"], [y])]


def _identity(call: Call, x: str, y: str, constants: Constants) -> Nodes:
    return [helper.make_node("Identity", [x], [y])]


#: What the host computes, by the schema's names; of some operators what the engine has not.
HOST: Mapping[str, Callable[..., Nodes]] = {
    "ARG_MAX": _arg_max,
    "L2_NORMALIZATION": _l2_norm,
    "LOG_SOFTMAX": _log_softmax,
    "SOFTMAX": _softmax,
    "TRANSPOSE": _transpose,
    **KERNELS,
}
#: Of these, what reads two tensors.
OF_TWO = ("BATCH_MATMUL", "SQUARED_DIFFERENCE")
#: What stays there behind these.
_BEHIND: Mapping[str, Callable[..., Nodes]] = {
    "DEQUANTIZE": _identity,
    "EXPAND_DIMS": _reshape,
    "QUANTIZE": _identity,
    "RESHAPE": _reshape,
    "SQUEEZE": _reshape,
}


class Hosting(Region):
    """Tensors on the host, by their numbers, and models cut out of what computes them."""

    def __init__(self, builder: Builder, file: File) -> None:
        super().__init__(builder)
        self.file = file
        self.kinds: list[tuple[str, str]] = []
        self.hosted: dict[int, Hosted] = {}
        self._calls: dict[str, Call] = {}

    def takes(self, call: Call) -> bool:
        """Whether an operator is the host's: of its own, or behind one that is."""
        reads = bool(call.op.inputs) and call.op.inputs[0] in self.hosted
        alone = call.op.kind in HOST and call.op.kind not in KERNELS
        return alone or (reads and call.op.kind in _BEHIND)

    def add(self, call: Call, reason: UnsupportedError) -> None:
        """Keep an operator for the host.

        Raises
        ------
        UnsupportedError  ``reason``, if it is nothing for the host either.
        """
        number, inputs = call.op.outputs[0], call.op.inputs
        sources = [self.hosted[i] for i in inputs[:2] if i in self.hosted]
        result, reason = call.result, sources[0].reason if sources else reason
        if not result.shape or result.shape[0] != 1 or 0 in result.shape:
            raise reason
        if call.op.kind in OF_TWO and (call.is_constant(0) or call.is_constant(1)):
            raise reason
        floats = call.op.kind != "ARG_MAX"
        grid = grid_of(call.where, result) if floats and result.kind != "FLOAT32" else None
        name = str(number)
        self._calls[name] = call
        self.kinds.append((call.op.kind, call.where))
        self.hosted[number] = Hosted(name, result.shape, result.kind, floats, reason, grid)

    def view(self, value: Hosted) -> View:
        """Return what the engine reads of the host's results, as the file has it."""
        if value.dims is None or len(value.dims) != 4:
            return super().view(value)
        batch, rows, columns, channels = value.dims
        first = super().view(replace(value, dims=(batch, channels, rows, columns)))
        return self.builder.transposed(first, (1, 2, 0))

    def cut(self, names: Sequence[str]) -> tuple[HostModel, list[View]]:
        """Return a model that computes tensors from those of the engine, and these."""
        graph = GraphProto(name="host")
        constants: Constants = {}
        views: dict[str, View] = {}
        done: set[str] = set()

        def operand(call: Call, place: int) -> str:
            number = call.op.inputs[place]
            if number in self.hosted:
                return visit(str(number))
            views.setdefault(f"in{number}", call.view(place))
            return f"in{number}"

        def visit(name: str) -> str:
            if name in done:
                return name
            done.add(name)
            call = self._calls[name]
            sources = [operand(call, place) for place in range(2 if call.op.kind in OF_TWO else 1)]
            emit = HOST.get(call.op.kind) or _BEHIND[call.op.kind]
            grid = self.hosted[int(name)].grid
            own = name if grid is None else f"{name}.real"
            graph.node.extend(emit(call, *sources, own, constants))
            if grid is not None:
                constants[f"{name}.scale"] = np.float32(grid.scale)
                constants[f"{name}.zero"] = np.int8(grid.zero_point)
                ends = [f"{name}.scale", f"{name}.zero"]
                rounded = f"{name}.rounded"
                graph.node.append(helper.make_node("QuantizeLinear", [own, *ends], [rounded]))
                graph.node.append(helper.make_node("DequantizeLinear", [rounded, *ends], [name]))
            return name

        for name in names:
            visit(name)
            result = name
            if len(self.hosted[int(name)].dims or ()) == 4:  # channels first, for engine and caller
                result = f"{name}.turned"
                turned = helper.make_node("Transpose", [name], [result], perm=[0, 3, 1, 2])
                graph.node.append(turned)
            graph.output.append(ValueInfoProto(name=result))
        for name, view in views.items():
            kind, shape = TensorProto.FLOAT, (1, *view.shape)
            graph.input.append(helper.make_tensor_value_info(name, kind, shape))
        for name, array in constants.items():
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        opsets = [helper.make_opsetid("", _OPSET)]
        model = ModelProto(graph=graph, ir_version=_IR_VERSION, opset_import=opsets)
        return HostModel(model.SerializeToString()), list(views.values())
