"""From the integer graph to tiled work on one engine.

``array_op``   what the array can do: one loop nest with its weight words, and nothing else
``lower``      every operator of the IR as one or more array operations
``tiling``     strips of rows and blocks of channels that fit the buffers; a readable table
"""

from tilewright.compiler.schedule.array_op import ArrayOp, EngineLimitError
from tilewright.compiler.schedule.lower import LoweredGraph, lower
from tilewright.compiler.schedule.tiling import Tile, Tiling, tile_op

__all__ = [
    "ArrayOp",
    "EngineLimitError",
    "LoweredGraph",
    "Tile",
    "Tiling",
    "lower",
    "tile_op",
]
