"""Control and status registers (AXI4-Lite, 32 bits each), and the status codes.

Offsets are bytes. ``RO`` registers ignore writes; counters count clock cycles or bytes modulo
2**32 and are cleared by a soft reset.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

IDENTITY = 0x54575254  # "TRWT" in memory order: a Tilewright engine answers at offset 0


class Status(enum.IntEnum):
    """What the STATUS register's code field says."""

    IDLE = 0
    RUNNING = 1
    DONE = 2
    BAD_COMMAND = 3
    CONFIG_MISMATCH = 4
    READ_ERROR = 5
    WRITE_ERROR = 6
    WATCHDOG = 7
    STOPPED = 8

    @property
    def is_error(self) -> bool:
        """Whether the engine stopped without completing its program."""
        return self >= Status.BAD_COMMAND


@dataclass(frozen=True)
class RegisterField:
    """Bits of a register.

    Parameters
    ----------
    name : str
    low, width : int, bits
    doc : str, meaning
    write_one_to_clear : bool
    """

    name: str
    low: int
    width: int
    doc: str
    write_one_to_clear: bool = False

    @property
    def place(self) -> str:
        """The bits, for people."""
        high = self.low + self.width - 1
        return f"bit {self.low}" if self.width == 1 else f"bits {high}:{self.low}"


@dataclass(frozen=True)
class Register:
    """One register.

    Parameters
    ----------
    name : str
    offset : int, bytes
    access : "RO", "WO" or "RW"
    doc : str, meaning
    fields : where it is not one number, its parts; the other bits are zero
    """

    name: str
    offset: int
    access: str
    doc: str
    fields: tuple[RegisterField, ...] = ()

    @property
    def meaning(self) -> str:
        """Meaning of the whole, parts included."""
        parts = "; ".join(f"{field.place} {field.doc}" for field in self.fields)
        return ": ".join(filter(None, (self.doc, parts)))


REGISTERS = (
    Register("ID", 0x00, "RO", "identity of a Tilewright engine, 0x54575254"),
    Register("VERSION", 0x04, "RO", "version of the commands (ISA_VERSION)"),
    Register("DIGEST", 0x08, "RO", "digest of the engine's parameters (EngineConfig.digest)"),
    Register(
        "CONTROL",
        0x0C,
        "WO",
        "what the engine is to do",
        (
            RegisterField("START", 0, 1, "start (when idle or done)"),
            RegisterField(
                "RESET", 1, 1, "soft reset (waits until the bus is quiet; memory contents stay)"
            ),
            RegisterField("STOP", 2, 1, "stop"),
        ),
    ),
    Register(
        "STATUS",
        0x10,
        "RO",
        "how far the engine is",
        (
            RegisterField("CODE", 0, 8, "Status"),
            RegisterField("UNIT", 8, 2, "unit of the command at fault"),
            RegisterField("INDEX", 16, 16, "index of the command at fault"),
        ),
    ),
    Register(
        "INTERRUPT",
        0x14,
        "RW",
        "the interrupt",
        (
            RegisterField("PENDING", 0, 1, "pending, write 1 to clear", write_one_to_clear=True),
            RegisterField("ENABLE", 1, 1, "enable"),
        ),
    ),
    Register("BASE", 0x18, "RW", "byte address added to every address in commands, 4 KiB aligned"),
    Register("PROGRAM", 0x1C, "RW", "byte offset from BASE of the first load commands"),
    Register("COUNT", 0x20, "RW", "load commands in the first fetch, 1..queue_depth"),
    Register(
        "WATCHDOG", 0x24, "RW", "cycles without a completed command before WATCHDOG; 0 is never"
    ),
    Register(
        "ERROR_ADDRESS", 0x28, "RO", "byte offset of the command at fault in its unit's stream"
    ),
    Register("CYCLES", 0x40, "RO", "cycles since start, stops at the end"),
    Register("LOAD_BUSY", 0x44, "RO", "cycles in which the load unit ran a command"),
    Register("COMPUTE_BUSY", 0x48, "RO", "cycles in which the compute unit issued or drained"),
    Register("STORE_BUSY", 0x4C, "RO", "cycles in which the store unit ran a command"),
    Register("COMPUTE_STEPS", 0x50, "RO", "cycles in which the array multiplied"),
    Register("STALL_LOAD", 0x54, "RO", "cycles in which the next compute command waited for loads"),
    Register(
        "STALL_STORE", 0x58, "RO", "cycles in which the next compute command waited for stores"
    ),
    Register("STALL_COMMAND", 0x5C, "RO", "cycles in which compute was idle without a command"),
    Register("BYTES_READ", 0x60, "RO", "bytes of read beats accepted"),
    Register("BYTES_WRITTEN", 0x64, "RO", "bytes of write beats accepted"),
    Register("LOAD_DONE", 0x68, "RO", "load commands completed"),
    Register("COMPUTE_DONE", 0x6C, "RO", "compute commands completed"),
    Register("STORE_DONE", 0x70, "RO", "store commands completed"),
    Register(
        "STALL_RESULT", 0x74, "RO", "cycles in which the next compute command waited for results"
    ),
)

OFFSET = {register.name: register.offset for register in REGISTERS}
