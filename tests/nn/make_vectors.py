"""Write ``deform_conv2d.npz``: what onnxruntime's DeformConv computes, as an independent golden.

Not run by the tests: ``pip install onnx==1.22.0 onnxruntime==1.31.1 numpy``, then
``python tests/nn/make_vectors.py``.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

CASES = 12
FILE = Path(__file__).parent / "deform_conv2d.npz"


def case(seed):
    rng, batch = np.random.default_rng(seed), 1 + (seed == 0)
    groups, offset_groups = (int(n) for n in rng.choice([1, 2, 4], 2))
    channels, kernels = 4 * int(rng.integers(1, 3)), 4 * int(rng.integers(1, 3))
    if seed % 4 == 3:
        groups = kernels = channels
    kernel, stride, dilation = (rng.integers(1, high, 2) for high in (4, 4, 3))
    padding = rng.integers(0, 3, 2)
    size = np.maximum(rng.integers(3, 9, 2), (kernel - 1) * dilation + 1 - 2 * padding)
    out = (size + 2 * padding - (kernel - 1) * dilation - 1) // stride + 1
    taps = offset_groups * kernel.prod()
    offset = rng.normal(0, 3, (batch, 2 * taps, *out))
    if seed % 3 == 1:  # exactly on pixels
        offset = np.rint(offset)
    arrays = {
        "x": rng.normal(size=(batch, channels, *size)),
        "weight": rng.normal(size=(kernels, channels // groups, *kernel)),
        "offset": offset,
        "bias": rng.normal(size=kernels),
    }
    if seed % 2:
        arrays["mask"] = rng.random((batch, taps, *out))
    attributes = {
        "strides": stride.tolist(),
        "pads": [*padding.tolist(), *padding.tolist()],
        "dilations": dilation.tolist(),
        "group": groups,
        "offset_group": offset_groups,
        "kernel_shape": kernel.tolist(),
    }
    node = helper.make_node("DeformConv", list(arrays), ["y"], **attributes)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.DOUBLE, array.shape)
        for name, array in arrays.items()
    ]
    output = helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)
    graph = helper.make_graph([node], "deform", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (arrays["y"],) = session.run(None, arrays)
    arrays["geometry"] = np.array([*stride, *padding, *dilation, groups, offset_groups])
    return arrays


if __name__ == "__main__":
    provenance = (
        f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, DeformConv of opset 22, "
        "CPU, float64; tests/nn/make_vectors.py"
    )
    np.savez_compressed(
        FILE,
        provenance=provenance,
        **{f"{n}.{name}": array for n in range(CASES) for name, array in case(n).items()},
    )
