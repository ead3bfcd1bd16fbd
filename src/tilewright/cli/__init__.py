"""The command line: the public API under the same names, one file a command.

``app``      the application, and what an error looks like
``options``  arguments that several commands take
``files``    models, inputs, outputs and figures from and to files
``targets``  the engine, board and memory that options choose
``tables``   what is printed

``quantize``, ``compile``, ``info``, ``simulate``, ``verify``, ``evaluate``, ``estimate``,
``report``, ``explore``, ``verilog``, ``synth``, ``flash`` and ``run`` are the commands.
None of this imports PyTorch, NumPy or Amaranth before a command runs: help is there at once.
"""

from tilewright.cli.app import app, main

__all__ = ["app", "main"]
