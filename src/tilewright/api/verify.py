"""All executors, compared: every output element, every command's cycles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tilewright.api.hosted import HostedResult, same
from tilewright.api.result import Progress, Result
from tilewright.api.simulate import simulate
from tilewright.errors import Error, require_type
from tilewright.isa import Unit
from tilewright.program import AnyProgram, HostedProgram, Program


class DivergenceError(Error):
    """Two executors disagree; the message says where first."""


@dataclass(frozen=True)
class Verification:
    """What was compared: elements, commands, and the cycles of one image."""

    elements: int
    commands: int
    cycles: int
    results: Mapping[str, Result | HostedResult]


def verify(program: AnyProgram, inputs: Any, *, progress: Progress | None = None) -> Verification:
    """Run all backends and compare every output element and every command's cycles.

    Raises
    ------
    DivergenceError
        At the first difference: output, image, channel, row and column with both values, or the
        command with both cycles.
    """
    require_type("verify", "program", program, Program, HostedProgram)
    if isinstance(program, HostedProgram):
        return _hosted(program, inputs, progress)
    arrays = program.quantize(inputs)
    results = {
        name: simulate(program, arrays, backend=name, progress=progress)
        for name in ("golden", "isa", "rtl")
    }
    elements = 0
    for name in ("isa", "rtl"):
        compare_outputs(program, results["golden"], results[name])
        elements += sum(array.size for array in results[name].outputs)
    compare_cycles(program, results["isa"], results["rtl"])
    cycles = results["isa"].cycles
    assert cycles is not None
    commands = sum(len(stream) for stream in results["isa"].dones.values())
    return Verification(elements, commands, cycles, results)


def _hosted(program: HostedProgram, inputs: Any, progress: Progress | None) -> Verification:
    """Run each backend from end to end, with the host's parts, and compare every program."""
    results: dict[str, HostedResult] = {}
    for name in ("golden", "isa", "rtl"):
        result = simulate(program, inputs, backend=name, progress=progress)
        assert isinstance(result, HostedResult)
        results[name] = result
    golden, isa, rtl = results.values()
    elements = commands = 0
    for part, want, *others in zip(
        program.programs, golden.parts, isa.parts, rtl.parts, strict=True
    ):
        for have in others:
            compare_outputs(part, want, have)
            elements += sum(array.size for array in have.outputs)
        compare_cycles(part, *others)
        commands += sum(len(stream) for stream in others[0].dones.values())
    for result in (isa, rtl):
        outputs = zip(program.result_names, golden.outputs, result.outputs, strict=True)
        for name, expected, actual in outputs:
            if not same(expected, actual):
                raise DivergenceError(f"{name}: the host makes another result of {result.backend}")
    assert isa.cycles is not None
    return Verification(elements, commands, isa.cycles, results)


def compare_outputs(program: Program, expected: Result, actual: Result) -> None:
    """Raise :class:`DivergenceError` at the first output element that differs."""
    outputs = zip(program.result_names, expected.outputs, actual.outputs, strict=True)
    for name, want, have in outputs:
        different = np.argwhere(want != have)
        if len(different):
            raise DivergenceError(
                f"{name}: image {different[0][0]}, {_place(different[0][1:])}: "
                f"{expected.backend} {want[tuple(different[0])]}, {actual.backend} "
                f"{have[tuple(different[0])]}; {len(different)} of {want.size} elements differ"
            )


def _place(index: NDArray[np.int64]) -> str:
    """Name an element of an image."""
    if len(index) == 3:
        return f"channel {index[0]}, row {index[1]}, column {index[2]}"
    return f"element {', '.join(map(str, index))}"


def compare_cycles(program: Program, expected: Result, actual: Result) -> None:
    """Raise :class:`DivergenceError` at the first command that starts or ends at another cycle."""
    for unit in Unit:
        commands = program.commands(unit)
        for what in ("starts", "dones"):
            want, have = getattr(expected, what)[unit], getattr(actual, what)[unit]
            for index, (a, b) in enumerate(zip(want, have, strict=True)):
                if a != b:
                    layer = program.layers[commands[index].layer].name
                    raise DivergenceError(
                        f"{layer}: {unit.name.lower()} command {index} "
                        f"({type(commands[index]).__name__}) {what[:-1]} in cycle {a} by "
                        f"{expected.backend}, {b} by {actual.backend}"
                    )
    if expected.cycles != actual.cycles:
        raise DivergenceError(
            f"{expected.backend} takes {expected.cycles} cycles, {actual.backend} {actual.cycles}"
        )
