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


def integers(data: bytes) -> Graph:
    """Return the integer graph of a file."""
    return to_integer(import_tflite(data).graph).graph


def compare(data: bytes, images: Iterable[Int8Array | list[Int8Array]]) -> Comparison:
    """Compare every layer's tensor on images, or lists of a file's inputs.

    Tensors are found by their names, so layers' names in the file must differ.
    """
    graph, kernels, file = integers(data), Kernels(data), read_file(data)
    numbers = {t.name.split(";")[0]: i for i, t in enumerate(file.tensors) if t.kind == "INT8"}
    written = {op.outputs[0] for op in file.operators if op.outputs}
    result = Comparison(0, 0, frozenset())
    for image in images:
        arrays = [image] if isinstance(image, np.ndarray) else image
        kernels.run(*arrays)
        own = [
            channels_first(array).reshape(graph.values[op.output].shape)
            for array, op in zip(arrays, graph.inputs, strict=True)
        ]
        for name, value in run(graph, own).items():
            if numbers.get(name) in written:
                expected = kernels.value(numbers[name]).reshape(-1)
                result.elements += expected.size
                result.different += int((expected != value.reshape(-1)).sum())
                result.names |= {name}
    return result
