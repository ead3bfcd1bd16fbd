"""What all operators of the integer graph are, and what each must say of itself.

An operator is a frozen dataclass in ``ops``. It has a ``name`` (the path of the PyTorch module that
it comes from) and refers to tensors by value name. The summary line of its docstring and its rules
are what docs/supported_ops.md shows. It says its output's shape, the range of its results and what
it computes; whoever handles graphs asks for that, and for traits, and knows no operator by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, TypeAlias

import numpy as np

from tilewright.compiler.ir.arithmetic import IntArray, Integers, requantize
from tilewright.compiler.ir.types import Requantize, TensorType

Pair: TypeAlias = tuple[int, int]
Names: TypeAlias = tuple[str, ...]
OptionalName: TypeAlias = str | None
Padding: TypeAlias = tuple[int, int, int, int]
"""(top, bottom, left, right) rows and columns."""
Shape: TypeAlias = tuple[int, int, int]
"""(C, H, W)."""
Range: TypeAlias = tuple[int, int]
"""The least and the greatest integer."""
Types: TypeAlias = Mapping[str, TensorType]
Values: TypeAlias = Mapping[str, IntArray]


@dataclass(frozen=True)
class Rule:
    """What operators must obey: the attribute it is about, its text, and what finds it broken.

    The text is both the message that a user reads and a line of docs/supported_ops.md. ``check``
    returns what it found wrong, or None.
    """

    attribute: str
    text: str
    check: Callable[[Any, Types], str | None]


@dataclass(frozen=True, eq=False)
class Op:
    """What all operators share: a name, inputs, outputs, and equality by content."""

    #: In the order in which they are checked.
    RULES: ClassVar[tuple[Rule, ...]]

    name: str

    def __post_init__(self) -> None:
        """Own every array: contiguous, read-only; one that is already is shared.

        Weights are int8 where they are in its range, for there are many; all else is int64.
        """
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, np.ndarray):
                if not np.issubdtype(value.dtype, np.integer):
                    raise TypeError(
                        f"{self.name}: {field.name} must be integers, not {value.dtype}"
                    )
                kind = np.int8 if field.name == "weight" and _are_bytes(value) else np.int64
                flags = value.flags
                frozen = flags.c_contiguous and flags.owndata and not flags.writeable
                if frozen and value.dtype == kind:
                    continue
                own = np.array(value, dtype=kind, order="C")
                own.flags.writeable = False
                object.__setattr__(self, field.name, own)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Own every array in the process that an operator was sent to, too."""
        self.__dict__.update(state)
        self.__post_init__()

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return ()

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return ()

    @property
    def kind(self) -> str:
        """Name of the operator's class."""
        return type(self).__name__

    def shape(self, types: Types) -> Shape:
        """Return the shape of the value written, from the types of those read."""
        raise NotImplementedError

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of the value written, from those of the values read."""
        raise NotImplementedError

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the value written: the numbers that every executor must reproduce exactly."""
        raise NotImplementedError

    def side_by_side(self, images: int) -> "Op | None":
        """Return the operator for as many images of one pixel each, the pixels of one row.

        None if results of a pixel depend on more than that pixel.
        """
        return None

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(_equal(getattr(self, f.name), getattr(other, f.name)) for f in fields(self))

    def __hash__(self) -> int:
        return hash((self.kind, self.name, self.inputs, self.outputs))


def _are_bytes(array: Integers) -> bool:
    if array.dtype == np.int8 or not array.size:
        return True
    return bool(array.min() >= -128 and array.max() <= 127)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(a, b))
    return bool(a == b)


@dataclass(frozen=True, eq=False)
class Unary(Op):
    """An operator that reads one value and writes one."""

    input: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input,)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


class Binary(Op):
    """Trait of operators that read two values and write one."""

    input_a: str
    input_b: str
    output: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input_a, self.input_b)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


class Accumulating(Op):
    """Trait of operators that sum into an accumulator, which must not overflow, and requantize."""

    requantize: Requantize

    def accumulate(self, values: Values, types: Types) -> IntArray:
        """Return the (K, H, W) accumulator, bias included, before requantization."""
        raise NotImplementedError

    def accumulator(self, types: Types) -> tuple[IntArray, IntArray]:
        """Return the lowest and the highest value that enters ``requantize``, (K,) each.

        The bound is tight when the inputs of a window can take all values of their type
        independently.
        """
        raise NotImplementedError

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of the value written."""
        return self.requantize.qmin, self.requantize.qmax

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return the value written."""
        return requantize(self.accumulate(values, types), self.requantize)

    def alike(self, low: int, high: int) -> tuple[IntArray, IntArray]:
        """Return one range for all output channels."""
        channels = self.requantize.channels
        return np.full(channels, low, np.int64), np.full(channels, high, np.int64)


class Biased(Accumulating):
    """Trait of operators that add a bias to their sums."""

    bias: IntArray


class Pixelwise(Op):
    """Trait of operators whose results of a pixel depend on that pixel alone."""

    def side_by_side(self, images: int) -> Op | None:
        """Return the operator for images side by side: itself."""
        return self


class Moving(Op):
    """Trait of operators whose results are elements of what they read."""

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of the value written."""
        read = [ranges[value] for value in self.inputs]
        return min(low for low, _ in read), max(high for _, high in read)


class Boundary(Op):
    """Trait of operators that compute nothing: where values come from and go to."""

    RULES: ClassVar[tuple[Rule, ...]] = ()

    def shape(self, types: Types) -> Shape:
        """Return the shape of its value."""
        return types[(*self.outputs, *self.inputs)[0]].shape

    def value_range(self, types: Types, ranges: Mapping[str, Range]) -> Range:
        """Return the range of its value's type."""
        kind = types[(*self.outputs, *self.inputs)[0]]
        return kind.qmin, kind.qmax

    def compute(self, values: Values, types: Types) -> IntArray:
        """Return its value, which is known."""
        return values[(*self.outputs, *self.inputs)[0]]

    def side_by_side(self, images: int) -> Op | None:
        """Return the operator for images side by side: itself."""
        return self


class Held(Boundary):
    """Trait of operators whose value, ``values``, the program holds."""

    values: IntArray


@dataclass(frozen=True, eq=False)
class Input(Boundary):
    """A tensor that the caller provides, already on the integer grid of its type."""

    output: str

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the values written."""
        return (self.output,)


@dataclass(frozen=True, eq=False)
class Output(Boundary):
    """A tensor that the caller receives."""

    input: str

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the values read."""
        return (self.input,)


#: What an operator must say, and where it is left open.
_HOOKS = (
    ("shape", Op),
    ("value_range", Op),
    ("compute", Op),
    ("accumulate", Accumulating),
    ("accumulator", Accumulating),
)


def complete(*ops: type[Op]) -> tuple[type[Op], ...]:
    """Return operators, each of which says everything that it must.

    Raises
    ------
    TypeError  If one does not; so the package cannot be imported.
    """
    for op in ops:
        for hook, trait in _HOOKS:
            if issubclass(op, trait) and getattr(op, hook) is getattr(trait, hook):
                raise TypeError(f"{op.__name__} does not say its {hook}")
        if "RULES" not in op.__dict__ and not issubclass(op, Boundary):
            raise TypeError(f"{op.__name__} does not say its RULES")
        if not op.__doc__:
            raise TypeError(f"{op.__name__} has no documentation")
    return ops
