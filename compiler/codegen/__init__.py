"""From tiled work to commands in memory.

``hazards``   which earlier commands a command must wait for
``memory``    where constants, feature maps and commands lie in memory
``offsets``   what the buffer of offsets holds
``emit``      array operations as commands
``streams``   commands as three fetched streams
``assemble``  all of it: a graph as a memory image
"""

from tilewright.compiler.codegen.assemble import Assembly, assemble

__all__ = ["Assembly", "assemble"]
