"""One walk over a file's operators."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.importers.hosted import Host
from tilewright.compiler.importers.tflite.call import Call, grid_of
from tilewright.compiler.importers.tflite.file import File, FileTensor, FormatError, read_file
from tilewright.compiler.importers.tflite.operators import HOST, OPERATORS
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.passes import given
from tilewright.errors import UnsupportedError


@dataclass(frozen=True, eq=False)
class Imported:
    """A TFLite network.

    Parameters
    ----------
    graph : every tensor with its grid; pixels behind channels, (C, H, W), inputs and results too
    host : operators that were left to the host, as (kind, name), in order
    """

    graph: Graph
    host: tuple[tuple[str, str], ...]


def import_tflite(data: bytes, *, name: str = "network", host: Host = "edges") -> Imported:
    """Read a TFLite file of an int8 network.

    Parameters
    ----------
    data : what the file holds, which may be anything
    name : of the network
    host : "edges" leaves softmax, the largest class and the like to the host where they are last;
        "never" refuses them

    Raises
    ------
    FormatError  If it is no TFLite file, or a damaged one.
    UnsupportedError  Naming the layer that is not taken, and a rewrite that is.
    """
    file = read_file(data)
    left = _left_to_host(file) if host != "never" else frozenset()
    builder = Builder()
    views: dict[int, View] = {}
    for number in file.inputs:
        views[number] = _input(builder, file.tensors[number])
    for place, op in enumerate(file.operators):
        if place in left:
            continue
        where = _layer_name(file, place)
        handler = OPERATORS.get(op.kind)
        if handler is None:
            raise UnsupportedError(where, f"the operator {op.kind}", _remedy(op.kind))
        if any(out in views for out in op.outputs):
            raise FormatError(f"{where}: the TFLite file writes a tensor a second time")
        result = handler(Call(where, op, file, views, builder))
        views[op.outputs[0]] = result
    ends = [i for place in left for i in file.operators[place].inputs if i in views]
    outputs = dict.fromkeys([*(i for i in file.outputs if i in views), *sorted(ends)])
    if not outputs:
        raise FormatError("the TFLite file computes none of its outputs")
    results = [_channels_first(builder, views[i]) for i in outputs]
    graph = builder.graph(name, results, "double")
    kinds = tuple((file.operators[i].kind, _layer_name(file, i)) for i in sorted(left))
    return Imported(given(graph), kinds)


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


def _left_to_host(file: File) -> frozenset[int]:
    """Return the operators of HOST behind which there is nothing else, by their places."""
    left: set[int] = set()
    readers: dict[int, list[int]] = {}
    for place, op in enumerate(file.operators):
        for number in op.inputs:
            readers.setdefault(number, []).append(place)
    for place in range(len(file.operators) - 1, -1, -1):
        op = file.operators[place]
        behind = [reader for out in op.outputs for reader in readers.get(out, [])]
        if (op.kind in HOST or (op.kind == "DEQUANTIZE" and behind)) and left.issuperset(behind):
            left.add(place)
    return frozenset(left)


def _layer_name(file: File, place: int) -> str:
    """Return how people know an operator: what it writes, as the converter calls that."""
    op = file.operators[place]
    name = _short(file.tensors[op.outputs[0]].name) if op.outputs else ""
    return name or f"{op.kind.lower()}.{place}"


def _short(name: str) -> str:
    """Return the last of several names that a converter joins, which are those of one layer."""
    return name.split(";")[0].strip()


def _remedy(kind: str) -> str:
    if kind in HOST:
        return 'It is left to the host with host="edges", where it is last.'
    return f"Taken are {', '.join(sorted(OPERATORS))}."
