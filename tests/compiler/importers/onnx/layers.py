"""Every tensor of integers that a file has, beside the golden model's and float64's."""

import tempfile
from dataclasses import dataclass

import numpy as np
import onnx
import onnxruntime

import tilewright as tw
from tests.compiler.importers.onnx.exact import evaluate
from tilewright.compiler.importers.onnx.file import label
from tilewright.compiler.ir import choose_multipliers
from tilewright.compiler.ir.inputs import quantize_input
from tilewright.compiler.quantized.to_integer import to_integer

LEVELS = onnxruntime.GraphOptimizationLevel


def _session(model, level, saved=""):
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.graph_optimization_level = 3, level
    options.optimized_model_filepath = saved
    # Without it, int8 becomes uint8 with other names and, moved by 128, the same integers.
    options.add_session_config_entry("session.qdqisint8allowed", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _optimized(path, level):
    """Return a file as onnxruntime runs it.

    It fuses a layer into one of integers only if the layer's result is none of the file's: asked
    for them all, it would compute in float32 what it otherwise does not.
    """
    with tempfile.TemporaryDirectory() as folder:
        _session(str(path), level, f"{folder}/optimized.onnx")
        return onnx.load(f"{folder}/optimized.onnx")


class Both:
    """A file of one input in onnxruntime, and as the golden model with multipliers of 31 bits.

    ``places`` names the golden model's value of each of the file's tensors, ``ends`` holds those
    that are results. ``plain`` is onnxruntime without its optimizer.
    """

    def __init__(self, path, *, plain=False):
        self.model = onnx.load(path)
        capture = to_integer(tw.read_onnx(path).graph)
        self.graph = choose_multipliers(capture.graph, 31)
        (source,) = self.graph.inputs
        self.source = source.output
        self.kind = self.graph.values[source.output]
        self.places = self._places()
        self.ends = {op.input for op in self.graph.outputs}
        level = LEVELS.ORT_DISABLE_ALL if plain else LEVELS.ORT_ENABLE_EXTENDED
        optimized = _optimized(path, level)
        known = {name for node in optimized.graph.node for name in node.output}
        self.places = {name: value for name, value in self.places.items() if name in known}
        shown = {o.name for o in optimized.graph.output}
        optimized.graph.output.extend(
            onnx.ValueInfoProto(name=n) for n in self.places if n not in shown
        )
        self.session = _session(optimized.SerializeToString(), LEVELS.ORT_DISABLE_ALL)

    def _places(self):
        """Find the value of each tensor of integers by its grid and the names of its nodes.

        A layer has the name of a node between the last dequantizer and this one, or of this one.
        The input's own integers are no layer's.
        """
        graph, found = self.model.graph, {}
        constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                constants[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
        writers = {name: node for node in graph.node for name in node.output}
        depends = {graph.input[0].name}
        for node in graph.node:
            if depends & {*node.input}:
                depends |= {*node.output}
        for node in graph.node:
            name = node.input[0] if node.input else ""
            if node.op_type != "DequantizeLinear" or name not in depends or name in found:
                continue
            scale, zero = (constants[n] for n in node.input[1:3])
            names, behind, padded = [label(node) + "#2", label(node)], writers[name], False
            while behind is not None and behind.op_type != "DequantizeLinear":
                padded |= behind.op_type == "Pad"  # the reader's own, on an unchanged grid
                names.append(label(behind))
                behind = writers.get(next(n for n in behind.input if n in depends))
            values = self.graph.values
            own = [
                n
                for n in names
                if n in values
                and (values[n].zero_point, np.float32(values[n].scale)) == (zero, scale)
            ]
            if own:
                found[name] = own[0]
            elif behind is not None and not padded:
                raise AssertionError(f"{name}: none of {names} has its grid")
        return found

    def tensors(self, image):
        """Return onnxruntime's integers (N, ...) of an image (1, ...) by name."""
        names = [*self.places]
        (argument,) = self.session.get_inputs()
        return dict(zip(names, self.session.run(names, {argument.name: image}), strict=True))

    def golden(self, integers, given=None):
        """Return the golden model's values; layers read what is ``given`` for their operands."""
        values = {self.source: integers.astype(np.int64)}
        results = dict(values)
        for op in self.graph.ops:
            if op.outputs and op.outputs[0] not in values:
                name = op.outputs[0]
                results[name] = op.compute(values, self.graph.values)
                values[name] = results[name] if given is None else given.get(name, results[name])
        return results

    def on_grid(self, images):
        """Return integers of the input's grid, and the reals that they are."""
        integers = quantize_input(self.kind, images.reshape(-1, *self.kind.shape))
        reals = (integers - self.kind.zero_point) * np.float32(self.kind.scale)
        return integers, reals.astype(np.float32).reshape(images.shape)


@dataclass
class Counts:
    """Elements compared, those that differ, and by how much at most."""

    elements: int = 0
    different: int = 0
    largest: int = 0

    def add(self, have, want):
        apart = np.abs(have.astype(np.int64).reshape(-1) - want.astype(np.int64).reshape(-1))
        self.elements += apart.size
        self.different += int((apart > 0).sum())
        self.largest = max(self.largest, int(apart.max(initial=0)))


def compare(both, images):
    """Compare images (N, ...) in floats.

    Returns
    -------
    Counts by kind, and those of "layers" by layer. From the input on: "results", and "maps"
    between. Each layer of onnxruntime's own operands: "layers", golden and onnxruntime;
    "onnxruntime" and "golden", each and float64.
    """
    counts = {kind: Counts() for kind in ("results", "maps", "layers", "onnxruntime", "golden")}
    by_layer = {value: Counts() for value in both.places.values()}
    integers, reals = both.on_grid(images)
    for own, image in zip(integers, reals, strict=True):
        tensors = both.tensors(image[None])
        given = {
            value: tensors[name].astype(np.int64).reshape(both.graph.values[value].shape)
            for name, value in both.places.items()
        }
        exact = evaluate(both.model, image[None], tensors)
        whole, apart = both.golden(own), both.golden(own, given)
        for name, value in both.places.items():
            counts["results" if value in both.ends else "maps"].add(whole[value], given[value])
            for found in (counts["layers"], by_layer[value]):
                found.add(apart[value], given[value])
            counts["onnxruntime"].add(given[value], exact[name].reshape(-1))
            counts["golden"].add(apart[value], exact[name].reshape(-1))
    return counts, by_layer
