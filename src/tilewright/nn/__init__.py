"""Layers that PyTorch and Brevitas lack.

In the order in which data passes through: ``sampling`` (deformable sampling, differentiable),
``deformable`` (deformable convolution in floats), ``quantized`` (the same as the engine computes
it, a Brevitas layer); ``recurrence`` (slices that depend on
the slice before); ``pruning`` (weights that are zero where that saves cycles).
"""

from tilewright.nn.deformable import DeformConv2d, DeformConv2dPack
from tilewright.nn.pruning import Pruned, prune
from tilewright.nn.quantized import (
    QuantDeformConv2d,
    QuantDeformConv2dPack,
    QuantMask,
    QuantOffset,
)
from tilewright.nn.recurrence import RecurrentConv, recurrence
from tilewright.nn.sampling import deform_conv2d

__all__ = [
    "DeformConv2d",
    "DeformConv2dPack",
    "Pruned",
    "QuantDeformConv2d",
    "QuantDeformConv2dPack",
    "QuantMask",
    "QuantOffset",
    "RecurrentConv",
    "deform_conv2d",
    "prune",
    "recurrence",
]
