"""Which operator is emitted by which function: the types of both are checked together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tilewright.compiler.ir.op import Op
from tilewright.compiler.schedule.lowering.context import Context

Kind = TypeVar("Kind", bound=Op)


@dataclass(frozen=True)
class Lowering:
    """An operator's class, and what emits its array operations.

    ``reads_wide``, ``writes_wide`` : values of more than 8 bits
    """

    kind: type[Op]
    emit: Callable[[Context, Op], None]
    reads_wide: bool = False
    writes_wide: bool = False


def lowering(
    kind: type[Kind],
    emit: Callable[[Context, Kind], None],
    *,
    reads_wide: bool = False,
    writes_wide: bool = False,
) -> Lowering:
    """Return an operator's class with the function that emits it, which takes such operators."""

    def emit_any(ctx: Context, op: Op) -> None:
        assert isinstance(op, kind)
        emit(ctx, op)

    return Lowering(kind, emit_any, reads_wide, writes_wide)
