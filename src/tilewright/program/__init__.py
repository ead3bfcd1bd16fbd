"""A compiled network, and its file: data, whatever its bytes say.

``errors``    what is refused
``inputs``    images as the program takes them
``artefact``  the program: commands, constants, where inputs and outputs lie
``hosted``    a network of which the host computes parts, of several programs
``manifest``  what a program file says of itself: its schema and its limits
``checks``    what the parts of a program must say of each other
``storage``   program files, written and read; ``hosted_storage`` those of several programs;
``archive`` what both are, ``loading`` either
"""

from tilewright.program.artefact import LayerInfo, Program
from tilewright.program.errors import ProgramError
from tilewright.program.hosted import AnyProgram, HostedProgram

__all__ = ["AnyProgram", "HostedProgram", "LayerInfo", "Program", "ProgramError"]
