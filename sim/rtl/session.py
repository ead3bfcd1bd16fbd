"""An engine of RTL that is powered up, and what a run of a program on it leaves behind."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol, TypedDict

import numpy as np
from numpy.typing import NDArray

from tilewright.files import fresh_file
from tilewright.hdl.memory.chip import CHIPS
from tilewright.isa import Unit
from tilewright.isa.registers import OFFSET, REGISTERS, Status
from tilewright.sim.rtl.checkpoint import Checkpoint
from tilewright.sim.rtl.library import NO_ADDRESS, ChipOptions, MemoryOptions, Progress
from tilewright.sim.rtl.tools import RtlError
from tilewright.sim.rtl.waves import vcd_to_fst
from tilewright.sim.timing.memory.sdram import SDRAM

__all__ = ["ErrorOn", "Latencies", "RtlRun", "RtlSession", "RunOptions"]

START, SOFT_RESET, STOP = 1, 2, 4  # bits of CONTROL
INTERRUPT_PENDING, INTERRUPT_ENABLE = 1, 2  # bits of INTERRUPT
COUNTERS = tuple(r.name for r in REGISTERS if r.offset >= OFFSET["CYCLES"])
RESET_CYCLES = 100_000  # more than any transaction in flight takes to end

ErrorOn = Literal["read", "write", "both"]


class Latencies(Protocol):
    """The memory's latencies; see ``harness/memory.h`` for their exact meaning.

    An optional attribute ``beat_interval`` (1 if absent) is the cycles from beat to beat; another,
    ``one_at_a_time`` (False if absent), says that a burst ends before the next address is taken.
    """

    @property
    def read_latency(self) -> int:
        """Cycles from the address handshake to the first beat, at least 1."""

    @property
    def write_latency(self) -> int:
        """Cycles from the last data handshake to the response, at least 1."""


@dataclass(frozen=True, kw_only=True)
class RtlRun:
    """What a run left behind; the memory was changed in place.

    Parameters
    ----------
    status : Status
    unit : Unit
        Of the command at fault, when ``status.is_error``.
    index : int
        Of the command at fault in its unit's stream.
    error_address : int, bytes
        Of the command at fault in its unit's stream.
    cycles : int
        The CYCLES register.
    counters : mapping
        Every counter register by name.
    starts, dones : tuple of int64 arrays, by Unit
        Cycle of each command's start and completion; ``trace_go`` is high in cycle 0.
    """

    status: Status
    unit: Unit
    index: int
    error_address: int
    cycles: int
    counters: Mapping[str, int]
    starts: tuple[NDArray[np.int64], ...]
    dones: tuple[NDArray[np.int64], ...]


class RunOptions(TypedDict, total=False):
    """How a program is run; see :meth:`RtlSession.run`."""

    random_seed: int | None
    error_address: int | None
    error_on: ErrorOn
    check_hazards: bool
    cycle_limit: int
    watchdog: int
    stop_after: int | None
    progress: Callable[[int], None] | None
    progress_interval: int
    checkpoint: Checkpoint | None


def _options(timing: Latencies) -> MemoryOptions:
    for name in ("read_latency", "write_latency"):
        if getattr(timing, name) < 1:
            raise RtlError(f"{name} must be at least 1, not {getattr(timing, name)!r}")
    return MemoryOptions(
        read_latency=timing.read_latency,
        write_latency=timing.write_latency,
        beat_interval=getattr(timing, "beat_interval", 1),
        one_at_a_time=getattr(timing, "one_at_a_time", False),
    )


class RtlSession:
    """One engine that is powered up; it keeps its state from run to run.

    Use as a context manager. Runs after the first begin with a soft reset.
    """

    def __init__(self, library: ctypes.CDLL) -> None:
        self._library = library
        self._handle: int | None = library.tw_open()
        self._fresh = True
        self._memory: NDArray[np.uint8] | None = None
        self._waves = ExitStack()  # what is left to do for waveforms when the session is closed

    def __enter__(self) -> RtlSession:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Power down."""
        if self._handle is not None:
            self._library.tw_close(self._handle)
            self._handle = None
        self._waves.close()

    def _call(self, name: str, *arguments: object) -> int:
        if self._handle is None:
            raise RtlError("the session is closed")
        result = int(getattr(self._library, name)(self._handle, *arguments))
        if result < 0:
            raise RtlError(self._library.tw_error(self._handle).decode())
        return result

    def write_register(self, name: str, value: int) -> None:
        """Write a register of :mod:`tilewright.isa.registers`."""
        self._call("tw_write", OFFSET[name], value)

    def read_register(self, name: str) -> int:
        """Read a register of :mod:`tilewright.isa.registers`."""
        return self._call("tw_read", OFFSET[name])

    @property
    def elapsed(self) -> int:
        """Clock cycles since power-up."""
        return self._call("tw_elapsed")

    def record_waves(self, path: str | os.PathLike[str], first: int, last: int) -> None:
        """Write cycles ``first..last`` of the next run, counted from its start, to a file.

        A VCD file, or FST if its name ends so; it is there when the session is closed.
        """
        path = Path(path)
        fresh = dump = self._waves.enter_context(fresh_file(path))
        if path.suffix == ".fst":
            folder = self._waves.enter_context(tempfile.TemporaryDirectory(dir=path.parent))
            dump = Path(folder) / "dump.vcd"
            self._waves.callback(vcd_to_fst, dump, fresh)
        self._call("tw_waves", str(dump).encode(), first, last)

    def save_state(self, path: Path | str) -> None:
        """Write the state of engine and bus, but not of the memory, to a file."""
        self._call("tw_save", str(path).encode())

    def restore_state(self, path: Path | str) -> None:
        """Return to a state that :meth:`save_state` wrote, with the memory attached."""
        self._call("tw_restore", str(path).encode())

    @property
    def completed(self) -> tuple[int, ...]:
        """Commands completed in the run, by Unit."""
        return tuple(self._call("tw_events", 1, int(unit), None, 0) for unit in Unit)

    def attach(
        self,
        memory: NDArray[np.uint8],
        base: int,
        timing: Latencies | SDRAM,
        *,
        random_seed: int | None = None,
        error_address: int | None = None,
        error_on: ErrorOn = "both",
        check_hazards: bool = True,
    ) -> None:
        """Connect ``memory``, whose first byte is at bus address ``base``, and power up."""
        if memory.dtype != np.uint8 or memory.ndim != 1 or not memory.flags.c_contiguous:
            raise RtlError("memory must be a contiguous one-dimensional uint8 array")
        if not memory.flags.writeable:
            raise RtlError("memory must be writable")
        if base < 0 or base + memory.size > 2**32:
            raise RtlError(f"memory at 0x{base:x} of {memory.size} bytes is not within 32 bits")
        if isinstance(timing, SDRAM):
            if random_seed is not None or error_address is not None:
                raise RtlError("an SDRAM neither stalls at random nor answers with an error")
            options, chip = MemoryOptions(), ChipOptions.of(CHIPS[timing.chip], timing.clock_mhz)
        else:
            chip, options = ChipOptions(), _options(timing)
            options.random, options.seed = random_seed is not None, random_seed or 0
            options.error_address = NO_ADDRESS if error_address is None else error_address
            options.error_on_read, options.error_on_write = error_on != "write", error_on != "read"
            options.check_hazards = check_hazards
        self._memory = memory  # keeps it alive
        self._call(
            "tw_configure",
            memory.ctypes.data,
            memory.size,
            base,
            ctypes.byref(options),
            ctypes.byref(chip),
        )
        if self._fresh:
            self._call("tw_reset")
            self._fresh = False

    def run(
        self,
        memory: NDArray[np.uint8],
        base: int,
        program_offset: int,
        count: int,
        timing: Latencies | SDRAM,
        *,
        random_seed: int | None = None,
        error_address: int | None = None,
        error_on: ErrorOn = "both",
        check_hazards: bool = True,
        cycle_limit: int = 1_000_000_000,
        watchdog: int = 0,
        stop_after: int | None = None,
        progress: Callable[[int], None] | None = None,
        progress_interval: int = 100_000,
        checkpoint: Checkpoint | None = None,
    ) -> RtlRun:
        """Run one program.

        Parameters
        ----------
        memory : uint8 array
            The image, changed in place; its first byte is at bus address ``base``, and any access
            outside it is an error.
        base, program_offset, count : int
            The registers BASE, PROGRAM and COUNT.
        timing : Latencies or SDRAM
            Latencies are used exactly when ``random_seed`` is None, else the least. With an
            SDRAM nothing is random, and no burst fails.
        random_seed : int, optional
            Stall all channels of the bus at random, the same way for the same seed.
        error_address : int, optional
            Bus address; bursts that touch it get the response SLVERR and write nothing.
        error_on : "read", "write" or "both"
            Which bursts ``error_address`` is for.
        check_hazards : bool
            Also treat as an error a read and a write of the same bytes in flight together.
        cycle_limit : int
            Cycles without an interrupt after which to give up.
        watchdog : int
            The register WATCHDOG; 0 is never.
        stop_after : int, optional
            Cycles after which to write the stop bit.
        progress : callable, optional
            Called with the cycles since the start every ``progress_interval`` cycles.
        checkpoint : Checkpoint, optional
            Go on from its file, if there is one, and write it now and then.

        Raises
        ------
        RtlError
            If a bus rule is broken, or no interrupt comes within ``cycle_limit``.
        """
        if not self._fresh:
            self._soft_reset()
        self.attach(
            memory,
            base,
            timing,
            random_seed=random_seed,
            error_address=error_address,
            error_on=error_on,
            check_hazards=check_hazards,
        )
        if checkpoint is None or not checkpoint.restore(self, memory):
            self._start(base, program_offset, count, watchdog)

        def report(cycles: int) -> None:
            if checkpoint is not None and checkpoint.due:
                checkpoint.save(self, memory)
            if progress is not None:
                progress(cycles)

        if stop_after is not None and not self._wait(stop_after, progress_interval, report):
            self.write_register("CONTROL", STOP)
        if not self._wait(cycle_limit, progress_interval, report):
            raise self._overdue(cycle_limit)
        if checkpoint is not None:
            checkpoint.remove()
        return self._result()

    def _overdue(self, cycle_limit: int) -> RtlError:
        done = ", ".join(f"{unit.name.lower()} {self.completed[unit]}" for unit in Unit)
        return RtlError(f"no interrupt within {cycle_limit} cycles; commands completed: {done}")

    def _start(self, base: int, program_offset: int, count: int, watchdog: int) -> None:
        self.write_register("BASE", base)
        self.write_register("PROGRAM", program_offset)
        self.write_register("COUNT", count)
        self.write_register("WATCHDOG", watchdog)
        self.write_register("INTERRUPT", INTERRUPT_PENDING | INTERRUPT_ENABLE)
        self.write_register("CONTROL", START)

    def _result(self) -> RtlRun:
        word = self.read_register("STATUS")
        counters = {name: self.read_register(name) for name in COUNTERS}
        return RtlRun(
            status=Status(word & 0xFF),
            unit=Unit(word >> 8 & 3),
            index=word >> 16,
            error_address=self.read_register("ERROR_ADDRESS"),
            cycles=counters["CYCLES"],
            counters=counters,
            starts=tuple(self._events(0, unit) for unit in Unit),
            dones=tuple(self._events(1, unit) for unit in Unit),
        )

    def _soft_reset(self) -> None:
        self.write_register("CONTROL", SOFT_RESET)
        for _ in range(RESET_CYCLES):
            if self.read_register("STATUS") & 0xFF == Status.IDLE:
                break
        else:
            raise RtlError("the engine does not come out of its soft reset")
        if not self._call("tw_bus_is_quiet"):
            raise RtlError("the soft reset ended while the bus was not quiet")

    def _wait(self, limit: int, interval: int, progress: Callable[[int], None]) -> bool:
        """Return whether the interrupt came within ``limit`` cycles."""
        failures: list[BaseException] = []

        # Only Python code lets control-C end a run.
        def report(cycles: int) -> int:
            try:
                progress(cycles)
            except BaseException as error:
                failures.append(error)
                return 1
            return 0

        outcome = self._call("tw_wait", limit, interval, Progress(report))
        if failures:
            raise failures[0]
        return outcome == 0

    def _events(self, kind: int, unit: Unit) -> NDArray[np.int64]:
        count = self._call("tw_events", kind, int(unit), None, 0)
        events = np.empty(count, np.int64)
        self._call("tw_events", kind, int(unit), events.ctypes.data, count)
        return events
