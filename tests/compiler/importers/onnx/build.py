"""Small ONNX files, operator by operator."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SCALE, ZERO = np.float32(0.05173), np.int8(3)  # no ratio of scales may make ties


def save(folder, nodes, shape, constants=(), outputs=("y",), opset=17, kind=TensorProto.FLOAT):
    """Write a model of one input x, whose batch is dynamic."""
    graph = helper.make_graph(
        list(nodes),
        "net",
        [helper.make_tensor_value_info("x", kind, ["n", *shape])],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in dict(constants).items()],
    )
    path = folder / "net.onnx"
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=imports, ir_version=10)
    onnx.save(model, path)
    return path


def quantizers(name, source, scale=SCALE, zero=ZERO):
    """Return nodes and constants that round ``source`` and give it the name."""
    constants = {f"{name}.scale": np.float32(scale), f"{name}.zero": zero}
    nodes = [
        helper.make_node(
            "QuantizeLinear", [source, f"{name}.scale", f"{name}.zero"], [f"{name}.q"],
            name=f"{name}.quantizer",
        ),
        helper.make_node(
            "DequantizeLinear", [f"{name}.q", f"{name}.scale", f"{name}.zero"], [name],
            name=f"{name}.dequantizer",
        ),
    ]  # fmt: skip
    return nodes, constants


def weights(name, integers, scale, axis=0):
    """Return a node and constants of weights that are dequantized."""
    constants = {f"{name}.q": integers, f"{name}.scale": np.float32(scale)}
    constants[f"{name}.zero"] = np.zeros(np.shape(scale), integers.dtype)
    names = [f"{name}.q", f"{name}.scale", f"{name}.zero"]
    return [helper.make_node("DequantizeLinear", names, [name], axis=axis)], constants
