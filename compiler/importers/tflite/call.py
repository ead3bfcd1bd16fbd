"""One operator of a file: what it reads and writes, its options, and what is not taken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tilewright.compiler.importers.tflite.file import File, FileOperator, FileTensor, guarded
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

#: Ranges of fused activations, by their number in the schema.
_ACTIVATIONS: Mapping[int, tuple[float | None, float | None]] = {
    0: (None, None),
    1: (0.0, None),
    2: (-1.0, 1.0),
    3: (0.0, 6.0),
}
_IN_BLOCKS = ("CONV_2D", "DEPTHWISE_CONV_2D", "BATCH_TO_SPACE_ND")
_RETRAIN = "Convert the network anew with int8 weights and activations."


def grid_of(where: str, tensor: FileTensor) -> Quantization:
    """Return the grid of an activation.

    Raises
    ------
    UnsupportedError  If it is not int8 with one scale.
    """
    if tensor.kind == "UINT8":
        raise UnsupportedError(
            where,
            f"{tensor.name} is uint8: files before TensorFlow 2 have weights with zero points, "
            "and kernels that round in other ways",
            "Convert the network anew with int8 weights and activations, which is what TFLite's "
            "converter does today.",
        )
    if tensor.kind != "INT8":
        raise UnsupportedError(where, f"{tensor.name} is {tensor.kind.lower()}", _RETRAIN)
    if len(tensor.scales) != 1 or len(tensor.zero_points) > 1:
        raise UnsupportedError(
            where, f"{tensor.name} has {len(tensor.scales)} scales, not one", _RETRAIN
        )
    zero_point = int(tensor.zero_points[0]) if len(tensor.zero_points) else 0
    return Quantization(float(tensor.scales[0]), zero_point, 8, True)


def within(grid: Quantization, low: float | None, high: float | None) -> Quantization:
    """Narrow a grid to what reals reach, which TFLite divides in float32 and rounds away from 0."""

    def steps(bound: float) -> int:
        quotient = np.float32(bound) / np.float32(grid.scale)
        return int(np.sign(quotient) * np.floor(np.abs(quotient) + np.float32(0.5)))

    ends = [
        grid.qmin if low is None else grid.zero_point + steps(low),
        grid.qmax if high is None else grid.zero_point + steps(high),
    ]
    least, most = (min(max(end, grid.qmin), grid.qmax) for end in ends)
    return grid.within(least, max(least, most))


@dataclass(frozen=True, eq=False)
class Call:
    """An operator with what is known of its operands.

    Parameters
    ----------
    where : the layer's name
    op : FileOperator
    file : File
    views : tensors so far, by number: as the file has them, pixels before channels, no batch
    builder : of the graph
    blocks : of pixels that SPACE_TO_BATCH_ND took apart, by number of the tensors; their views are
        whole, and a convolution between both operators has a dilation
    """

    where: str
    op: FileOperator
    file: File
    views: Mapping[int, View]
    builder: Builder
    blocks: dict[int, tuple[int, int]]

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Refuse the operator."""
        raise UnsupportedError(self.where, what, remedy)

    # Operands and results.

    def has(self, place: int) -> bool:
        """Whether there is an operand."""
        return place < len(self.op.inputs) and self.op.inputs[place] >= 0

    def tensor(self, place: int) -> FileTensor:
        """Return what the file says of an operand."""
        if not self.has(place):
            self.refuse(f"operand {place} of {self.op.kind} is missing", "The file is damaged.")
        return self.file.tensors[self.op.inputs[place]]

    @property
    def result(self) -> FileTensor:
        """What the file says of the only result."""
        if len(self.op.outputs) != 1:
            self.refuse(f"{self.op.kind} with {len(self.op.outputs)} results", "It has one.")
        return self.file.tensors[self.op.outputs[0]]

    def view(self, place: int) -> View:
        """Return an operand that depends on the inputs."""
        tensor = self.tensor(place)
        view = self.views.get(self.op.inputs[place])
        if view is None:
            reason = "a constant" if tensor.data is not None else "not computed before"
            self.refuse(
                f"{self.op.kind} reads {tensor.name}, which is {reason}",
                "Only tensors that come from the network's inputs can be read there.",
            )
        if self.op.inputs[place] in self.blocks and self.op.kind not in _IN_BLOCKS:
            self.refuse(
                f"{self.op.kind} between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND",
                "Only convolutions are taken there; convert the network anew, with dilation.",
            )
        return view

    def map(self, place: int, shape: tuple[int, ...]) -> View:
        """Return an operand of ``shape``, repeated where it is smaller; a constant becomes one."""
        tensor = self.tensor(place)
        if tensor.data is None:
            view = self.view(place)
        else:
            grid = grid_of(self.where, tensor)
            integers = self.constant(place, "INT8").astype(np.int64)
            own = integers[0] if integers.ndim > len(shape) and integers.shape[0] == 1 else integers
            real = float64(own - grid.zero_point) * grid.scale
            where = f"{self.where}.constant"
            view = self.builder.constant(where, real, real.shape)
            view = self.builder.quantized(where, view, grid)
        if view.shape == shape:
            return view
        if len(view.shape) > len(shape):
            self.refuse(f"{self.op.kind} of {view.shape} and {shape}", "Give both one shape.")
        return self.builder.move([view], lambda places: np.broadcast_to(places[0], shape))

    def broadcast(self) -> tuple[int, ...]:
        """Return the shape of the only result without the batch, which is one."""
        shape = self.result.shape
        if not shape or shape[0] != 1 or 0 in shape:
            self.refuse(f"a result of {shape}", "The batch is one.")
        return shape[1:]

    def is_constant(self, place: int) -> bool:
        """Whether an operand is in the file."""
        return self.tensor(place).data is not None

    def constant(self, place: int, *kinds: str) -> npt.NDArray[Any]:
        """Return an operand that is in the file, of one of some kinds."""
        tensor = self.tensor(place)
        if tensor.data is None or (kinds and tensor.kind not in kinds):
            wanted = " or ".join(kinds).lower()
            state = "not constant" if tensor.data is None else tensor.kind.lower()
            self.refuse(
                f"{tensor.name}, operand {place} of {self.op.kind}, is {state}",
                f"It must be a constant{f' of {wanted}' if wanted else ''}.",
            )
        return tensor.data

    def channels_first(self, place: int = 0) -> View:
        """Return an operand of (H, W, C) as (C, H, W)."""
        view = self.view(place)
        if len(view.shape) != 3:
            self.refuse(
                f"{self.op.kind} of a tensor of {self.tensor(place).shape}",
                "It must have batch, rows, columns and channels.",
            )
        return self.builder.transposed(view, (2, 0, 1))

    def channels_last(self, view: View) -> View:
        """Return (C, H, W) as files have it."""
        return self.builder.transposed(view, (1, 2, 0))

    # Options.

    def option(self, name: str, default: int = 0) -> int:
        """Return an option; files leave out what is the default."""
        if self.op.options is None:
            return default
        return int(guarded(name, getattr(self.op.options, name)))

    def number(self, name: str) -> float:
        """Return an option that is a float32."""
        options = self.op.options
        return 0.0 if options is None else float(guarded(name, getattr(options, name)))

    # Grids.

    @property
    def grid(self) -> Quantization:
        """Grid of the only result, without a fused activation."""
        return grid_of(self.where, self.result)

    def activated(self) -> Quantization:
        """Grid of the only result, as its fused activation leaves it."""
        code = self.option("FusedActivationFunction")
        if code not in _ACTIVATIONS:
            self.refuse(
                f"the fused activation function {code} of {self.op.kind}",
                "Use none, ReLU or ReLU6, or a layer of its own.",
            )
        return within(self.grid, *_ACTIVATIONS[code])

    def quantized(self, view: View, grid: Quantization | None = None) -> View:
        """Put what an operator computes on the grid of its result."""
        grid = grid or self.activated()
        if view.index is None or len(view.shape) != 3:
            return self.builder.quantized(self.where, view, grid)
        # Where elements have to be moved, they are as the engine has them.
        first = self.builder.transposed(view, (2, 0, 1))
        return self.channels_last(self.builder.quantized(self.where, first, grid))


def float64(array: npt.NDArray[Any]) -> Tensor:
    """Return an array of the file as the graph has them."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float64))
