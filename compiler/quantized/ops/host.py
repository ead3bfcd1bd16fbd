"""What the host computes between operators of the engine, or before them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from tilewright.compiler.host import HostModel
from tilewright.compiler.ir.results import ResultView
from tilewright.compiler.quantized.ops.base import Op
from tilewright.compiler.quantized.types import GraphError, Shape


@dataclass(frozen=True, eq=False)
class Host(Op):
    """The first result of a model in ONNX, in float32, image by image.

    Its results are reals: what the engine reads of them is put on a grid first.

    Parameters
    ----------
    model : HostModel
    arguments : each input of the model, in the tensors read
    canonical : (C, H, W) of the result
    """

    model: HostModel
    arguments: tuple[ResultView, ...]
    canonical: Shape

    def shape(self, inputs: Sequence[Shape]) -> Shape:
        """Shape of the output.

        Raises
        ------
        GraphError  If the model reads what its arguments are not.
        """
        sizes = [math.prod(shape) for shape in inputs]
        for view in self.arguments:
            if not all(0 <= place < len(sizes) for place in view.sources):
                raise GraphError(f"{self.name}: it reads tensor {view.sources} of {len(sizes)}")
            count = sum(sizes[place] for place in view.sources)
            used = np.arange(count) if view.index is None else view.index
            if used.size != math.prod(view.shape) or not ((used >= -1) & (used < count)).all():
                raise GraphError(f"{self.name}: an argument of {view.shape} of {count} elements")
        if tuple(view.shape for view in self.arguments) != self.model.input_shapes:
            raise GraphError(f"{self.name}: its arguments are of other shapes than its model's")
        return self.canonical

    def evaluate(self, *inputs: Tensor) -> Tensor:
        """Run the model."""
        count = max(len(x) for x in inputs)
        arrays = [x.detach().expand(count, -1, -1, -1).numpy() for x in inputs]
        images = zip(*(view.of(arrays, 0) for view in self.arguments), strict=True)
        results = [self.model.run(image)[0].reshape(self.canonical) for image in images]
        return torch.from_numpy(np.stack(results)).to(inputs[0].dtype)
