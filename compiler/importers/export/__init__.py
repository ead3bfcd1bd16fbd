"""From a float PyTorch module to the quantized graph, through ``torch.export``.

In the order in which data passes through: ``trace`` (the module's ATen operators), ``importer``
(one walk over them), ``call`` (arguments, and the table of handlers), ``weighted``,
``dynamic``, ``elementwise``, ``windows``, ``volumes``, ``norms``, ``movement`` (what operators
become),
``hosting`` (what the host computes instead), ``remedies`` (what to write instead of what is not
supported), ``proof`` (the graph beside the module).
"""

from tilewright.compiler.importers.export.importer import Imported, import_module
from tilewright.compiler.importers.export.proof import TOLERANCE, outputs_of, prove, prove_equal
from tilewright.compiler.importers.export.trace import own_copy

__all__ = [
    "TOLERANCE",
    "Imported",
    "import_module",
    "outputs_of",
    "own_copy",
    "prove",
    "prove_equal",
]
