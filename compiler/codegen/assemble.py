"""A lowered graph as a memory image and three command streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.codegen.emit import Emitter
from tilewright.compiler.codegen.memory import (
    Constants,
    Region,
    place_feature_maps,
    place_tables,
    place_weights,
)
from tilewright.compiler.codegen.recorder import Recorder
from tilewright.compiler.codegen.streams import Streams, build_streams
from tilewright.compiler.codegen.weights import WeightLoader
from tilewright.compiler.ir import Graph
from tilewright.compiler.schedule import (
    AUTOMATIC,
    EngineLimitError,
    LoweredGraph,
    Objective,
    Plan,
    lower,
    round_convolutions,
    search,
)
from tilewright.compiler.schedule.limits import at_least
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align


@dataclass(frozen=True)
class Assembly:
    """Everything that code generation decides.

    Parameters
    ----------
    lowered, plans : the work and how it is cut: groups of stages that run together; the graph in
        which layers are rounded that are to be
    feature_maps : where each value lies
    streams : the commands
    image : memory from its start to the last command; feature maps are zero
    """

    lowered: LoweredGraph
    plans: tuple[Plan, ...]
    feature_maps: dict[str, Region]
    streams: Streams
    image: NDArray[np.uint8]


def assemble(
    graph: Graph,
    config: EngineConfig,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
) -> Assembly:
    """Generate the program of a graph for one engine.

    Raises
    ------
    VerifyError, UnsupportedError, EngineLimitError
        If the graph is wrong, has an operator or a type that the engine lacks, or does not fit.
    """
    graph.verify()
    rounded = round_convolutions(graph, config, algorithms)
    lowered = lower(rounded, config, objective, algorithms)
    plans = search(lowered, config, objective)
    constants = Constants()
    weights = place_weights(constants, plans, config)
    tables = place_tables(constants, plans, config)
    feature_maps, end = place_feature_maps(lowered, plans, constants.size)
    recorder = Recorder(config, constants.size, end)
    loader = WeightLoader(recorder, lowered, feature_maps, tables)
    emitter = Emitter(recorder, lowered, feature_maps, loader)
    for plan, blocks in zip(plans, weights, strict=True):
        emitter.emit(plan, blocks)
    streams = build_streams(recorder.entries, config, end)
    commands = np.frombuffer(streams.image(config), np.uint8)
    image = np.zeros(align(end + commands.size, 4096), np.uint8)
    if image.size > 1 << config.addr_width:
        raise EngineLimitError(
            f"weights, feature maps and commands take {image.size} bytes; "
            f"{at_least(config, 'addr_width', (image.size - 1).bit_length())}"
        )
    image[: constants.size] = constants.image()
    image[end : end + commands.size] = commands
    return Assembly(lowered, plans, feature_maps, streams, image)
