"""Four roads to a quantized ONNX file, from small networks; onnxruntime beside the golden model.

``python -m tests.compiler.importers.onnx.roads FOLDER --elements 1000000`` compares so many
elements of each; seeds go up from ``--seed``.
"""

import argparse
import contextlib
import io
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

import tilewright as tw
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


def quiet(function, *args, **options):
    """Call what prints and warns, without that."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            return function(*args, **options)
        finally:
            logging.disable(logging.NOTSET)


def float_file(folder, seed=0):
    """Export the plain network in floats."""
    model, images = plain(seed)
    path = folder / "float.onnx"
    names = {"x": {0: "n"}, "y": {0: "n"}, "z": {0: "n"}}
    quiet(
        torch.onnx.export, model, (images[:1],), path, dynamo=False, input_names=["x"],
        output_names=["y", "z"], dynamic_axes=names, opset_version=17,
    )  # fmt: skip
    return path, images


def by_onnxruntime(folder, seed=0, activations="QInt8", form="QDQ"):
    """``quantize_static``, weights per channel."""
    from onnxruntime import quantization

    path, images = float_file(folder, seed)

    class Reader(quantization.CalibrationDataReader):
        def __init__(self):
            self.batches = iter([{"x": part.numpy()} for part in images.split(16)])

        def get_next(self):
            return next(self.batches, None)

    result = folder / f"{form}-{activations}.onnx"
    quiet(
        quantization.quantize_static, path, result, Reader(), per_channel=True,
        quant_format=getattr(quantization.QuantFormat, form),
        activation_type=getattr(quantization.QuantType, activations),
        weight_type=quantization.QuantType.QInt8,
    )  # fmt: skip
    return result


def by_pt2e(folder, seed=0):
    """PT2E with XNNPACK's quantizer, exported with dynamo."""
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    from torchao.testing.pt2e._xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    model, images = plain(seed)
    shapes = ({0: torch.export.Dim("n", min=1, max=1024)},)
    exported = torch.export.export(model, (images[:2],), dynamic_shapes=shapes).module()
    config = get_symmetric_quantization_config(is_per_channel=True)
    prepared = prepare_pt2e(exported, XNNPACKQuantizer().set_global(config))
    for part in images.split(16):
        prepared(part)
    converted = convert_pt2e(prepared)
    program = quiet(
        torch.onnx.export, converted, (images[:2],), dynamo=True, dynamic_shapes=shapes,
        opset_version=18, verbose=False,
    )  # fmt: skip
    path = folder / "pt2e.onnx"
    program.save(path)
    return path


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
    """``export_onnx_qcdq``: quantize, clip, dequantize."""
    from brevitas.export import export_onnx_qcdq

    path = folder / "qcdq.onnx"
    model = brevitas_network(seed, bits)
    quiet(
        export_onnx_qcdq, model, torch.randn(1, *SHAPE), str(path), dynamo=False, opset_version=17
    )
    return path


def by_qonnx(folder, seed=0, bits=4):
    """QONNX's own conversion; biases, of 32 bits, are constants by then."""
    from brevitas.export import export_qonnx
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.fold_constants import FoldConstantsFiltered
    from qonnx.util.convert import convert

    first, result = folder / "qonnx.onnx", folder / "qonnx_qcdq.onnx"
    model = brevitas_network(seed, bits)
    quiet(export_qonnx, model, torch.randn(1, *SHAPE), str(first), dynamo=False)
    wrapper = ModelWrapper(str(first))
    biases = FoldConstantsFiltered(lambda m, node: "bias_quant" in node.name)
    folded = quiet(wrapper.transform, biases)
    for value in list(folded.graph.input):  # folding leaves what nothing reads any more
        if not folded.find_consumers(value.name):
            folded.graph.input.remove(value)
    folded.save(str(first))
    quiet(convert, str(first), output_style="qcdq", output_file=str(result))
    return result


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


def apart(results, wanted):
    """Elements that differ from reals on the grids, all elements, and the largest difference."""
    different = total = largest = 0
    for (grid, have), floats in zip(results, wanted, strict=True):
        steps = np.rint(floats / grid.scale).astype(np.int64) + grid.zero_point
        distance = np.abs(steps - have.reshape(steps.shape))
        different, total = different + int((distance > 0).sum()), total + distance.size
        largest = max(largest, int(distance.max()))
    return different, total, largest


def differences(path, images):
    """Elements that differ from onnxruntime's, all elements, and the largest difference in LSB."""
    images, results = golden(path, images)
    return apart(results, by_runtime(str(path), images))


def inexact(path, images):
    """Elements that differ from the file's arithmetic in float64."""
    images, results = golden(path, images)
    model = onnx.load(path)
    parts = [images[i : i + 1] for i in range(len(images))]  # some files take one image
    found = [evaluate(model, part) for part in parts]
    wanted = [np.concatenate([f[o.name] for f in found]) for o in model.graph.output]
    return apart(results, wanted)


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
