"""TFLite's reference kernels on one file, and every layer beside what Tilewright has there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tilewright.compiler.importers.tflite import import_tflite
from tilewright.compiler.importers.tflite.file import read_file
from tilewright.compiler.ir import Graph, run
from tilewright.compiler.quantized.to_integer import to_integer
from tilewright.compiler.quantized.views import canonical

Int8Array = npt.NDArray[np.int8]
IntArray = npt.NDArray[np.int64]


class Kernels:
    """The reference kernels on one file."""

    def __init__(self, data: bytes) -> None:
        self.interpreter = Interpreter(
            model_content=data,
            experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
            experimental_preserve_all_tensors=True,
            num_threads=1,
        )
        self.interpreter.allocate_tensors()
        self.inputs = self.interpreter.get_input_details()

    def run(self, *arrays: Int8Array) -> None:
        """Run on arrays of the file's shapes."""
        for entry, array in zip(self.inputs, arrays, strict=True):
            self.interpreter.set_tensor(entry["index"], array)
        self.interpreter.invoke()

    def value(self, number: int) -> IntArray:
        """Return a tensor of one image, channels first if it has rows and columns."""
        return channels_first(self.interpreter.get_tensor(number))


def channels_first(array: Int8Array) -> IntArray:
    """Return a tensor of a file without its batch, channels first."""
    own = array[0].astype(np.int64)
    return own.transpose(2, 0, 1) if own.ndim == 3 else own


@dataclass
class Comparison:
    """Elements compared, those that differ, and the names of the layers' tensors."""

    elements: int
    different: int
    names: frozenset[str]

    def add(self, name: str, value: IntArray, expected: IntArray) -> None:
        """Compare a tensor."""
        self.elements += expected.size
        self.different += int((expected.reshape(-1) != value.reshape(-1)).sum())
        self.names |= {name}


def integers(data: bytes) -> Graph:
    """Return the integer graph of a file."""
    return to_integer(import_tflite(data).graph).graph


def compare(data: bytes, images: Iterable[Int8Array | list[Int8Array]]) -> Comparison:
    """Compare every layer's tensor on images, or lists of a file's inputs, and the results.

    Tensors are found by their names, so layers' names in the file must differ. Those that are
    moved in another way here than in the file, which has another shape then, are compared where
    they are results.
    """
    imported, kernels, file = import_tflite(data), Kernels(data), read_file(data)
    capture = to_integer(imported.graph)
    graph, ends = capture.graph, [op.input for op in capture.graph.outputs]
    written = {op.outputs[0] for op in file.operators if op.outputs}
    numbers = {file.tensors[i].name.split(";")[0]: i for i in sorted(written)}
    result = Comparison(0, 0, frozenset())
    for image in images:
        arrays = [image] if isinstance(image, np.ndarray) else image
        kernels.run(*arrays)
        own = [
            channels_first(array).reshape(graph.values[op.output].shape)
            for array, op in zip(arrays, graph.inputs, strict=True)
        ]
        values = run(graph, own)
        seen = set()
        for name in numbers.keys() & values.keys():
            expected = kernels.value(numbers[name])
            if canonical(expected.shape) == values[name].shape:
                result.add(name, values[name], expected)
                seen.add(numbers[name])
        if imported.host:
            continue
        for number, view in zip(file.outputs, capture.results, strict=True):
            if number in written - seen:
                point = graph.values[ends[view.sources[0]]].zero_point
                whole = view.of([values[name][None] for name in ends], point)
                result.add(file.tensors[number].name, whole, kernels.value(number))
    return result
