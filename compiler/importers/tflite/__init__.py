"""TFLite files of int8 networks to the quantized graph, as the reference kernels compute them.

In the order in which a file is read: ``file`` (a flatbuffer, which may hold anything, to plain
data), ``importer`` (tensors, and one operator after another), ``call`` (what an operator has to
go on: its operands, its options, its refusals), ``operators`` (which there are), and their
families: ``weighted``, ``windows``, ``elementwise``, ``movement``; ``tables`` (functions in the
kernels' own integers); ``hosting`` and ``kernels`` (what the host computes, and how).

Source: the schema of TensorFlow Lite, version 3, and the arithmetic of its reference kernels;
docs/decisions/0022-tflite.md.
"""

from tilewright.compiler.importers.tflite.importer import Imported, import_tflite

__all__ = ["Imported", "import_tflite"]
