"""Walks an exported module and builds the quantized graph."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn

from tilewright.compiler.host import HostError
from tilewright.compiler.importers.export import (  # noqa: F401 - they register handlers
    elementwise,
    norms,
    volumes,
    weighted,
    windows,
)
from tilewright.compiler.importers.export.call import (
    HANDLERS,
    Absent,
    Call,
    Complex,
    Folded,
    Fringed,
    Value,
    arguments,
    holds,
    name_of,
)
from tilewright.compiler.importers.export.folded import folded, outranked
from tilewright.compiler.importers.export.hosting import OF_THE_HOST, Hosting
from tilewright.compiler.importers.export.movement import JOINING, MOVING, SHAPING, move
from tilewright.compiler.importers.export.remedies import remedy_for
from tilewright.compiler.importers.export.spectral import (
    Spectrum,
    with_complex,
)
from tilewright.compiler.importers.export.trace import Trace, overwritten, trace, where
from tilewright.compiler.importers.export.windows import MAXIMA
from tilewright.compiler.importers.hosted import Host, Hosted
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.types import GraphError
from tilewright.errors import Error, UnsupportedError

_COMPUTED = (View, Folded, Fringed, Complex, Spectrum)
"""What depends on the inputs, on the engine."""
_IGNORED = ("_assert", "_assert_tensor_metadata", "_assert_scalar", "sym_constrain_range")


@dataclass(frozen=True, eq=False)
class Imported:
    """A float module as a graph.

    Parameters
    ----------
    graph : Graph, in reals
    trace : what it was made from
    views : the graph's view of each operator's result, by node of the trace
    """

    graph: Graph
    trace: Trace
    views: dict[fx.Node, View]


def import_module(
    model: nn.Module, images: Sequence[Tensor], host: Host = "edges", *, apart: bool = False
) -> Imported:
    """Turn a module in evaluation mode and in float32 into a graph.

    Parameters
    ----------
    images : one tensor (N, ...) per argument
    host : where the host may compute what the engine has not
    apart : the host concatenates parts of results

    Raises
    ------
    UnsupportedError  Naming the layer, the operator and a way out.
    """
    try:
        return _imported(trace(model, images, _is_known), host, apart)
    except UnsupportedError as error:
        if any(len(x) > 1 for x in images):
            raise
        try:  # a module for one image at a time, to which the batch is nothing
            return _imported(trace(model, images, _is_known, batches=[1]), host, apart)
        except UnsupportedError:
            raise error from None


def _imported(exported: Trace, host: Host, apart: bool) -> Imported:
    builder = Builder()
    values: dict[fx.Node, Value] = dict(exported.constants)
    views: dict[fx.Node, View] = {}
    for node in exported.arguments():
        shape = tuple(node.meta["val"].shape)
        if not shape or shape[0] != exported.batch:
            raise Error(f"the input {node.name} must have the shape (N, ...), not {shape}")
        values[node] = builder.input(node.name, shape[1:])
    results: Sequence[Any] = ()
    hosting = Hosting(builder, exported, values)
    for node in exported.graph.nodes:
        if node.op == "output":
            results = node.args[0]
        elif node.op == "call_function":
            if apart and _ends(node) and name_of(node.target) in JOINING:
                values[node] = hosting.add(node, _shared(node), allowed=True)
            else:
                values[node] = _placed(exported, hosting, values, node, host)
            if (written := overwritten(node)) is not None:
                values[written] = values[node]
        if isinstance(values.get(node), View):
            views[node] = values[node]
    try:
        outputs, tail = hosting.tail(_outputs(values, results))
    except HostError as error:
        raise next(iter(hosting.reasons.values())) from error
    unused = [name for name in builder.inputs if not _reads(builder, outputs, name)]
    if unused:
        raise UnsupportedError(
            unused[0], "the model does not use this input", "Remove the argument."
        )
    try:
        graph = replace(builder.graph(exported.name, outputs), tail=tail)
    except GraphError as error:
        raise UnsupportedError(exported.name, str(error), remedy_for("")) from error
    hosting.check(graph, host)
    return Imported(graph, exported, views)


def _is_known(node: fx.Node) -> bool:
    """Whether an operator is taken as it is, by the engine or by the host."""
    name = name_of(node.target)
    short = name.rpartition(".")[2]
    own = name in HANDLERS or name in MOVING or short in _IGNORED or "." not in name
    return own or (short in OF_THE_HOST and short != "einsum")


def _reads(builder: Builder, outputs: Sequence[View], name: str) -> bool:
    return any(name in op.inputs for op in builder.ops) or any(name in v.sources for v in outputs)


def _placed(
    exported: Trace, hosting: Hosting, values: dict[fx.Node, Value], node: fx.Node, host: Host
) -> Value:
    """Add what a node becomes: operators of the engine, or what the host computes."""
    if hosting.stays(node):
        return hosting.add(node)
    computed = any(holds(values[n], *_COMPUTED) for n in node.all_input_nodes)
    if computed and _is_flag(node) and host != "never":
        reason = UnsupportedError(
            where(node), "a result of true and false", "Return the numbers that are compared."
        )
        return hosting.add(node, reason)
    state, known = hosting.state, dict(values)
    try:
        for read in node.all_input_nodes:
            if isinstance(value := values[read], Hosted):
                known[read] = hosting.view(value)
        return _step(exported, hosting.builder, known, node)
    except (UnsupportedError, HostError) as error:
        if host == "never":
            raise
        hosting.state = state
        return hosting.add(node, error if isinstance(error, UnsupportedError) else None)


def _ends(node: fx.Node) -> bool:
    """Whether a node's elements are only moved before the model returns them."""
    return all(
        user.op == "output" or (name_of(user.target) in MOVING and _ends(user))
        for user in node.users
    )


def _shared(node: fx.Node) -> UnsupportedError:
    return UnsupportedError(
        where(node), "parts of a result of very different sizes", "Return them apart."
    )


def _is_flag(node: fx.Node) -> bool:
    """Whether a node is a comparison that the model returns."""
    kind = getattr(node.meta.get("val"), "dtype", None)
    return kind == torch.bool and any(user.op == "output" for user in node.users)


def _step(exported: Trace, builder: Builder, values: dict[fx.Node, Value], node: fx.Node) -> Value:
    args = [_known(values, a) for a in node.args]
    keywords = {key: _known(values, a) for key, a in node.kwargs.items()}
    if node.target is operator.getitem:
        return args[0][args[1]]
    name = name_of(node.target)
    if name.rpartition(".")[2] in _IGNORED:
        return None
    if absent := _absent((args, keywords)):
        raise UnsupportedError(
            absent.where, f"{absent.what}, which {where(node)} reads", remedy_for("")
        )
    call = Call(builder, where(node), name, exported.batch)
    return _applied(call, node.target, args, keywords)


def _applied(call: Call, target: Any, args: Sequence[Any], keywords: dict[str, Any]) -> Value:
    """Return what an operator makes of values."""
    if not holds((args, keywords), *_COMPUTED):
        with torch.no_grad():
            return target(*args, **keywords)
    name = call.operator
    handler = HANDLERS.get(name)
    if handler is None and name not in MOVING:
        raise UnsupportedError(
            call.where, f"{name.removeprefix('aten.')} cannot be quantized", remedy_for(name)
        )
    try:
        if holds((args, keywords), Complex, Spectrum):
            return with_complex(call, target, args, keywords, partial(_real, call))
        if name not in MAXIMA and holds((args, keywords), Fringed):
            call.refuse("what is not a maximum, of padding with -inf", remedy_for("pad"))
        if handler is None:
            return move(call, target, args, keywords)
        if name not in SHAPING and (
            holds((args, keywords), Folded) or outranked(name, args, keywords)
        ):
            return folded(call, target, args, keywords)
        return handler(call, *arguments(target, tuple(args), keywords))
    except UnsupportedError:
        raise
    except Exception as error:  # whatever it is, the user learns which layer it is about
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        short = name.removeprefix("aten.")
        raise UnsupportedError(call.where, f"{short}: {reason}", remedy_for(name)) from error


def _real(call: Call, target: Any, *args: Any, **keywords: Any) -> Value:
    """Call another operator on behalf of one."""
    return _applied(replace(call, operator=name_of(target)), target, args, keywords)


def _absent(x: Any) -> Absent | None:
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, list | tuple):
        return next((a for a in map(_absent, x) if a is not None), None)
    return x if isinstance(x, Absent) else None


def _known(values: dict[fx.Node, Value], x: Any) -> Any:
    """Replace nodes in an argument by what they are."""
    if isinstance(x, fx.Node):
        return values[x]
    return [_known(values, v) for v in x] if isinstance(x, list | tuple) else x


def _outputs(values: dict[fx.Node, Value], results: Sequence[Any]) -> list[View | Hosted]:
    outputs: list[View | Hosted] = []
    for i, result in enumerate(results):
        label = "output" if len(results) == 1 else f"output.{i}"
        value = values.get(result) if isinstance(result, fx.Node) else result
        if value is None:
            continue  # such as what a model only returns when it is trained
        if isinstance(value, Folded):
            raise UnsupportedError(
                label,
                "a result of which the batch is not the first dimension",
                "Permute it to (N, ...) at the model's end.",
            )
        if isinstance(value, Fringed):
            raise UnsupportedError(
                where(result), "padding with -inf, which the network returns", remedy_for("pad")
            )
        if isinstance(value, Tensor):
            raise UnsupportedError(
                label, "a result that does not depend on the inputs", "Leave it out."
            )
        if not isinstance(value, View | Hosted):
            raise UnsupportedError(
                label,
                f"a result of type {type(value).__name__}",
                "Return a tensor, or a flat tuple or list of tensors.",
            )
        outputs.append(value)
    return outputs
