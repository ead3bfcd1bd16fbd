"""Parts of a network that the host computes, as models in ONNX that onnxruntime runs.

``errors``, ``wire`` (how much memory a protocol buffer takes, before it is parsed), ``check``
(which models are taken, whatever their bytes say), ``operations`` (how much they compute),
``model`` (a part, and how it is run), ``tail`` (the part behind all others).
"""

from tilewright.compiler.host.errors import HostError
from tilewright.compiler.host.model import HostModel
from tilewright.compiler.host.tail import Tail

__all__ = ["HostError", "HostModel", "Tail"]
