"""A compiled network, and its file: data, whatever its bytes say.

``errors``    what is refused
``inputs``    images as the program takes them
``artefact``  the program: commands, constants, where inputs and outputs lie
``manifest``  what a program file says of itself: its schema and its limits
``checks``    what the parts of a program must say of each other
``storage``   program files, written and read
"""

from tilewright.program.artefact import LayerInfo, Program
from tilewright.program.errors import ProgramError

__all__ = ["LayerInfo", "Program", "ProgramError"]
