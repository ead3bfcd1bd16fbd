"""Importer of networks of Brevitas layers, as quantization-aware training leaves them.

In the order in which data passes through: ``trace`` (the torch.fx graph and its shapes),
``importer`` (one walk over it), ``modules`` and ``functions`` (what each call becomes), ``calls``
(what the two share), ``expressions`` (activation functions), ``quantizers`` (grids and weights from
Brevitas), ``values`` (what is known about a tensor), ``windows`` (pools, padding), ``deformable``
(offsets and masks), ``movement`` (concatenation, channels, repetition), ``builder`` (emits the
operators), ``remedies`` (what to write instead of what is not supported), ``reference`` (the
float64 golden).
"""

from tilewright.compiler.importers.brevitas.importer import import_module
from tilewright.compiler.importers.brevitas.reference import float64_outputs

__all__ = ["float64_outputs", "import_module"]
