"""Four roads to a quantized ONNX file, from small networks; onnxruntime beside the golden model.

``python -m tests.compiler.importers.onnx.roads FOLDER --elements 1000000`` compares so many
elements of each; seeds go up from ``--seed``.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import tilewright as tw
from tests.compiler.importers.onnx import convert
from tests.compiler.importers.onnx.exact import evaluate, noise_by_layer
from tilewright.compiler.ir import choose_multipliers
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.compiler.ir.run import run
from tilewright.compiler.quantized.to_integer import to_integer

SHAPE = (3, 14, 14)


class Plain(nn.Module):
    """A residual block, dilated and grouped, a pool, a mean, two results."""

    def __init__(self):
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.branch = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=2)
        self.last = nn.Conv2d(8, 8, (1, 3), padding=(0, 1))
        self.head = nn.Linear(8, 10)

    def forward(self, x):
        x = torch.relu(self.norm(self.stem(x)))
        x = torch.relu(x + self.branch(x))
        x = torch.max_pool2d(x, 2)  # 7 x 7: a mean of 49 is never a tie
        y = self.last(x)
        return y, self.head(torch.relu(y).mean((2, 3)))


def plain(seed):
    torch.manual_seed(seed)
    return Plain().eval(), torch.randn(64, *SHAPE)


def by_onnxruntime(folder, seed=0, activations="QInt8", form="QDQ"):
    """``quantize_static``."""
    return convert.static(folder, *plain(seed), ("y", "z"), activations, form)


def by_pt2e(folder, seed=0):
    """PT2E."""
    return convert.pt2e(folder, *plain(seed))


def brevitas_network(seed, bits):
    import brevitas.nn as qnn
    from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias

    weights = dict(
        weight_bit_width=bits, weight_quant=Int8WeightPerChannelFloat, bias_quant=Int32Bias
    )
    torch.manual_seed(seed)
    model = nn.Sequential(
        qnn.QuantIdentity(bit_width=8, return_quant_tensor=True),
        qnn.QuantConv2d(3, 8, 3, padding=1, **weights, return_quant_tensor=True),
        qnn.QuantReLU(bit_width=bits, return_quant_tensor=True),
        qnn.QuantConv2d(8, 8, 3, padding=1, groups=8, **weights, return_quant_tensor=True),
        qnn.QuantReLU(bit_width=bits, return_quant_tensor=True),
        qnn.QuantConv2d(8, 8, 1, **weights, output_quant=Int8ActPerTensorFloat),
    )
    for _ in range(5):  # running averages of the ranges
        model(torch.randn(16, *SHAPE))
    return model.eval()


def by_brevitas(folder, seed=0, bits=4):
    """``export_onnx_qcdq``."""
    return convert.qcdq(folder, brevitas_network(seed, bits), torch.randn(1, *SHAPE))


def by_qonnx(folder, seed=0, bits=4):
    """QONNX's own conversion."""
    return convert.qonnx(folder, brevitas_network(seed, bits), torch.randn(1, *SHAPE))


OF_INTEGERS = "onnxruntime, operators"
ROADS = {
    "onnxruntime": by_onnxruntime,
    "onnxruntime, uint8": lambda folder, seed=0: by_onnxruntime(folder, seed, "QUInt8"),
    OF_INTEGERS: lambda folder, seed=0: by_onnxruntime(folder, seed, "QUInt8", "QOperator"),
    "PT2E": by_pt2e,
    "Brevitas": by_brevitas,
    "QONNX": by_qonnx,
}


def by_runtime(path, images):
    """Run a file in onnxruntime; a batch of one if it takes no other."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (argument,) = session.get_inputs()
    step = 1 if argument.shape[0] == 1 else len(images)
    parts = [
        session.run(None, {argument.name: images[i : i + step]})
        for i in range(0, len(images), step)
    ]
    return [np.concatenate(outputs) for outputs in zip(*parts, strict=True)]


def golden(path, images):
    """Images on the input's grid, and of each result the grid and the golden model's integers.

    Multipliers have 31 bits; with fewer, requantization alone changes more elements.
    """
    graph = tw.read_onnx(path).graph
    capture = to_integer(graph)
    integer = choose_multipliers(capture.graph, 31)
    (kind,) = [capture.graph.values[op.output] for op in capture.graph.inputs]
    outputs = [capture.graph.values[op.input] for op in capture.graph.outputs]
    # On the input's grid: one pixel that is rounded otherwise changes a hundred results.
    inputs = quantize_input(kind, images.reshape(-1, *kind.shape))
    reals = ((inputs - kind.zero_point) * np.float32(kind.scale)).astype(np.float32)
    have = [[] for _ in capture.results]
    for image in inputs:
        values = run(integer, [image])
        results = [values[op.input] for op in capture.graph.outputs]
        for view, own in zip(capture.results, have, strict=True):
            flat = np.concatenate([results[i].reshape(-1) for i in view.sources])
            own.append(flat.reshape(view.shape) if view.index is None else flat[view.index])
    grids = [outputs[view.sources[0]] for view in capture.results]
    return reals.reshape(images.shape), list(zip(grids, map(np.stack, have), strict=True))


def steps(grid, floats):
    """Return integers of reals on a grid."""
    return np.rint(floats / grid.scale).astype(np.int64) + grid.zero_point


def apart(results, wanted):
    """Elements that differ from reals on the grids, all elements, and the largest difference."""
    different = total = largest = 0
    for (grid, have), floats in zip(results, wanted, strict=True):
        distance = np.abs(steps(grid, floats) - have.reshape(floats.shape))
        different, total = different + int((distance > 0).sum()), total + distance.size
        largest = max(largest, int(distance.max()))
    return different, total, largest


def differences(path, images):
    """Elements that differ from onnxruntime's, all elements, and the largest difference in LSB."""
    images, results = golden(path, images)
    return apart(results, by_runtime(str(path), images))


def in_float64(path, images):
    """Return the results (N, ...) of the file's arithmetic in float64."""
    model = onnx.load(path)
    parts = [images[i : i + 1] for i in range(len(images))]  # some files take one image
    found = [evaluate(model, part) for part in parts]
    return [np.concatenate([f[o.name] for f in found]) for o in model.graph.output]


def inexact(path, images):
    """Elements that differ from the file's arithmetic in float64."""
    images, results = golden(path, images)
    return apart(results, in_float64(path, images))


def images_of(seed, count):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((count, *SHAPE)).astype(np.float32)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--elements", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name, road in ROADS.items():
        found, noise, seed = [0, 0, 0], [0, 0], arguments.seed
        while found[1] < arguments.elements:
            path, images = road(arguments.folder, seed), images_of(seed, 128)
            different, total, largest = differences(path, images)
            found = [found[0] + different, found[1] + total, max(found[2], largest)]
            if name != OF_INTEGERS:
                noise = [a + b for a, b in zip(noise, noise_by_layer(path, images), strict=True)]
            seed += 1
        print(
            f"{name}: {found[0]} of {found[1]} elements differ, by {found[2]} at most, "
            f"seeds {arguments.seed}..{seed - 1}; onnxruntime's layers are off float64, each by "
            f"its own operands, in {noise[0]} of {noise[1]}",
            flush=True,
        )


if __name__ == "__main__":
    main()
