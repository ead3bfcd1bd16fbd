"""Models, inputs and figures, from and to files."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import tilewright as tw
from tilewright import files
from tilewright.errors import Error


def load_model(where: str) -> tuple[Any, Any]:
    """Call the function that ``file.py:function`` names.

    Raises
    ------
    Error
        If there is no such file or function, or it does not return a model and its inputs.
    """
    path, _, name = where.rpartition(":")
    if not path or not Path(path).is_file():
        raise Error(f"{where!r} must be file.py:function, with a file that exists")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise Error(f"{path} has no function {name!r}")
    result = function()
    if not isinstance(result, tuple) or len(result) != 2:
        raise Error(f"{where} must return (model, example_inputs)")
    return result


def write_json(path: Path | None, record: Any) -> None:
    """Write figures, if asked to."""
    if path is not None:
        files.write_json(path, record)


def read_inputs(program: tw.Program, path: Path | None) -> Any:
    """Return the inputs in a file, or one random image."""
    if path is None:
        return program.random_image()
    from tilewright.program.inputs import read_array

    return read_array(path)
