"""Images as a program takes them."""

from __future__ import annotations

import io
import math
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright import files
from tilewright.compiler.ir import Graph, Input, TensorType, quantize_input
from tilewright.program.errors import ProgramError

#: Bytes of a file of inputs, at most.
MAX_INPUT_BYTES = 1 << 30


def random_image(graph: Graph) -> list[NDArray[np.int64]]:
    """Return one random image, always the same: an array (1, C, H, W) per input."""
    rng = np.random.default_rng(0)
    kinds = [graph.values[op.output] for op in graph.inputs]
    return [rng.integers(k.qmin, k.qmax + 1, (1, *k.shape)) for k in kinds]


def quantize(graph: Graph, inputs: Any) -> list[NDArray[np.int64]]:
    """Return inputs as (N, C, H, W) integers, one array per input of the model.

    Floats are quantized as the model's input quantizer does it; integers must already be on its
    grid.

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
        _quantize(op, graph.values[op.output], item) for item, op in zip(given, wanted, strict=True)
    ]
    if len({len(array) for array in arrays}) > 1:
        raise ProgramError("all inputs must have the same number of images")
    return arrays


def _quantize(op: Input, kind: TensorType, item: Any) -> NDArray[np.int64]:
    torch = sys.modules.get("torch")  # slow to import, and needed by nobody without tensors
    if torch is not None and isinstance(item, torch.Tensor):
        item = item.detach().cpu().numpy()
    array = np.asarray(item)
    if np.issubdtype(array.dtype, np.floating):
        array = quantize_input(kind, array)
    elif not np.issubdtype(array.dtype, np.integer):
        raise ProgramError(f"input {op.name} must be floats or integers, not {array.dtype}")
    channels, height, width = kind.shape
    line = height == 1 and array.shape[1:] == (channels, width)
    if line and array.shape != kind.shape:
        array = array[:, :, None]  # sequences: images of one row
    elif array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or array.shape[1:] != kind.shape or not len(array):
        raise ProgramError(
            f"input {op.name} must have shape (N, {', '.join(map(str, kind.shape))}), "
            f"not {array.shape}"
        )
    if array.min() < kind.qmin or array.max() > kind.qmax:
        raise ProgramError(
            f"input {op.name} must be in {kind.qmin}..{kind.qmax}, not {array.min()}..{array.max()}"
        )
    return array.astype(np.int64)


def read_array(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array in a .npy file.

    Raises
    ------
    FileError
        If the file cannot be read, or has more than ``MAX_INPUT_BYTES``.
    ProgramError
        If it is no .npy file, or not as long as it says.
    """
    data = files.read_bytes(path, MAX_INPUT_BYTES)
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
        raise ProgramError(f"{path} is not a .npy file: {error}") from error
