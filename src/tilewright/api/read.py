"""Networks from files of other formats."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import nn

from tilewright.compiler.quantized.to_integer import check_integers
from tilewright.errors import Error
from tilewright.quantization.model import QuantizedModel
from tilewright.quantization.network import FloatNetwork

PathLike = str | os.PathLike[str]


def read_onnx(
    path: PathLike, *, input_shapes: Mapping[str, Sequence[int]] | None = None
) -> QuantizedModel | FloatNetwork:
    """Read a network in ONNX, opset 13 or later.

    A quantized one (QuantizeLinear and DequantizeLinear, with or without Clip between them, or
    operators of integers) compiles as it is, with the numbers that onnxruntime computes; a float
    one goes to :func:`tilewright.quantize`. The file may hold anything: none of it is run, and
    nothing is read outside its folder.

    Parameters
    ----------
    path : of the file; external data lies beside it
    input_shapes : by the input's name, without the batch, where the file leaves dimensions open

    Returns
    -------
    QuantizedModel, or FloatNetwork, which onnxruntime runs

    Raises
    ------
    FileError  If the file cannot be read.
    UnsupportedError  Naming the node that has no way to the engine, and a way out.
    Error  If it is no model, or onnx is not installed.
    """
    try:
        from tilewright.compiler.importers.onnx import import_file, session_of
    except ImportError as error:
        raise Error(f"reading {path} needs {error.name}: pip install 'tilewright[onnx]'") from error
    imported = import_file(path, input_shapes)
    if not imported.quantized:
        return FloatNetwork(imported.graph, session_of(path))
    # What cannot become integers is an error here, with its name, and not when it is compiled.
    check_integers(imported.graph)
    return QuantizedModel(imported.graph, single=len(imported.outputs) == 1)


def opened(model: nn.Module | PathLike) -> nn.Module:
    """Return the network in a file, or the module that is one already.

    Raises
    ------
    Error  If the file is of no kind that is known.
    """
    if not isinstance(model, str | os.PathLike):
        return model
    if Path(model).suffix == ".onnx":
        return read_onnx(model)
    return QuantizedModel.load(model)
