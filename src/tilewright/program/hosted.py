"""A network of which the host computes parts: programs of the engine, and models between them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.compiler.host import HostModel, Tail
from tilewright.compiler.ir import ResultView
from tilewright.isa import EngineConfig
from tilewright.program.artefact import LayerInfo, Program, result_names
from tilewright.program.errors import ProgramError
from tilewright.target import Target

Array: TypeAlias = NDArray[Any]
Values: TypeAlias = dict[str, Array]
"""Tensors by name: (N, C, H, W) reals, or an input as it was given."""


@dataclass(frozen=True, eq=False)
class Gather:
    """A tensor of any shape that consists of elements of others.

    Parameters
    ----------
    names : of the others
    view : which elements, in places of ``names``
    """

    names: tuple[str, ...]
    view: ResultView

    def of(self, values: Mapping[str, Array]) -> NDArray[np.float64]:
        """(N, ...) from the values of the others."""
        arrays: Any = [values[name] for name in self.names]
        return np.asarray(self.view.of(arrays, 0), np.float64)


@dataclass(frozen=True, eq=False)
class EnginePart:
    """A program.

    Parameters
    ----------
    program : Program
    reads : tensor that each of its inputs is
    writes : tensor that each of its results is, in reals
    """

    program: Program
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class HostPart:
    """What the host computes between programs, in float32.

    Parameters
    ----------
    name : of the layer
    model : HostModel of one result
    arguments : what it reads
    writes : tensor that its result is, (N, *shape)
    """

    name: str
    model: HostModel
    arguments: tuple[Gather, ...]
    writes: str
    shape: tuple[int, ...]

    def run(self, values: Mapping[str, Array]) -> NDArray[np.float64]:
        """Compute the tensor for all images.

        Raises
        ------
        ProgramError  If the model's result has another shape.
        """
        images = zip(*(argument.of(values) for argument in self.arguments), strict=True)
        results = [self.model.run(image)[0] for image in images]
        if any(x.size != math.prod(self.shape) or x.dtype.kind != "f" for x in results):
            raise ProgramError(f"{self.name}: the host's result is {results[0].shape}")
        return np.stack([x.reshape(self.shape) for x in results]).astype(np.float64)


@dataclass(frozen=True)
class HostedInput:
    """An input of the network.

    Parameters
    ----------
    name : as the model's forward has it
    shape : of one image, as the model takes it
    place : (C, H, W)
    """

    name: str
    shape: tuple[int, ...]
    place: tuple[int, int, int]


@dataclass(frozen=True)
class Crossing:
    """A tensor that goes from the engine to the host, or back.

    Parameters
    ----------
    name : of the tensor
    to_host : whether it goes to the host
    elements : of one image, integers of ``bits``
    """

    name: str
    to_host: bool
    elements: int
    bits: int


@dataclass(frozen=True, eq=False)
class HostedProgram:
    """A network compiled for one engine and the host beside it.

    Parameters
    ----------
    inputs : of the network
    parts : in the order in which they run
    outputs : what the parts give
    tail : what the host makes of ``outputs``, if it does
    """

    inputs: tuple[HostedInput, ...]
    parts: tuple[EnginePart | HostPart, ...]
    outputs: tuple[Gather, ...]
    tail: Tail | None

    @property
    def programs(self) -> tuple[Program, ...]:
        """The engine's parts."""
        return tuple(part.program for part in self.parts if isinstance(part, EnginePart))

    @property
    def models(self) -> tuple[tuple[str, HostModel], ...]:
        """The host's parts, with a name for each."""
        found = [(part.name, part.model) for part in self.parts if isinstance(part, HostPart)]
        return tuple(found if self.tail is None else [*found, ("results", self.tail.model)])

    @property
    def target(self) -> Target:
        """Target of all programs."""
        return self.programs[0].target

    @property
    def engine(self) -> EngineConfig:
        """The engine that the programs run on."""
        return self.target.engine

    @property
    def batch(self) -> int:
        """Images that a run of each program computes."""
        return self.programs[0].batch

    @property
    def layers(self) -> tuple[LayerInfo, ...]:
        """Layers of all programs."""
        return tuple(layer for program in self.programs for layer in program.layers)

    @property
    def host_operations(self) -> int:
        """Operations on an image that the host computes, about; see :class:`HostModel`."""
        return sum(model.operations for _, model in self.models)

    @property
    def crossings(self) -> tuple[Crossing, ...]:
        """What goes to the engine and back, but for the network's inputs and its own results."""
        given, back = {x.name for x in self.inputs}, self._read_again()
        found = []
        for part in self.parts:
            if not isinstance(part, EnginePart):
                continue
            kinds = [part.program.graph.values[op.output] for op in part.program.graph.inputs]
            for name, kind in zip(part.reads, kinds, strict=True):
                if name not in given:
                    found.append(Crossing(name, False, kind.numel, kind.bits))
            results = zip(part.writes, part.program.results, part.program.result_types, strict=True)
            for name, view, kind in results:
                if name in back:
                    found.append(Crossing(name, True, math.prod(view.shape), kind.bits))
        return tuple(found)

    @property
    def _arguments(self) -> set[str]:
        """Tensors that the host reads between programs."""
        parts = [part for part in self.parts if isinstance(part, HostPart)]
        return {name for part in parts for gather in part.arguments for name in gather.names}

    def _read_again(self) -> set[str]:
        """Tensors that go to the host before the network's results."""
        last = [] if self.tail is None else [self.outputs[i] for i in self.tail.reads]
        read = self._arguments | {name for gather in last for name in gather.names}
        return read | {n for part in self.parts if isinstance(part, EnginePart) for n in part.reads}

    @property
    def input_names(self) -> list[str]:
        """Name of each input, as the model's forward has it."""
        return [x.name for x in self.inputs]

    @property
    def result_names(self) -> list[str]:
        """Name of each result: "output", or "output.0" and so on."""
        return result_names(len(self.outputs if self.tail is None else self.tail.results))

    def random_image(self) -> list[Array]:
        """Return one random image, always the same: an array (1, ...) per input."""
        rng = np.random.default_rng(0)
        own: Values = {}
        for part in self.parts:
            if isinstance(part, EnginePart):
                own |= zip(part.reads, part.program.random_image(), strict=True)
        by_host = self._arguments
        return [
            own[x.name].reshape(1, *x.shape)
            if x.name in own and x.name not in by_host
            else rng.normal(size=(1, *x.shape))
            for x in self.inputs
        ]

    def values(self, inputs: Any) -> Values:
        """Return inputs by name, (N, C, H, W).

        Parameters
        ----------
        inputs : what the model takes; integers on an input's grid where only the engine reads it

        Raises
        ------
        ProgramError  If number, shape or type do not fit.
        """
        given = list(inputs) if isinstance(inputs, tuple | list) else [inputs]
        if len(given) != len(self.inputs):
            raise ProgramError(f"the program takes {len(self.inputs)} inputs, not {len(given)}")
        by_host, values = self._arguments, Values()
        for x, item in zip(self.inputs, given, strict=True):
            array = _images(x, item)
            if x.name in by_host and not np.issubdtype(array.dtype, np.floating):
                raise ProgramError(f"input {x.name} must be floats, which the host reads")
            values[x.name] = array
        if len({len(array) for array in values.values()}) > 1:
            raise ProgramError("all inputs must have the same number of images")
        return values

    def run(
        self, inputs: Any, engine: Callable[[int, Program, list[Array]], list[NDArray[np.float64]]]
    ) -> list[Array | list[Array]]:
        """Run all parts; returns the network's results.

        Parameters
        ----------
        inputs : as for :meth:`values`
        engine : runs a program, given its number and its inputs, and returns results in reals

        Returns
        -------
        (N, ...) for each result: reals, or of what the host computes what it gives; a list of one
        array for each image where images differ in shape
        """
        values, number = self.values(inputs), 0
        for part in self.parts:
            if isinstance(part, HostPart):
                values[part.writes] = part.run(values)
                continue
            results = engine(number, part.program, [values[name] for name in part.reads])
            values |= zip(part.writes, results, strict=True)
            number += 1
        outputs: list[Array] = [gather.of(values) for gather in self.outputs]
        return list(outputs) if self.tail is None else self.tail.of(outputs)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the program to one file; an interrupted write leaves no file behind.

        Raises
        ------
        ProgramError
            If it is larger than program files may be.
        FileError
            If the file cannot be written.
        """
        from tilewright.program.hosted_storage import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> HostedProgram:
        """Read a program file, which may hold anything: all of it is checked first.

        Raises
        ------
        Error
            If the file is not such a program, is damaged, or is for another ISA version.
        """
        from tilewright.program.hosted_storage import load

        return load(path)


AnyProgram: TypeAlias = Program | HostedProgram


def engine_parts(program: AnyProgram) -> Sequence[Program]:
    """Return the programs of the engine."""
    return (program,) if isinstance(program, Program) else program.programs


def host_lines(program: HostedProgram) -> Iterator[str]:
    """Say what the host computes, what share of all that is, and what crosses."""
    macs = sum(layer.macs for layer in program.layers)
    own = program.host_operations
    yield (
        f"{len(program.programs)} programs; the host: some {own:,} operations, "
        f"{own / (own + macs):.1%} of all"
    )
    for name, model in program.models:
        yield f"{name}: {model}, some {model.operations:,} operations"
    for x in program.crossings:
        way = "to" if x.to_host else "from"
        yield f"{x.name}: {x.elements:,} elements of {x.bits} bits {way} the host"


def _images(x: HostedInput, item: Any) -> Array:
    """Return an input as (N, C, H, W); it may lack N."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(item, torch.Tensor):
        item = item.detach().cpu().numpy()
    array = np.asarray(item)
    for wanted in (x.shape, x.place):
        if array.shape == wanted:
            return array.reshape(1, *x.place)
        if array.shape[1:] == wanted and array.ndim == len(wanted) + 1 and len(array):
            return array.reshape(-1, *x.place)
    raise ProgramError(
        f"input {x.name} must have shape (N, {', '.join(map(str, x.shape))}), not {array.shape}"
    )
