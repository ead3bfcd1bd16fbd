"""The compiler: a quantized PyTorch graph becomes a command program.

In the order in which data passes through: ``frontend`` (PyTorch and Brevitas to IR), ``ir`` (the
integer graph and its meaning), ``passes`` (IR to IR), ``schedule`` (IR to tiled operations on the
engine's memories), ``codegen`` (tiled operations to commands and a program file), ``isa`` (what a
command is).
"""
