"""Walks a recorded model once and builds the quantized graph."""

from __future__ import annotations

from typing import Any, TypeAlias

from torch import Tensor, fx, nn

from tilewright.compiler.importers.brevitas.builder import Builder
from tilewright.compiler.importers.brevitas.calls import Call
from tilewright.compiler.importers.brevitas.functions import FUNCTIONS, IN_PLACE, METHODS
from tilewright.compiler.importers.brevitas.modules import handler_for
from tilewright.compiler.importers.brevitas.remedies import remedy_for
from tilewright.compiler.importers.brevitas.trace import Trace, record
from tilewright.compiler.importers.brevitas.values import (
    Abstract,
    Known,
    Quantized,
    RealInput,
)
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.errors import UnsupportedError

_State: TypeAlias = dict[fx.Node, Abstract | tuple[Quantized, ...] | None]


def import_module(model: nn.Module, example_inputs: Tensor | tuple[Tensor, ...]) -> Graph:
    """Turn a network of Brevitas layers into a quantized graph.

    Parameters
    ----------
    model : in evaluation mode; not modified
    example_inputs : (N, C, H, W) float tensors; N is not part of the graph

    Raises
    ------
    UnsupportedError  Naming the layer, the attribute and a rewrite that works.
    """
    trace = record(model, example_inputs)
    builder = Builder()
    state: _State = {}
    outputs: list[View] = []
    for node in trace.nodes:
        if node.op == "output":
            args, _ = _arguments(trace, state, node)
            outputs = _outputs(trace, builder, node, args[0])
            continue
        state[node] = _step(trace, builder, state, node)
        _check_metadata(trace, node, state[node])
    return builder.graph.graph(type(model).__name__, outputs)


def _step(
    trace: Trace, builder: Builder, state: _State, node: fx.Node
) -> Abstract | tuple[Quantized, ...] | None:
    where = trace.where(node)
    args, keywords = _arguments(trace, state, node)
    match node.op:
        case "placeholder":
            return _placeholder(trace, builder, node)
        case "get_attr":
            return None
    if not any(isinstance(state[n], Known | tuple) for n in node.all_input_nodes):
        return None  # arithmetic on sizes, or on constants; using a constant is an error later
    shape, flat = _shape(where, trace.results[node])
    if node.op == "call_module":
        module = trace.model.get_submodule(str(node.target))
        handler = handler_for(module)
        _check_in_place(where, node, getattr(module, "inplace", False))
        if handler is None:
            raise UnsupportedError(where, type(module).__name__, remedy_for(module))
        if node.kwargs:
            raise UnsupportedError(where, "keyword arguments", "Pass tensors by position.")
        return handler(module, Call(builder, where, args, shape, flat))
    if shape == () and _reads_size(node):
        return None
    if node.target is getattr and node.args[1] in ("value", "tensor"):
        return state[node.all_input_nodes[0]]
    target: Any = node.target
    in_table = METHODS if node.op == "call_method" else FUNCTIONS
    _check_in_place(where, node, target in IN_PLACE or bool(keywords.get("inplace", False)))
    if target not in in_table:
        label = target if isinstance(target, str) else getattr(target, "__name__", repr(target))
        raise UnsupportedError(where, f"the function {label}", remedy_for(label))
    return in_table[target](Call(builder, where, args, shape, flat), dict(keywords))


def _arguments(trace: Trace, state: _State, node: fx.Node) -> Any:
    """Arguments of a node: tensors as abstract values, sizes and constants as they are."""

    def known(n: fx.Node) -> Any:
        if n.op == "get_attr":
            owner, _, name = str(n.target).rpartition(".")
            constant = getattr(trace.model.get_submodule(owner), name)
            if isinstance(constant, Tensor) and constant.numel() == 1:
                return float(constant.detach())
        return state[n] or trace.results[n]

    return fx.node.map_arg(node.args, known), fx.node.map_arg(node.kwargs, known)


def _placeholder(trace: Trace, builder: Builder, node: fx.Node) -> Abstract | None:
    result = trace.results[node]
    if not isinstance(result, tuple):
        return None  # a default value
    shape, flat = _shape(node.name, result)
    (name,) = builder.graph.input(node.name, result[1:]).sources
    return RealInput(node.name, name, shape, flat)


def _outputs(trace: Trace, builder: Builder, node: fx.Node, result: Any) -> list[View]:
    """Return the model's results, in its own shapes."""
    returned: Any = node.args[0]
    nodes = list(returned) if isinstance(returned, tuple | list) else [returned]
    items = list(result) if isinstance(result, tuple | list) else [result]
    views = []
    for i, (item, made) in enumerate(zip(items, nodes, strict=True)):
        where = "output" if len(items) == 1 else f"output.{i}"
        if not isinstance(item, Known):
            raise UnsupportedError(
                where,
                f"a result of type {type(item).__name__}",
                "Return a tensor, or a flat tuple or list of tensors.",
            )
        known: Any = item
        views.append(View((builder.quantized(where, known).name,), trace.results[made][1:]))
    return views


def _shape(where: str, result: Any) -> tuple[Any, bool]:
    """(C, H, W) and flatness of a recorded result; () for anything that is not a tensor."""
    if not isinstance(result, tuple) or not all(isinstance(n, int) for n in result):
        return (), False
    if len(result) == 4:
        return result[1:], False
    if len(result) == 3:  # a sequence is an image of one row
        return (result[1], 1, result[2]), False
    if len(result) == 2:
        return (result[1], 1, 1), True
    return (), False


def _reads_size(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in ("size", "dim")
    return node.target is getattr and node.args[1] in ("shape", "ndim")


def _check_in_place(where: str, node: fx.Node, in_place: bool) -> None:
    """Refuse to overwrite a tensor that a later node reads, since the graph has no aliases."""
    if in_place and any(user > node for user in node.all_input_nodes[0].users if user != node):
        raise UnsupportedError(
            where,
            "an in-place operation on a tensor that is read again later",
            "Use the out-of-place form (x = x + y, inplace=False).",
        )


def _check_metadata(trace: Trace, node: fx.Node, x: object) -> None:
    """Compare with what Brevitas itself recorded, where it is trustworthy."""
    if not isinstance(x, Quantized) or node not in trace.metadata:
        return
    scale, zero_point = trace.metadata[node]
    if abs(scale / x.grid.scale - 1) > 1e-9 or zero_point != x.grid.zero_point:
        raise UnsupportedError(
            trace.where(node),
            f"scale {scale} and zero point {zero_point}, but its quantizer says "
            f"{x.grid.scale} and {x.grid.zero_point}",
            "Use quantizers whose scale does not depend on the data.",
        )
