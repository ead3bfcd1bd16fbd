"""The quantized graph: tensors, the operators that connect them, and the model's results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tilewright.compiler.host import Tail
from tilewright.compiler.quantized.ops import IndexArray, Op
from tilewright.compiler.quantized.types import GraphError, Quantization, Shape, TensorInfo
from tilewright.isa.ranges import Rounding


@dataclass(frozen=True, eq=False)
class View:
    """A tensor as the model's author sees it: elements of tensors of the graph, in any shape.

    Parameters
    ----------
    sources : names of tensors
    shape : of one image, any number of dimensions
    index : of that shape, the place of each element in the sources, flattened one after another,
        or -1 for zero; None: all elements of one source in order
    """

    sources: tuple[str, ...]
    shape: tuple[int, ...]
    index: IndexArray | None = None

    def of(self, values: Mapping[str, Tensor]) -> Tensor:
        """(N, ...) from the sources' values (N, C, H, W)."""
        tensors = [values[name] for name in self.sources]
        count = max(len(x) for x in tensors)
        flat = torch.cat([x.expand(count, -1, -1, -1).flatten(1) for x in tensors], 1)
        if self.index is not None:
            flat = torch.nn.functional.pad(flat, (0, 1))
            flat = flat[:, torch.from_numpy(self.index.reshape(-1))]
        return flat.reshape(count, *self.shape)


@dataclass(frozen=True, eq=False)
class Graph:
    """Operators in topological order.

    Parameters
    ----------
    name : str, the model's class
    tensors : shape and grid of every tensor, by name
    inputs : names of the tensors that the caller provides
    input_shapes : shape of each as the model takes it, without the batch
    ops : each tensor is written before it is read
    outputs : the model's results
    rounding : of results to their grids: as PyTorch does, or twice, as TFLite's reference kernels;
        :meth:`values` rounds once in any case
    tail : what the host makes of ``outputs``, if it does
    """

    name: str
    tensors: Mapping[str, TensorInfo]
    inputs: tuple[str, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    ops: tuple[Op, ...]
    outputs: tuple[View, ...]
    rounding: Rounding = "half_even"
    tail: Tail | None = None

    def producers(self) -> dict[str, Op]:
        """Operator that writes each tensor."""
        return {op.output: op for op in self.ops}

    def readers(self) -> dict[str, list[Op]]:
        """Operators that read each tensor."""
        result: dict[str, list[Op]] = {name: [] for name in self.tensors}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                result[name].append(op)
        return result

    def uses(self) -> Counter[str]:
        """How often each tensor is read, by operators and as a result."""
        count = Counter(name for op in self.ops for name in op.inputs)
        count.update(name for view in self.outputs for name in view.sources)
        return count

    def shape(self, name: str) -> Shape:
        """Shape of a tensor."""
        return self.tensors[name].shape

    def with_ops(self, ops: Iterable[Op], outputs: tuple[View, ...] | None = None) -> Graph:
        """Return the graph with other operators, without those that nothing reads.

        Raises
        ------
        GraphError  If an operator reads what is not written, or shapes do not fit.
        """
        wanted = self.outputs if outputs is None else outputs
        needed = {name for view in wanted for name in view.sources}
        kept: list[Op] = []
        for op in reversed(list(ops)):
            if op.output in needed:
                kept.append(op)
                needed.update(op.inputs)
        kept.reverse()
        tensors = {name: self.tensors[name] for name in self.inputs}
        for op in kept:
            if missing := [name for name in op.inputs if name not in tensors]:
                raise GraphError(f"{op.name}: {op.kind} reads {missing[0]!r} before it is written")
            if op.output in tensors:
                raise GraphError(f"{op.name}: {op.kind} writes {op.output!r} a second time")
            shape = op.shape([tensors[name].shape for name in op.inputs])
            if min(shape) < 1:
                raise GraphError(f"{op.name}: {op.kind} has an output of {shape}")
            old = self.tensors.get(op.output)
            tensors[op.output] = TensorInfo(shape, old.quantization if old else None)
        return replace(self, tensors=tensors, ops=tuple(kept), outputs=wanted)

    def with_quantization(self, grids: Mapping[str, Quantization]) -> Graph:
        """Return the graph with the grids of the tensors named."""
        tensors = {
            name: replace(info, quantization=grids.get(name, info.quantization))
            for name, info in self.tensors.items()
        }
        return replace(self, tensors=tensors)

    def values(
        self,
        inputs: Sequence[Tensor],
        *,
        quantized: bool = False,
        after: Callable[[Op, Tensor, Mapping[str, Tensor]], Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Compute every tensor, (N, C, H, W), in the inputs' floating type.

        Parameters
        ----------
        inputs : (N, ...) as the model takes them
        quantized : round tensors to their grids
        after : sees each operator, its output before rounding, and all values so far; returns the
            output to go on with
        """
        values: dict[str, Tensor] = {}

        def keep(name: str, x: Tensor) -> None:
            grid = self.tensors[name].quantization
            values[name] = grid.apply(x) if quantized and grid is not None else x

        for name, x in zip(self.inputs, inputs, strict=True):
            keep(name, x.reshape(len(x), *self.shape(name)))
        for op in self.ops:
            read = [values[name] for name in op.inputs]
            grid = self.tensors[op.output].quantization if quantized else None
            result = op.evaluate(*read) if grid is None else op.evaluate_on(grid, *read)
            if not op.inputs:
                result = result.to(next(iter(values.values())).dtype)
            keep(op.output, result if after is None else after(op, result, values))
        return values

    def results(self, values: Mapping[str, Tensor]) -> list[Tensor | list[Tensor]]:
        """Return what the network returns, (N, ...), from the values of its tensors.

        What has another shape for each image is a list.
        """
        return self.returned([view.of(values) for view in self.outputs])

    def returned(self, outputs: Sequence[Tensor]) -> list[Tensor | list[Tensor]]:
        """Return what the network returns from ``outputs``."""
        if self.tail is None:
            return list(outputs)
        arrays = self.tail.of([x.detach().numpy() for x in outputs])
        return [
            list(map(torch.from_numpy, x)) if isinstance(x, list) else torch.from_numpy(x)
            for x in arrays
        ]
