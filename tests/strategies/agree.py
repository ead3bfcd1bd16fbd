"""Random networks on random engines, executors compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pytest

from tests.strategies.operators import Inputs, random_network
from tilewright.api.compile import compile_graph
from tilewright.api.simulate import simulate
from tilewright.api.verify import verify
from tilewright.compiler import ir
from tilewright.compiler.ir import Graph
from tilewright.compiler.schedule import EngineLimitError, Objective
from tilewright.compiler.winograd.terms import tilings
from tilewright.errors import Error, UnsupportedError
from tilewright.isa import EngineConfig
from tilewright.program import Program
from tilewright.sim.timing import MemoryTiming
from tilewright.target import Target

OBJECTIVES: tuple[Objective, ...] = ("time", "traffic", "energy")


@dataclass(frozen=True)
class Outcome:
    """What a comparison found.

    Parameters
    ----------
    elements, wrong : of all outputs
    refused : why the engine does not run the network, or None
    """

    elements: int = 0
    wrong: int = 0
    refused: str | None = None


def hold(program: Program, inputs: Inputs, seed: object, *, rtl: bool) -> None:
    """Fail with the seed and the engine if executors differ; with ``rtl``, in a cycle too."""
    try:
        if rtl:
            verify(program, inputs)
        else:
            assert not compare(program, inputs).wrong
    except Exception as error:
        pytest.fail(f"seed {seed}, {program.target.engine}: {error}")


def verified(rng: np.random.Generator, config: EngineConfig, operator: type[ir.Op]) -> bool:
    """Compare golden, isa and rtl on a network with the operator; return whether it is run."""
    graph, inputs = random_network(rng, config, layers=3, only=operator)
    try:
        program = compiled(rng, config, graph, inputs)
    except (UnsupportedError, EngineLimitError):
        return False
    verify(program, inputs)
    return True


def random_algorithms(rng: np.random.Generator, graph: Graph) -> Mapping[str, str]:
    """Return algorithms of some layers; the engine may have no such."""
    result = {}
    for op in graph.layers:
        if isinstance(op, ir.Conv2d) and rng.random() < 0.5:
            known = [str(t) for t in tilings(op.kernel, op.stride)]
            names = ["direct", *known, *(f"{name} rounded" for name in known)]
            result[op.name] = str(rng.choice(names))
        elif isinstance(op, ir.DeformConv2d) and rng.random() < 0.4:
            result[op.name] = str(rng.choice(["direct", "sampled"]))
    return result


def compiled(
    rng: np.random.Generator, config: EngineConfig, graph: Graph, inputs: Inputs, batch: int = 1
) -> Program:
    """Compile a network in any of the ways that there are, or else in the usual one."""
    latency = MemoryTiming(*(int(n) for n in rng.integers(1, 60, 2)))
    target = Target(engine=config, memory=latency)
    objective = OBJECTIVES[int(rng.integers(len(OBJECTIVES)))]
    algorithms = random_algorithms(rng, graph) if rng.random() < 0.5 else {}
    if algorithms:
        try:
            return compile_graph(
                graph,
                target,
                objective=objective,
                algorithms=algorithms,
                examples=inputs,
                batch=batch,
            )
        except Error:
            pass
    return compile_graph(graph, target, objective=objective, batch=batch)


def compare(program: Program, inputs: Inputs) -> Outcome:
    """Compare golden and isa, every element of every output."""
    golden, isa = (simulate(program, inputs, backend=b).outputs for b in ("golden", "isa"))
    wrong = sum(int((a != b).sum()) for a, b in zip(golden, isa, strict=True))
    return Outcome(sum(a.size for a in golden), wrong)


def try_network(
    rng: np.random.Generator, config: EngineConfig, *, layers: int = 6, scale: int = 1
) -> Outcome:
    """Compare golden and isa on a random network; anything but a refusal by name is raised."""
    graph, inputs = random_network(rng, config, layers=layers, scale=scale)
    try:
        program = compiled(rng, config, graph, inputs)
    except Error as error:
        return Outcome(refused=f"{type(error).__name__}: {error}")
    return compare(program, inputs)
