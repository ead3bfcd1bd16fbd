"""The integer graph: typed values and the operators that connect them."""

from collections.abc import Mapping
from dataclasses import dataclass

from tilewright.compiler.ir.op import Boundary, Held, Input, Op, Output
from tilewright.compiler.ir.ops import OPS
from tilewright.compiler.ir.rules import check_op
from tilewright.compiler.ir.types import TensorType, VerifyError

__all__ = ["Graph", "VerifyError"]


@dataclass(frozen=True)
class Graph:
    """Operators in topological order over named, typed values.

    Parameters
    ----------
    name : str
    values : type of every value, by value name
    ops : each value is written before it is read; any number of Input and Output operators
    """

    name: str
    values: Mapping[str, TensorType]
    ops: tuple[Op, ...]

    @property
    def inputs(self) -> tuple[Input, ...]:
        """Input operators, in the order of the model's arguments."""
        return tuple(op for op in self.ops if isinstance(op, Input))

    @property
    def outputs(self) -> tuple[Output, ...]:
        """Output operators, in the order of the model's results."""
        return tuple(op for op in self.ops if isinstance(op, Output))

    @property
    def constants(self) -> tuple[Held, ...]:
        """Operators whose tensors the program holds."""
        return tuple(op for op in self.ops if isinstance(op, Held))

    @property
    def layers(self) -> tuple[Op, ...]:
        """The operators that compute: all but those at the boundary."""
        return tuple(op for op in self.ops if not isinstance(op, Boundary))

    def producers(self) -> dict[str, Op]:
        """Operator that writes each value."""
        return {value: op for op in self.ops for value in op.outputs}

    def consumers(self) -> dict[str, tuple[Op, ...]]:
        """Operators that read each value, in order; empty if none does."""
        result: dict[str, tuple[Op, ...]] = dict.fromkeys(self.values, ())
        for op in self.ops:
            for value in dict.fromkeys(op.inputs):
                result[value] = (*result.get(value, ()), op)
        return result

    def verify(self) -> None:
        """Check structure, then every rule of the operators.

        Raises
        ------
        VerifyError  For the first problem, naming the operator and the attribute.
        """
        if not self.inputs or not self.outputs:
            raise VerifyError(f"graph {self.name}: ops must hold an Input and an Output")
        names: set[str] = set()
        written: set[str] = set()
        for op in self.ops:
            if type(op) not in OPS:
                raise VerifyError(f"{op.name}: {op.kind} is not an operator of this IR")
            if op.name in names:
                raise VerifyError(f"{op.name}: {op.kind}.name is used twice")
            names.add(op.name)
            for value in op.inputs:
                if value not in written:
                    raise VerifyError(f"{op.name}: {op.kind} reads {value!r} before it is written")
            for value in op.outputs:
                if value in written:
                    raise VerifyError(f"{op.name}: {op.kind} writes {value!r} a second time")
                if value not in self.values:
                    raise VerifyError(f"{op.name}: {op.kind}.output {value!r} has no type")
                written.add(value)
            check_op(op, self.values)
        if unused := set(self.values) - written:
            raise VerifyError(f"graph {self.name}: no operator writes {sorted(unused)}")
