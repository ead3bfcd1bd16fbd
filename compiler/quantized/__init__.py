"""The quantized graph: between importers and the integer graph.

Tensors of one image in real numbers, each with the integer grid that it will be on. In the order in
which data passes through: ``types`` (grids), ``ops`` (operators), ``graph`` (how they connect, and
what they compute), ``views``, ``build``, ``arithmetic`` and ``reductions`` (what importers use:
tensors of any shape), ``passes`` (to what the engine has), ``to_integer`` (to the integer graph),
``fixed_point`` (TFLite's arithmetic), ``text`` (for people: it is printed to be read, and does not
parse back), ``record`` (for files).

**Importers of float networks** (``importers/export``) build the graph in real numbers; calibration
then chooses grids and weights, ``tilewright.quantization``.

**Importers of networks that have grids** (Brevitas, and files of quantized networks) build the same
graph with the same ``build.Builder``, and say the grids as they go:

- ``builder.quantized(where, view, grid)`` puts a tensor on a :class:`Quantization`. It is a
  ``Copy`` in the graph, the only operator whose output an importer gives a grid: a quantizer, a
  pair of quantize and dequantize, or what a file says about an operator's output. Whatever made the
  tensor (a sum, a clip, a function, an input of the model) is fused with it later, with one
  rounding, so between two of them everything is in real numbers: put none where the network rounds
  nothing, and one wherever it rounds. For a tensor that is on that grid already it costs nothing.
- What an operator reads must be on a grid, but for clips, batch norms (``Affine``) and functions in
  a row, which read what is not rounded yet. A model's inputs are put on a grid first of all.
- What only moves elements (``builder.move``, slices, concatenations, maxima, max pools) has the
  grid of what it reads, and needs none of its own; if a network says another, put that behind it.
- Weights are reals, multiples of ``scale`` (K,), one per output channel, within ``bits``:
  ``builder.conv(..., scale=scale, bits=8)``, and so of ``conv_transpose`` and ``linear``. Biases
  are reals; they are rounded to the accumulator's grid, ``scale * grid.scale`` of the input.
- Zero points are any value of the type, ranges narrower than the type are ``low`` and ``high``.
  Results are ``clamp(round(x / scale + zero_point))``, ties to even.
- ``passes.given(builder.graph(name, outputs))`` brings it to what the engine has, with grids and
  weights for what passes made of its moves, and ``to_integer`` to the integer graph.
"""

from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.text import print_graph
from tilewright.compiler.quantized.types import GraphError, Quantization, TensorInfo

__all__ = ["Graph", "GraphError", "Quantization", "TensorInfo", "View", "print_graph"]
