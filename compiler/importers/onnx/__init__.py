"""From a model in ONNX to the quantized graph.

In the order in which data passes through: ``file`` (its nodes, in order), ``tensors`` (its
constants, and external data), ``attempts`` (as many walks as it takes to find what is the host's),
``importer`` (one walk over the nodes), ``values`` (what a name stands for), ``call`` (a node's
attributes and inputs, and the table of handlers), ``constants`` (what is computed), ``hosting``
(what the host computes instead), ``quantizers`` and ``qlinear`` (grids), ``weighted``, ``volumes``,
``elementwise``, ``windows``, ``movement`` (what operators become), ``float32`` (factors as
onnxruntime has them), ``remedies`` (what to do instead of what is not supported), ``session`` (the
model as onnxruntime computes it).
"""

from tilewright.compiler.importers.onnx.attempts import Imported, import_file
from tilewright.compiler.importers.onnx.session import session_of

__all__ = ["Imported", "import_file", "session_of"]
