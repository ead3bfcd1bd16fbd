"""What the executor refuses."""

from __future__ import annotations

from tilewright.errors import Error
from tilewright.isa import Unit
from tilewright.isa.registers import Status


class ExecutionError(Error):
    """A program asks for something that the engine refuses.

    Parameters
    ----------
    message : str
    status : Status, of the engine when it stops
    unit, index : of the command at fault, once known
    """

    def __init__(
        self,
        message: str,
        status: Status = Status.BAD_COMMAND,
        unit: Unit = Unit.LOAD,
        index: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.unit, self.index = status, unit, index

    def at(self, unit: Unit, index: int) -> ExecutionError:
        """Return the error with the command that is at fault."""
        message = f"{unit.name.lower()} command {index}: {self}"
        return type(self)(message, self.status, unit, index)


class Endless(ExecutionError):
    """A program that goes on and on: no command of it is at fault."""
