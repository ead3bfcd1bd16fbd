"""What the channels of a group cost in a grouped convolution, on the engine that a program is for.

After N. K. Jha et al., "E2GC: Energy-Efficient Group Convolution in Deep Neural Networks" (VLSI
Design 2020): groups of as many channels throughout a network, of the size that the hardware likes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from tilewright.api.compile_graph import compile_graph
from tilewright.api.estimate import estimate
from tilewright.compiler.ir import Conv2d, Graph, Input, Output
from tilewright.errors import Error, require_type
from tilewright.exploration.groups import grouped
from tilewright.program import AnyProgram, HostedProgram, Program
from tilewright.program.hosted import engine_parts
from tilewright.progress import ProgressCallback, Steps

__all__ = ["GroupSize", "best_group_size", "group_sizes"]


@dataclass(frozen=True)
class GroupSize:
    """A layer alone, from memory to memory, with groups of so many channels.

    Parameters
    ----------
    channels : int, of the inputs, in a group
    macs : int
    cycles : int
    energy : float, uJ
    """

    channels: int
    macs: int
    cycles: int
    energy: float

    @property
    def rate(self) -> float:
        """Products a cycle."""
        return self.macs / self.cycles

    @property
    def energy_of_product(self) -> float:
        """Energy of a product, in pJ."""
        return 1e6 * self.energy / self.macs


def group_sizes(
    program: AnyProgram, layer: str, *, progress: ProgressCallback | None = None
) -> tuple[GroupSize, ...]:
    """Return what a layer costs with groups of 1, 2, 4 ... channels, up to all of them.

    The layer is compiled alone for the program's target, with weights none of which is zero.

    Parameters
    ----------
    layer : str, of the program or one of its parts, a convolution over an image
    progress : called with the sizes done and all; by default a bar appears on a terminal

    Raises
    ------
    Error
        If there is no such convolution, or it fits the engine in no way.
    """
    require_type("group_sizes", "program", program, Program, HostedProgram)
    layers = [(part, op) for part in engine_parts(program) for op in part.graph.layers]
    convolutions = {op.name: (part, op) for part, op in layers if isinstance(op, Conv2d)}
    if layer not in convolutions:
        names = list(convolutions)
        raise Error(f"no convolution is named {layer!r}; there are {', '.join(names) or 'none'}")
    part, op = convolutions[layer]
    channels = part.graph.values[op.input].shape[0]
    most = gcd(channels, len(op.weight))
    # Sizes that double, and the layer's own.
    doubled = (1 << i for i in range(most.bit_length()))
    doubling = {channels // most * n for n in doubled if most % n == 0}
    sizes = sorted(doubling | {channels // op.groups})
    found, refusal = [], ""
    with Steps("Changing the groups", len(sizes), progress) as steps:
        for size in sizes:
            try:
                alone = compile_graph(_alone(part.graph, op, channels // size), part.target)
            except Error as error:
                refusal = str(error)
            else:
                cost = estimate(alone)
                cycles, energy = round(cost.cycles.value), cost.energy.total.value
                found.append(GroupSize(size, alone.layers[0].macs, cycles, energy))
            steps.advance()
    if not found:
        raise Error(f"{layer} fits the engine in no way: {refusal}")
    return tuple(found)


def best_group_size(found: Sequence[GroupSize]) -> GroupSize:
    """Return the size with the least energy of the layer times that of a product.

    Small groups take less energy, large ones less for each product, which a network gains from:
    here a per cent more of one is a per cent less of the other.
    """
    return min(found, key=lambda size: size.energy * size.energy_of_product)


def _alone(graph: Graph, op: Conv2d, groups: int) -> Graph:
    """Return a graph of one layer, with as many groups, whose values do not matter."""
    layer = grouped(graph, op, groups)
    values = {name: graph.values[name] for name in (op.input, op.output)}
    return Graph("alone", values, (Input("input", op.input), layer, Output("output", op.output)))
