"""The exact cycle model as the compiler is handed it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from math import gcd

from tilewright.compiler.schedule.timing import Gaps
from tilewright.hdl.bus.writer import Writer
from tilewright.hdl.commands.decode import WAIT_LATENCY
from tilewright.isa import (
    Command,
    Compute,
    EngineConfig,
    Fetch,
    LoadActivations,
    LoadKernels,
    LoadWeights,
    Store,
    Unit,
)
from tilewright.isa.passes import kernel_group_cycles
from tilewright.sim.events import Events
from tilewright.sim.fetched import Fetched
from tilewright.sim.timing.alone import cycles_alone
from tilewright.sim.timing.bursts import row_beats
from tilewright.sim.timing.compute import compute_timing
from tilewright.sim.timing.load import load_timing
from tilewright.sim.timing.memory import Memory, SharedMemory
from tilewright.sim.timing.store import store_cycles

#: One word, of one pass.
_COMMAND = Compute(
    n_kg=1, n_oy=1, n_ox=1, n_cg=1, n_r=1, n_s=1, segment_log2=0, segment=1, last_segment=1,
    out_w=1, in_h=1, in_w=1, stride_x=1, signed=0, pad=0, act_base=0, act_row=0, act_ring=1,
    kg_step=0, cg_step=0, oy_step=0, r_step=0, y0=0, oy_dy=0, r_dy=0, x0=0, x0_word=0, x0_lane=0,
    s_dx=0, s_word=0, s_lane=0, weight_base=0, zero_point=0, qmin=0, qmax=0, maximum=0, to_out=0,
    out_base=0, out_kg_step=0, out_row_step=0, to_act=0, dst_base=0, dst_lane=0, dst_step=1,
    dst_kg_step=0, dst_row_step=0, table=0,
)  # fmt: skip

#: Bursts after which those that follow take turns alike.
_SETTLED = 64


class CycleModel:
    """Cycles of one engine's commands; a :class:`tilewright.compiler.schedule.timing.Timing`.

    Parameters
    ----------
    config : EngineConfig
    memory : Memory or SharedMemory, behind the bus. Where its answers depend on what was asked
        before, loads and stores by themselves are those of a memory of which nothing was asked.
        Whole programs are exact.
    """

    def __init__(self, config: EngineConfig, memory: Memory | SharedMemory) -> None:
        self.config = config
        self.memory = memory
        self.words = lru_cache(maxsize=None)(self._words)
        self.rows = lru_cache(maxsize=None)(self._rows)
        self.kernels = lru_cache(maxsize=None)(self._kernels)
        self.results = lru_cache(maxsize=None)(self._results)

    @property
    def one_port(self) -> bool:
        """Whether loads and stores share the memory's time."""
        return isinstance(self.memory, SharedMemory)

    @cached_property
    def rate(self) -> float:
        """Bytes a cycle of long loads."""
        if not isinstance(self.memory, SharedMemory):
            return self.config.bus_bytes
        few, many = (_SETTLED * times * self.config.burst_beats for times in (1, 2))
        less, more = (n * self.config.bus_bytes // self.config.rows for n in (few, many))
        return (more - less) * self.config.rows / (self.words(more) - self.words(less))

    @cached_property
    def gaps(self) -> Gaps:
        """What lies between commands."""
        # Of a pass for which nothing waits.
        pair = int(self.config.result_words == 2)
        command = replace(_COMMAND, n_cg=self.config.drain_cycles, pair=pair)
        timing = compute_timing(self.config, command)
        passes = kernel_group_cycles(self.config, command, parts=1)
        arrival = 1 + WAIT_LATENCY
        return Gaps(
            command=timing.free - passes,
            fence=timing.done + arrival - passes,
            store=timing.done + arrival - passes,
            arrival=arrival,
        )

    def _words(self, count: int) -> int:
        return self._cycles(LoadWeights(address=0, words=count, base=0))

    def _rows(self, groups: int, stride: int, height: int, width: int, pixel: int) -> int:
        def of(height: int, groups: int = groups) -> LoadActivations:
            return LoadActivations(
                address=0,
                groups=groups,
                group_stride=stride,
                height=height,
                width=width,
                base=0,
                row_step=0,
                group_step=0,
                pixel=pixel,
            )

        size = row_beats(self.config, width, of(height).pixel_bytes) * self.config.bus_bytes
        flying = self.config.outstanding
        if height == 1 and stride:  # parts of rows, each a group of its own
            return self._tall(groups, size, flying, lambda rows: self._cycles(of(1, rows)), stride)
        return self._tall(height, size, flying, lambda height: self._cycles(of(height)))

    def _kernels(self, channels: int, taps: int, steps: int) -> int:
        return self._cycles(
            LoadKernels(address=0, base=0, term_step=0, steps=steps, channels=channels, taps=taps)
        )

    def _results(self, groups: int, stride: int, height: int, width: int) -> int:
        def cycles(height: int, groups: int = groups) -> int:
            store = Store(
                address=0, groups=groups, group_stride=stride, height=height, width=width, base=0
            )
            return self._cycles(store)

        size = row_beats(self.config, width) * self.config.bus_bytes
        if height == 1 and stride:
            return self._tall(groups, size, Writer.PENDING, lambda rows: cycles(1, rows), stride)
        return self._tall(height, size, Writer.PENDING, cycles)

    def _tall(
        self,
        height: int,
        row_bytes: int,
        flying: int,
        cycles: Callable[[int], int],
        stride: int | None = None,
    ) -> int:
        """Return the cycles of so many rows, of which many take what the first ones do.

        ``stride`` : bytes from one row to the next, if they do not follow one another.

        Bursts, of which so many are in flight at most, lie alike to rows again after as many rows
        as end with a burst. Where each of several groups begins elsewhere in a burst, this may be
        wrong by a few cycles in ten thousand.
        """
        burst = self.config.burst_beats * self.config.bus_bytes
        period = flying * burst // gcd(burst, stride or row_bytes)
        periods = (height - -(-_SETTLED * burst // row_bytes)) // period
        if periods < 2:
            return cycles(height)
        first = height - periods * period
        return cycles(first) + periods * (cycles(first + period) - cycles(first))

    def _cycles(self, command: Command) -> int:
        """Return the cycles of a load or a store by itself."""
        if isinstance(self.memory, SharedMemory):
            return cycles_alone(self.config, self.memory, command)
        if isinstance(command, Store):
            return store_cycles(self.config, self.memory, command) + 1
        return load_timing(self.config, self.memory, command).done + 1

    def run(
        self, commands: Mapping[Unit, Sequence[Command]], addresses: Mapping[Unit, int], boot: Fetch
    ) -> int:
        """Return the cycles of a whole program."""
        return self.events(commands, addresses, boot).cycles

    def events(
        self, commands: Mapping[Unit, Sequence[Command]], addresses: Mapping[Unit, int], boot: Fetch
    ) -> Events:
        """Return when each command of a program starts and ends; parameters as of :meth:`run`."""
        config = self.config

        def read(fetch: Fetch) -> Sequence[Fetched]:
            unit = Unit(fetch.unit)
            first = (fetch.address - addresses[unit]) // config.command_bytes(unit)
            return commands[unit][first : first + fetch.count]

        return Events(config, self.memory, read, boot).complete()
