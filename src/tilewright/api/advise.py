"""What another engine would save."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tilewright.api.compile_graph import check_options, compile_graph
from tilewright.api.estimate import Estimate, estimate
from tilewright.compiler.ir import Conv2d, ConvTranspose2d, DeformConv2d, Graph, Linear
from tilewright.compiler.schedule import AUTOMATIC, Objective
from tilewright.errors import Error, require_type
from tilewright.estimation.advice import Advice, Costs, changes
from tilewright.isa import EngineConfig
from tilewright.program import AnyProgram, HostedProgram, Program
from tilewright.program.hosted import engine_parts
from tilewright.progress import ProgressCallback, Steps

__all__ = ["advise"]

_WEIGHTED = (Conv2d, ConvTranspose2d, DeformConv2d, Linear)


def advise(
    program: AnyProgram,
    *,
    objective: Objective = "time",
    algorithms: Mapping[str, str] = AUTOMATIC,
    progress: ProgressCallback | None = None,
) -> tuple[Advice, ...]:
    """Return what a program would cost if one parameter of its engine were another.

    Each change compiles the network again: buffers of twice and half their depth, a bus twice as
    wide, twice as many requantizers, tiles of results, words that rows share, weights of 4 bits
    (cut to them: what they cost depends on no value). What saves most comes first; what is named is
    what a program compiled for that engine has less.

    Parameters
    ----------
    program : with parts for the host, the engine's programs count together
    objective, algorithms : those with which the program was compiled
    progress : called with the changes done and all; by default a bar appears on a terminal

    Raises
    ------
    Error
        If the program was compiled with others: what is saved would not be the engine's.
    """
    require_type("advise", "program", program, Program, HostedProgram)
    check_options("advise", program.target, objective, algorithms, program.batch)
    parts = engine_parts(program)
    before = _costs([estimate(part) for part in parts])

    def costs_on(engine: EngineConfig) -> Costs:
        target = replace(program.target, engine=engine)
        same = engine.weight_bits == program.engine.weight_bits
        again = [
            compile_graph(
                part.graph if same else _narrow(part.graph),
                target,
                objective=objective,
                algorithms=algorithms,
                batch=part.batch,
            )
            for part in parts
        ]
        return _costs([estimate(part) for part in again])

    engines = changes(program.engine)
    found = []
    with Steps("Changing the engine", 1 + len(engines), progress) as steps:
        if costs_on(program.engine) != before:
            raise Error(
                "advise: the program was compiled with another objective or other algorithms than "
                f"objective={objective!r}: pass those"
            )
        steps.advance()
        for name, engine, note in engines:
            value = getattr(engine, name)
            try:
                found.append(Advice(name, value, before, costs_on(engine), note))
            except Error as error:
                found.append(Advice(name, value, before, None, str(error)))
            steps.advance()
    return tuple(sorted(found, key=lambda a: -sum(a.saved.values()) if a.after else 1.0))


def _narrow(graph: Graph) -> Graph:
    """Return a graph whose weights have 4 bits at most; those that were not zero are not."""
    ops = []
    for op in graph.ops:
        if isinstance(op, _WEIGHTED) and op.weight_bits > 4:
            weight = np.where(op.weight, np.sign(op.weight), 0)
            op = replace(op, weight=weight, weight_bits=4)
        ops.append(op)
    return replace(graph, ops=tuple(ops))


def _costs(found: Sequence[Estimate]) -> Costs:
    """Return what the engine's programs take together."""
    return Costs(
        cycles=sum(one.cycles.value for one in found),
        bytes=sum(one.read.value + one.written.value for one in found),
        energy=sum(one.energy.total.value for one in found),
        unknown=frozenset(name for one in found for name in one.energy.unknown),
    )
