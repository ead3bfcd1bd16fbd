"""The compiler: a quantized PyTorch graph becomes a command program.

In the order in which data passes through: ``importers`` (networks to quantized graphs),
``quantized`` (tensors with grids, to integers), ``ir`` (the integer graph and its meaning),
``winograd`` (tiles of results), ``schedule`` (IR to tiled operations on the engine's memories),
``codegen`` (tiled operations to commands and a program file).
"""
