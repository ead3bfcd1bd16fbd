"""Models, inputs, outputs and figures, from and to files."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tilewright as tw
from tilewright import files
from tilewright.errors import Error

if TYPE_CHECKING:
    from tilewright.api.hosted import HostedResult
    from tilewright.api.result import Result

LABELS = "labels"


def load_network(where: str, host: str = "edges") -> tuple[Any, Any]:
    """Return the quantized network in a file, or that of a function, and its example inputs.

    ``host``: where the host may compute parts of a file.

    Raises
    ------
    Error
        If there is no such file or function, or it is something else.
    """
    if Path(where).is_file() and Path(where).suffix != ".py":
        return opened(where, host), None
    others = "a file that `tilewright quantize` wrote, a quantized network in ONNX or TFLite, or "
    return load_model(where, others=others)


def is_program(where: str) -> bool:
    """Whether there is a file that begins as program files do."""
    if not Path(where).is_file():
        return False
    with Path(where).open("rb") as file:
        return file.read(2) == b"PK"


def opened(where: str, host: str = "edges") -> Any:
    """Return the network in a file that is no Python file."""
    from tilewright.api.read import opened  # which imports PyTorch

    return opened(where, host=host)  # type: ignore[arg-type]


def read_batches(network: tw.FloatNetwork, path: Path, size: int = 16) -> list[tuple[Any, ...]]:
    """Return calibration batches from a .npy file, or a .npz file with an array for each input.

    Raises
    ------
    Error
        If the file cannot be read, lacks an input, or holds anything but floats.
    """
    import numpy as np
    import torch

    from tilewright.program.inputs import read_array, read_arrays

    names = network.graph.inputs
    arrays = {names[0]: read_array(path)} if path.suffix != ".npz" else read_arrays(path)
    arrays.pop(LABELS, None)
    if len(names) == 1 and list(arrays) == ["inputs"]:
        arrays = {names[0]: arrays["inputs"]}
    if set(arrays) != set(names):
        raise Error(
            f"{path} has the arrays {_listed(arrays)}; the network takes {', '.join(names)}"
        )
    tensors = []
    for name in names:
        array = arrays[name]
        if not np.issubdtype(array.dtype, np.floating) or not array.ndim or not len(array):
            raise Error(f"{path}: {name} holds {array.dtype} {array.shape}, not float images")
        tensors.append(torch.from_numpy(array.astype(np.float32)))
    if len({len(x) for x in tensors}) > 1:
        raise Error(f"{path}: its arrays have different numbers of images")
    return list(zip(*(torch.split(x, size) for x in tensors), strict=True))


def load_model(where: str, returns: str = "example_inputs", others: str = "") -> tuple[Any, Any]:
    """Call the function that ``file.py:function`` names; its folder is importable meanwhile.

    ``returns`` and ``others`` are for messages: what it gives beside the model, and what else the
    command takes.

    Raises
    ------
    Error
        If there is no such file or function, it fails, or it does not return a pair.
    """
    named = _named_function(where)
    if named is None:
        raise Error(f"{where!r} must be {others}file.py:function, with a file that exists")
    path, name = named
    with errors_in(path), _importable(path.resolve().parent):
        function = getattr(_module(path), name, None)
        if not callable(function):
            raise Error(f"{path} has no function {name!r}")
        result = function()
    if not isinstance(result, tuple) or len(result) != 2:
        raise Error(f"{where} must return (model, {returns})")
    return result


def _named_function(where: str) -> tuple[Path, str] | None:
    path, _, name = where.rpartition(":")
    return (Path(path), name) if path and Path(path).is_file() else None


def _module(path: Path) -> Any:
    """Run a Python file as a module of its own, whatever its name."""
    name = path.stem if path.stem not in sys.modules else f"_network_{path.stem}"
    loader = importlib.util.spec_from_file_location(name, path)
    if loader is None or loader.loader is None:
        raise Error(f"{path} is not a Python file: its name must end in .py")
    module = importlib.util.module_from_spec(loader)
    sys.modules[name] = module
    loader.loader.exec_module(module)
    return module


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let what is beside the file be imported, as `python file.py` does."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@contextmanager
def errors_in(path: Path) -> Iterator[None]:
    """Turn what a network's own code raises into one line that says where."""
    try:
        yield
    except Error:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
        line = own[-1].lineno if own else None
        if isinstance(error, SyntaxError):
            path, line = Path(error.filename or path), error.lineno
        where = path if line is None else f"{path}:{line}"
        text = error.msg if isinstance(error, SyntaxError) else error
        raise Error(f"{where}: {type(error).__name__}: {text}") from error


def write_json(path: Path | None, record: Any) -> None:
    """Write figures, if asked to."""
    if path is not None:
        files.write_json(path, record)


def read_inputs(program: tw.Program | tw.HostedProgram, path: Path | None) -> Any:
    """Return the inputs in a file, or one random image.

    Raises
    ------
    Error
        If the file cannot be read, or lacks an input.
    """
    if path is None:
        return program.random_image()
    from tilewright.program.inputs import read_array, read_arrays

    if path.suffix != ".npz":
        return read_array(path)
    arrays = read_arrays(path)
    if LABELS not in program.input_names:
        arrays.pop(LABELS, None)
    return _by_name(program.input_names, arrays, path)


def read_labelled(names: Sequence[str], path: Path) -> tuple[Any, Any]:
    """Return inputs, of these names, and labels from a .npz file.

    Raises
    ------
    Error
        If the file cannot be read, or lacks an input or the labels.
    """
    from tilewright.program.inputs import read_arrays

    arrays = read_arrays(path)
    if LABELS not in arrays:
        raise Error(f"{path} has no array {LABELS!r}; it has {_listed(arrays)}")
    labels = arrays.pop(LABELS)
    return _by_name(names, arrays, path), labels


def _by_name(names: Sequence[str], arrays: dict[str, Any], path: Path) -> list[Any]:
    """Return arrays in the order of the inputs; of one input, the name may be ``inputs``."""
    if len(names) == 1 and list(arrays) == ["inputs"]:
        return list(arrays.values())
    for name in names:
        if name not in arrays:
            raise Error(
                f"{path} has no array {name!r}; the program takes {', '.join(names)}, and the file "
                f"has {_listed(arrays)}"
            )
    if extra := arrays.keys() - set(names):
        raise Error(f"{path} has {min(extra)!r}; the program takes {', '.join(names)}")
    return [arrays[name] for name in names]


def _listed(arrays: dict[str, Any]) -> str:
    return ", ".join(map(repr, arrays)) or "none"


def write_outputs(result: Result | HostedResult, path: Path) -> None:
    """Write outputs by name to a .npz file, each with ``NAME.scale`` and ``NAME.zero_point``.

    Where the host computes parts, outputs are as they are; what has another shape for each image
    is ``NAME.0``, ``NAME.1`` and so on.
    """
    import numpy as np

    arrays: dict[str, Any] = {}
    if not isinstance(result.program, tw.Program):
        for name, output in zip(result.program.result_names, result.outputs, strict=True):
            if isinstance(output, list):
                arrays |= {f"{name}.{i}": array for i, array in enumerate(output)}
            else:
                arrays[name] = output
        _write(path, arrays)
        return
    program = result.program
    outputs = zip(program.result_names, program.result_types, result.outputs, strict=True)
    for name, kind, array in outputs:
        arrays |= {
            name: array,
            f"{name}.scale": np.float64(kind.scale),
            f"{name}.zero_point": np.int64(kind.zero_point),
        }
    _write(path, arrays)


def _write(path: Path, arrays: dict[str, Any]) -> None:
    import numpy as np

    write: Callable[..., None] = np.savez
    with files.fresh_file(path) as fresh, fresh.open("wb") as file:
        write(file, **arrays)
