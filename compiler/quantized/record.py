"""A quantized graph as plain data and arrays, and back: what a file of it holds.

Data is what JSON has, so that a reader needs to run nothing of what it reads. Each operator is an
entry of its kind and its fields; a tensor is ``{"array": place}`` in the list of arrays.
"""

from __future__ import annotations

import base64
import binascii
import math
import types
import typing
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from typing import TypeAlias, Union, get_args, get_origin

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tilewright.compiler.host import HostModel, Tail
from tilewright.compiler.ir.results import ResultView
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.types import GraphError, Quantization, TensorInfo

Data: TypeAlias = Union[
    bool, int, float, str, "list[Data]", "tuple[Data, ...]", "dict[str, Data]", None
]
Array: TypeAlias = npt.NDArray[np.float64] | npt.NDArray[np.int64]

#: Elements of a tensor of one image, and nested functions, at most.
MAX_ELEMENTS, MAX_DEPTH = 1 << 26, 64

_OPS = {
    op.__name__: op
    for op in map(q.__dict__.get, q.__all__)
    if isinstance(op, type) and issubclass(op, q.Op) and op not in (q.Op, q.Weighted)
}


def to_record(graph: Graph) -> tuple[dict[str, Data], list[Array]]:
    """Return a graph as data, and the arrays that the data refers to."""
    arrays: list[Array] = []
    grids = {name: _grid_record(info.quantization) for name, info in graph.tensors.items()}
    record: dict[str, Data] = {
        "name": graph.name,
        "inputs": graph.inputs,
        "input_shapes": graph.input_shapes,
        "grids": grids,
        "ops": [
            {
                "kind": op.kind,
                **{f.name: _encode(getattr(op, f.name), arrays) for f in fields(op)},
            }
            for op in graph.ops
        ],
        "outputs": [
            {
                "sources": view.sources,
                "shape": view.shape,
                "index": _encode(view.index, arrays),
            }
            for view in graph.outputs
        ],
    }
    if graph.rounding != "half_even":
        record["rounding"] = graph.rounding
    if graph.tail is not None:
        record["tail"] = {
            f.name: _encode(getattr(graph.tail, f.name), arrays) for f in fields(Tail)
        }
    return record, arrays


def from_record(record: Data, arrays: Sequence[Array]) -> Graph:
    """Return the graph that :func:`to_record` made data of, whatever the data is.

    Raises
    ------
    GraphError
        If it is no graph.
    """
    keys = ("name", "inputs", "input_shapes", "grids", "ops", "outputs")
    own = set(record) if isinstance(record, dict) else set()
    twice = "rounding" in own
    optional = [key for key in ("rounding", "tail") if key in own]
    entry = _entry(record, (*keys, *optional), "graph")
    if twice and entry["rounding"] != "double":
        raise GraphError("rounding: not double, and what rounds once says nothing")
    names = _decode(tuple[str, ...], entry["inputs"], arrays, "inputs")
    shapes = _decode(tuple[tuple[int, ...], ...], entry["input_shapes"], arrays, "input_shapes")
    grids = entry["grids"]
    if not isinstance(grids, dict):
        raise GraphError("grids: no mapping")
    tensors = {}
    for name, grid in grids.items():
        tensors[name] = TensorInfo((1, 1, 1), _grid(grid, name))
    for name, shape in zip(names, shapes, strict=True):
        if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS or name not in tensors:
            raise GraphError(f"{name}: an input of {shape}")
        tensors[name] = TensorInfo(_canonical(shape), tensors[name].quantization)
    ops = [_op(op, arrays) for op in _list(entry["ops"], "ops")]
    outputs = tuple(_view(view, arrays) for view in _list(entry["outputs"], "outputs"))
    title = _decode(str, entry["name"], arrays, "name")
    tail = _tail(entry["tail"], arrays, len(outputs)) if "tail" in own else None
    empty = Graph(title, tensors, names, shapes, (), (), "double" if twice else "half_even", tail)
    graph = empty.with_ops(ops, outputs)
    for name, info in graph.tensors.items():
        if math.prod(info.shape) > MAX_ELEMENTS:
            raise GraphError(f"{name}: a tensor of {info.shape}")
    shapes_read = [] if tail is None else [outputs[i].shape for i in tail.reads]
    if tail is not None and tuple(shapes_read) != tail.model.input_shapes:
        raise GraphError("what the host makes of the results is of other shapes")
    for view in outputs:
        count = sum(math.prod(graph.shape(name)) for name in view.sources)
        used = np.arange(count) if view.index is None else view.index
        if used.size != math.prod(view.shape) or not ((used >= -1) & (used < count)).all():
            raise GraphError(f"a result of {view.shape} that {view.sources} does not make up")
    return graph


def _tail(record: Data, arrays: Sequence[Array], outputs: int) -> Tail:
    hints = typing.get_type_hints(Tail)
    entry = _entry(record, tuple(hints), "tail")
    tail = Tail(**{n: _decode(hints[n], entry[n], arrays, f"tail.{n}") for n in entry})
    counts = (len(tail.reads), len(tail.batched))
    reads_well = all(0 <= i < outputs for i in tail.reads)
    returns_well = all(-len(tail.batched) <= i < outputs for i in tail.results)
    if not (reads_well and returns_well and tail.results) or counts != tail.model.counts:
        raise GraphError("what the host makes of the results does not fit them")
    return tail


def _canonical(shape: tuple[int, ...]) -> tuple[int, int, int]:
    from tilewright.compiler.quantized.views import canonical

    return canonical(shape)


def _grid_record(grid: Quantization | None) -> Data:
    if grid is None:
        return None
    ends: list[Data] = [] if grid.low is None and grid.high is None else [grid.low, grid.high]
    return [grid.scale, grid.zero_point, grid.bits, grid.signed, *ends]


def _grid(record: Data, where: str) -> Quantization | None:
    if record is None:
        return None
    hint: typing.Any = tuple[float, int, int, bool]
    if isinstance(record, list) and len(record) > 4:
        hint = tuple[float, int, int, bool, int | None, int | None]
    return Quantization(*_decode(hint, record, (), where))


def _op(record: Data, arrays: Sequence[Array]) -> q.Op:
    own = record if isinstance(record, dict) else {}
    kind = own.get("kind")
    if not isinstance(kind, str) or kind not in _OPS:
        raise GraphError(f"there is no operator {kind!r}"[:200])
    cls = _OPS[kind]
    hints = typing.get_type_hints(cls)
    names = [f.name for f in fields(cls)]
    # Files are older than some attributes.
    absent = {f.name for f in fields(cls) if f.default is not MISSING} - set(own)
    names = [name for name in names if name not in absent]
    entry = _entry(record, ("kind", *names), kind)
    return cls(**{n: _decode(hints[n], entry[n], arrays, f"{kind}.{n}") for n in names})


def _view(record: Data, arrays: Sequence[Array]) -> View:
    hints = typing.get_type_hints(View)
    entry = _entry(record, ("sources", "shape", "index"), "output")
    view = View(**{n: _decode(hints[n], entry[n], arrays, f"output.{n}") for n in entry})
    if not view.sources or (view.index is not None and view.index.shape != view.shape):
        raise GraphError(f"a result of {view.shape} from {view.sources}")
    return view


def _entry(record: Data, names: Sequence[str], where: str) -> Mapping[str, Data]:
    if not isinstance(record, dict) or set(record) != set(names):
        raise GraphError(f"{where}: not exactly the entries {', '.join(names)}")
    return record


def _list(record: Data, where: str) -> list[Data]:
    if not isinstance(record, list):
        raise GraphError(f"{where}: no list")
    return record


def _encode(value: object, arrays: list[Array]) -> Data:
    """Return a field's value as data."""
    match value:
        case None | bool() | int() | str():
            return value
        case float():  # JSON has no infinity
            return value if math.isfinite(value) else str(value)
        case Tensor():
            arrays.append(value.detach().to(torch.float64).contiguous().numpy())
            return {"array": len(arrays) - 1}
        case np.ndarray():
            arrays.append(np.ascontiguousarray(value, np.int64))
            return {"array": len(arrays) - 1}
        case tuple():
            return [_encode(v, arrays) for v in value]
        case Quantization():
            return _grid_record(value)
        case HostModel():
            return base64.b64encode(value.data).decode()
        case ResultView():
            return value.to_dict()  # type: ignore[return-value]
        case q.Argument():
            return {"argument": "x"}
        case q.Apply(function, arguments):
            return {"apply": function, "to": [_encode(a, arrays) for a in arguments]}
    raise TypeError(f"{value!r} has no record")


def _decode(hint: typing.Any, value: Data, arrays: Sequence[Array], where: str) -> typing.Any:
    """Return the value of a field of type ``hint``."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Tensor:
        return torch.from_numpy(_array(value, arrays, np.dtype(np.float64), where))
    if origin is np.ndarray:
        return _array(value, arrays, np.dtype(np.int64), where)
    if hint == q.Expression:
        return _expression(value, where, 0)
    if hint is Quantization:
        return _grid(value, where)
    if hint is HostModel:
        return _model(value, where)
    if hint is ResultView:
        return _result(value, arrays, where)
    if origin in (Union, types.UnionType):  # something or None
        (kind,) = (a for a in arguments if a is not type(None))
        return None if value is None else _decode(kind, value, arrays, where)
    if origin is typing.Literal and value in arguments:
        return value
    if origin is tuple and isinstance(value, list):
        kinds = [arguments[0]] * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            pairs = zip(kinds, value, strict=True)
            return tuple(_decode(kind, v, arrays, where) for kind, v in pairs)
    if hint is float and isinstance(value, int | str) and not isinstance(value, bool):
        value = _float(value, where)
    if isinstance(hint, type) and type(value) is hint:
        if hint is not int or abs(typing.cast(int, value)) <= MAX_ELEMENTS:
            return value
    raise GraphError(f"{where}: {value!r} is not of its type"[:200])


def _model(value: Data, where: str) -> HostModel:
    if not isinstance(value, str):
        raise GraphError(f"{where}: no model")
    try:
        return HostModel(base64.b64decode(value, validate=True))
    except binascii.Error as error:
        raise GraphError(f"{where}: {error}") from error


def _result(value: Data, arrays: Sequence[Array], where: str) -> ResultView:
    entry = _entry(value, ("sources", "shape", "index"), where)
    sources, shape = (
        _decode(tuple[int, ...], entry[name], arrays, where) for name in ("sources", "shape")
    )
    index = entry["index"]
    if not sources or (index is not None and not isinstance(index, str)):
        raise GraphError(f"{where}: what it reads is not said")
    try:
        return ResultView.from_text(sources, shape, index)
    except (ValueError, MemoryError, zlib.error) as error:
        raise GraphError(f"{where}: {error}") from error


def _float(value: int | str, where: str) -> float:
    if isinstance(value, str) and value not in ("inf", "-inf"):
        raise GraphError(f"{where}: {value!r} is no number"[:200])
    try:
        return float(value)
    except OverflowError as error:
        raise GraphError(f"{where}: a number beyond all floats") from error


def _array(
    value: Data, arrays: Sequence[Array], dtype: np.dtype[typing.Any], where: str
) -> npt.NDArray[typing.Any]:
    place = _entry(value, ("array",), where)["array"]
    if type(place) is not int or not 0 <= place < len(arrays) or arrays[place].dtype != dtype:
        raise GraphError(f"{where}: no array of {dtype} at {place!r}"[:200])
    return arrays[place]


def _expression(value: Data, where: str, depth: int) -> q.Expression:
    if depth > MAX_DEPTH:
        raise GraphError(f"{where}: functions nested deeper than {MAX_DEPTH}")
    if value == {"argument": "x"}:
        return q.X
    if isinstance(value, dict):
        entry = _entry(value, ("apply", "to"), where)
        function = entry["apply"]
        if not isinstance(function, str) or function not in q.FUNCTIONS:
            raise GraphError(f"{where}: there is no function {function!r}"[:200])
        inner = _list(entry["to"], where)
        return q.Apply(function, tuple(_expression(a, where, depth + 1) for a in inner))
    number: float = _decode(float, value, (), where)
    return number
