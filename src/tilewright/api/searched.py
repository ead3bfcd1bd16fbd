"""What a network costs on an engine that a search tries."""

from __future__ import annotations

from collections.abc import Mapping

from tilewright.api.compile_graph import layer_infos
from tilewright.api.estimate import Estimate, estimated
from tilewright.compiler.codegen import drafts
from tilewright.compiler.ir import Graph, choose_multipliers
from tilewright.compiler.schedule import Objective
from tilewright.compiler.schedule.objective import CYCLES_PER_BYTE
from tilewright.sim.model import CycleModel
from tilewright.target import Target

__all__ = ["searched"]


def searched(
    graph: Graph, target: Target, objective: Objective, algorithms: Mapping[str, str]
) -> Estimate:
    """Return what a network costs, in a fraction of the time that compiling it takes.

    No value is computed, and no byte of a program is made. Of the schedules that cost about as
    much, the one with the least estimate is taken, where :func:`tilewright.compile` compares them
    as whole programs: it is up to 1 % slower than that one, and what is said of it is exact.

    Raises
    ------
    Error
        As :func:`tilewright.compile_graph`.
    """
    graph = choose_multipliers(graph, target.engine.multiplier_width)
    config, model = target.engine, CycleModel(target.engine, target.memory)
    made = drafts(graph, config, model, objective, algorithms, few=1)
    fitting = [draft for draft in made if draft.fits(config)]
    if not fitting:
        made[0].check_size(config)
    fitting += [plain for draft in fitting if (plain := draft.in_order_of_network) is not None]
    runs = [
        model.events(draft.streams.commands, draft.streams.addresses, draft.streams.boot)
        for draft in fitting
    ]
    per_byte = CYCLES_PER_BYTE[objective]
    cost = [run.cycles + per_byte * d.traffic for run, d in zip(runs, fitting, strict=True)]
    best = cost.index(min(cost))
    lowered = fitting[best].lowered
    return estimated(target, layer_infos(lowered.graph, lowered), runs[best])
