"""Reads a model's file; it may hold anything, and nothing outside its folder is read."""

from __future__ import annotations

import heapq
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from google.protobuf.message import DecodeError
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from tilewright.compiler.host.wire import check_size
from tilewright.compiler.importers.onnx.tensors import MAX_TOTAL, Array, Folder, elements, to_array
from tilewright.errors import Error
from tilewright.files import read_bytes

MAX_BYTES = 1 << 28
"""Of the file itself; external data comes on top."""
MAX_NODES = 20_000
MIN_OPSET = 13
STANDARD = ("", "ai.onnx")
_QUANTIZERS = ("QuantizeLinear", "QLinearConv", "QLinearMatMul", "QGemm", "QLinearAdd", "Quant")


@dataclass(frozen=True, eq=False)
class ModelFile:
    """What a file holds.

    Parameters
    ----------
    name : of the graph, or the file
    opset : int, of the standard operators
    inputs : arguments of the model, those with initializers left out
    outputs : names of results
    nodes : in topological order
    initializers : by name
    folder : where external data lies
    """

    name: str
    opset: int
    inputs: tuple[ValueInfoProto, ...]
    outputs: tuple[str, ...]
    nodes: tuple[NodeProto, ...]
    initializers: Mapping[str, TensorProto]
    folder: Folder

    @cached_property
    def quantized(self) -> bool:
        """Whether it says the grids of its feature maps."""
        return any(node.op_type in _QUANTIZERS for node in self.nodes)

    def array(self, tensor: TensorProto) -> Array:
        """Return a tensor of the file, or of external data."""
        return to_array(tensor, self.folder.read)


def read_model(path: str | os.PathLike[str]) -> ModelFile:
    """Read a file.

    Raises
    ------
    FileError  If it cannot be read.
    Error  If it is no model, or breaks a rule of the format.
    """
    path = Path(path)
    data = read_bytes(path, MAX_BYTES)
    try:
        check_size(data, ModelProto.DESCRIPTOR)
        model = ModelProto.FromString(data)
    except (Error, DecodeError) as error:
        raise Error(f"{path} is no ONNX model: {error}") from error
    del data
    try:
        return _checked(path, model)
    except Error as error:
        raise Error(f"{path}: {error}") from error


def _checked(path: Path, model: ModelProto) -> ModelFile:
    graph = model.graph
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    opset = max(opsets.get(domain, 0) for domain in STANDARD)
    if not graph.node or not graph.output:
        raise Error("it has no operators, or no results: it is no ONNX model")
    if opset < MIN_OPSET:
        raise Error(
            f"it is of opset {opset}, and {MIN_OPSET} is the least that is taken; convert it: "
            f"onnx.version_converter.convert_version(model, {MIN_OPSET})"
        )
    if len(graph.sparse_initializer):
        raise Error("it has sparse tensors, which are not taken; store them as dense ones")
    inliner = _Inliner(model.functions)
    for node in graph.node:
        inliner.add(node)
    nodes = tuple(inliner.nodes)
    initializers: dict[str, TensorProto] = {}
    for tensor in graph.initializer:
        if tensor.name in initializers:
            raise Error(f"it has two tensors {tensor.name!r}")
        initializers[tensor.name] = tensor
    total = sum(elements(tensor) for tensor in initializers.values())
    if total > MAX_TOTAL:
        raise Error(f"its tensors have {total} elements; at most {MAX_TOTAL} are taken")
    folder = Folder(path)
    for tensor in (*graph.initializer, *(a.t for node in nodes for a in node.attribute)):
        folder.check(tensor)
    inputs = tuple(value for value in graph.input if value.name not in initializers)
    outputs = tuple(value.name for value in graph.output)
    nodes = tuple(_in_order(nodes))
    _check_order([v.name for v in inputs], initializers, nodes, outputs)
    name = graph.name or path.stem
    return ModelFile(name, opset, inputs, outputs, nodes, initializers, folder)


def _in_order(nodes: Sequence[NodeProto]) -> Sequence[NodeProto]:
    """Return nodes behind those whose results they read, as onnxruntime does; in a cycle, as is."""
    writers = {name: i for i, node in enumerate(nodes) for name in node.output if name}
    waits = [{writers[n] for n in node.input if n in writers} for node in nodes]
    readers: dict[int, list[int]] = {}
    for i, own in enumerate(waits):
        for j in own:
            readers.setdefault(j, []).append(i)
    ready = [i for i, own in enumerate(waits) if not own]
    heapq.heapify(ready)
    result: list[NodeProto] = []
    while ready:
        i = heapq.heappop(ready)
        result.append(nodes[i])
        for j in readers.get(i, ()):
            waits[j].discard(i)
            if not waits[j]:
                heapq.heappush(ready, j)
    return result if len(result) == len(nodes) else nodes


def _check_order(
    inputs: Sequence[str],
    initializers: Mapping[str, TensorProto],
    nodes: Sequence[NodeProto],
    outputs: Sequence[str],
) -> None:
    """Check that each value is written once, and before it is read."""
    written = {"", *inputs, *initializers}
    for node in nodes:
        for name in node.input:
            if name not in written:
                later = any(name in other.output for other in nodes)
                why = "behind it, or in a cycle" if later else "by nothing"
                raise Error(f"{label(node)}: {node.op_type} reads {name!r}, which is written {why}")
        for name in filter(None, node.output):
            if name in written:
                raise Error(f"{label(node)}: {node.op_type} writes {name!r} a second time")
            written.add(name)
    for name in outputs:
        if name not in written:
            raise Error(f"its result {name!r} is written by nothing")


def label(node: NodeProto) -> str:
    """Name of a node, or else of what it writes."""
    return node.name or next(iter(node.output), "") or node.op_type


class _Inliner:
    """Replaces calls of the model's own functions by their nodes."""

    def __init__(self, functions: Sequence[FunctionProto]) -> None:
        self.functions = {(f.domain, f.name): f for f in functions}
        self.nodes: list[NodeProto] = []
        self.seen = 0

    def add(self, node: NodeProto, within: tuple[tuple[str, str], ...] = ()) -> None:
        """Append a node, or those of the function that it calls."""
        self.seen += 1
        if self.seen > MAX_NODES:
            raise Error(f"it has more than {MAX_NODES} operators")
        key = (node.domain, node.op_type)
        function = self.functions.get(key)
        if function is None:
            self.nodes.append(node)
            return
        if key in within or len(within) > 16:
            raise Error(f"{label(node)}: the function {node.op_type} calls itself")
        if len(node.input) > len(function.input) or len(node.output) > len(function.output):
            raise Error(f"{label(node)}: the function {node.op_type} has fewer inputs or outputs")
        names = dict(zip(function.input, node.input, strict=False))
        names |= {name: "" for name in function.input[len(node.input) :]}
        names |= {a: b for a, b in zip(function.output, node.output, strict=False) if b}
        prefix = f"{label(node)}/"
        given = {attribute.name: attribute for attribute in node.attribute}
        given |= {a.name: a for a in function.attribute_proto if a.name not in given}
        for inner in function.node:
            copy = NodeProto.FromString(inner.SerializeToString())
            copy.name = prefix + label(inner)
            for values in (copy.input, copy.output):
                renamed = [names.get(n, prefix + n if n else "") for n in values]
                del values[:]
                values.extend(renamed)
            _bind(copy, given)
            self.add(copy, (*within, key))


def _bind(node: NodeProto, given: Mapping[str, AttributeProto]) -> None:
    """Replace references to a function's attributes by what a call gives them."""
    attributes = []
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            if attribute.ref_attr_name not in given:
                continue
            bound = AttributeProto()
            bound.CopyFrom(given[attribute.ref_attr_name])
            bound.name = attribute.name
            attribute = bound
        attributes.append(attribute)
    copies = [AttributeProto.FromString(a.SerializeToString()) for a in attributes]
    del node.attribute[:]
    node.attribute.extend(copies)
