"""The bench's functions as Python sees them; ``harness/harness.cpp`` defines them."""

from __future__ import annotations

import ctypes
from dataclasses import asdict
from pathlib import Path

from tilewright.hdl.memory.chip import SDRAMChip

__all__ = ["NO_ADDRESS", "ChipOptions", "MemoryOptions", "Progress", "load"]

NO_ADDRESS = 2**64 - 1

# Called with cycles so far; anything but 0 ends the run.
Progress = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_uint64)


class MemoryOptions(ctypes.Structure):
    """``MemoryOptions`` of ``harness/memory.h``, field for field."""

    _fields_ = (
        ("read_latency", ctypes.c_uint32),
        ("write_latency", ctypes.c_uint32),
        ("beat_interval", ctypes.c_uint32),
        ("random", ctypes.c_uint32),
        ("seed", ctypes.c_uint64),
        ("error_address", ctypes.c_uint64),
        ("error_on_read", ctypes.c_uint32),
        ("error_on_write", ctypes.c_uint32),
        ("check_hazards", ctypes.c_uint32),
        ("one_at_a_time", ctypes.c_uint32),
    )


class ChipOptions(ctypes.Structure):
    """``ChipOptions`` of ``harness/sdram.h``, field for field."""

    _fields_ = tuple(
        (name, ctypes.c_uint32)
        for name in (
            *("word_bytes", "row_width", "column_width", "cas_latency"),
            *("rcd", "rp", "ras", "rc", "rfc", "rrd", "wr", "mrd", "refresh", "power_up"),
        )
    )

    @classmethod
    def of(cls, chip: SDRAMChip, clock_mhz: float) -> ChipOptions:
        """Return a chip's geometry and its times at a clock."""
        cycles = asdict(chip.cycles(clock_mhz))
        return cls(
            word_bytes=chip.data_width // 8,
            row_width=chip.row_width,
            column_width=chip.column_width,
            cas_latency=cycles.pop("cl"),
            **cycles,
        )


def load(path: Path) -> ctypes.CDLL:
    """Load a built bench; its calls run without the interpreter's lock."""
    library = ctypes.CDLL(str(path))
    handle = ctypes.c_void_p
    signatures: dict[str, tuple[type, list[type]]] = {
        "tw_open": (handle, []),
        "tw_close": (ctypes.c_int, [handle]),
        "tw_error": (ctypes.c_char_p, [handle]),
        "tw_configure": (
            ctypes.c_int64,
            [
                handle,
                handle,
                ctypes.c_uint64,
                ctypes.c_uint32,
                ctypes.POINTER(MemoryOptions),
                ctypes.POINTER(ChipOptions),
            ],
        ),
        "tw_reset": (ctypes.c_int64, [handle]),
        "tw_waves": (ctypes.c_int64, [handle, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64]),
        "tw_write": (ctypes.c_int64, [handle, ctypes.c_uint32, ctypes.c_uint32]),
        "tw_read": (ctypes.c_int64, [handle, ctypes.c_uint32]),
        "tw_wait": (ctypes.c_int64, [handle, ctypes.c_uint64, ctypes.c_uint64, Progress]),
        "tw_events": (
            ctypes.c_int64,
            [handle, ctypes.c_uint32, ctypes.c_uint32, handle, ctypes.c_uint64],
        ),
        "tw_elapsed": (ctypes.c_int64, [handle]),
        "tw_save": (ctypes.c_int64, [handle, ctypes.c_char_p]),
        "tw_restore": (ctypes.c_int64, [handle, ctypes.c_char_p]),
        "tw_bus_is_quiet": (ctypes.c_int64, [handle]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
