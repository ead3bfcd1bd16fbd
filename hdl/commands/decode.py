"""Reading commands in hardware."""

from collections.abc import Callable, Sequence

from amaranth.hdl import Cat, Const, Signal, Value
from amaranth.lib import data

from tilewright.hdl.commands.records import command_layout
from tilewright.isa import Command

__all__ = ["WAIT_LATENCY", "command_view", "outside", "reached", "reserved"]

#: Cycles from the arrival of a command, or of the last count that it waits for, to its start:
#: units decide in one cycle and start in the next.
WAIT_LATENCY = 1


def command_view(command: type[Command], bits: Value) -> data.View:
    """Return the fields of ``command`` in the raw bits of one."""
    layout = command_layout(command)
    return data.View(layout, bits[: layout.size])


def reached(done: Value, wait: Value) -> Value:
    """Return whether ``done`` commands satisfy a wait for ``wait``, in as many bits as it has."""
    return ~(done - wait)[len(done) - 1]


def outside(width: int, *counts: Value) -> Value:
    """Return whether one of ``counts`` is zero or does not fit ``width`` bits."""
    return Cat((count == 0) | count[width:].any() for count in counts).any()


def reserved(
    bits: Signal,
    commands: Sequence[type[Command]],
    register: Callable[[Value], Value] = lambda value: value,
) -> dict[type[Command], Value]:
    """Return, for each command, whether a bit above its fields is set.

    The conditions share their logic: a shorter command's is the next longer one's and a few more.
    What these few say passes ``register``, which may return it in a later cycle.
    """
    result: dict[type[Command], Value] = {}
    above, top = Const(0, 1), len(bits)
    for command in sorted(commands, key=lambda c: command_layout(c).size, reverse=True):
        size = command_layout(command).size
        if size < top:
            above, top = above | register(bits[size:top].any()), size
        result[command] = above
    return result
