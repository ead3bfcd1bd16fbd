"""A board's system, compiled: what a host does with it goes over the bits of its serial line."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tilewright.hdl.memory.chip import CHIPS
from tilewright.isa import EngineConfig, Unit
from tilewright.sim.rtl.build import build
from tilewright.sim.rtl.library import ChipOptions
from tilewright.sim.rtl.tools import RtlError
from tilewright.sim.timing.memory.sdram import SDRAM

__all__ = ["SimulatedBoard"]


class SimulatedBoard:
    """A system in Verilator, with a chip that checks every rule at its pins.

    It is a line as :mod:`tilewright.boards.link.transport` has it. Its time passes only while bytes
    are sent or waited for.

    Parameters
    ----------
    config : EngineConfig
    verilog : str, of the system, with ports as ``boards.system.simulated_verilog`` has them
    top : str, its top module
    divisor : int, clock cycles per bit of its serial line
    sdram : SDRAM or None, the chip at its pins
    timeout_cycles : int, of the board without a byte, after which a read gives up
    cache_dir : path, optional
        Where compiled systems stay; by default the user's cache directory.

    Raises
    ------
    RtlError
        If a tool is missing or fails.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        verilog: str,
        top: str,
        divisor: int,
        sdram: SDRAM | None = None,
        timeout_cycles: int = 20_000_000,
        cache_dir: Path | str | None = None,
    ) -> None:
        path = build(
            config,
            verilog=verilog,
            top=top,
            bench="board.cpp",
            sdram=sdram is not None,
            cache_dir=cache_dir,
        )
        self._library = _load(path)
        self._timeout_cycles = timeout_cycles
        self._memory = np.zeros(0, np.uint8)
        options = ChipOptions()
        if sdram is not None:
            chip = CHIPS[sdram.chip]
            options = ChipOptions.of(chip, sdram.clock_mhz)
            self._memory = np.zeros(chip.size_bytes, np.uint8)
        self._handle: int | None = self._library.tw_open()
        self._call(
            "tw_configure",
            self._memory.ctypes.data,
            self._memory.size,
            ctypes.byref(options),
            divisor,
        )

    def write(self, data: bytes, /) -> int:
        """Send bytes to the board."""
        self._call("tw_exchange", data, len(data), None, 0, 0)
        return len(data)

    def read(self, size: int, /) -> bytes:
        """Return ``size`` bytes of the board, or those that come before it is silent for long."""
        result = bytearray()
        while len(result) < size:
            buffer = ctypes.create_string_buffer(1)
            if not self._call("tw_exchange", None, 0, buffer, 1, self._timeout_cycles):
                break
            result += buffer.raw
        return bytes(result)

    def run(self, cycles: int) -> None:
        """Let the board's time pass, with nothing on the line to it."""
        self._call("tw_exchange", None, 0, None, 0, cycles)

    def close(self) -> None:
        """Switch the board off."""
        if self._handle is not None:
            self._library.tw_close(self._handle)
            self._handle = None

    @property
    def elapsed(self) -> int:
        """Clock cycles since power-up."""
        return self._call("tw_elapsed")

    def starts(self, unit: Unit) -> NDArray[np.int64]:
        """Return the cycle in which each command of the last run started, from its start on."""
        return self._events(0, unit)

    def dones(self, unit: Unit) -> NDArray[np.int64]:
        """Return the cycle in which each command of the last run was complete."""
        return self._events(1, unit)

    def _events(self, kind: int, unit: Unit) -> NDArray[np.int64]:
        count = self._call("tw_events", kind, int(unit), None, 0)
        events = np.empty(count, np.int64)
        self._call("tw_events", kind, int(unit), events.ctypes.data, count)
        return events

    def _call(self, name: str, *arguments: object) -> int:
        if self._handle is None:
            raise RtlError("the board is switched off")
        result: int = getattr(self._library, name)(self._handle, *arguments)
        if result < 0:
            raise RtlError(self._library.tw_error(self._handle).decode())
        return result


def _load(path: Path) -> ctypes.CDLL:
    """Load a built board; its calls run without the interpreter's lock."""
    library = ctypes.CDLL(str(path))
    handle, count = ctypes.c_void_p, ctypes.c_uint64
    signatures: dict[str, tuple[type, list[type]]] = {
        "tw_open": (handle, []),
        "tw_close": (ctypes.c_int, [handle]),
        "tw_error": (ctypes.c_char_p, [handle]),
        "tw_configure": (
            ctypes.c_int64,
            [handle, handle, count, ctypes.POINTER(ChipOptions), ctypes.c_uint32],
        ),
        "tw_exchange": (
            ctypes.c_int64,
            [handle, ctypes.c_char_p, count, ctypes.c_char_p, count, count],
        ),
        "tw_events": (ctypes.c_int64, [handle, ctypes.c_uint32, ctypes.c_uint32, handle, count]),
        "tw_elapsed": (ctypes.c_int64, [handle]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
