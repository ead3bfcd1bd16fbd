"""From planned work to commands in memory.

``images``    where constants and feature maps lie in memory
``hazards``   which earlier commands a command must wait for
``recorder``  commands in the order in which the network runs
``buffers``   what each buffer of the engine holds
``loads``     rows, weights, tables and offsets on their way to the buffers
``stores``    results on their way to memory
``parts``     sums in parts as compute commands, with the loads of each part
``computes``  rows of a stage's output as compute commands
``emit``      planned groups as commands
``verify``    what must hold of a list of commands
``streams``   commands as three fetched streams
``assemble``  all of it: a graph as a memory image
"""

from tilewright.compiler.codegen.assemble import Assembly, Draft, assemble, drafts

__all__ = ["Assembly", "Draft", "assemble", "drafts"]
