"""From a file to its graph, with as many walks as it takes to find what the host must compute.

Some of what the engine has not shows only when the whole graph is known: elements in an order that
no operator of the engine gives, a result that is read before it is rounded. The nodes that are the
reason go to the host then, and the file is read once more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from onnx import NodeProto, TensorProto

from tilewright.compiler.host.check import HOST_OPERATORS, STANDARD
from tilewright.compiler.importers.hosted import Host
from tilewright.compiler.importers.onnx.file import ModelFile, label, read_model
from tilewright.compiler.importers.onnx.float32 import with_float32_factors
from tilewright.compiler.importers.onnx.hosting import OF_THE_ENGINE
from tilewright.compiler.importers.onnx.importer import Shapes, Walk
from tilewright.compiler.importers.onnx.norms import norms_of
from tilewright.compiler.importers.onnx.offsets import with_fine_offsets
from tilewright.compiler.importers.onnx.tables import with_float32_tables
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes import normalized, prepared, strictly_given
from tilewright.errors import Error, UnsupportedError

_MAX_FORCED = 64
_MOVING = frozenset(
    """
    Concat DepthToSpace DequantizeLinear Expand Flatten Gather Identity Pad QuantizeLinear Reshape
    Slice SpaceToDepth Split Squeeze Tile Transpose Unsqueeze
    """.split()
)
"""Operators that only move elements, through which the reason for an order is looked for."""
_QUANTIZERS = ("QuantizeLinear", "DequantizeLinear")
Reasons = Mapping[str, UnsupportedError]
Check: TypeAlias = Callable[[Graph], None]


@dataclass(frozen=True, eq=False)
class Imported:
    """A model as a graph.

    Parameters
    ----------
    graph : in reals; of a quantized model, with the grids that it says, and integers for all of it
    quantized : whether the model is
    outputs : names of its results
    half : whether it has floats of 16 bits
    """

    graph: Graph
    quantized: bool
    outputs: tuple[str, ...]
    half: bool


def import_file(
    path: str | os.PathLike[str],
    shapes: Shapes | None = None,
    host: Host = "edges",
    check: Check = lambda graph: None,
) -> Imported:
    """Read a model and build its graph.

    Parameters
    ----------
    shapes : of inputs without the batch, by name, where the model leaves dimensions open
    host : where the host may compute what the engine has not
    check : raises an UnsupportedError that names the layer of which there are no integers

    Raises
    ------
    Error  If the file is no model, or has what has no way into the graph; the message names the
    node and a way out.
    """
    try:
        model = read_model(path)
        graph = _graph(model, shapes or {}, host, check)
    except Error:
        raise
    except MemoryError as error:
        raise Error(f"{path}: it takes more memory than there is") from error
    kinds = {tensor.data_type for tensor in model.initializers.values()}
    half = not kinds.isdisjoint((TensorProto.FLOAT16, TensorProto.BFLOAT16))
    return Imported(graph, model.quantized, model.outputs, half)


def _graph(model: ModelFile, shapes: Shapes, host: Host, check: Check) -> Graph:
    asked = host == "anywhere" and not model.quantized
    forced = norms_of(model.nodes) if asked else {}
    tried: dict[str, UnsupportedError] = {}
    while True:
        try:
            graph = _built(model, shapes, host, forced)
            if model.quantized:
                check(graph)
            return graph
        except UnsupportedError as error:
            # One that the host could have, but may not in the middle, says so.
            asks = 'host="anywhere"' in error.remedy
            more = {} if host == "never" or asks else _to_host(model, error, forced)
            if not more or len(tried) > _MAX_FORCED:
                raise error if asks else next(iter(tried.values()), error) from None
            tried |= more
            forced |= more


def _built(model: ModelFile, shapes: Shapes, host: Host, forced: Reasons) -> Graph:
    graph = Walk(model, shapes, host, forced).run()
    if not model.quantized:
        normalized(prepared(graph))  # refuses what tw.quantize would
        return graph
    own = with_fine_offsets(strictly_given(graph))
    return with_float32_tables(with_float32_factors(own))


def _to_host(model: ModelFile, error: UnsupportedError, forced: Reasons) -> Reasons:
    """Return the nodes that the host could have so that an error goes away, with the error.

    These are the node itself, or else what moves elements on the way to it, or else a layer of
    the engine, whose operand the host brings into order.
    """
    where = error.where
    nodes = [n for n in model.nodes if where == label(n) or _part_of(where, label(n))]
    if where in {value.name for value in model.inputs}:
        nodes = [n for n in model.nodes if where in n.input]
    found = {label(n): error for n in nodes if _may(n) and label(n) not in forced}
    if found or not nodes:
        return found
    writers = {name: node for node in model.nodes for name in node.output}
    ways = [name for node in nodes for name in node.input]
    while ways:
        node = writers.get(ways.pop())
        if node is None or node.op_type not in _MOVING:
            continue
        if node.op_type not in _QUANTIZERS and label(node) not in forced:
            found[label(node)] = error
        ways.extend(node.input if node.op_type == "Concat" else node.input[:1])
    layers = [label(n) for n in nodes if n.op_type in (*OF_THE_ENGINE, "MatMul")]
    return found or {name: error for name in layers if name not in forced}


def _part_of(where: str, name: str) -> bool:
    return bool(name) and where.startswith((f"{name}.", f"{name}#"))


def _may(node: NodeProto) -> bool:
    """Whether the host could have a node; matrices of constants are the engine's."""
    hosted = node.domain in STANDARD and node.op_type in HOST_OPERATORS
    return hosted and node.op_type not in (*_QUANTIZERS, "MatMul")
