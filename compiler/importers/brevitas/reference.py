"""The PyTorch golden: a model's float64 outputs, on the integer grid of its integer graph."""

import numpy as np
import torch
from torch import Tensor, nn

from tilewright.compiler.importers.brevitas.trace import float64_copy
from tilewright.compiler.ir.arithmetic import IntArray
from tilewright.compiler.ir.graph import Graph
from tilewright.errors import Error


def float64_outputs(
    model: nn.Module, inputs: Tensor | tuple[Tensor, ...], graph: Graph
) -> list[IntArray]:
    """Run ``model.double()`` and express each output as integers of its type.

    Parameters
    ----------
    model : in evaluation mode; not modified
    inputs : (N, C, H, W) float tensors
    graph : the model's integer graph

    Returns
    -------
    One int64 array (N, C, H, W) per output, in the model's order.

    Raises
    ------
    Error  If an output is not on the grid that the graph says.
    """
    arguments = inputs if isinstance(inputs, tuple) else (inputs,)
    with torch.no_grad():
        result = float64_copy(model)(*(a.detach().double() for a in arguments))
    # A QuantTensor is itself a tuple.
    several = isinstance(result, tuple | list) and not hasattr(result, "bit_width")
    items = list(result) if several else [result]
    if len(items) != len(graph.outputs):
        raise Error(f"the model has {len(items)} outputs, the graph {len(graph.outputs)}")
    integers: list[IntArray] = []
    for item, output in zip(items, graph.outputs, strict=True):
        t = graph.values[output.input]
        value = getattr(item, "value", item).numpy()
        q = value / t.scale + t.zero_point
        if np.abs(q - np.rint(q)).max() > 1e-6:
            raise Error(f"{output.name}: the model's output is not on a grid of scale {t.scale}")
        integers.append(np.rint(q).astype(np.int64).reshape(-1, *t.shape))
    return integers
