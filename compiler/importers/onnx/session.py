"""A model as onnxruntime computes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

import numpy as np
import onnxruntime
import torch
from torch import Tensor

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

    def run(arguments: Sequence[Tensor]) -> list[Tensor]:
        arrays = [
            x.numpy().astype(_TYPES.get(i.type, np.float32))
            for x, i in zip(arguments, inputs, strict=True)
        ]
        count, step = len(arrays[0]), 1 if alone else len(arrays[0])
        try:
            parts = [
                session.run(
                    None, {i.name: a[k : k + step] for a, i in zip(arrays, inputs, strict=True)}
                )
                for k in range(0, count, step)
            ]
        except Exception as error:
            raise Error(f"{path}: onnxruntime fails on it: {_first_line(error)}") from error
        results = [torch.from_numpy(np.concatenate(column)) for column in zip(*parts, strict=True)]
        return [x.float() if x.is_floating_point() else x for x in results]

    return run


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]
