"""Minimal filtering (Winograd, Toom-Cook) in exact arithmetic.

``transform``  construction from interpolation points over the rationals, proof of correctness
``integer``    integer transforms, the bits that operands and sums need, adders
``search``     points that are good for an objective: condition, bits or LUTs
"""

from tilewright.compiler.winograd.integer import IntegerTransform, Operands
from tilewright.compiler.winograd.search import (
    Candidate,
    Found,
    Objective,
    condition_number,
    search,
)
from tilewright.compiler.winograd.transform import INFINITY, Transform, default_points, toom_cook

__all__ = [
    "INFINITY",
    "Candidate",
    "Found",
    "IntegerTransform",
    "Objective",
    "Operands",
    "Transform",
    "condition_number",
    "default_points",
    "search",
    "toom_cook",
]
