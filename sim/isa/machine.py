"""Units, queues and waits: a program runs on models of the engine's buffers.

Timing is a longest-path problem: a command starts when its unit is free, its queue presents it and
the commands it waits for are complete; what it takes from there is exact
(:mod:`tilewright.sim.timing`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.hdl.commands.queue import CommandQueue
from tilewright.isa import (
    ISA_VERSION,
    Check,
    Command,
    Compute,
    Deform,
    End,
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadKernelSteps,
    LoadOffsets,
    LoadTable,
    LoadWeights,
    Store,
    Unit,
    decode,
)
from tilewright.isa.kernel_steps import (
    MAX_KERNEL_STEPS,
    MAX_KERNEL_TAPS,
    unpack_kernel_steps,
)
from tilewright.isa.layout import align, unpack_weights
from tilewright.sim.isa.array import Buffers, run_compute
from tilewright.sim.isa.errors import ExecutionError
from tilewright.sim.timing.compute import ComputeTiming, compute_timing, deform_timing
from tilewright.sim.timing.memory import (
    MemoryTiming,
    bootstrap_commit,
    load_timing,
    store_cycles,
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """One command's run.

    Parameters
    ----------
    start, done : int, cycles since the first cycle of the run
    """

    command: Command
    start: int
    done: int


@dataclass
class _UnitState:
    """Where a unit stands: commands fetched but not run, and when it can take the next."""

    queue: list[tuple[Command, int]] = field(default_factory=list)  # with the cycle of its commit
    popped: int = -1  # cycle in which the last command left the queue
    free: int = 0
    events: list[Event] = field(default_factory=list)


class Machine:
    """An engine and the memory behind its bus.

    Parameters
    ----------
    config : EngineConfig
    memory : uint8 array, from the base register on; changed in place
    timing : MemoryTiming

    Raises
    ------
    ExecutionError
        From :meth:`run`: the program is for another engine, waits in a circle, or leaves the
        buffers or the memory.
    """

    def __init__(
        self, config: EngineConfig, memory: NDArray[np.uint8], timing: MemoryTiming
    ) -> None:
        self.config = config
        self.memory = memory
        self.timing = timing
        self.buffers = Buffers.of(config)
        self.units = {unit: _UnitState() for unit in Unit}
        self.finished: int | None = None
        self._drained = 0  # when the last compute command started so far is done
        self._deform: Deform | None = None  # of the next compute command

    def run(
        self, program: int, count: int, progress: Callable[[int], None] | None = None
    ) -> dict[Unit, list[Event]]:
        """Run a program whose first ``count`` load commands lie at byte ``program``."""
        boot = Fetch(address=program, unit=Unit.LOAD, count=count)
        self._fetch(boot, bootstrap_commit(self.config, self.timing, boot))
        executed = 0
        while self.finished is None:
            if not any([self._try(unit) for unit in Unit]):
                waiting = {
                    unit.name.lower(): state.queue[0][0] if state.queue else "no command"
                    for unit, state in self.units.items()
                }
                raise ExecutionError(f"the program waits for itself: {waiting}")
            executed += 1
            if progress is not None and executed % 64 == 0:
                progress(executed)
        return {unit: state.events for unit, state in self.units.items()}

    def _try(self, unit: Unit) -> bool:
        """Run the next command of a unit, if all that it waits for has been run."""
        state = self.units[unit]
        if not state.queue or (unit is Unit.LOAD and self.finished is not None):
            return False
        command, commit = state.queue[0]
        waits = {}
        for other in Unit:
            if other is unit:
                continue
            events = self.units[other].events
            behind = (len(events) - getattr(command, f"wait_{other.name.lower()}")) % 65536
            if behind >= 32768:
                return False
            needed = len(events) - behind
            waits[other] = events[needed - 1].done + 1 + WAIT_LATENCY if needed else 0
        state.queue.pop(0)
        words = self.config.command_bytes(unit) // self.config.bus_bytes
        valid = max(state.popped, commit) + words + CommandQueue.refill(self.config)
        start = max(state.free, valid + WAIT_LATENCY, *waits.values())
        if isinstance(command, Deform) or (isinstance(command, Compute) and command.fence):
            start = max(start, self._drained + 1 + WAIT_LATENCY)
        match command:
            case Compute():
                self._compute(command, start)
            case Deform():
                if not self.config.offset_depth:
                    raise ExecutionError("a Deform on an engine without a sampler")
                self._deform = command
                self._occupy(command, start, deform_timing())
            case Store():
                self._store(command)
                self._record(
                    Unit.STORE,
                    command,
                    start,
                    start + store_cycles(self.config, self.timing, command),
                )
            case _:
                self._load(command, start)
        state.popped = start if self.config.prefetch else state.free - 1
        return True

    def _record(self, unit: Unit, command: Command, start: int, done: int) -> None:
        self.units[unit].events.append(Event(command=command, start=start, done=done))
        self.units[unit].free = done + 1

    def _bytes(self, address: int, count: int) -> NDArray[np.uint8]:
        if address + count > self.memory.size:
            raise ExecutionError(
                f"a command reaches byte {address + count - 1} of a memory of {self.memory.size}"
            )
        return self.memory[address : address + count]

    def _fetch(self, command: Fetch, commit: int) -> None:
        unit = Unit(command.unit)
        queue = self.units[unit].queue
        if len(queue) + command.count > self.config.queue_depth:
            raise ExecutionError(f"the {unit.name.lower()} queue overflows")
        size = self.config.command_bytes(unit)
        data = self._bytes(command.address, command.count * size).tobytes()
        for first in range(0, len(data), size):
            queue.append((decode(unit, data[first : first + size]), commit))

    def _load(self, command: Command, start: int) -> None:
        config = self.config
        timing = load_timing(config, self.timing, command)
        match command:
            case Check():
                if (command.version, command.digest) != (ISA_VERSION, config.digest):
                    raise ExecutionError("the program was compiled for another engine")
            case Fetch():
                self._fetch(command, start + timing.commit)
            case LoadActivations():
                self._load_activations(command)
            case LoadWeights():
                data = self._bytes(command.address, command.words * config.rows)
                self._load_weights(command, data)
            case LoadKernelSteps():
                self._load_kernel_steps(command)
            case LoadKernels():
                self._load_kernels(command)
            case LoadOffsets():
                if not config.offset_depth:
                    raise ExecutionError("a load command for offsets on an engine without them")
                data = self._bytes(command.address, command.words * config.rows)
                span = np.arange(command.base, command.base + command.words)
                # Of more than the buffer holds, the last remain.
                data = data.reshape(-1, config.rows)[-config.offset_depth :]
                span = span[-config.offset_depth :] % config.offset_depth
                self.buffers.offsets[span] = data
            case LoadTable():
                data = self._bytes(command.address, command.words * config.rows)
                span = np.arange(command.base, command.base + command.words)
                if span[-1] >= self.buffers.tables.size:
                    raise ExecutionError("a load command writes beyond the activation tables")
                self.buffers.tables[span] = data[:: config.rows]
            case End():
                self.finished = start + timing.done
        self._record(Unit.LOAD, command, start, start + timing.done)

    def _rows(self, address: int, height: int, width: int, pixel: int) -> NDArray[np.uint8]:
        """Return the (height, row bytes) bytes of feature map rows of ``pixel`` bytes a pixel."""
        row_bytes = align(width * pixel, self.config.bus_bytes)
        return self._bytes(address, height * row_bytes).reshape(height, row_bytes)

    def _load_weights(self, command: LoadWeights, data: NDArray[np.uint8]) -> None:
        config = self.config
        if not command.wide:
            words = unpack_weights(config, data)
            first = command.base * config.weights_per_byte
        elif config.kernel_width == 8 or command.words % 2:
            raise ExecutionError("the engine has no wide weights, or half a word is missing")
        else:
            unused = 16 - config.kernel_width
            halves = data.reshape(-1, 2, config.rows).astype(np.int16)
            words = (halves[:, 0] | halves[:, 1] << 8) << unused >> unused
            first = command.base
        span = np.arange(first, first + len(words)) % config.weight_depth
        self.buffers.weights[span] = words

    def _load_kernel_steps(self, command: LoadKernelSteps) -> None:
        if not self.config.transform_at_load or command.words > MAX_KERNEL_STEPS:
            raise ExecutionError(f"the engine does not hold {command.words} steps of a transform")
        data = self._bytes(command.address, command.words * self.config.rows)
        steps = unpack_kernel_steps(self.config, data)
        self.buffers.kernel_steps[: len(steps)] = steps

    def _load_kernels(self, command: LoadKernels) -> None:
        config, c = self.config, command
        if not config.transform_at_load:
            raise ExecutionError("the engine does not transform kernels")
        if not (0 < c.taps <= MAX_KERNEL_TAPS and 0 < c.steps <= MAX_KERNEL_STEPS):
            raise ExecutionError(
                f"kernels have 1..{MAX_KERNEL_TAPS} taps and 1..{MAX_KERNEL_STEPS} steps"
            )
        steps = self.buffers.kernel_steps[: c.steps]
        if not steps[0].first:
            raise ExecutionError("a kernel's transform begins with the kernel before")
        results = sum(step.write for step in steps)
        if not 0 < c.channels <= c.term_step or results * c.term_step > config.weight_depth:
            raise ExecutionError("the results of a kernel's transform overwrite each other")
        row_bytes = align(c.taps * config.rows, config.bus_bytes)
        data = self._bytes(c.address, c.channels * row_bytes).reshape(c.channels, row_bytes)
        taps = data[:, : c.taps * config.rows].view(np.int8).astype(np.int64)
        taps = taps.reshape(c.channels, c.taps, config.rows)
        total = np.zeros((c.channels, config.rows), np.int64)
        half = 1 << (config.kernel_width - 1)
        place = c.base + np.arange(c.channels)
        for step in steps:
            if step.tap >= c.taps:
                raise ExecutionError(f"a kernel of {c.taps} taps has no tap {step.tap}")
            before = 0 if step.first else total << step.double
            total = (before + step.factor * taps[:, step.tap] + half) % (2 * half) - half
            if step.write:
                self.buffers.weights[place % config.weight_depth] = total
                place += c.term_step

    def _load_activations(self, command: LoadActivations) -> None:
        c, rows, cols = command, self.config.rows, self.config.cols
        x = np.arange(c.width)
        size = c.pixel_bytes or rows
        if size not in (rows, *self.config.pixel_sizes):
            raise ExecutionError(f"a load command has pixels of {size} bytes")
        for group in range(c.groups):
            data = self._rows(c.address + group * c.group_stride, c.height, c.width, size)
            pixels = np.zeros((c.height, c.width, rows), np.uint8)
            pixels[:, :, :size] = data[:, : c.width * size].reshape(c.height, c.width, size)
            row = c.base + group * c.group_step + np.arange(c.height)[:, None] * c.row_step
            addr = row + x // cols
            if int(addr.max()) >= self.config.act_depth:
                raise ExecutionError("a load command writes beyond the activation buffer")
            self.buffers.activations[x % cols, addr] = pixels

    def _compute(self, command: Compute, start: int) -> None:
        deform, self._deform = self._deform, None
        run_compute(self.config, command, self.buffers, deform)
        timing = compute_timing(self.config, command, deform)
        self._occupy(command, start, timing)

    def _occupy(self, command: Command, start: int, timing: ComputeTiming) -> None:
        self._record(Unit.COMPUTE, command, start, start + timing.done)
        # The drain overlaps the next command.
        self.units[Unit.COMPUTE].free = start + timing.free
        self._drained = start + timing.done

    def _store(self, command: Store) -> None:
        c, config = command, self.config
        span = np.arange(c.base, c.base + c.groups * c.height * c.width) % config.out_depth
        pixels = self.buffers.results[span].reshape(c.groups, c.height, c.width * config.rows)
        for group in range(c.groups):
            data = self._rows(c.address + group * c.group_stride, c.height, c.width, config.rows)
            data[:, : c.width * config.rows] = pixels[group]
            data[:, c.width * config.rows :] = 0
