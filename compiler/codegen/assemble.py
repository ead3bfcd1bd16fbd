"""A lowered graph as a memory image and three command streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.codegen.ahead import loads_ahead
from tilewright.compiler.codegen.emit import Emitter
from tilewright.compiler.codegen.images import Constants, MemoryMap, Region, WeightImages, lay_out
from tilewright.compiler.codegen.recorder import Entry, Recorder
from tilewright.compiler.codegen.streams import Streams, build_streams
from tilewright.compiler.codegen.verify import verify_commands
from tilewright.compiler.ir import Graph
from tilewright.compiler.schedule import (
    AUTOMATIC,
    Choice,
    EngineLimitError,
    Estimate,
    LoweredGraph,
    MemoryLimitError,
    Objective,
    Plan,
    Schedule,
    Timing,
    lower,
    round_convolutions,
    search,
)
from tilewright.compiler.schedule.array.wide import is_wide
from tilewright.compiler.schedule.limits import at_least
from tilewright.compiler.schedule.objective import CYCLES_PER_BYTE
from tilewright.compiler.schedule.tiles.alternatives import alternatives
from tilewright.compiler.schedule.verify import verify_schedule
from tilewright.isa import EngineConfig
from tilewright.isa.layout import align
from tilewright.isa.wide import split_rows


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


#: Schedules that are compared as whole programs, if they cost at most so much more than the best:
#: how units overlap is worth up to a thousandth.
FEW, CLOSE = 5, 1.003
#: They are as many as move so many bytes together: every burst of each is walked through. ResNet-50
#: on ulx3s-85f takes 5 s with one program, 17 with two, 26 with three, 42 with all five, and 0.36,
#: 0.39, 0.39 % fewer cycles than with one.
COMPARED_BYTES = 1 << 27
#: Nor more commands together, of which a small engine has many for large maps.
COMPARED_COMMANDS = 1 << 17
#: Of a program of so many, the order of loads is compared with that of the network.
COMPARED_ORDERS = 1 << 15


def assemble(
    graph: Graph,
    config: EngineConfig,
    timing: Timing,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    images: int = 1,
) -> Assembly:
    """Generate the program of a graph for one engine.

    The few schedules that the search finds best are compared as whole programs, by their cycles.

    Parameters
    ----------
    timing : Timing, exact, of the engine with its memory
    objective, algorithms : as for :func:`tilewright.compile`
    images : that the program runs, each with values of its own

    Raises
    ------
    VerifyError, UnsupportedError, EngineLimitError
        If the graph is wrong, has an operator or a type that the engine lacks, or does not fit.
    """
    made = drafts(graph, config, timing, objective, algorithms, images, few=FEW)
    made += _otherwise(graph, config, timing, objective, algorithms, images)
    # Of programs that are too large there are no cycles.
    fitting = [draft for draft in made if draft.fits(config)] or made[:1]
    draft, per_byte = fitting[0], CYCLES_PER_BYTE[objective]
    if draft.fits(config) and (len(fitting) > 1 or draft.in_order_of_network is not None):
        costs = [draft.cost(timing, per_byte) for draft in fitting]
        draft = fitting[costs.index(min(costs))]
        plain = draft.in_order_of_network
        if plain is not None and plain.cost(timing, per_byte) < min(costs):
            draft = plain
    return draft.finished(config, images)


def _otherwise(
    graph: Graph,
    config: EngineConfig,
    timing: Timing,
    objective: Objective,
    algorithms: Mapping[str, str],
    images: int,
) -> list[Draft]:
    """Return programs of a small network in which one layer has another algorithm, the best one.

    Which is that, the best schedule of each tells.
    """
    best, least = None, float("inf")
    for other in alternatives(graph, config, algorithms):
        try:
            made = drafts(graph, config, timing, objective, other, images, few=1)
        except EngineLimitError:
            continue
        for draft in made:
            if draft.fits(config):
                cost = draft.cost(timing, CYCLES_PER_BYTE[objective])
                best, least = min((best, least), (other, cost), key=lambda known: known[1])
    if best is None:
        return []
    return drafts(graph, config, timing, objective, best, images, few=FEW)


def drafts(
    graph: Graph,
    config: EngineConfig,
    timing: Timing,
    objective: Objective,
    algorithms: Mapping[str, str],
    images: int = 1,
    *,
    few: int,
) -> list[Draft]:
    """Return the commands of the few schedules that the search finds best.

    Parameters and errors are those of :func:`assemble`; ``few``: how many schedules at most, and
    beside them the best one with an end that may be sooner.
    """
    graph.verify()
    rounded = round_convolutions(graph, config, algorithms)
    lowered = lower(rounded, config, timing, objective, algorithms)
    model, command = Estimate(lowered, timing, images), timing.gaps.command
    schedules = search(lowered, model, objective, few, command=command, images=images)
    known: WeightImages = {}
    close = _close(schedules)
    made = [Draft.of(lowered, close[0], config, timing, known, images)]
    count = min(
        COMPARED_BYTES // max(1, schedules[0].traffic), COMPARED_COMMANDS // made[0].streams.count
    )
    others = close[1:count]
    if config.stacked_images and images > 1:
        # Where images run at once, units overlap otherwise, which no estimate looks at.
        plain = search(lowered, model, objective, few, command=command, images=images, stacks=False)
        others = [schedule for schedule in others if schedule.stacked]
        others += _close(plain)[: max(1, count)]
    made += [Draft.of(lowered, schedule, config, timing, known, images) for schedule in others]
    return made


def _close(schedules: tuple[Schedule, ...]) -> list[Schedule]:
    """Return schedules that may be the best as whole programs, of those that the search found."""
    close = [s for s in schedules if s.weighed <= CLOSE * schedules[0].weighed]
    sooner = schedules[0].sooner_done()
    return close if sooner is None else [*close, sooner]


def _streams(
    recorder: Recorder, memory: MemoryMap, timing: Timing
) -> tuple[Streams, Streams | None]:
    """Return the commands as streams, with loads as early as they may be, and as they come.

    The latter are None if they are what the former are, or too many to be compared.
    """
    config, entries = recorder.config, recorder.entries
    moved = loads_ahead(entries, recorder.busy, config, timing)
    verify_commands(entries)
    verify_commands(entry for entry in moved if isinstance(entry, Entry))
    try:
        streams = build_streams(moved, config, memory.end)
    except EngineLimitError:  # units further apart take wider counts
        return build_streams(entries, config, memory.end), None
    compared = streams.count <= COMPARED_ORDERS
    return streams, build_streams(entries, config, memory.end) if compared else None


@dataclass(frozen=True)
class Draft:
    """The commands of a schedule, before they are bytes."""

    lowered: LoweredGraph
    schedule: Schedule
    constants: Constants
    memory: MemoryMap
    streams: Streams
    in_order: Streams | None

    @classmethod
    def of(
        cls,
        lowered: LoweredGraph,
        schedule: Schedule,
        config: EngineConfig,
        timing: Timing,
        known: WeightImages,
        images: int,
    ) -> Draft:
        """Generate the commands of a schedule."""
        plans = [choice.plan for choice in schedule.choices]
        verify_schedule(lowered, plans)
        constants, memory = lay_out(lowered, plans, config, known, images)
        recorder = Recorder(config, memory.start, memory.end)
        emitter = Emitter(recorder, lowered, memory, images)
        for plan in plans:
            emitter.emit(plan)
        streams, in_order = _streams(recorder, memory, timing)
        return cls(lowered, schedule, constants, memory, streams, in_order)

    @property
    def in_order_of_network(self) -> Draft | None:
        """The same with loads where the network has them; None if it is that, or is large."""
        return None if self.in_order is None else replace(self, streams=self.in_order)

    def size(self, config: EngineConfig) -> int:
        """Return the bytes of memory that the program takes."""
        return align(self.streams.end(config), 4096)

    def fits(self, config: EngineConfig) -> bool:
        """Return whether the engine can address all of the program."""
        return self.size(config) <= 1 << config.addr_width

    @property
    def traffic(self) -> int:
        """Bytes to and from memory, without those of commands."""
        return self.schedule.traffic

    def cost(self, timing: Timing, per_byte: float) -> float:
        """Return the cycles of the program, with a byte to or from memory as so many."""
        streams = self.streams
        cycles = timing.run(streams.commands, streams.addresses, streams.boot)
        return cycles + per_byte * self.traffic

    def check_size(self, config: EngineConfig, images: int = 1) -> None:
        """Refuse a program that is more than the engine can address.

        Raises
        ------
        MemoryLimitError
            With the bytes that are too many, and the width that would do.
        """
        if not self.fits(config):
            size, room = self.size(config), 1 << config.addr_width
            of = f" of {images} images" if images > 1 else ""
            fewer = ", or a smaller batch" if images > 1 else ""
            raise MemoryLimitError(
                f"weights, feature maps{of} and commands take {size:,} bytes, {size - room:,} more "
                f"than the engine addresses; "
                f"{at_least(config, 'addr_width', (size - 1).bit_length())}{fewer}",
                size,
            )

    def finished(self, config: EngineConfig, images: int) -> Assembly:
        """Return the program as bytes in memory.

        Raises
        ------
        MemoryLimitError
            If they are more than the engine can address.
        """
        lowered, memory, streams = self.lowered, self.memory, self.streams
        self.check_size(config, images)  # before commands are encoded, which name the addresses
        commands = np.frombuffer(streams.image(config), np.uint8)
        image = np.zeros(self.size(config), np.uint8)
        self.constants.write(image)
        for op in lowered.graph.constants:
            (value,) = op.outputs
            wide = is_wide(lowered.graph.values[value])
            data = lowered.layout(value).pack(split_rows(op.values) if wide else op.values)
            address = memory.values[value].address
            image[address : address + data.size] = data
        image[memory.end : memory.end + commands.size] = commands
        return Assembly(lowered, self.schedule.choices, memory.values, streams, image)
