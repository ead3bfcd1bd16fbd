"""A model as onnxruntime computes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from tilewright.compiler.importers.onnx.tensors import Array
from tilewright.errors import Error

_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(float16)": np.float16}


def session_of(
    path: str | os.PathLike[str], *, alone: bool = False
) -> Callable[[Sequence[Tensor]], list[Tensor]]:
    """Return a function from a model's arguments (N, ...) to its results.

    Parameters
    ----------
    alone : whether to run it image by image, which it is in any case if its batch is 1

    Raises
    ------
    Error  If onnxruntime does not take the file; by the function, if it fails.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = torch.get_num_threads()
    try:
        session = onnxruntime.InferenceSession(
            os.fspath(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # of many kinds, all of them about the file
        raise Error(f"{path}: onnxruntime does not take it: {_first_line(error)}") from error
    inputs = session.get_inputs()
    alone = alone or any(x.shape and x.shape[0] == 1 for x in inputs)

    def run_by(step: int, arrays: list[Array]) -> list[Array]:
        parts = [
            session.run(
                None, {i.name: a[k : k + step] for a, i in zip(arrays, inputs, strict=True)}
            )
            for k in range(0, len(arrays[0]), step)
        ]
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def run_together(arrays: list[Array]) -> list[Array] | None:
        """Return results, or None of a model that has a batch of one written into its nodes."""
        try:
            results = run_by(len(arrays[0]), arrays)
        except Exception:  # it says why when it is run image by image
            return None
        return results if all(x.shape[:1] == arrays[0].shape[:1] for x in results) else None

    def run(arguments: Sequence[Tensor]) -> list[Tensor]:
        nonlocal alone
        arrays = [
            x.numpy().astype(_TYPES.get(i.type, np.float32))
            for x, i in zip(arguments, inputs, strict=True)
        ]
        results = None if alone else run_together(arrays)
        if results is None:
            alone = True
            try:
                results = run_by(1, arrays)
            except Exception as error:
                raise Error(f"{path}: onnxruntime fails on it: {_first_line(error)}") from error
        tensors = [torch.from_numpy(x) for x in results]
        return [x.float() if x.is_floating_point() else x for x in tensors]

    return run


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
