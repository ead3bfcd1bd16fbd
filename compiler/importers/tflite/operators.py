"""Which operators of TFLite are taken, and those that can be left out at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from tilewright.compiler.importers.tflite import elementwise, movement, tables, weighted, windows
from tilewright.compiler.importers.tflite.call import Call
from tilewright.compiler.quantized.graph import View

Handler: TypeAlias = Callable[[Call], View | list[View]]
#: By the schema's names.
OPERATORS: Mapping[str, Handler] = {
    "ABS": tables.absolute,
    "ADD": elementwise.add,
    "AVERAGE_POOL_2D": windows.average_pool,
    "BATCH_MATMUL": weighted.batch_matmul,
    "BATCH_TO_SPACE_ND": movement.batch_to_space,
    "BROADCAST_TO": movement.broadcast_to,
    "CONCATENATION": movement.concatenation,
    "CONV_2D": weighted.conv,
    "DEPTHWISE_CONV_2D": weighted.depthwise,
    "DEPTH_TO_SPACE": movement.depth_to_space,
    "DEQUANTIZE": elementwise.dequantize,
    "EXP": tables.exp,
    "EXPAND_DIMS": movement.reshape,
    "FULLY_CONNECTED": weighted.fully_connected,
    "GATHER": movement.gather,
    "GELU": tables.gelu,
    "HARD_SWISH": tables.hard_swish,
    "LEAKY_RELU": tables.leaky_relu,
    "LOG": tables.log,
    "LOGISTIC": tables.logistic,
    "MAXIMUM": elementwise.maximum,
    "MAX_POOL_2D": windows.max_pool,
    "MEAN": windows.mean,
    "MINIMUM": elementwise.minimum,
    "MIRROR_PAD": movement.mirror_pad,
    "MUL": elementwise.mul,
    "NEG": tables.negative,
    "PACK": movement.pack,
    "PAD": movement.pad,
    "PADV2": movement.pad,
    "PRELU": tables.prelu,
    "QUANTIZE": elementwise.quantize,
    "RELU": elementwise.relu,
    "RELU6": elementwise.relu6,
    "RELU_N1_TO_1": elementwise.relu_n1_to_1,
    "RESHAPE": movement.reshape,
    "RESIZE_BILINEAR": windows.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": movement.resize_nearest,
    "RSQRT": tables.rsqrt,
    "SLICE": movement.slice_,
    "SPACE_TO_BATCH_ND": movement.space_to_batch,
    "SPACE_TO_DEPTH": movement.space_to_depth,
    "SPLIT": movement.split,
    "SPLIT_V": movement.split_v,
    "SQUEEZE": movement.reshape,
    "STRIDED_SLICE": movement.strided_slice,
    "SUB": elementwise.sub,
    "TANH": tables.tanh,
    "TILE": movement.tile,
    "TRANSPOSE_CONV": weighted.transpose_conv,
    "UNPACK": movement.unpack,
}

#: What is left out where it is last: results are what it would read.
LEFT_OUT = frozenset({"TFLite_Detection_PostProcess", "TOPK_V2"})
