"""What another engine would save."""

from __future__ import annotations

from dataclasses import replace

from tilewright.api.compile_graph import compile_graph
from tilewright.api.estimate import Estimate, estimate
from tilewright.errors import Error, require_type
from tilewright.estimation.advice import Advice, Costs, changes
from tilewright.program import Program
from tilewright.progress import ProgressCallback, Steps

__all__ = ["advise"]


def advise(program: Program, *, progress: ProgressCallback | None = None) -> tuple[Advice, ...]:
    """Return what a program would cost if one parameter of its engine were another.

    Each change compiles the network again: buffers of twice and half their depth, a bus twice as
    wide, twice as many requantizers. What saves most bytes and cycles comes first.

    Parameters
    ----------
    progress : called with the changes done and all; by default a bar appears on a terminal
    """
    require_type("advise", "program", program, Program)
    before = _costs(estimate(program))
    found = []
    engines = changes(program.engine)
    with Steps("Changing the engine", len(engines), progress) as steps:
        for name, engine, difference in engines:
            value = getattr(engine, name)
            try:
                target = replace(program.target, engine=engine)
                changed = compile_graph(program.graph, target, batch=program.batch)
            except Error as error:
                found.append(Advice(name, value, before, None, str(error)))
            else:
                after = _costs(estimate(changed))
                found.append(Advice(name, value, before, after, difference))
            steps.advance()
    return tuple(sorted(found, key=lambda a: -sum(a.saved.values()) if a.after else 1.0))


def _costs(found: Estimate) -> Costs:
    return Costs(
        cycles=found.cycles.value,
        bytes=found.read.value + found.written.value,
        energy=found.energy.total.value,
    )
