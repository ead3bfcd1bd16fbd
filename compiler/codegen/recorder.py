"""Commands in the order in which the network runs, and what each of them must wait for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tilewright.compiler.codegen.hazards import HazardTracker, Span
from tilewright.compiler.schedule import ArrayOp, EngineLimitError
from tilewright.compiler.schedule.array.area import Run
from tilewright.isa import Command, Compute, Deform, EngineConfig, Unit
from tilewright.isa.commands import changed
from tilewright.isa.passes import result_cycles
from tilewright.isa.rules import MAX_COMMANDS

#: There is at most one fetch for each.
MOST = MAX_COMMANDS // 2
#: What the fields of a compute command may be: name, least, most, meaning.
_RANGES = tuple((f.name, *f.range, f.doc) for f in (*Compute.FIELDS, *Compute.OPTIONS))


class Entry(NamedTuple):
    """A command, and the commands (by unit, the last index) that must be complete before it."""

    command: Command
    after: dict[Unit, int]


class Recorder:
    """Append commands, and find what each must wait for.

    Parameters
    ----------
    config : EngineConfig
    memory_start, memory_end : bytes of memory in which values lie that the program writes

    Attributes
    ----------
    entries : list of Entry
    """

    def __init__(self, config: EngineConfig, memory_start: int, memory_end: int) -> None:
        self.config = config
        self.entries: list[Entry] = []
        self._memory_start = memory_start
        self._counts = dict.fromkeys(Unit, 0)
        # At the end of each compute command, the cycles in which the array has worked, at least.
        self._compute_end = [0]
        self._hazards = HazardTracker(
            {
                "activations": config.act_depth,
                "weights": config.weight_depth,
                "results": config.out_depth,
                "tables": config.tables,
                "offsets": config.offset_depth,
                "memory": (memory_end - memory_start) // config.bus_bytes,
            }
        )

    @property
    def busy(self) -> Sequence[int]:
        """Cycles of the array before each compute command, at least, and after the last one."""
        return self._compute_end

    def _add(self, entry: Entry) -> None:
        if len(self.entries) == MOST:
            raise EngineLimitError(
                f"the program has more than {MOST} commands; take an engine with more cols, "
                "act_depth, weight_depth or out_depth, a smaller image, or a smaller batch"
            )
        self.entries.append(entry)

    def append(self, command: Command, reads: list[Span], writes: list[Span]) -> None:
        """Append a command of the load or store unit, or a Deform."""
        unit = command.UNIT
        after = self._hazards.access(unit, self._counts[unit], reads, writes)
        self._counts[unit] += 1
        self._add(Entry(command, after))
        if isinstance(command, Deform):
            self._compute_end.append(self._compute_end[-1])

    def append_compute(
        self,
        op: ArrayOp,
        pass_cycles: int,
        command: Compute,
        reads: list[Span],
        writes: list[Span],
    ) -> None:
        """Append a compute command; it waits for results before it if it reads them too soon.

        ``pass_cycles`` : of each of its passes, at least.

        Raises
        ------
        EngineLimitError
            If a number does not fit its field; the message names the layer.
        """
        config = self.config
        index = self._counts[Unit.COMPUTE]
        # At least so long does the command keep the array.
        passes = command.passes - command.n_oy * op.windows.quick_words
        cycles = command.n_kg * passes * pass_cycles
        after = self._hazards.access(Unit.COMPUTE, index, reads, writes)
        last = after.get(Unit.COMPUTE, -1)
        fence = 0
        if last >= 0:
            since = self._compute_end[index] - self._compute_end[last + 1]
            drain = result_cycles(config, pair=False, wide=config.wide_maps)
            # What waits for all results by itself needs no fence.
            fence = int(not op.windows.waits and since < drain + config.RESULT_LATENCY)
        command = changed(command, fence=fence) if fence else command
        values = vars(command)
        for name, low, high, meaning in _RANGES:
            if not low <= (value := values[name]) <= high:
                raise EngineLimitError(
                    f"{op.name}: {meaning} must be in {low}..{high}, not {value}"
                )
        self._compute_end.append(self._compute_end[-1] + cycles)
        self._counts[Unit.COMPUTE] += 1
        self._add(Entry(command, after))

    def memory_span(self, address: int, run: Run) -> Span:
        """Return what a run from an address on touches of memory."""
        unit = self.config.bus_bytes
        start = (address - self._memory_start) // unit
        return Span("memory", start, run.rows * run.size // unit, run.times, run.stride // unit)
