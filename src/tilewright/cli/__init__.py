"""The command line: the public API under the same names, one file a command.

``app``      the application, and what an error looks like
``options``  arguments that several commands take
``files``    models, inputs and figures from and to files
``tables``   what is printed

``compile``, ``simulate``, ``verify``, ``estimate``, ``verilog`` and ``synth`` are the commands.
None of this imports PyTorch, NumPy or Amaranth before a command runs: help is there at once.
"""

from tilewright.cli.app import app, main

__all__ = ["app", "main"]
