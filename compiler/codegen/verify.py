"""What must hold of a list of commands, whatever made it."""

from __future__ import annotations

from collections.abc import Iterable

from tilewright.compiler.codegen.recorder import Entry
from tilewright.compiler.schedule.verify import ScheduleFault
from tilewright.isa import Compute, Deform, Unit


def verify_commands(entries: Iterable[Entry]) -> None:
    """Check that commands wait for earlier ones only, and that each Deform leads a Compute.

    What a command may say by itself, :mod:`tilewright.isa.rules` checks.

    Parameters
    ----------
    entries : in the order in which the network runs

    Raises
    ------
    ScheduleFault  Naming the command.
    """
    counts = dict.fromkeys(Unit, 0)
    lead: Deform | None = None
    for number, entry in enumerate(entries):
        command = entry.command
        where = f"command {number}, a {type(command).__name__} of layer {command.layer}"
        for unit, index in entry.after.items():
            if index >= counts[unit]:
                raise ScheduleFault(f"{where}, waits for one that comes after it")
        if command.UNIT is Unit.COMPUTE:
            if lead is not None and not isinstance(command, Compute):
                raise ScheduleFault(f"{where}, stands between a Deform and what it is for")
            lead = command if isinstance(command, Deform) else None
        counts[command.UNIT] += 1
    if lead is not None:
        raise ScheduleFault("the last command is a Deform")
