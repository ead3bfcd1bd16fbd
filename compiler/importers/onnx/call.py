"""An operator of a model, and the table of what each becomes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeAlias, TypeVar

import numpy as np
import torch
from onnx import AttributeProto, NodeProto
from torch import Tensor

from tilewright.compiler.importers.onnx.file import ModelFile, label
from tilewright.compiler.importers.onnx.tensors import MAX_ELEMENTS, Array
from tilewright.compiler.importers.onnx.values import Scaled, Stored, Value
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import View
from tilewright.errors import UnsupportedError

Number = TypeVar("Number", int, float, str)


@dataclass(frozen=True, eq=False)
class Call:
    """A node with what its inputs stand for.

    Parameters
    ----------
    builder : where operators go
    model : the file
    node : NodeProto
    inputs : of the node; None where one is left out
    """

    builder: Builder
    model: ModelFile
    node: NodeProto
    inputs: Sequence[Value]
    _read: set[str] = field(default_factory=set)

    @property
    def where(self) -> str:
        """Name of the layer."""
        return label(self.node)

    @property
    def operator(self) -> str:
        """Operator's name."""
        return str(self.node.op_type)

    def refuse(self, what: str, remedy: str) -> NoReturn:
        """Raise the error that names the layer."""
        raise UnsupportedError(self.where, what, remedy)

    # Attributes. One that nothing reads is refused, see ``check_attributes``.

    def _attribute(self, name: str, kind: int) -> AttributeProto | None:
        self._read.add(name)
        for attribute in self.node.attribute:
            if attribute.name == name:
                if attribute.type != kind:
                    self.refuse(
                        f"{self.operator}'s {name} of another type", "See ONNX's operators."
                    )
                found: AttributeProto = attribute
                return found
        return None

    def integer(self, name: str, default: int) -> int:
        """Return an attribute of one integer."""
        found = self._attribute(name, AttributeProto.INT)
        return default if found is None else int(found.i)

    def number(self, name: str, default: float) -> float:
        """Return an attribute of one float."""
        found = self._attribute(name, AttributeProto.FLOAT)
        return default if found is None else float(found.f)

    def text(self, name: str, default: str) -> str:
        """Return an attribute that is a string."""
        found = self._attribute(name, AttributeProto.STRING)
        return default if found is None else found.s.decode(errors="replace")

    def integers(self, name: str, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """Return an attribute of several integers, or None if it is not there."""
        found = self._attribute(name, AttributeProto.INTS)
        if found is None:
            return None if default is None else tuple(default)
        return tuple(int(n) for n in found.ints)

    def ignore(self, *names: str) -> None:
        """Attributes that change nothing that is read."""
        self._read.update(names)

    def check_attributes(self) -> None:
        """Refuse attributes that nothing has read.

        Raises
        ------
        UnsupportedError  Naming the node and the attribute.
        """
        for attribute in self.node.attribute:
            if attribute.name not in self._read:
                self.refuse(
                    f"{self.operator} with the attribute {attribute.name!r}, which is not known",
                    "Leave it out, or write the model differently.",
                )

    # Inputs.

    def value(self, place: int) -> Value:
        """Return an input, or None if it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def tensor(self, place: int, like: tuple[int, ...] | None = None) -> View:
        """Return a feature map; a constant becomes one, of the shape ``like`` of one image."""
        return self.view(self.value(place), like)

    def view(self, value: Value, like: tuple[int, ...] | None = None) -> View:
        """Return a value as a feature map."""
        match value:
            case View():
                return value
            case Stored():
                self.refuse(f"{self.operator} of integers", "Put DequantizeLinear before it.")
            case None:
                self.refuse(f"{self.operator} lacks an input", "Check the model.")
            case _:
                real = self.image(real_of(value))
                if like is not None:
                    real = real.broadcast_to(like)
                return self.builder.constant(self.where, real, real.shape)

    def constant(self, place: int, what: str) -> Array:
        """Return an input that must not depend on the model's; integers stay integers."""
        value = self.value(place)
        if isinstance(value, Scaled):
            return value.real
        if not isinstance(value, np.ndarray):
            self.refuse(
                f"{what} that depends on the inputs",
                "Make it a constant: fold constants, as onnxruntime or onnxsim do.",
            )
        return value

    def optional(self, place: int, what: str) -> Array | None:
        """Return a constant, or None if it is left out."""
        return None if self.value(place) is None else self.constant(place, what)

    def sizes(self, place: int, what: str) -> tuple[int, ...]:
        """Return a constant list of integers."""
        values = self.constant(place, what).reshape(-1)
        if values.size > 64 or values.dtype.kind not in "iu":
            self.refuse(f"{what} of {values.size} {values.dtype}", "Give it a short list.")
        return tuple(int(n) for n in values)

    def image(self, real: Array) -> Tensor:
        """Return one image's part of a constant, whose first dimension is the batch."""
        if real.ndim and real.shape[0] != 1:
            self.refuse(
                f"a constant of the shape {real.shape} where the batch is a dimension",
                "Give it one image, (1, ...).",
            )
        return torch.from_numpy(np.array(real[0] if real.ndim else real, np.float64))

    # Dimensions.

    def axis(self, axis: int, rank: int) -> int:
        """Return a dimension of an image's shape; ``axis`` and ``rank`` count the batch.

        Raises
        ------
        UnsupportedError  If it is the batch.
        """
        if not -rank <= axis < rank:
            self.refuse(f"{self.operator} along axis {axis} of {rank}", "Check the model.")
        if axis % rank == 0:
            self.refuse(
                f"{self.operator} along the batch", "Keep the batch as the first dimension."
            )
        return axis % rank - 1

    def check_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Refuse what is empty, or too large to be a feature map."""
        if min(shape, default=1) < 1 or math.prod(shape) > MAX_ELEMENTS:
            self.refuse(
                f"{self.operator} whose result has the shape {('N', *shape)}",
                f"Use feature maps of 1 to {MAX_ELEMENTS} elements.",
            )
        return tuple(shape)


def real_of(value: Scaled | Array) -> Array:
    """Return a constant as numbers."""
    return value.real if isinstance(value, Scaled) else value


Results: TypeAlias = "Value | list[Value]"
Handler: TypeAlias = Callable[[Call], Any]
HANDLERS: dict[str, Handler] = {}
"""By the operator's name, with "com.microsoft." before those of that domain."""


def handles(*names: str) -> Callable[[Handler], Handler]:
    """Register the decorated function for operators."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(names, handler))
        return handler

    return register


def handler_of(node: NodeProto, handlers: Mapping[str, Handler]) -> Handler | None:
    """Return what handles a node."""
    standard = node.domain in ("", "ai.onnx")
    return handlers.get(node.op_type if standard else f"{node.domain}.{node.op_type}")
