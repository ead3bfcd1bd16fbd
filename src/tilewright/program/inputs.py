"""Images as a program takes them."""

from __future__ import annotations

import io
import math
import os
import sys
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright import files
from tilewright.compiler.ir import Graph, Input, TensorType, quantize_input
from tilewright.program.archive import DAMAGED
from tilewright.program.errors import ProgramError

#: Bytes of a file of inputs, at most.
MAX_INPUT_BYTES = 1 << 30


def random_image(graph: Graph) -> list[NDArray[np.int64]]:
    """Return one random image, always the same: an array (1, C, H, W) per input."""
    rng = np.random.default_rng(0)
    kinds = [graph.values[op.output] for op in graph.inputs]
    return [rng.integers(k.qmin, k.qmax + 1, (1, *k.shape)) for k in kinds]


def quantize(
    graph: Graph, shapes: tuple[tuple[int, ...], ...], inputs: Any
) -> list[NDArray[np.int64]]:
    """Return inputs as (N, C, H, W) integers, one array per input of the model.

    They have the shape that the model takes, one of ``shapes`` behind the batch, or (N, C, H, W); N
    may be missing. Floats are quantized as the model's input quantizer does it; integers must
    already be on its grid.

    Raises
    ------
    ProgramError
        If number, shape, type or range do not fit.
    """
    given = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
    wanted = graph.inputs
    if len(given) != len(wanted):
        raise ProgramError(f"the program takes {len(wanted)} inputs, not {len(given)}")
    arrays = [
        _quantize(op, graph.values[op.output], shape, item)
        for item, op, shape in zip(given, wanted, shapes, strict=True)
    ]
    if len({len(array) for array in arrays}) > 1:
        raise ProgramError("all inputs must have the same number of images")
    return arrays


def _quantize(op: Input, kind: TensorType, shape: tuple[int, ...], item: Any) -> NDArray[np.int64]:
    torch = sys.modules.get("torch")  # slow to import, and needed by nobody without tensors
    if torch is not None and isinstance(item, torch.Tensor):
        item = item.detach().cpu().numpy()
    array = np.asarray(item)
    array = _images(op.name, array, kind.shape, shape)
    if np.issubdtype(array.dtype, np.floating):
        array = quantize_input(kind, array)
    elif not np.issubdtype(array.dtype, np.integer):
        raise ProgramError(f"input {op.name} must be floats or integers, not {array.dtype}")
    if array.min() < kind.qmin or array.max() > kind.qmax:
        raise ProgramError(
            f"input {op.name} must be in {kind.qmin}..{kind.qmax}, not {array.min()}..{array.max()}"
        )
    return array.astype(np.int64)


def _images(
    name: str, array: NDArray[Any], shape: tuple[int, int, int], own: tuple[int, ...]
) -> NDArray[Any]:
    """Return an array as (N, C, H, W); it may have the model's shape ``own``, and lack N."""
    for wanted in (own, shape):
        if array.shape == wanted:
            return array.reshape(1, *shape)
        if array.shape[1:] == wanted and array.ndim == len(wanted) + 1 and len(array):
            return array.reshape(-1, *shape)
    raise ProgramError(
        f"input {name} must have shape (N, {', '.join(map(str, own))}), not {array.shape}"
    )


def read_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array in a .npy file.

    Raises
    ------
    FileError
        If the file cannot be read, or has more than ``MAX_INPUT_BYTES``.
    ProgramError
        If it is no .npy file, or not as long as it says.
    """
    return _array(files.read_bytes(path, MAX_INPUT_BYTES), f"{path} is not a .npy file")


def read_arrays(path: str | os.PathLike[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays in a .npz file, by name.

    Raises
    ------
    FileError
        If the file cannot be read, or has more than ``MAX_INPUT_BYTES``.
    ProgramError
        If it is no .npz file, or its arrays have more than ``MAX_INPUT_BYTES``.
    """
    wrong = f"{path} is not a .npz file"
    arrays: dict[str, NDArray[Any]] = {}
    with files.open_bounded(path, MAX_INPUT_BYTES) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = archive.infolist()
                if sum(info.file_size for info in members) > MAX_INPUT_BYTES:
                    raise ProgramError(f"{path}: its arrays have over {MAX_INPUT_BYTES} bytes")
                for info in members:
                    name, dot, kind = info.filename.rpartition(".")
                    if dot + kind != ".npy" or name in arrays:
                        raise ProgramError(f"{wrong}: its member {info.filename!r}")
                    with archive.open(info) as member:
                        data = member.read(info.file_size)
                    arrays[name] = _array(data, f"{wrong}: {name}")
        except DAMAGED as error:
            raise ProgramError(f"{wrong}: {error}") from error
    return arrays


def _array(data: bytes, wrong: str) -> NDArray[Any]:
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"version {version}")
        first = version == (1, 0)
        read = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(stream)
        rest = len(data) - stream.tell()
        if (
            dtype.hasobject
            or min(shape, default=0) < 0
            or math.prod(shape) * dtype.itemsize != rest
        ):
            raise ValueError(f"{rest} bytes for {shape} elements of type {dtype}")
        flat: NDArray[Any] = np.frombuffer(data, dtype, offset=stream.tell())
        return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        raise ProgramError(f"{wrong}: {error}") from error
