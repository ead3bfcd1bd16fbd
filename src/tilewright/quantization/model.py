"""What quantization makes of a float network: something that runs like it, and compiles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from tilewright.compiler.ir import quantize_input, run
from tilewright.compiler.quantized import Graph, print_graph
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.partition import Segment, segments
from tilewright.compiler.quantized.to_integer import Capture, to_integer
from tilewright.errors import Error
from tilewright.quantization.storage import load, save

Result = Tensor | list[Tensor]


class QuantizedModel(nn.Module):
    """A quantized network: float tensors in and out, in the original's shapes and order.

    Its values are those that the engine computes, times scales. :meth:`save` and :meth:`load` keep
    it in a file.

    Parameters
    ----------
    graph : every tensor with its grid
    single : whether the original returns one tensor, and not a tuple
    host : operators of a TFLite file that the host computes, as (kind, name); not saved
    left_out : those of them that are left out, at the end: results are what they would read
    """

    def __init__(
        self,
        graph: Graph,
        *,
        single: bool,
        host: tuple[tuple[str, str], ...] = (),
        left_out: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__()
        self.graph = graph
        self.single = single
        self.host, self.left_out = host, left_out
        self.eval()

    def forward(self, *inputs: Tensor) -> Result | tuple[Result, ...]:
        """Compute the outputs of images (N, ...), in float64 and rounded to the inputs' type.

        What the host computes last keeps its type, and is a list where images differ in shape.

        Raises
        ------
        Error  If number or shapes of the inputs differ from those of calibration.
        """
        self.check_inputs(inputs)
        kind = inputs[0].dtype
        outputs = [
            y.to(kind) if isinstance(y, Tensor) and y.is_floating_point() else y
            for y in self.outputs([x.double() for x in inputs])
        ]
        return outputs[0] if self.single else tuple(outputs)

    def check_inputs(self, inputs: Sequence[Tensor]) -> None:
        """Check number and shapes of inputs (N, ...).

        Raises
        ------
        Error  If they differ from those of calibration.
        """
        shapes = [tuple(x.shape[1:]) for x in inputs]
        if shapes != list(self.graph.input_shapes):
            wanted = [("N", *shape) for shape in self.graph.input_shapes]
            raise Error(
                f"the model was quantized for inputs of the shapes {wanted}, not "
                f"{[tuple(x.shape) for x in inputs]}"
            )

    def outputs(self, inputs: Sequence[Tensor]) -> list[Result]:
        """Compute the outputs in the inputs' type, which float64 makes exact."""
        if self.graph.rounding == "double":
            return self._of_integers(inputs)
        with torch.no_grad():
            values = self.graph.values(inputs, quantized=True)
        return self.graph.results(values)

    @cached_property
    def _segments(self) -> list[tuple[Segment, Capture | None]]:
        """What the engine computes, with its integers, and the host's parts in between."""
        return [
            (s, None if isinstance(s, q.Host) else to_integer(s.graph))
            for s in segments(self.graph)
        ]

    def _of_integers(self, inputs: Sequence[Tensor]) -> list[Result]:
        """Compute the outputs in integers, where floats would round in another way."""
        shape = self.graph.shape
        values = {
            name: x.reshape(-1, *shape(name))
            for name, x in zip(self.graph.inputs, inputs, strict=True)
        }
        for segment, capture in self._segments:
            if isinstance(segment, q.Host):
                values[segment.output] = segment.evaluate(*(values[n] for n in segment.inputs))
                continue
            assert capture is not None
            reals = _computed(capture, [values[name] for name in segment.reads])
            if not segment.writes:
                return self.graph.returned(reals)
            values |= zip(segment.writes, reals, strict=True)
        return self.graph.results(values)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the network to one file, for :meth:`load` and ``tilewright compile``.

        Raises
        ------
        FileError  If the file cannot be written.
        """
        return save(self.graph, path, single=self.single)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> QuantizedModel:
        """Read a file that :meth:`save` wrote; it may hold anything, and none of it is run.

        Raises
        ------
        Error  If the file is no quantized network, or is damaged.
        """
        graph, single = load(path)
        return cls(graph, single=single)

    def __str__(self) -> str:
        return print_graph(self.graph)


def _computed(capture: Capture, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Run an integer graph; reals in and out."""
    graph = capture.graph
    kinds = [graph.values[op.output] for op in graph.inputs]
    images = [
        quantize_input(kind, x.numpy().reshape(-1, *kind.shape))
        for x, kind in zip(inputs, kinds, strict=True)
    ]
    runs = [run(graph, arrays) for arrays in zip(*images, strict=True)]
    ends = [op.input for op in graph.outputs]
    outputs = [np.stack([values[name] for values in runs]) for name in ends]
    reals = []
    for view in capture.results:
        kind = graph.values[ends[view.sources[0]]]
        integers = view.of(outputs, kind.zero_point)
        reals.append(torch.from_numpy((integers - kind.zero_point) * kind.scale))
    return reals
