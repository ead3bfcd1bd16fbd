"""A float network from a file, to be calibrated like a module."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tilewright.compiler.quantized import Graph
from tilewright.errors import Error


class FloatNetwork(nn.Module):
    """A float network from a file; :func:`tilewright.quantize` takes it.

    Parameters
    ----------
    graph : what was made of the file, in reals
    run : the file itself, as its own runtime computes it: arguments (N, ...) to results
    rounds : whether it computes in floats of 16 bits, which are less like the graph's
    """

    def __init__(
        self,
        graph: Graph,
        run: Callable[[Sequence[Tensor]], list[Tensor]],
        *,
        rounds: bool = False,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.rounds = rounds
        self._run = run
        self.eval()

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Run the file on images (N, ...).

        Raises
        ------
        Error  If number or shapes of the inputs differ from the file's.
        """
        shapes = [tuple(x.shape[1:]) for x in inputs]
        if shapes != list(self.graph.input_shapes):
            wanted = [("N", *shape) for shape in self.graph.input_shapes]
            raise Error(
                f"the network takes inputs of the shapes {wanted}, not "
                f"{[tuple(x.shape) for x in inputs]}"
            )
        with torch.no_grad():
            results = self._run(inputs)
        return results[0] if len(results) == 1 else tuple(results)
