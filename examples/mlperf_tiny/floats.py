"""The networks in floats, as PyTorch modules with the weights that the files have.

Other roads to integers than TFLite's own start there: see ``benchmarks.roads``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tilewright.compiler.importers.tflite.file import File, FileOperator, read_file
from tilewright.errors import Error

_SAME = 0
_KINDS = {
    "CONV_2D": "conv", "DEPTHWISE_CONV_2D": "conv", "FULLY_CONNECTED": "linear", "ADD": "add",
    "AVERAGE_POOL_2D": "mean",
}  # fmt: skip
_PASSED = ("RESHAPE", "SOFTMAX")


@dataclass(frozen=True, eq=False)
class Layer:
    """An operator of a network.

    Parameters
    ----------
    kind : "conv", "linear", "add", or "mean" of all pixels
    inputs, output : numbers of the file's tensors
    relu : whether its result is clipped at 0
    weight : (K, C / groups, R, S) or (K, F); None if the kind has none
    bias : (K,), or None
    stride : (vertical, horizontal)
    pads : pixels around a feature map, (left, right, top, bottom)
    groups : of channels
    """

    kind: str
    inputs: tuple[int, ...]
    output: int
    relu: bool
    weight: Tensor | None = None
    bias: Tensor | None = None
    stride: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1

    @property
    def even(self) -> bool:
        """Whether opposite sides have as many pixels of padding, as PyTorch's layers need it."""
        left, right, top, bottom = self.pads
        return (left, top) == (right, bottom)

    def module(self, conv: type[nn.Module], linear: type[nn.Module], **options: Any) -> nn.Module:
        """Return a layer of one of two classes with these weights."""
        assert self.weight is not None
        kernels, per_group, *kernel = self.weight.shape
        if self.kind == "linear":
            module = linear(per_group, kernels, bias=True, **options)
        else:
            padding = (self.pads[2], self.pads[0]) if self.even else 0
            module = conv(
                per_group * self.groups, kernels, tuple(kernel), stride=self.stride,
                padding=padding, groups=self.groups, bias=True, **options,
            )  # fmt: skip
        module.load_state_dict({"weight": self.weight, "bias": self.bias}, strict=False)
        return module


def read_layers(path: Path) -> list[Layer]:
    """Return a network's layers in their order, without the softmax at its end.

    Raises
    ------
    Error  If the file has an operator that none of the four networks has.
    """
    file = read_file(path.read_bytes())
    layers: list[Layer] = []
    passed: dict[int, int] = {}
    for op in file.operators:
        if op.kind in _PASSED:
            passed[op.outputs[0]] = op.inputs[0]
            continue
        if op.kind not in _KINDS:
            raise Error(f"{path}: {op.kind} is in none of the four networks")
        inputs = op.inputs if op.kind == "ADD" else op.inputs[:1]
        layer = Layer(
            _KINDS[op.kind],
            tuple(passed.get(i, i) for i in inputs),
            op.outputs[0],
            bool(op.options.FusedActivationFunction()),
        )
        if layer.kind in ("conv", "linear"):
            weight, bias = (_reals(file, i) for i in op.inputs[1:])
            layer = replace(layer, weight=weight, bias=bias)
        layers.append(_windows(file, op, layer) if layer.kind == "conv" else layer)
    return layers


def _reals(file: File, number: int) -> Tensor:
    """Return the reals that a constant stands for."""
    tensor = file.tensors[number]
    assert tensor.data is not None
    shape = [1] * len(tensor.shape)
    shape[tensor.axis] = -1
    return torch.from_numpy(tensor.data * tensor.scales.astype(np.float64).reshape(shape)).float()


def _windows(file: File, op: FileOperator, layer: Layer) -> Layer:
    """Return a convolution with its weights' axes in PyTorch's order, and where its windows are."""
    assert layer.weight is not None
    depthwise = op.kind == "DEPTHWISE_CONV_2D"
    weight = layer.weight.permute((3, 0, 1, 2) if depthwise else (0, 3, 1, 2)).contiguous()
    stride = (op.options.StrideH(), op.options.StrideW())
    pads: list[tuple[int, int]] = []
    size = file.tensors[op.inputs[0]].shape[1:3]
    for n, k, s in zip(size, weight.shape[2:], stride, strict=True):
        total = max(0, (n - 1) // s * s + k - n) if op.options.Padding() == _SAME else 0
        pads.append((total // 2, total - total // 2))
    groups = len(weight) if depthwise else 1
    return replace(layer, weight=weight, stride=stride, pads=(*pads[1], *pads[0]), groups=groups)


def narrowed(layers: Sequence[Layer], share: int) -> list[Layer]:
    """Return layers with the first of every ``share`` channels, inputs and results with all."""
    result = []
    for layer in layers:
        if layer.weight is not None and layer.bias is not None:
            kernels, channels = layer.weight.shape[:2]
            kernels //= 1 if layer is layers[-1] else share
            channels //= 1 if layer is layers[0] or layer.groups > 1 else share
            layer = replace(
                layer,
                weight=layer.weight[:kernels, :channels],
                bias=layer.bias[:kernels],
                groups=min(layer.groups, kernels),
            )
        result.append(layer)
    return result


class Network(nn.Module):
    """Layers in floats, of feature maps with channels first.

    Parameters
    ----------
    layers : as :func:`read_layers` gives them
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = list(layers)
        self.first = self.rounded()
        self.weighted, self.functions, self.shared = (nn.ModuleDict() for _ in range(3))
        for layer in layers:
            key = str(layer.output)
            if layer.weight is not None:
                self.weighted[key] = self.with_weights(layer)
            if layer.kind == "add":
                self.shared[key] = self.rounded()
            self.functions[key] = self.function(layer)
        self.eval()

    def rounded(self) -> nn.Module:
        """Return what the network's input passes, or both operands of an addition."""
        return nn.Identity()

    def with_weights(self, layer: Layer) -> nn.Module:
        """Return a convolution or a matrix."""
        return layer.module(nn.Conv2d, nn.Linear)

    def function(self, layer: Layer) -> nn.Module:
        """Return what a layer's result passes."""
        return nn.ReLU() if layer.relu else nn.Identity()

    def mean(self, x: Tensor) -> Tensor:
        """Return each channel's mean."""
        return x.mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last layer's result."""
        values = {self.layers[0].inputs[0]: self.first(x)}
        for layer in self.layers:
            key, (y, *others) = str(layer.output), (values[i] for i in layer.inputs)
            if layer.kind == "add":
                y = self.shared[key](y) + self.shared[key](others[0])
            elif layer.kind == "mean":
                y = self.mean(y)
            else:
                y = self.weighted[key](y if layer.even else nn.functional.pad(y, layer.pads))
            values[layer.output] = self.functions[key](y)
        return values[layer.output]
