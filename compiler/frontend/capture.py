"""Walks a recorded model once and builds the integer graph."""

import warnings
from dataclasses import dataclass
from typing import Any, TypeAlias

from torch import Tensor, fx, nn

from tilewright.compiler.frontend.builder import Builder, RoundedBias
from tilewright.compiler.frontend.calls import Call
from tilewright.compiler.frontend.functions import FUNCTIONS, IN_PLACE, METHODS
from tilewright.compiler.frontend.modules import handler_for
from tilewright.compiler.frontend.remedies import remedy_for
from tilewright.compiler.frontend.trace import Trace, record
from tilewright.compiler.frontend.values import Abstract, Mapped, Pending, Quantized, RealInput
from tilewright.compiler.ir.graph import Graph, VerifyError
from tilewright.compiler.ir.results import ResultView
from tilewright.errors import UnsupportedError

_TENSORS = (RealInput, Quantized, Pending, Mapped)
_Known: TypeAlias = dict[fx.Node, Abstract | tuple[Quantized, ...] | None]


class BiasRoundedWarning(UserWarning):
    """A bias was rounded to the accumulator's grid, which can change an output by one LSB."""


@dataclass(frozen=True)
class Capture:
    """The integer graph of a model.

    Parameters
    ----------
    graph : verified
    rounded_biases : every bias that is not exactly the model's
    input_shapes : of one image, as the model takes each input
    results : the model's results, in its own shapes, in the graph's outputs
    """

    graph: Graph
    rounded_biases: tuple[RoundedBias, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    results: tuple[ResultView, ...]


def capture(
    model: nn.Module,
    example_inputs: Tensor | tuple[Tensor, ...],
    *,
    multiplier_width: int = 18,
    round_bias: bool = False,
) -> Graph:
    """Turn a network of Brevitas layers into an integer graph.

    Warns with :class:`BiasRoundedWarning` where batch norm (or ``round_bias``) put a bias off the
    accumulator's grid; :func:`capture_with_report` returns the same list instead.

    Parameters
    ----------
    model : in evaluation mode; not modified
    example_inputs : (N, C, H, W) float tensors; N is not part of the graph
    multiplier_width : int, bits of the requantization multipliers, 2..31
    round_bias : bool, round a bias that no Int32Bias quantizer put on the accumulator's grid

    Raises
    ------
    UnsupportedError  Naming the layer, the attribute and a rewrite that works.
    """
    result = capture_with_report(
        model, example_inputs, multiplier_width=multiplier_width, round_bias=round_bias
    )
    if result.rounded_biases:
        worst = max(result.rounded_biases, key=lambda r: r.error)
        warnings.warn(
            f"the bias of {len(result.rounded_biases)} layers was rounded to the accumulator's "
            f"grid; the most, {worst.error:.2g} output LSB, in {worst.where}. Outputs of a layer "
            "can change by one LSB.",
            BiasRoundedWarning,
            stacklevel=2,
        )
    return result.graph


def capture_with_report(
    model: nn.Module,
    example_inputs: Tensor | tuple[Tensor, ...],
    *,
    multiplier_width: int = 18,
    round_bias: bool = False,
) -> Capture:
    """As :func:`capture`, and report rounded biases instead of warning."""
    trace = record(model, example_inputs)
    builder = Builder(multiplier_width=multiplier_width, round_bias=round_bias)
    abstract: _Known = {}
    for node in trace.nodes:
        abstract[node] = _step(trace, builder, abstract, node)
        _check_metadata(trace, node, abstract[node])
    name = type(model).__name__
    arguments = [x for x in abstract.values() if isinstance(x, RealInput)]
    for argument in dict.fromkeys(arguments):
        if argument not in builder.inputs:
            raise UnsupportedError(
                argument.name, "the model does not use this input", "Remove the argument."
            )
    inputs = [builder.inputs[x] for x in dict.fromkeys(arguments)]
    graph = Graph(name, builder.values, (*inputs, *builder.ops))
    try:
        graph.verify()
    except VerifyError as error:
        raise UnsupportedError(
            name, f"the integer graph breaks a rule: {error}", "See docs/supported_ops.md."
        ) from error
    heads = [n for n in trace.nodes if isinstance(abstract[n], RealInput)]
    shapes = {abstract[n]: trace.results[n][1:] for n in heads}
    taken = tuple(shapes[x] for x in dict.fromkeys(arguments))
    return Capture(graph, tuple(builder.rounded), taken, _results(trace))


def _results(trace: Trace) -> tuple[ResultView, ...]:
    """Return the model's results in its own shapes; each is an output of the graph."""
    (node,) = (n for n in trace.nodes if n.op == "output")
    returned: Any = node.args[0]
    items = returned if isinstance(returned, tuple | list) else [returned]
    return tuple(ResultView((i,), trace.results[item][1:]) for i, item in enumerate(items))


def _step(
    trace: Trace, builder: Builder, abstract: _Known, node: fx.Node
) -> Abstract | tuple[Quantized, ...] | None:
    where = trace.where(node)
    args, keywords = _arguments(trace, abstract, node)
    match node.op:
        case "placeholder":
            return _placeholder(trace, node)
        case "get_attr":
            return None
        case "output":
            _outputs(builder, args[0])
            return None
    if not any(isinstance(abstract[n], (*_TENSORS, tuple)) for n in node.all_input_nodes):
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
        return abstract[node.all_input_nodes[0]]
    target: Any = node.target
    in_table = METHODS if node.op == "call_method" else FUNCTIONS
    _check_in_place(where, node, target in IN_PLACE or bool(keywords.get("inplace", False)))
    if target not in in_table:
        label = target if isinstance(target, str) else getattr(target, "__name__", repr(target))
        raise UnsupportedError(where, f"the function {label}", remedy_for(label))
    return in_table[target](Call(builder, where, args, shape, flat), dict(keywords))


def _arguments(trace: Trace, abstract: _Known, node: fx.Node) -> Any:
    """Arguments of a node: tensors as abstract values, sizes and constants as they are."""

    def known(n: fx.Node) -> Any:
        if n.op == "get_attr":
            owner, _, name = str(n.target).rpartition(".")
            constant = getattr(trace.model.get_submodule(owner), name)
            if isinstance(constant, Tensor) and constant.numel() == 1:
                return float(constant)
        return abstract[n] or trace.results[n]

    return fx.node.map_arg(node.args, known), fx.node.map_arg(node.kwargs, known)


def _placeholder(trace: Trace, node: fx.Node) -> Abstract | None:
    result = trace.results[node]
    if not isinstance(result, tuple):
        return None  # a default value
    shape, flat = _shape(node.name, result)
    return RealInput(node.name, shape, flat)


def _outputs(builder: Builder, result: Any) -> None:
    items = list(result) if isinstance(result, tuple | list) else [result]
    for i, item in enumerate(items):
        where = "output" if len(items) == 1 else f"output.{i}"
        if not isinstance(item, _TENSORS):
            raise UnsupportedError(
                where,
                f"a result of type {type(item).__name__}",
                "Return a tensor, or a flat tuple or list of tensors.",
            )
        builder.output(where, builder.quantized(where, item))


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
    if abs(scale / x.type.scale - 1) > 1e-9 or zero_point != x.type.zero_point:
        raise UnsupportedError(
            trace.where(node),
            f"scale {scale} and zero point {zero_point}, but its quantizer says "
            f"{x.type.scale} and {x.type.zero_point}",
            "Use quantizers whose scale does not depend on the data.",
        )
