"""The quantized graph: between importers and the integer graph.

Tensors of one image in real numbers, each with the integer grid that it will be on. In the order in
which data passes through: ``types`` (grids), ``ops`` (operators), ``graph`` (how they connect, and
what they compute), ``views``, ``build`` and ``reductions`` (what importers use: tensors of any
shape), ``passes`` (to what the engine has), ``to_integer`` (to the integer graph), ``text`` (for
people), ``record`` (for files).
"""

from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.text import print_graph
from tilewright.compiler.quantized.types import GraphError, Quantization, TensorInfo

__all__ = ["Graph", "GraphError", "Quantization", "TensorInfo", "View", "print_graph"]
