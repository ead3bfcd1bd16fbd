"""Which operators of TFLite are taken, and those that can be left out at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tilewright.compiler.importers.tflite import elementwise, movement, tables, weighted, windows
from tilewright.compiler.importers.tflite.call import Call
from tilewright.compiler.quantized.graph import View

#: By the schema's names.
OPERATORS: Mapping[str, Callable[[Call], View]] = {
    "ADD": elementwise.add,
    "AVERAGE_POOL_2D": windows.average_pool,
    "CONCATENATION": movement.concatenation,
    "CONV_2D": weighted.conv,
    "DEPTHWISE_CONV_2D": weighted.depthwise,
    "DEPTH_TO_SPACE": movement.depth_to_space,
    "DEQUANTIZE": elementwise.dequantize,
    "EXPAND_DIMS": movement.reshape,
    "FULLY_CONNECTED": weighted.fully_connected,
    "HARD_SWISH": tables.hard_swish,
    "LOGISTIC": tables.logistic,
    "MAX_POOL_2D": windows.max_pool,
    "MEAN": windows.mean,
    "PAD": movement.pad,
    "QUANTIZE": elementwise.quantize,
    "RELU": elementwise.relu,
    "RELU6": elementwise.relu6,
    "RELU_N1_TO_1": elementwise.relu_n1_to_1,
    "RESHAPE": movement.reshape,
    "RESIZE_NEAREST_NEIGHBOR": movement.resize_nearest,
    "SPACE_TO_DEPTH": movement.space_to_depth,
    "SQUEEZE": movement.reshape,
    "TANH": tables.tanh,
}

#: What is left out where it is last: results are what it would read.
LEFT_OUT = frozenset({"TFLite_Detection_PostProcess", "TOPK_V2"})
