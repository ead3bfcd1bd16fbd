"""From what models say to what the engine has, one idea a pass.

In the order in which they run: ``constants`` (computes what does not depend on the inputs),
``functions`` (elementwise functions of one tensor), ``arithmetic`` (differences, quotients,
minima), ``balance`` (channels before norms), ``products`` (of two maps, for engines without),
``sums`` (of many terms), ``moves`` and ``taps`` (slices, paddings, reshapes, interpolation),
``affine`` (batch norms), ``given`` and ``strict`` (grids and weights, where the network has its
own). ``rewrite`` is what they share.
"""

from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.passes.affine import fold_affine
from tilewright.compiler.quantized.passes.arithmetic import lower_arithmetic
from tilewright.compiler.quantized.passes.balance import balanced, balances
from tilewright.compiler.quantized.passes.constants import fold_constants
from tilewright.compiler.quantized.passes.functions import fuse_functions
from tilewright.compiler.quantized.passes.given import (
    with_inner_grids,
    with_weights,
)
from tilewright.compiler.quantized.passes.moves import lower_moves
from tilewright.compiler.quantized.passes.products import Spread, lower_products, maps_multiplied
from tilewright.compiler.quantized.passes.strict import round_early
from tilewright.compiler.quantized.passes.sums import merge_sums, scaled_sums

__all__ = [
    "Spread",
    "balanced",
    "balances",
    "given",
    "lower_products",
    "maps_multiplied",
    "normalized",
    "prepared",
    "scaled_sums",
    "strictly_given",
]


def prepared(graph: Graph) -> Graph:
    """Bring a graph of an importer to functions, sums, maxima and products."""
    return fuse_functions(lower_arithmetic(fuse_functions(fold_constants(graph))))


def normalized(graph: Graph) -> Graph:
    """Bring a prepared graph to what the engine has."""
    return fold_affine(fuse_functions(fold_constants(lower_moves(merge_sums(graph)))))


def given(graph: Graph) -> Graph:
    """Bring a graph whose importer put tensors on grids to what ``to_integer`` takes.

    Raises
    ------
    UnsupportedError  Naming the layer that the engine does not have, or that lacks a grid.
    """
    return with_inner_grids(with_weights(normalized(balanced(prepared(graph), {}))))


def strictly_given(graph: Graph) -> Graph:
    """As :func:`given`, of a file that rounds where it says and nowhere else.

    Raises
    ------
    UnsupportedError  Naming the layer that the engine does not have, or whose result is read before
    it is rounded.
    """
    return given(round_early(prepared(graph)))
