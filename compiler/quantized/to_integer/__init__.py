"""From the quantized graph to the integer graph; multipliers and shifts are chosen here.

``lower`` walks the graph once, ``weighted``, ``windows``, ``elementwise`` and ``movement`` say what
its operators become.
"""

from tilewright.compiler.quantized.to_integer.lower import to_integer

__all__ = ["to_integer"]
