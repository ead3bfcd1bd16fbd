"""From the integer graph to planned work on one engine.

``array_op``   what the array can do: one loop nest with its weight words, and nothing else
``channels``   in which order the channels of a value lie
``taps``       which taps of a kernel reach which results
``sections``   weights in the order in which the array reads them
``objective``  what a schedule is good for
``deformable`` where samples come from, and how channels must lie for them
``tiles``      which convolutions run in tiles of results
``rounded``    convolutions whose tiles are rounded to fit, on request
``lower``      every operator of the IR as array operations
``groups``     consecutive stages, and the sizes of what they read and write
``rings``      where their values lie on chip
``plan``       how a group runs strip by strip, and what that costs
``search``     which stages run together, and in how many strips
``view``       the result as people read it
"""

from tilewright.compiler.schedule.array_op import (
    ArrayOp,
    Deformation,
    EngineLimitError,
    Operand,
    Section,
    Stage,
    TileTerm,
)
from tilewright.compiler.schedule.groups import Block, Group
from tilewright.compiler.schedule.lower import LoweredGraph, lower
from tilewright.compiler.schedule.objective import Objective
from tilewright.compiler.schedule.plan import Plan
from tilewright.compiler.schedule.rounded import (
    RoundingError,
    round_convolutions,
    rounding_errors,
)
from tilewright.compiler.schedule.search import search
from tilewright.compiler.schedule.tiles import AUTOMATIC
from tilewright.compiler.schedule.view import GroupView, view

__all__ = [
    "AUTOMATIC",
    "ArrayOp",
    "Block",
    "Deformation",
    "EngineLimitError",
    "Group",
    "GroupView",
    "LoweredGraph",
    "Objective",
    "Operand",
    "Plan",
    "RoundingError",
    "Section",
    "Stage",
    "TileTerm",
    "lower",
    "round_convolutions",
    "rounding_errors",
    "search",
    "view",
]
