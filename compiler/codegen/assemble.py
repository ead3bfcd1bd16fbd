"""A lowered graph as a memory image and three command streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.codegen.emit import Emitter
from tilewright.compiler.codegen.images import Region, lay_out
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.codegen.streams import Streams, build_streams
from tilewright.compiler.codegen.verify import verify_commands
from tilewright.compiler.ir import Graph
from tilewright.compiler.schedule import (
    AUTOMATIC,
    OVERHEADS,
    Choice,
    EngineLimitError,
    LoweredGraph,
    Objective,
    Overheads,
    Plan,
    estimate,
    lower,
    round_convolutions,
    search,
)
from tilewright.compiler.schedule.limits import at_least
from tilewright.compiler.schedule.verify import verify_schedule
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align


@dataclass(frozen=True)
class Assembly:
    """Everything that code generation decides.

    Parameters
    ----------
    lowered, choices : the work and how it is cut: groups of stages that run together; the graph in
        which layers are rounded that are to be
    feature_maps : where each value lies
    streams : the commands
    image : memory from its start to the last command; feature maps that are no
        constants are zero
    """

    lowered: LoweredGraph
    choices: tuple[Choice, ...]
    feature_maps: dict[str, Region]
    streams: Streams
    image: NDArray[np.uint8]

    @property
    def plans(self) -> tuple[Plan, ...]:
        """How each group runs."""
        return tuple(choice.plan for choice in self.choices)


def assemble(
    graph: Graph,
    config: EngineConfig,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    overheads: Overheads = OVERHEADS,
) -> Assembly:
    """Generate the program of a graph for one engine.

    ``overheads`` : what the array loses between commands, by the exact model.

    Raises
    ------
    VerifyError, UnsupportedError, EngineLimitError
        If the graph is wrong, has an operator or a type that the engine lacks, or does not fit.
    """
    graph.verify()
    rounded = round_convolutions(graph, config, algorithms)
    lowered = lower(rounded, config, objective, algorithms, overheads)
    choices = search(lowered, config, objective, partial(estimate, overheads=overheads))
    plans = [choice.plan for choice in choices]
    verify_schedule(lowered, plans)
    constants, memory = lay_out(lowered, plans, config)
    end = memory.end
    recorder = Recorder(config, memory.start, end)
    emitter = Emitter(recorder, lowered, memory)
    for plan in plans:
        emitter.emit(plan)
    verify_commands(recorder.entries)
    streams = build_streams(recorder.entries, config, end)
    size = align(streams.end(config), 4096)
    if size > 1 << config.addr_width:  # before commands are encoded, which name the addresses
        raise EngineLimitError(
            f"weights, feature maps and commands take {size} bytes; "
            f"{at_least(config, 'addr_width', (size - 1).bit_length())}"
        )
    commands = np.frombuffer(streams.image(config), np.uint8)
    image = np.zeros(size, np.uint8)
    image[: constants.size] = constants.image()
    for op in lowered.graph.constants:
        (value,) = op.outputs
        data = lowered.layout(value).pack(op.values)
        address = memory.values[value].address
        image[address : address + data.size] = data
    image[end : end + commands.size] = commands
    return Assembly(lowered, choices, memory.values, streams, image)
