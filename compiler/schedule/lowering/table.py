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
    """An operator's class, and what emits its array operations."""

    kind: type[Op]
    emit: Callable[[Context, Op], None]


def lowering(kind: type[Kind], emit: Callable[[Context, Kind], None]) -> Lowering:
    """Return an operator's class with the function that emits it, which takes such operators."""

    def emit_any(ctx: Context, op: Op) -> None:
        assert isinstance(op, kind)
        emit(ctx, op)

    return Lowering(kind, emit_any)
