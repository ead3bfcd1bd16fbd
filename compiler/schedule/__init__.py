"""From the integer graph to planned work on one engine.

``objective``  what a schedule is good for
``timing``     what the compiler is told of cycles
``order``      in which order channels, taps and weights lie
``array``      what the array can do
``tiles``      which convolutions run in tiles of results
``lowered``    a network as stages
``lowering``   every operator of the integer graph as array operations
``plan``       which stages run together, strip by strip, and where their values lie
``limits``     what an engine lacks, said so that it can be followed
``verify``     what must hold of a lowered graph and of plans
``view``       the result as people read it
"""

from tilewright.compiler.schedule.array.op import ArrayOp
from tilewright.compiler.schedule.array.section import Block, Section
from tilewright.compiler.schedule.array.stage import Stage
from tilewright.compiler.schedule.array.windows import Operand
from tilewright.compiler.schedule.limits import EngineLimitError, MemoryLimitError
from tilewright.compiler.schedule.lowered import LoweredGraph
from tilewright.compiler.schedule.lowering.dispatch import lower, with_algorithms
from tilewright.compiler.schedule.objective import Objective
from tilewright.compiler.schedule.plan.cost import Estimate
from tilewright.compiler.schedule.plan.group import Group
from tilewright.compiler.schedule.plan.search import Schedule, search
from tilewright.compiler.schedule.plan.strips import Plan
from tilewright.compiler.schedule.plan.ways import Choice
from tilewright.compiler.schedule.tiles.choose import AUTOMATIC, ROUNDED
from tilewright.compiler.schedule.tiles.rounded import (
    RoundingError,
    round_convolutions,
    rounding_errors,
)
from tilewright.compiler.schedule.timing import Timing
from tilewright.compiler.schedule.view import GroupView, view

__all__ = [
    "AUTOMATIC",
    "ROUNDED",
    "ArrayOp",
    "Block",
    "Choice",
    "EngineLimitError",
    "Estimate",
    "Group",
    "GroupView",
    "LoweredGraph",
    "MemoryLimitError",
    "Objective",
    "Operand",
    "Plan",
    "RoundingError",
    "Schedule",
    "Section",
    "Stage",
    "Timing",
    "lower",
    "round_convolutions",
    "rounding_errors",
    "search",
    "view",
    "with_algorithms",
]
