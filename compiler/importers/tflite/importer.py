"""One walk over a file's operators."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tilewright.compiler.importers.hosted import Host, Hosted
from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.importers.tflite.file import File, FileTensor, FormatError, read_file
from tilewright.compiler.importers.tflite.hosting import HOST, Hosting
from tilewright.compiler.importers.tflite.operators import LEFT_OUT, OPERATORS, Handler
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.passes import given
from tilewright.errors import UnsupportedError

#: What to do instead of operators whose results in int8 are not those of their reals.
_UNDEFINED = {
    "SUM": "Its kernel is wrong where integers are below zero; use MEAN, times the count.",
    "SQRT": "Its kernel is off by steps; use RSQRT, and MUL by what it reads.",
}


@dataclass(frozen=True, eq=False)
class Imported:
    """A TFLite network.

    Parameters
    ----------
    graph : every tensor with its grid; pixels behind channels, (C, H, W), inputs and results too
    host : operators that the host computes, as (kind, name), in order; those of LEFT_OUT last
    left_out : those of LEFT_OUT
    """

    graph: Graph
    host: tuple[tuple[str, str], ...]
    left_out: tuple[tuple[str, str], ...]


def import_tflite(data: bytes, *, name: str = "network", host: Host = "edges") -> Imported:
    """Read a TFLite file of an int8 network.

    Parameters
    ----------
    data : what the file holds, which may be anything
    name : of the network
    host : where the host may compute what the engine has not, as softmax and the largest class

    Raises
    ------
    FormatError  If it is no TFLite file, or a damaged one.
    UnsupportedError  Naming the layer that is not taken, and a rewrite that is.
    """
    file = read_file(data)
    left = _left_out(file) if host != "never" else frozenset()
    builder = Builder()
    hosting = Hosting(builder, file)
    views: dict[int, View] = {}
    blocks: dict[int, tuple[int, int]] = {}
    for number in file.inputs:
        views[number] = _input(builder, file.tensors[number])
    for place, op in enumerate(file.operators):
        if place not in left:
            call = Call(_layer_name(file, place), op, file, views, builder, blocks)
            _add(call, hosting, views, host)
    ends = [i for place in sorted(left) for i in file.operators[place].inputs if i in views]
    returned = dict.fromkeys([*file.outputs, *ends])
    results: list[View | Hosted] = []
    for i in returned:
        if i in hosting.hosted:
            results.append(hosting.hosted[i])
        elif i in views:
            results.append(_channels_first(builder, views[i]))
    if any(i in blocks for i in returned):
        raise FormatError("the TFLite file has a result of pixels in blocks")
    if not results:
        raise FormatError("the TFLite file computes none of its outputs")
    outputs, tail = hosting.tail(results)
    graph = replace(builder.graph(name, outputs, "double"), tail=tail)
    hosting.check(graph, host)
    kinds = [(file.operators[i].kind, _layer_name(file, i)) for i in sorted(left)]
    return Imported(given(graph), (*hosting.kinds, *kinds), tuple(kinds))


def _add(call: Call, hosting: Hosting, views: dict[int, View], host: Host) -> None:
    """Add what an operator becomes: the engine's, or the host's."""
    if any(out in views or out in hosting.hosted for out in call.op.outputs):
        raise FormatError(f"{call.where}: the TFLite file writes a tensor a second time")
    handler, kind = OPERATORS.get(call.op.kind), call.op.kind
    if handler is None or hosting.takes(call):
        reason = UnsupportedError(call.where, f"the operator {kind}", _remedy(kind))
        if host == "never" or (kind not in HOST and not hosting.takes(call)):
            raise reason
        hosting.add(call, reason)
        return
    state = hosting.state
    try:
        _add_to_engine(call, handler, hosting, views)
    except UnsupportedError as error:
        if host == "never" or kind not in HOST:
            raise
        hosting.state = state
        hosting.add(call, error)


def _add_to_engine(call: Call, handler: Handler, hosting: Hosting, views: dict[int, View]) -> None:
    for number in call.op.inputs:
        if number in hosting.hosted and number not in views:
            views[number] = hosting.view(hosting.hosted[number])
    made = handler(call)
    results = made if isinstance(made, list) else [made]
    views.update(zip(call.op.outputs, results, strict=True))


def _input(builder: Builder, tensor: FileTensor) -> View:
    """Add an input, (C, H, W) if it is (H, W, C) in the file."""
    where = _short(tensor.name) or "input"
    if not tensor.shape or tensor.shape[0] != 1 or 0 in tensor.shape:
        raise UnsupportedError(
            where, f"an input of {tensor.shape}", "Convert the network with a batch of one image."
        )
    shape = tensor.shape[1:]
    if len(shape) == 3:
        shape = (shape[2], *shape[:2])
    view = builder.input(where, shape)
    if tensor.kind != "FLOAT32":  # or else a QUANTIZE follows
        view = builder.quantized(where, view, grid_of(where, tensor))
    return builder.transposed(view, (1, 2, 0)) if len(shape) == 3 else view


def _channels_first(builder: Builder, view: View) -> View:
    return builder.transposed(view, (2, 0, 1)) if len(view.shape) == 3 else view


def _left_out(file: File) -> frozenset[int]:
    """Return the last operators that are in LEFT_OUT, by their places."""
    read = {number for op in file.operators for number in op.inputs}
    return frozenset(
        place
        for place, op in enumerate(file.operators)
        if op.kind in LEFT_OUT and not read.intersection(op.outputs)
    )


def _layer_name(file: File, place: int) -> str:
    """Return how people know an operator: what it writes, as the converter calls that."""
    op = file.operators[place]
    name = _short(file.tensors[op.outputs[0]].name) if op.outputs else ""
    return name or f"{op.kind.lower()}.{place}"


def _short(name: str) -> str:
    """Return the last of several names that a converter joins, which are those of one layer."""
    return name.split(";")[0].strip()


def _remedy(kind: str) -> str:
    if kind in _UNDEFINED:
        return _UNDEFINED[kind]
    if kind in HOST or kind in LEFT_OUT:
        return 'It is left to the host with host="edges", where it is last.'
    return f"Taken are {', '.join(sorted(OPERATORS))}."
