"""Every tensor of a file, beside what the reference kernels have in it."""

import numpy as np

from tests.compiler.importers.tflite.files import Kernels
from tilewright.compiler.importers.tflite import import_tflite
from tilewright.compiler.importers.tflite.file import read_file
from tilewright.compiler.ir import run
from tilewright.compiler.quantized.to_integer import to_integer


def compared(data, images):
    """Return (elements, different ones, tensors compared) over images of the first input's shape.

    Tensors are found by their names, so files for this have short and different ones.
    """
    graph = to_integer(import_tflite(data).graph).graph
    kernels, file = Kernels(data), read_file(data)
    numbers = {t.name.split(";")[0]: i for i, t in enumerate(file.tensors) if t.kind == "INT8"}
    written = {op.outputs[0] for op in file.operators if op.outputs}
    elements, different, names = 0, 0, set()
    for image in images:
        arrays = [image] if isinstance(image, np.ndarray) else image
        kernels.run(*arrays)
        own = [
            (a[0].transpose(2, 0, 1) if a.ndim == 4 else a[0])
            .astype(np.int64)
            .reshape(graph.values[op.output].shape)
            for a, op in zip(arrays, graph.inputs, strict=True)
        ]
        for name, value in run(graph, own).items():
            if numbers.get(name) in written:
                expected = kernels.value(numbers[name]).reshape(-1)
                elements += expected.size
                different += int((expected != value.reshape(-1)).sum())
                names.add(name)
    return elements, different, names
