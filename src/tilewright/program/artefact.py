"""A compiled network: commands, constants, and how to talk to them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.ir import Graph, ResultView, TensorType, run
from tilewright.compiler.schedule import GroupView, RoundingError
from tilewright.isa import Command, EngineConfig, Unit, decode
from tilewright.isa.layout import PAGE, FeatureMapLayout, align
from tilewright.isa.wide import PLANES, join_rows, split_rows
from tilewright.program.inputs import quantize, random_image
from tilewright.target import Target

#: Images that a run computes, at most.
MAX_BATCH = 1024


@dataclass(frozen=True)
class LayerInfo:
    """A layer of the network, as reports show it."""

    name: str
    kind: str
    macs: int


@dataclass(frozen=True, eq=False)
class Program:
    """A network compiled for one engine.

    Parameters
    ----------
    target : Target
    graph : Graph
        The integer graph that the program computes, bit for bit; layers with rounded kernels are
        operators of their own.
    image : uint8 array
        Memory from the base register on: constants, room for feature maps, commands.
    streams : per unit, byte address and number of commands
    boot_count : int
        Load commands in the first fetch (the COUNT register).
    addresses : per input and output value, its feature map's byte address
    orders : per input and output value, the channel in each place of its channel groups
    pixels : of inputs of few channels, the bytes of a pixel in memory
    layers : LayerInfo of each layer; commands refer to them by index
    schedule : how the layers run, group by group
    rounded_biases : module path and error in output LSB of each bias that batch norm left off the
        accumulator's grid
    input_shapes : of one image, as the model takes each input
    results : the model's results, in its own shapes, in the graph's outputs
    batch : images that a run computes; the feature maps of each lie whole bus beats and 64 bytes
        behind those of the one before
    in_columns : each image is one pixel, and they lie side by side instead, as the columns of one
        row: (C, 1, batch) for each (C, 1, 1)
    """

    target: Target
    graph: Graph
    image: NDArray[np.uint8]
    streams: dict[Unit, tuple[int, int]]
    boot_count: int
    addresses: dict[str, int]
    orders: dict[str, tuple[int, ...]]
    pixels: dict[str, int]
    layers: tuple[LayerInfo, ...]
    schedule: tuple[GroupView, ...]
    rounded_biases: tuple[tuple[str, float], ...]
    input_shapes: tuple[tuple[int, ...], ...]
    results: tuple[ResultView, ...]
    batch: int = 1
    in_columns: bool = False

    @property
    def engine(self) -> EngineConfig:
        """The engine that the program runs on."""
        return self.target.engine

    def commands(self, unit: Unit) -> list[Command]:
        """Return a unit's commands, decoded from memory."""
        address, count = self.streams[unit]
        size = self.engine.command_bytes(unit)
        data = self.image[address : address + count * size].tobytes()
        return [decode(unit, data[i : i + size]) for i in range(0, len(data), size)]

    @property
    def rounded_layers(self) -> dict[str, RoundingError]:
        """What rounded kernels change, by the name of each layer that has them."""
        return {
            layer.name: layer.rounding
            for group in self.schedule
            for layer in group.layers
            if layer.rounding is not None
        }

    def layout(self, value: str) -> FeatureMapLayout:
        """Return how an input or output value lies in memory: of one image, or of all in a row."""
        channels, height, width = self.graph.values[value].shape
        height *= PLANES if self.wide(value) else 1
        if self.in_columns:
            width = self.batch
        order, pixel = self.orders[value], self.pixels.get(value, 0)
        return FeatureMapLayout(self.engine, channels, height, width, order=order, pixel=pixel)

    def wide(self, value: str) -> bool:
        """Return whether an input or output value has more than 8 bits, and so rows of bytes."""
        return self.graph.values[value].bits > 8

    def room(self, value: str) -> int:
        """Return the bytes of an input or output value of all images."""
        size = self.layout(value).size_bytes
        return size if self.in_columns else align(size, PAGE) * (self.batch - 1) + size

    def random_image(self) -> list[NDArray[np.int64]]:
        """Return one random image, always the same: an array (1, C, H, W) per input."""
        return random_image(self.graph)

    def quantize(self, inputs: Any) -> list[NDArray[np.int64]]:
        """Return inputs as integers; see :func:`tilewright.program.inputs.quantize`."""
        return quantize(self.graph, self.input_shapes, inputs)

    def pack(self, value: str, images: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the bytes of an input of (N, C, H, W) images, ``batch`` at most.

        What images there are not is zero.
        """
        layout, out = self.layout(value), np.zeros(self.room(value), np.uint8)
        if self.in_columns:
            row = np.zeros((layout.channels, 1, self.batch), np.int64)
            row[:, 0, : len(images)] = images[:, :, 0, 0].T
            return layout.pack(self._stored(value, row))
        size = layout.size_bytes
        for index, image in enumerate(images):
            first = index * align(size, PAGE)
            out[first : first + size] = layout.pack(self._stored(value, image))
        return out

    def unpack(self, value: str, data: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Return the (``batch``, C, H, W) images of an output from the ``room`` bytes of it."""
        layout, signed = self.layout(value), self.graph.values[value].signed
        size = layout.size_bytes

        def read(stored: NDArray[np.uint8]) -> NDArray[np.int64]:
            elements = layout.unpack(stored, signed=signed)
            return join_rows(elements, signed=signed) if self.wide(value) else elements

        if self.in_columns:
            return read(data).transpose(2, 0, 1)[..., None]
        starts = range(0, data.size, align(size, PAGE))
        return np.stack([read(data[at : at + size]) for at in starts])

    def _stored(self, value: str, elements: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the bytes of (C, H, W) elements, or the elements where they are bytes."""
        return split_rows(elements) if self.wide(value) else elements

    def batches(self, arrays: list[NDArray[np.int64]]) -> list[list[NDArray[np.int64]]]:
        """Return (N, C, H, W) inputs as those of one run after another; the last may be smaller."""
        starts = range(0, len(arrays[0]), self.batch)
        return [[array[at : at + self.batch] for array in arrays] for at in starts]

    def memory(self, arrays: list[NDArray[np.int64]]) -> NDArray[np.uint8]:
        """Return memory with the (N, C, H, W) inputs of one run in place, ``batch`` at most."""
        memory = self.image.copy()
        for op, images in zip(self.graph.inputs, arrays, strict=True):
            address, data = self.addresses[op.output], self.pack(op.output, images)
            memory[address : address + data.size] = data
        return memory

    def outputs(self, memory: NDArray[np.uint8]) -> list[NDArray[np.int64]]:
        """Return the graph's (``batch``, C, H, W) outputs that lie in memory after a run."""
        results = []
        for op in self.graph.outputs:
            address = self.addresses[op.input]
            results.append(self.unpack(op.input, memory[address : address + self.room(op.input)]))
        return results

    def reference(self, inputs: Any) -> list[NDArray[np.int64]]:
        """Run the integer graph in NumPy; one (N, ...) array per result, in the model's shape."""
        arrays = self.quantize(inputs)
        per_image = []
        for index in range(len(arrays[0])):
            values = run(self.graph, [array[index] for array in arrays])
            per_image.append([values[op.input] for op in self.graph.outputs])
        return self.presented([np.stack(column) for column in zip(*per_image, strict=True)])

    def presented(self, outputs: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Return the model's results (N, ...) from the graph's outputs (N, C, H, W)."""
        return [
            view.of(outputs, kind.zero_point)
            for view, kind in zip(self.results, self.result_types, strict=True)
        ]

    @property
    def input_names(self) -> list[str]:
        """Name of each input, as the model's forward has it."""
        return [op.name for op in self.graph.inputs]

    @property
    def result_names(self) -> list[str]:
        """Name of each result: "output", or "output.0" and so on."""
        return result_names(len(self.results))

    @property
    def result_types(self) -> list[TensorType]:
        """Type of each result's elements; the shape is that of the graph's output."""
        values = [op.input for op in self.graph.outputs]
        return [self.graph.values[values[view.sources[0]]] for view in self.results]

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the program to one file; an interrupted write leaves no file behind.

        Raises
        ------
        ProgramError
            If it is larger than program files may be.
        FileError
            If the file cannot be written.
        """
        from tilewright.program.storage import save  # its schema takes a while to import

        return save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Program:
        """Read a program file, which may hold anything: all of it is checked first.

        Raises
        ------
        Error
            If the file is not a program, is damaged, or is for another ISA version.
        """
        from tilewright.program.storage import load

        return load(path)


def result_names(count: int) -> list[str]:
    """Return the name of each of so many results: "output", or "output.0" and so on."""
    return ["output"] if count == 1 else [f"output.{i}" for i in range(count)]
