"""Files of quantized networks: data only, so that reading one runs nothing of what it holds.

A file is ``MAGIC``, the length of the header in 8 bytes, the header in JSON (the graph, the shapes
of its arrays), the arrays one after another, and the SHA-256 of all before it. Numbers are little
endian.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import struct
from pathlib import Path
from typing import IO, Any

import numpy as np

from tilewright import files
from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized.record import Array, from_record, to_record
from tilewright.compiler.quantized.to_integer import check_integers
from tilewright.errors import Error

MAGIC = b"TWQUANT1"
#: Bytes of a file and of its header, at most.
MAX_BYTES, MAX_HEADER_BYTES = 1 << 32, 1 << 26
_CHUNK = 1 << 20
_LENGTH, _CHECKSUM = struct.Struct("<Q"), 32
_TYPES = {"f8": np.dtype("<f8"), "i8": np.dtype("<i8")}


def save(graph: Graph, path: str | os.PathLike[str], *, single: bool) -> Path:
    """Write a quantized network; see :meth:`tilewright.QuantizedModel.save`."""
    record, arrays = to_record(graph)
    described = [[array.dtype.str[1:], list(array.shape)] for array in arrays]
    header = json.dumps({"single": single, "arrays": described, "graph": record}).encode()
    if len(header) > MAX_HEADER_BYTES:
        raise Error(f"the network's header has {len(header)} bytes, at most {MAX_HEADER_BYTES} fit")
    checksum = hashlib.sha256()
    with files.fresh_file(path) as fresh, fresh.open("wb") as file:
        parts = (array.astype(array.dtype.newbyteorder("<")).tobytes() for array in arrays)
        for part in (MAGIC, _LENGTH.pack(len(header)), header, *parts):
            checksum.update(part)
            file.write(part)
        file.write(checksum.digest())
    return Path(path)


def load(path: str | os.PathLike[str]) -> tuple[Graph, bool]:
    """Read a quantized network, whatever the file holds; see :meth:`QuantizedModel.load`.

    Returns the graph, and whether the model returns one tensor.
    """
    with files.open_bounded(path, MAX_BYTES) as file:
        return _load(path, file)


def _load(path: str | os.PathLike[str], file: IO[bytes]) -> tuple[Graph, bool]:
    if file.read(len(MAGIC)) != MAGIC:
        raise Error(
            f"{path} is no quantized network that `tilewright quantize` or QuantizedModel.save "
            "wrote; torch.save writes other files, which can run code when they are read"
        )
    try:
        return _parse(file)
    except Error as error:
        raise Error(f"cannot load {path}: {error}") from error
    except Exception as error:  # what was forged can break any operator's arithmetic
        raise Error(f"cannot load {path}: {type(error).__name__}: {error}"[:500]) from error


def _parse(file: IO[bytes]) -> tuple[Graph, bool]:
    """Read what follows ``MAGIC``.

    Nothing is held of a file that is damaged, and of another one no more than its header before
    its arrays are known to be as long as that says.
    """
    size = _checked(file)
    start = len(MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
    if length > min(MAX_HEADER_BYTES, size - start):
        raise Error(f"a header of {length} bytes")
    header = json.loads(file.read(length))
    arrays: list[Array] = []
    for kind, shape in _shapes(header, size - start - length):
        count = math.prod(shape)
        stored = np.frombuffer(file.read(8 * count), _TYPES[kind], count).reshape(shape)
        arrays.append(stored.astype(np.float64) if kind == "f8" else stored.astype(np.int64))
        if not np.isfinite(arrays[-1]).all():
            raise Error("an array holds NaN or infinity")
    graph = from_record(header["graph"], arrays)
    count = len(graph.outputs if graph.tail is None else graph.tail.results)
    if header["single"] and count != 1:
        raise Error(f"a single result of {count}")
    # What integers cannot be made of is refused here, as it is by quantization.
    check_integers(graph)
    return graph, header["single"]


def _checked(file: IO[bytes]) -> int:
    """Return the bytes before a checksum that is right; leaves the file behind ``MAGIC``."""
    size = os.fstat(file.fileno()).st_size - _CHECKSUM
    checksum, left = hashlib.sha256(MAGIC), size - len(MAGIC)
    while left > 0 and (part := file.read(min(left, _CHUNK))):
        checksum.update(part)
        left -= len(part)
    if size < len(MAGIC) + _LENGTH.size or checksum.digest() != file.read(_CHECKSUM):
        raise Error("it is damaged: its checksum is wrong")
    file.seek(len(MAGIC))
    return size


def _shapes(header: Any, size: int) -> list[tuple[str, list[int]]]:
    """Return type and shape of each array, which together have ``size`` bytes."""
    if not isinstance(header, dict) or set(header) != {"single", "arrays", "graph"}:
        raise Error("its header lacks an entry, or has another one")
    if not isinstance(header["single"], bool):
        raise Error("single must be true or false")
    shapes = [(kind, shape) for kind, shape in header["arrays"]]
    for kind, shape in shapes:
        if kind not in _TYPES or not all(type(n) is int and n >= 0 for n in shape):
            raise Error(f"an array of {kind} {shape}"[:200])
    have = 8 * sum(math.prod(shape) for _, shape in shapes)
    if have != size:
        raise Error(f"arrays of {have} bytes in {size}"[:200])
    return shapes
