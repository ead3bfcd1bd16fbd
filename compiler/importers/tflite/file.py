"""A TFLite file as plain data: tensors, operators, inputs and results of its one subgraph.

The generated readers of flatbuffers follow whatever offsets a file has; what they meet is checked
here, and nothing is copied before it is known to be small.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tilewright.errors import Error

#: Elements of a tensor, and of all constants that operators read; tensors and operators.
MAX_ELEMENTS, MAX_CONSTANTS, MAX_COUNT = 1 << 24, 1 << 25, 1 << 16
_MAX_RANK, _MAX_NAME = 8, 120
_DTYPES = {"INT8": np.int8, "INT32": np.int32, "INT64": np.int64, "FLOAT32": np.float32}
_DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError)

T = TypeVar("T")


class FormatError(Error):
    """A file is no TFLite file, or a damaged one."""


@dataclass(frozen=True, eq=False)
class FileTensor:
    """A tensor of a file.

    Parameters
    ----------
    name : as the converter called it
    shape : the batch included
    kind : of its elements, as the schema calls it: "INT8"
    scales, zero_points : as many as there are channels, or one, or none
    axis : of the channels that scales are of
    data : its elements if they are constant
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    scales: npt.NDArray[np.float32]
    zero_points: npt.NDArray[np.int64]
    axis: int
    data: npt.NDArray[Any] | None


@dataclass(frozen=True, eq=False)
class FileOperator:
    """An operator: its kind, tensors by number (-1 for none), and its table of options."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any


@dataclass(frozen=True, eq=False)
class File:
    """The one subgraph of a file; inputs and outputs are numbers of tensors."""

    tensors: tuple[FileTensor, ...]
    operators: tuple[FileOperator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def guarded(what: str, read: Callable[[], T]) -> T:
    """Return what ``read`` finds.

    Raises
    ------
    FormatError  If it leaves the file, or finds what cannot be.
    """
    try:
        return read()
    except _DAMAGE as error:
        raise FormatError(f"the TFLite file is damaged: {what} cannot be read") from error


def read_file(data: bytes) -> File:
    """Read a TFLite file, whatever it holds.

    Raises
    ------
    FormatError
        If it is none, is damaged, or is larger than the limits above.
    Error
        If the package ``tflite`` is not installed.
    """
    try:
        import tflite
    except ImportError as error:
        raise Error("TFLite files need a package: pip install tilewright[tflite]") from error
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise FormatError("this is no TFLite file: it has not the identifier TFL3")
    return guarded("its structure", lambda: _Reader(tflite, data).file())


class _Reader:
    """Follows the tables of one file."""

    def __init__(self, schema: Any, data: bytes) -> None:
        self.schema, self.data = schema, data
        self.model = schema.Model.GetRootAs(data, 0)
        self.constants = 0
        self.kinds = _names(schema.TensorType)
        self.builtins = _names(schema.BuiltinOperator)

    def file(self) -> File:
        subgraphs = self.model.SubgraphsLength()
        if subgraphs != 1:
            raise FormatError(
                f"the TFLite file has {subgraphs} subgraphs; only one without control flow is read"
            )
        graph = self.model.Subgraphs(0)
        counts = {
            "tensors": graph.TensorsLength(),
            "operators": graph.OperatorsLength(),
            "buffers": self.model.BuffersLength(),
        }
        for what, count in counts.items():
            if count > MAX_COUNT:
                raise FormatError(f"the TFLite file has {count} {what}, more than {MAX_COUNT}")
        operators = tuple(self.operator(graph.Operators(i)) for i in range(counts["operators"]))
        inputs, outputs = _integers(graph.InputsAsNumpy()), _integers(graph.OutputsAsNumpy())
        read = {i for op in operators for i in op.inputs}
        tensors = tuple(self.tensor(graph.Tensors(i), i in read) for i in range(counts["tensors"]))
        used = [*inputs, *outputs, *(i for op in operators for i in (*op.inputs, *op.outputs))]
        if wrong := [i for i in used if not -1 <= i < len(tensors)]:
            raise FormatError(f"the TFLite file is damaged: there is no tensor {wrong[0]}")
        if -1 in (*inputs, *outputs) or not inputs or not outputs:
            raise FormatError("the TFLite file has no input, or no output")
        return File(tensors, operators, inputs, outputs)

    def operator(self, entry: Any) -> FileOperator:
        code = self.model.OperatorCodes(entry.OpcodeIndex())
        # Old files have small codes only, and those in another place.
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        kind = self.builtins.get(number, f"operator {number}")
        if kind == "CUSTOM":
            kind = _text(code.CustomCode())
        return FileOperator(
            kind, _integers(entry.InputsAsNumpy()), _integers(entry.OutputsAsNumpy()),
            self.options(entry),
        )  # fmt: skip

    def options(self, entry: Any) -> Any:
        """Return the reader of an operator's options, or None."""
        names = _names(self.schema.BuiltinOptions)
        cls = getattr(self.schema, names.get(entry.BuiltinOptionsType(), ""), None)
        table = entry.BuiltinOptions()
        if cls is None or table is None:
            return None
        options = cls()
        options.Init(table.Bytes, table.Pos)
        return options

    def tensor(self, entry: Any, read: bool) -> FileTensor:
        name, shape = _text(entry.Name()), _integers(entry.ShapeAsNumpy())
        if len(shape) > _MAX_RANK or min(shape, default=1) < 0:
            raise FormatError(f"{name}: a TFLite tensor of the shape {shape}")
        elements = math.prod(shape)
        if elements > MAX_ELEMENTS:
            raise FormatError(f"{name}: {elements} elements; at most {MAX_ELEMENTS} are read")
        kind = self.kinds.get(entry.Type(), f"type {entry.Type()}")
        grid = entry.Quantization()
        scales = zero_points = np.zeros(0)
        axis = 0
        if grid is not None:
            scales, zero_points = (
                np.atleast_1d(v)[:grid_length]
                for v, grid_length in (
                    (grid.ScaleAsNumpy(), grid.ScaleLength()),
                    (grid.ZeroPointAsNumpy(), grid.ZeroPointLength()),
                )
            )
            axis = grid.QuantizedDimension()
        data = self.constant(entry, name, kind, shape) if read else None
        return FileTensor(
            name, shape, kind, scales.astype(np.float32), zero_points.astype(np.int64), axis, data
        )

    def constant(
        self, entry: Any, name: str, kind: str, shape: tuple[int, ...]
    ) -> npt.NDArray[Any] | None:
        """Return the elements of a constant that an operator reads; None if it is none."""
        buffer = self.model.Buffers(entry.Buffer())
        size = buffer.DataLength()
        if not size or kind not in _DTYPES:
            return None
        dtype = np.dtype(_DTYPES[kind]).newbyteorder("<")
        if size != math.prod(shape) * dtype.itemsize:
            raise FormatError(f"{name}: {size} bytes of data for a {kind} tensor of {shape}")
        self.constants += math.prod(shape)
        if self.constants > MAX_CONSTANTS:
            raise FormatError(f"the TFLite file has more than {MAX_CONSTANTS} constants")
        elements: npt.NDArray[Any] = buffer.DataAsNumpy().view(dtype).reshape(shape)
        return elements


def _names(enum: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


def _integers(array: Any) -> tuple[int, ...]:
    """Return a vector of the file; the readers have 0 for one that is not there."""
    if isinstance(array, int):
        return ()
    if len(array) > MAX_COUNT:
        raise FormatError(f"the TFLite file is damaged: a list of {len(array)} numbers")
    return tuple(int(v) for v in array)


def _text(raw: bytes | None) -> str:
    """Return a name as people can read it, on one line and not too long."""
    text = "" if raw is None else raw[: 8 * _MAX_NAME].decode("utf-8", "replace")
    shown = "".join(c if c.isprintable() else "?" for c in text)
    return shown if len(shown) <= _MAX_NAME else f"{shown[: _MAX_NAME - 3]}..."
