"""From the quantized graph to the integer graph; multipliers and shifts are chosen here.

``lower`` walks the graph once; ``weighted``, ``deformable``, ``windows``, ``elementwise`` and
``movement`` say what its operators become; ``values`` (what is known about a tensor, and
accumulators that wait for a grid), ``builder`` (emits the operators), ``residual`` (the shared grid
of an addition), ``folding`` (scale and bias into integers).
"""

from tilewright.compiler.quantized.to_integer.builder import RoundedBias
from tilewright.compiler.quantized.to_integer.lower import Capture, to_integer

__all__ = ["Capture", "RoundedBias", "to_integer"]
