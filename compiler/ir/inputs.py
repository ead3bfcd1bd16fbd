"""Puts float inputs on the integer grid of the model's input quantizer."""

from typing import Any

import numpy as np
import numpy.typing as npt

from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.types import TensorType
from tilewright.errors import Error


def quantize_input(target: Graph | TensorType, x: npt.NDArray[Any]) -> IntArray:
    """Quantize as Brevitas does in float64: ``clamp(round_half_even(x / scale + zero_point))``.

    Parameters
    ----------
    target : type of the input, or a graph with one input
    x : float array (C, H, W) or (N, C, H, W); (C, L) or (N, C, L) for sequences, which are images
        of one row; (F,) or (N, F) for flat inputs

    Returns
    -------
    int64 array (C, H, W) or (N, C, H, W)

    Raises
    ------
    Error  If the shape differs, a value is not finite, or the graph has several inputs.
    """
    if isinstance(target, Graph):
        if len(target.inputs) != 1:
            raise Error(
                f"{target.name} has {len(target.inputs)} inputs: quantize each with its type"
            )
        target = target.values[target.inputs[0].output]
    array = np.asarray(x, dtype=np.float64)
    c, h, w = target.shape
    if (h, w) == (1, 1) and array.shape[-1:] == (c,) and array.ndim <= 2:
        array = array[..., None, None]
    line = h == 1 and array.ndim in (2, 3) and array.shape[-2:] == (c, w)
    if line and array.shape != target.shape:
        array = array[..., None, :]
    if array.shape[-3:] != target.shape or array.ndim not in (3, 4):
        raise Error(f"the input must have shape (N, C, H, W) with {target.shape}, not {x.shape}")
    if not np.isfinite(array).all():
        raise Error("the input holds NaN or infinity")
    q = np.rint(array / target.scale + target.zero_point)
    return np.clip(q, target.qmin, target.qmax).astype(np.int64)
