"""From a PyTorch module of Brevitas layers to the integer graph.

In the order in which data passes through: ``trace`` (the torch.fx graph and its shapes),
``capture`` (one walk over it), ``modules`` and ``functions`` (what each call becomes), ``calls``
(what the two share), ``quantizers`` (grids and integer weights from Brevitas), ``values`` (what is
known about a tensor, and accumulators that wait for a quantizer), ``windows`` (pools, padding),
``deformable`` (offsets and masks),
``movement`` (concatenation, channels, repetition), ``residual`` (the shared grid of an addition),
``folding`` (batch norm and bias into integers), ``builder`` (emits the
operators), ``remedies`` (what to write instead of what is not supported), ``torch_reference`` (the
float64 golden).
"""

from tilewright.compiler.frontend.builder import RoundedBias
from tilewright.compiler.frontend.capture import (
    BiasRoundedWarning,
    Capture,
    capture,
    capture_with_report,
)
from tilewright.compiler.frontend.torch_reference import float64_outputs

__all__ = [
    "BiasRoundedWarning",
    "Capture",
    "RoundedBias",
    "capture",
    "capture_with_report",
    "float64_outputs",
]
