"""Small TFLite files."""

from dataclasses import dataclass, field

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    np.dtype(np.int8): schema.TensorType.INT8,
    np.dtype(np.uint8): schema.TensorType.UINT8,
    np.dtype(np.int32): schema.TensorType.INT32,
    np.dtype(np.float32): schema.TensorType.FLOAT32,
}


@dataclass
class File:
    """A file under construction; tensors are numbers."""

    model: schema.ModelT = field(default_factory=schema.ModelT)
    graph: schema.SubGraphT = field(default_factory=schema.SubGraphT)

    def __post_init__(self):
        self.model.version, self.model.description = 3, b"test"
        self.model.subgraphs, self.model.operatorCodes = [self.graph], []
        self.model.buffers = [schema.BufferT()]
        self.graph.tensors, self.graph.operators = [], []
        self.graph.inputs, self.graph.outputs = [], []

    def tensor(self, shape, scale=None, zero_point=0, data=None, dtype=np.int8, axis=0, name=None):
        """Add a tensor, a constant with data; scale may be one or many."""
        t = schema.TensorT()
        t.shape, t.name = list(shape), (name or f"t{len(self.graph.tensors)}").encode()
        t.type, t.buffer = _TYPES[np.dtype(dtype)], 0
        if scale is not None:
            t.quantization = schema.QuantizationParametersT()
            t.quantization.scale = np.atleast_1d(np.asarray(scale, np.float32))
            count = len(t.quantization.scale)
            points = np.broadcast_to(np.asarray(zero_point, np.int64), count)
            t.quantization.zeroPoint, t.quantization.quantizedDimension = points.copy(), axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data, dtype).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            t.buffer = len(self.model.buffers) - 1
        self.graph.tensors.append(t)
        return len(self.graph.tensors) - 1

    def op(self, kind, inputs, outputs, options=None, version=1, **fields):
        """Add an operator; ``options`` is the name of its table, ``fields`` its entries."""
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = (
            number,
            min(number, 127),
            version,
        )
        self.model.operatorCodes.append(code)
        entry = schema.OperatorT()
        entry.opcodeIndex = len(self.model.operatorCodes) - 1
        entry.inputs, entry.outputs = list(inputs), list(outputs)
        if options:
            entry.builtinOptions = getattr(schema, f"{options}T")()
            entry.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            for name, value in fields.items():
                assert hasattr(entry.builtinOptions, name), name
                setattr(entry.builtinOptions, name, value)
        self.graph.operators.append(entry)

    def data(self, inputs, outputs):
        """Return the bytes of the file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
