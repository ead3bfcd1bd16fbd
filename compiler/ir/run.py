"""Executes a graph on integers, operator by operator."""

from collections.abc import Sequence

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.graph import Graph
from tilewright.compiler.ir.op import Input
from tilewright.compiler.ir.types import TensorType
from tilewright.errors import Error


def run(graph: Graph, inputs: Sequence[IntArray]) -> dict[str, IntArray]:
    """Execute ``graph`` on one image.

    Parameters
    ----------
    graph : Graph, verified
    inputs : one integer array (C, H, W) per Input operator, in their order

    Returns
    -------
    Every value of the graph by name, intermediates included, as (C, H, W) int64.

    Raises
    ------
    Error  If an input's count, shape, dtype or range differs from the graph's.
    """
    types = graph.values
    if len(inputs) != len(graph.inputs):
        raise Error(f"{graph.name} takes {len(graph.inputs)} inputs, not {len(inputs)}")
    values: dict[str, IntArray] = {}
    for source, array in zip(graph.inputs, inputs, strict=True):
        values[source.output] = _checked(source, np.asarray(array), types[source.output])
    for op in graph.ops:
        if op.outputs and op.outputs[0] not in values:
            values[op.outputs[0]] = op.compute(values, types)
    return values


def _checked(op: Input, array: IntArray, t: TensorType) -> IntArray:
    if array.shape != t.shape:
        raise Error(f"{op.name}: the input must have shape {t.shape}, not {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise Error(f"{op.name}: the input must be integers, not {array.dtype}")
    low, high = int(array.min()), int(array.max())
    if low < t.qmin or high > t.qmax:
        raise Error(f"{op.name}: the input must be in {t.qmin}..{t.qmax}, not {low}..{high}")
    return array.astype(np.int64)
