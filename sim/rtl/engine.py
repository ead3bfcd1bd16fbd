"""An engine's RTL, compiled: what programs run on."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from tilewright.isa import EngineConfig
from tilewright.sim.rtl.build import build
from tilewright.sim.rtl.library import load
from tilewright.sim.rtl.session import Latencies, RtlRun, RtlSession, RunOptions
from tilewright.sim.timing.memory.sdram import SDRAM

__all__ = ["RtlEngine"]


class RtlEngine:
    """The RTL of one engine configuration, compiled.

    Parameters
    ----------
    config : EngineConfig
    verilog : str, optional
        The engine's Verilog; generated from ``config`` if absent.
    sdram : SDRAM, optional
        The engine has its controller, and its chip is at the pins.
    cache_dir : path, optional
        Where compiled engines stay from run to run; by default the user's cache directory.
    waves : bool
        Whether runs can record waveforms.

    Raises
    ------
    RtlError
        If a tool is missing or fails.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        verilog: str | None = None,
        sdram: SDRAM | None = None,
        cache_dir: Path | str | None = None,
        waves: bool = False,
    ) -> None:
        if verilog is None:
            from tilewright.hdl.verilog import engine_verilog, sdram_engine_verilog

            if sdram is None:
                verilog = engine_verilog(config)
            else:
                verilog = sdram_engine_verilog(config, sdram.parameters(config))
        self.config = config
        self.path = build(
            config, verilog=verilog, sdram=sdram is not None, cache_dir=cache_dir, waves=waves
        )
        self._library = load(self.path)

    def session(self) -> RtlSession:
        """Power up one engine for several runs, so to see it recover from an error."""
        return RtlSession(self._library)

    def run(
        self,
        memory: NDArray[np.uint8],
        base: int,
        program_offset: int,
        count: int,
        timing: Latencies | SDRAM,
        *,
        waves: tuple[Path | str, int, int] | None = None,
        **options: Unpack[RunOptions],
    ) -> RtlRun:
        """Run one program on a freshly powered engine; see :meth:`RtlSession.run`.

        Parameters
        ----------
        waves : (path, first cycle, last cycle), optional
            Record a waveform, VCD or, if the name ends in ``.fst``, FST; cycles count from the
            start of the program.
        """
        with self.session() as session:
            if waves is not None:
                session.record_waves(*waves)
            return session.run(memory, base, program_offset, count, timing, **options)
