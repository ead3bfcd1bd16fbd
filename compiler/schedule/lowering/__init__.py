"""Every operator of the integer graph as array operations; files are named as in ``ir.ops``.

``context``      what lowering knows of a network, and what all operators are made of
``convolution``  convolutions and linear layers, transposed ones too
``deformable``   windows that are put together from samples
``elementwise``  operators whose channels stay apart
``movement``     what moves pixels and channels
``dispatch``     which of them lowers which operator
"""
