"""Networks from files of other formats."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

from torch import nn

from tilewright import files
from tilewright.compiler.importers.hosted import Host, has_host_parts
from tilewright.compiler.quantized.to_integer import check_integers
from tilewright.errors import Error, require_choice
from tilewright.quantization.model import QuantizedModel
from tilewright.quantization.network import FloatNetwork

PathLike = str | os.PathLike[str]
#: Bytes of a TFLite file, at most.
MAX_BYTES = 1 << 27


def read_onnx(
    path: PathLike,
    *,
    input_shapes: Mapping[str, Sequence[int]] | None = None,
    host: Host = "edges",
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
    host : where the host may compute what the engine has not, as softmax, the index of the largest
        or the choice of boxes: "edges", before and behind all that the engine computes,
        "anywhere", or "never"

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
        raise _not_installed(path, error, "onnx") from error
    require_choice("read_onnx", "host", host, get_args(Host))
    # What cannot become integers is an error here, with its name, and not when it is compiled.
    imported = import_file(path, input_shapes, host, check_integers)
    if not imported.quantized:
        run = session_of(path, alone=has_host_parts(imported.graph))
        return FloatNetwork(imported.graph, run, rounds=imported.half)
    return QuantizedModel(imported.graph, single=len(imported.outputs) == 1)


def read_tflite(path: PathLike, *, host: Host = "edges") -> QuantizedModel:
    """Read an int8 network from a TFLite file, as TFLite's reference kernels compute it.

    Every element is theirs on an engine with ``rounding="double"`` and ``multiplier_width=31``.
    Inputs and results have channels first, (N, C, H, W), where the file has them last.

    Parameters
    ----------
    path : of a file with int8 weights and activations; it may hold anything, and none of it is run
    host : where the host may compute what the engine has not, as softmax and the index of the
        largest class: "edges", before and behind all that the engine computes, "anywhere", or
        "never". ``QuantizedModel.host`` says which operators these are. TOPK_V2 and the choice of
        boxes are left out where they are last: then results are what they would read.

    Raises
    ------
    FileError  If the file cannot be read.
    UnsupportedError  Naming the layer that is not taken, and a rewrite that is.
    Error  If it is no TFLite file, is damaged, or the package ``tflite`` is not installed.
    """
    try:
        from tilewright.compiler.importers.tflite import import_tflite
    except ImportError as error:
        raise _not_installed(path, error, "tflite") from error
    require_choice("read_tflite", "host", host, get_args(Host))
    imported = import_tflite(files.read_bytes(path, MAX_BYTES), name=Path(path).stem, host=host)
    check_integers(imported.graph)
    graph = imported.graph
    count = len(graph.outputs if graph.tail is None else graph.tail.results)
    return QuantizedModel(graph, single=count == 1, host=imported.host, left_out=imported.left_out)


def _not_installed(path: PathLike, error: ImportError, extra: str) -> Error:
    return Error(f"reading {path} needs {error.name}: pip install 'tilewright[{extra}]'")


def opened(model: nn.Module | PathLike, *, host: Host = "edges") -> nn.Module:
    """Return the network in a file, or the module that is one already.

    ``host`` as for :func:`read_onnx`, of files that are not quantized by Tilewright.

    Raises
    ------
    Error  If the file is of no kind that is known.
    """
    if not isinstance(model, str | os.PathLike):
        return model
    if Path(model).suffix == ".onnx":
        return read_onnx(model, host=host)
    if Path(model).suffix == ".tflite":
        return read_tflite(model, host=host)
    return QuantizedModel.load(model)
