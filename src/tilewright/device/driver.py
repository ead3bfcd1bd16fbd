"""Programs on a board."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tilewright.api.cycles import events_of, layer_results, replayed
from tilewright.api.hosted import HostedResult, same
from tilewright.api.result import Progress, Result
from tilewright.api.simulate import simulate
from tilewright.api.verify import DivergenceError, compare_cycles, compare_outputs
from tilewright.boards.link.host import HostLink
from tilewright.errors import Error, require_type
from tilewright.isa import ISA_VERSION, Unit
from tilewright.isa.registers import IDENTITY, REGISTERS, Status
from tilewright.program import AnyProgram, HostedProgram, Program
from tilewright.program.hosted import engine_parts
from tilewright.progress import Steps
from tilewright.sim.timing.memory import SharedMemory

#: Registers that count something of a run.
COUNTERS = tuple(r.name for r in REGISTERS if r.offset >= 0x40)
_ALIGNED = 4096  # bytes; of BASE
_FINISHED, _START, _RESET = 1, 1, 2  # bits of INTERRUPT and CONTROL
_TIMEOUT = 60.0  # seconds of a board's run
_Tensors: TypeAlias = list[NDArray[np.int64]]


class DeviceError(Error):
    """The board or its engine does not do what was asked for."""


class Trace(Protocol):
    """What a simulated board knows of its last run."""

    def starts(self, unit: Unit) -> NDArray[np.int64]:
        """Cycle in which each command started."""

    def dones(self, unit: Unit) -> NDArray[np.int64]:
        """Cycle in which each command was complete."""


@dataclass(frozen=True)
class DeviceVerification:
    """What was compared with golden and with the prediction.

    Parameters
    ----------
    elements : int, of outputs
    commands : int, whose cycles were compared; 0 where the board does not tell them
    cycles : int or None, of one image, as counted by the board and predicted
    """

    elements: int
    commands: int
    cycles: int | None


class Device:
    """A board with an engine on it; made by :func:`tilewright.connect`.

    Parameters
    ----------
    link : HostLink
    name : str, for messages
    trace : what a simulated board tells of its commands
    """

    def __init__(self, link: HostLink, *, name: str, trace: Trace | None = None) -> None:
        self._link = link
        self._name = name
        self._trace = trace
        self._program: AnyProgram | None = None
        self._places: tuple[tuple[int, ...], ...] = ((0,),)  # of each program, of each copy
        self._bases: tuple[int, ...] = (0,)  # of the copies of the one that runs
        self._told: tuple[int, int] = (0, 0)  # PROGRAM and COUNT, which a reset would clear
        self.counters: Mapping[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the port."""
        self._link.close()

    @property
    def link(self) -> HostLink:
        """Registers and memory, and statistics of the line."""
        return self._link

    def load(
        self, program: AnyProgram, *, copies: int = 2, progress: Progress | None = None
    ) -> None:
        """Send a program: commands and weights stay on the board until another one is loaded.

        Of one with parts for the host, the engine's programs lie there one behind the other.

        Parameters
        ----------
        copies : 2 to send one image and read the results of another while a third is computed, if
            the board's memory has room for both copies; else 1
        progress : called with the bytes sent and those in all

        Raises
        ------
        DeviceError
            If the board's engine is another one than the program's, or its memory too small.
        LinkError
            If the line fails.
        """
        require_type("load", "program", program, Program, HostedProgram)
        parts = engine_parts(program)
        self._check_engine(parts[0])
        images = [part.image.tobytes() + bytes(-part.image.size % 4) for part in parts]
        sizes = [-(-len(image) // _ALIGNED) * _ALIGNED for image in images]
        room, needed = self._link.board.memory_bytes, sum(sizes[:-1]) + parts[-1].image.size
        if needed > room:
            raise DeviceError(
                f"{self._name}: the program takes {needed:,} bytes of memory, "
                f"the board has {room:,}"
            )
        count = min(copies, max(1, room // sum(sizes)))
        self._program = None  # until all of it is there
        starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
        self._places = tuple(
            tuple(start + starts[-1] * i for i in range(count)) for start in starts[:-1]
        )
        self._tell(parts[0])
        with Steps("Loading", count * sum(map(len, images)), _steps(progress)) as steps:
            for image, bases in zip(images, self._places, strict=True):
                for base in bases:
                    self._link.write_memory(base, image, steps.advance)
        self._check_told()
        self._program = program

    def _tell(self, program: Program) -> None:
        """Write where a program's first commands are, and how many.

        Nothing else writes these registers. So while they hold what was written, the board has not
        been reset or configured anew since: after that it may confirm what it does not do, and its
        memory holds anything.
        """
        self._told = (program.streams[Unit.LOAD][0], program.boot_count)  # at least one
        self._link.write_registers(PROGRAM=self._told[0], COUNT=self._told[1])

    def _check_told(self) -> None:
        found = self._link.read_registers("PROGRAM", "COUNT")
        if tuple(found) != self._told:
            self._program = None
            raise DeviceError(
                f"{self._name}: the board was reset, or configured anew, or somebody else uses it: "
                "load the program again"
            )

    def _check_engine(self, program: Program) -> None:
        identity, version, digest = self._link.read_registers("ID", "VERSION", "DIGEST")
        if identity != IDENTITY:
            raise DeviceError(f"{self._name}: there is no Tilewright engine behind this line")
        if version != ISA_VERSION:
            raise DeviceError(
                f"{self._name}: the engine takes commands of version {version}, the program has "
                f"{ISA_VERSION}: build and flash the board's bitstream anew"
            )
        if digest != program.engine.digest:
            board = program.target.board
            remedy = f"flash {board}'s bitstream, or " if board else ""
            raise DeviceError(
                f"{self._name}: the board's engine is another one than the program's: {remedy}"
                "compile for the engine on the board"
            )

    def run(self, inputs: Any, *, progress: Progress | None = None) -> Result | HostedResult:
        """Run the program that was loaded on any number of images.

        Each run computes as many as the program does at once. The first runs alone, so that its
        counters are undisturbed; after it, if there are two copies of the program, images of one
        run are sent and results of another read while one is computed. Parts for the host run in
        their places, all images of one before the next.

        Parameters
        ----------
        inputs : as for :func:`tilewright.simulate`
        progress : called with the images done and those in all

        Raises
        ------
        DeviceError
            If no program is loaded, or the engine stops with an error or not at all.
        LinkError
            If the line fails.
        """
        if self._program is None:
            raise DeviceError(f"{self._name}: load a program first")
        if isinstance(self._program, Program):
            return self._run(0, self._program, inputs, progress)
        parts: list[Result] = []

        def engine(number: int, part: Program, arrays: list[Any]) -> list[NDArray[np.float64]]:
            parts.append(self._run(number, part, arrays, progress))
            return parts[-1].dequantized()

        outputs = self._program.run(inputs, engine)
        return HostedResult(self._program, "device", outputs, tuple(parts))

    def _run(self, number: int, program: Program, inputs: Any, progress: Progress | None) -> Result:
        """Run one of the programs that were loaded."""
        self._bases = self._places[number]
        arrays = program.quantize(inputs)
        if isinstance(self._program, HostedProgram):
            self._check_told()
            self._tell(program)
        count = len(arrays[0])
        images = program.batches(arrays)
        with Steps("Running", count, _steps(progress)) as steps:
            outputs = [self._one(program, images[0])]  # of one run each
            names = COUNTERS if program.engine.counters else ()
            self.counters = dict(zip(names, self._link.read_registers(*names), strict=True))
            starts, dones = self._trace_of_run()
            steps.advance(len(images[0][0]))
            others = self._pipelined if len(self._bases) > 1 else self._in_turn
            for some, result in zip(images[1:], others(program, images[1:]), strict=True):
                outputs.append(result)
                steps.advance(len(some[0]))
        self._check_told()
        columns = [np.concatenate(column)[:count] for column in zip(*outputs, strict=True)]
        stacked = program.presented(columns)
        layers = layer_results(program, replayed(program, starts, dones)) if starts else ()
        cycles = self.counters.get("CYCLES")
        if cycles is None and dones:  # without a counter: the run ends with the last load command
            cycles = dones[Unit.LOAD][-1] + 1
        return Result(program, "device", stacked, cycles, layers, starts, dones, self.counters)

    def verify(self, inputs: Any, *, progress: Progress | None = None) -> DeviceVerification:
        """Run, and compare every element with golden, and cycles with the prediction.

        Cycles are compared where the program's memory is the board's own, whose time is predicted,
        and the engine counts them; a simulated board tells those of every command.

        Raises
        ------
        DivergenceError
            At the first difference.
        """
        return self.compare(self.run(inputs, progress=progress), inputs)

    def compare(self, result: Result | HostedResult, inputs: Any) -> DeviceVerification:
        """Compare what :meth:`run` gave for ``inputs``; see :meth:`verify`.

        Raises
        ------
        DivergenceError
            At the first difference.
        """
        if isinstance(result, HostedResult):
            return self._compare_parts(result, inputs)
        golden = simulate(result.program, inputs, backend="golden")
        return self._compare(result, golden)

    def _compare_parts(self, result: HostedResult, inputs: Any) -> DeviceVerification:
        golden = simulate(result.program, inputs, backend="golden")
        assert isinstance(golden, HostedResult)
        found = [self._compare(*pair) for pair in zip(result.parts, golden.parts, strict=True)]
        for have, want in zip(result.outputs, golden.outputs, strict=True):
            if not same(have, want):
                raise DivergenceError(f"{self._name}: the host makes another result of the board's")
        cycles = [part.cycles for part in found]
        return DeviceVerification(
            sum(part.elements for part in found),
            sum(part.commands for part in found),
            None if None in cycles else sum(count for count in cycles if count is not None),
        )

    def _compare(self, result: Result, golden: Result) -> DeviceVerification:
        program, expected = result.program, golden.outputs
        compare_outputs(program, golden, result)
        elements = sum(array.size for array in expected)
        if not isinstance(program.target.memory, SharedMemory) or result.cycles is None:
            return DeviceVerification(elements, 0, None)
        events = events_of(program)
        by_unit = events.by_unit if result.starts else {}
        predicted = Result(
            program,
            "isa",
            expected,
            events.cycles,
            (),
            {unit: [event.start for event in by_unit[unit]] for unit in by_unit},
            {unit: [event.done for event in by_unit[unit]] for unit in by_unit},
            {},
        )
        if by_unit:
            compare_cycles(program, predicted, result)
        elif predicted.cycles != result.cycles:
            raise DeviceError(
                f"{self._name}: the board took {result.cycles} cycles, {predicted.cycles} were "
                "predicted; the results are right"
            )
        return DeviceVerification(elements, sum(map(len, by_unit.values())), result.cycles)

    def _one(self, program: Program, image: _Tensors) -> _Tensors:
        self._send(program, 0, image)
        self._start(0)
        self._wait()
        return self._receive(program, 0)

    def _in_turn(self, program: Program, images: Sequence[_Tensors]) -> Iterator[_Tensors]:
        for image in images:
            yield self._one(program, image)

    def _pipelined(self, program: Program, images: Sequence[_Tensors]) -> Iterator[_Tensors]:
        """While an image is computed in one copy, the other gives results and takes an image."""
        for index, image in enumerate(images):
            if index == 0:
                self._send(program, 0, image)
            self._start(index)
            if index > 0:
                yield self._receive(program, index - 1)
            if index + 1 < len(images):
                self._send(program, index + 1, images[index + 1])
            self._wait()
        if images:
            yield self._receive(program, len(images) - 1)

    def _trace_of_run(self) -> tuple[dict[Unit, list[int]], dict[Unit, list[int]]]:
        trace = self._trace
        if trace is None:
            return {}, {}
        starts = {unit: trace.starts(unit).tolist() for unit in Unit}
        return starts, {unit: trace.dones(unit).tolist() for unit in Unit}

    def _send(self, program: Program, index: int, images: _Tensors) -> None:
        base = self._bases[index % len(self._bases)]
        for op, tensors in zip(program.graph.inputs, images, strict=True):
            data = program.pack(op.output, tensors).tobytes()
            data += bytes(-len(data) % 4)
            self._link.write_memory(base + program.addresses[op.output], data)

    def _receive(self, program: Program, index: int) -> _Tensors:
        base = self._bases[index % len(self._bases)]
        results = []
        for op in program.graph.outputs:
            size = program.room(op.input)
            data = self._link.read_memory(base + program.addresses[op.input], size + -size % 4)
            results.append(program.unpack(op.input, np.frombuffer(data, np.uint8)[:size]))
        return results

    def _start(self, index: int) -> None:
        self._link.write_registers(
            INTERRUPT=_FINISHED,
            BASE=self._bases[index % len(self._bases)],
            CONTROL=_START,
        )

    def _wait(self) -> None:
        """Wait for the end of a run."""
        limit = time.monotonic() + _TIMEOUT
        while True:
            pending, status = self._link.read_registers("INTERRUPT", "STATUS")
            if pending & _FINISHED:
                break
            if status & 0xFF == Status.IDLE:
                self._check_told()
            if time.monotonic() > limit and self._trace is None:
                raise DeviceError(
                    f"{self._name}: the engine is still running after {_TIMEOUT:g} s: reset the "
                    "board, or flash it anew"
                )
        code = status & 0xFF
        if code == Status.DONE:
            return
        self._check_told()
        self._link.write_registers(CONTROL=_RESET)
        if code not in list(Status):
            raise DeviceError(
                f"{self._name}: STATUS holds {code}, which no engine does: another design is "
                "configured"
            )
        unit, at = Unit(status >> 8 & 3), status >> 16
        raise DeviceError(
            f"{self._name}: the engine stopped with {Status(code).name} at {unit.name.lower()} "
            f"command {at}: load the program again"
        )


def _steps(progress: Progress | None) -> Any:
    return None if progress is None else lambda done, total: progress(done, total)
