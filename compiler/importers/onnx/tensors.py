"""Tensors in a file as arrays: checked before anything is made as large as they say they are."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from tilewright.errors import Error
from tilewright.files import open_bounded

Array = NDArray[Any]
MAX_ELEMENTS = 1 << 24
"""Of one tensor."""
MAX_TOTAL = 1 << 26
"""Of all tensors of a file."""
_MAX_EXTERNAL = 1 << 40  # what is read of it is bounded by what tensors say

_T = TensorProto
_TYPES: dict[int, tuple[str, str, str]] = {  # type in raw data, typed field, type of its numbers
    _T.FLOAT: ("<f4", "float_data", "f4"), _T.DOUBLE: ("<f8", "double_data", "f8"),
    _T.FLOAT16: ("<f2", "int32_data", "u2"), _T.BFLOAT16: ("<u2", "int32_data", "u2"),
    _T.UINT8: ("u1", "int32_data", "u1"), _T.INT8: ("i1", "int32_data", "i1"),
    _T.UINT16: ("<u2", "int32_data", "u2"), _T.INT16: ("<i2", "int32_data", "i2"),
    _T.INT32: ("<i4", "int32_data", "i4"), _T.INT64: ("<i8", "int64_data", "i8"),
    _T.UINT32: ("<u4", "uint64_data", "u4"), _T.UINT64: ("<u8", "uint64_data", "u8"),
    _T.BOOL: ("?", "int32_data", "?"),
    _T.INT4: ("u1", "int32_data", "u1"), _T.UINT4: ("u1", "int32_data", "u1"),
}  # fmt: skip
_FOUR_BITS = (_T.INT4, _T.UINT4)


class Folder:
    """The folder of a model: external data is read from nowhere else."""

    def __init__(self, model: Path) -> None:
        self.path = model.parent

    def check(self, tensor: TensorProto) -> None:
        """Check a tensor's shape, and where its external data lies.

        Raises
        ------
        Error  If its shape is none, or it is external data and not wholly in the folder.
        """
        count = elements(tensor)
        if tensor.data_location == TensorProto.EXTERNAL and tensor.data_type in _TYPES:
            self.read(tensor.name, *_external(tensor, _size(tensor.data_type, count)), skip=True)

    def read(self, name: str, location: str, offset: int, length: int, skip: bool = False) -> bytes:
        """Read a part of a file in the folder; ``skip`` checks only that it is there.

        Raises
        ------
        Error  If it is not in the folder, not a file, or too short.
        """
        path = self.path / location
        inside = os.path.realpath(path).startswith(os.path.realpath(self.path) + os.sep)
        if not location or Path(location).is_absolute() or not inside:
            raise Error(f"the tensor {name!r} lies in {location!r}, outside the model's folder")
        with open_bounded(path, _MAX_EXTERNAL) as file:
            size = os.fstat(file.fileno()).st_size
            if offset < 0 or offset + length > size:
                raise Error(
                    f"the tensor {name!r} is {length} bytes from byte {offset} of {location!r}, "
                    f"which has {size}"
                )
            file.seek(offset)
            return b"" if skip else file.read(length)


def type_name(kind: int) -> str:
    """Name of an element type, such as "int8"."""
    names: dict[int, str] = {v: k for k, v in TensorProto.DataType.items()}
    return names.get(kind, f"type {kind}").lower()


def elements(tensor: TensorProto) -> int:
    """Elements that a tensor says it has.

    Raises
    ------
    Error  If it has too many, or a negative number in a dimension.
    """
    shape = tuple(tensor.dims)
    if min(shape, default=0) < 0 or math.prod(shape) > MAX_ELEMENTS:
        raise Error(
            f"the tensor {tensor.name!r} has the shape {shape}; at most {MAX_ELEMENTS} elements "
            "are taken"
        )
    return math.prod(shape)


def to_array(tensor: TensorProto, read: Callable[[str, str, int, int], bytes]) -> Array:
    """Return a tensor as an array; 4-bit integers as int8 or uint8, floats of 16 bits as float32.

    Parameters
    ----------
    read : of a tensor's name, location, offset and length: external data

    Raises
    ------
    Error  If it is damaged, or of a type that is not taken.
    """
    kind, count, shape = tensor.data_type, elements(tensor), tuple(tensor.dims)
    if kind not in _TYPES:
        raise Error(f"the tensor {tensor.name!r} is of {type_name(kind)}, which is not taken")
    raw_type, field, number = _TYPES[kind]
    stored = -(-count // 2) if kind in _FOUR_BITS else count
    size = _size(kind, count)
    if tensor.data_location == TensorProto.EXTERNAL:
        data: bytes | None = read(tensor.name, *_external(tensor, size))
    else:
        data = tensor.raw_data if tensor.HasField("raw_data") else None
    if data is not None:
        if len(data) != size:
            raise Error(f"the tensor {tensor.name!r} has {len(data)} bytes, and needs {size}")
        array: Array = np.frombuffer(data, raw_type)
    else:
        numbers = getattr(tensor, field)
        if len(numbers) != stored:
            raise Error(f"the tensor {tensor.name!r} has {len(numbers)} of {stored} numbers")
        wide = "i8" if field.startswith("int") else "u8" if field.startswith("u") else "f8"
        array = np.fromiter(numbers, wide, stored).astype(number)
        array = array.view(np.float16) if kind == _T.FLOAT16 else array
    if kind in _FOUR_BITS:
        pairs = np.stack([array & 15, array >> 4], 1).reshape(-1)[:count].astype(np.int8)
        array = (pairs ^ 8) - 8 if kind == _T.INT4 else pairs.astype(np.uint8)
    if kind == _T.BFLOAT16:
        array = (array.astype(np.uint32) << 16).view(np.float32)
    if kind == _T.FLOAT16:
        array = array.astype(np.float32)
    return array.astype(array.dtype.newbyteorder("=")).reshape(shape)


def _size(kind: int, count: int) -> int:
    """Bytes of raw data."""
    stored = -(-count // 2) if kind in _FOUR_BITS else count
    return stored * np.dtype(_TYPES[kind][0]).itemsize


def _external(tensor: TensorProto, size: int) -> tuple[str, int, int]:
    """Location, offset and length of external data."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(size)))
    except ValueError as error:
        raise Error(f"the tensor {tensor.name!r}: {error}") from error
    if length != size:
        raise Error(f"the tensor {tensor.name!r} has {length} bytes, and needs {size}")
    return entries.get("location", ""), offset, length
