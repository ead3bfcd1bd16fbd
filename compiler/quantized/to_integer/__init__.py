"""From the quantized graph to the integer graph, with real factors between its grids.

``lower`` walks the graph once; ``weighted``, ``deformable``, ``windows``, ``elementwise``,
``recurrence`` and ``movement`` say what its operators become; ``values`` (what is known about a
tensor, and accumulators that wait for a grid), ``builder`` (emits the operators), ``residual`` (the
shared grid of an addition), ``sums`` (additions on grids that no byte holds together), ``folding``
(scale and bias into integers).
"""

from tilewright.compiler.quantized.to_integer.builder import RoundedBias
from tilewright.compiler.quantized.to_integer.lower import Capture, check_integers, to_integer

__all__ = ["Capture", "RoundedBias", "check_integers", "to_integer"]
