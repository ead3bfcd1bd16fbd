"""The instruction set: everything that hardware and compiler must agree on, stated once.

Files, in the order in which a program meets them:

``config``     what an engine is: rows, columns, buffer depths, bus width
``fields``     how named bit fields pack into a command, with overflow checks
``commands``   the commands of the load, compute and store units
``passes``     cycles of a pass of the array
``parts``      one pass of a command, and some of what it reduces over
``words``      words of results that rows share
``wide``       feature maps of 16 bits
``images``     rows of results of several images
``halves``     columns whose upper half sums other channels
``products``   what a product of two maps must have
``tiles``      what a compute command says of tiles of results
``kernel_steps``  how the load unit transforms kernels
``layout``     how feature maps, weight blocks and commands lie in memory
``widths``     bits of addresses and counts, as the buffers need
``sense``      which of its numbers make sense together
``rules``      what a command may say
``registers``  the control and status registers, status codes
"""

from tilewright.isa.commands import (
    COMMANDS,
    ISA_VERSION,
    Check,
    Command,
    Compute,
    DecodeError,
    Deform,
    End,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
    decode,
    encode,
)
from tilewright.isa.config import ConfigError, EngineConfig
from tilewright.isa.passes import least_last_parts

__all__ = [
    "COMMANDS",
    "ISA_VERSION",
    "Check",
    "Command",
    "Compute",
    "ConfigError",
    "DecodeError",
    "Deform",
    "End",
    "EngineConfig",
    "Fetch",
    "LoadActivations",
    "LoadKernelSteps",
    "LoadKernels",
    "LoadOffsets",
    "LoadTable",
    "LoadWeights",
    "Store",
    "Unit",
    "decode",
    "encode",
    "least_last_parts",
]
