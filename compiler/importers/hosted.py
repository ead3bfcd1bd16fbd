"""Where the host may compute what the engine has not: what importers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from tilewright.compiler.host import HostModel, Tail
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.build import Builder
from tilewright.compiler.quantized.graph import Graph, View
from tilewright.compiler.quantized.partition import emit_host
from tilewright.compiler.quantized.types import Quantization
from tilewright.errors import UnsupportedError

State: TypeAlias = tuple[dict[str, Any], dict[str, View]]
Host: TypeAlias = Literal["edges", "anywhere", "never"]


@dataclass(frozen=True, eq=False)
class Hosted:
    """What the host computes.

    Parameters
    ----------
    name : of the value
    dims : shape with the batch, which is 1; None for what depends on values
    kind : element type, as the source has it
    floats : whether it is float32
    reason : why the engine does not compute it, naming the first node
    grid : on which it lies, if a quantizer put it there
    """

    name: str
    dims: tuple[int | None, ...] | None
    kind: Any
    floats: bool
    reason: UnsupportedError
    grid: Quantization | None = None

    @property
    def is_known(self) -> bool:
        """Whether its shape does not depend on values."""
        return self.dims is not None and None not in self.dims

    @property
    def is_batched(self) -> bool:
        """Whether its first dimension is the batch."""
        return self.is_known and bool(self.dims) and self.dims[0] == 1  # type: ignore[index]

    @property
    def is_map(self) -> bool:
        """Whether it is floats that the engine could read."""
        return self.is_batched and self.floats


class Region(ABC):
    """Values on the host, and models cut out of what computes them.

    Parameters
    ----------
    builder : where the operators go that compute what the engine reads again
    """

    def __init__(self, builder: Builder) -> None:
        self.builder = builder
        self.reasons: dict[str, UnsupportedError] = {}
        self._views: dict[str, View] = {}

    @abstractmethod
    def cut(self, names: Sequence[str]) -> tuple[HostModel, list[View]]:
        """Return a model that computes values from tensors of the engine, and these."""

    @property
    def state(self) -> State:
        """What has been built so far; assigned, what was built since is forgotten."""
        return {name: copy(value) for name, value in vars(self.builder).items()}, dict(self._views)

    @state.setter
    def state(self, state: State) -> None:
        built, self._views = state
        vars(self.builder).update(built)

    def check(self, graph: Graph, host: Host) -> None:
        """Refuse parts where they may not be; see :func:`check_host`."""
        check_host(graph, host, self.reasons)

    def view(self, value: Hosted) -> View:
        """Return what the engine reads of the host's results.

        Raises
        ------
        UnsupportedError  Naming the node, if it is no feature map.
        """
        name = value.name
        if name in self._views:
            return self._views[name]
        if not value.is_map:
            raise value.reason
        model, arguments = self.cut([name])
        if not arguments:
            raise value.reason
        assert value.dims is not None
        shape = [n for n in value.dims[1:] if n is not None]
        view = emit_host(self.builder, value.reason.where, model, arguments, shape)
        self.reasons[value.reason.where] = value.reason
        if value.grid is not None:
            view = self.builder.quantized(value.reason.where, view, value.grid)
        self._views[name] = view
        return view

    def tail(self, results: Sequence[View | Hosted]) -> tuple[list[View], Tail | None]:
        """Return the graph's outputs, and what the host makes of them."""
        hosted = [v for v in results if isinstance(v, Hosted)]
        outputs = [v for v in results if isinstance(v, View)]
        if not hosted:
            return outputs, None
        self.reasons.setdefault("", hosted[0].reason)
        names = list(dict.fromkeys(v.name for v in hosted))
        model, arguments = self.cut(names)
        reads = tuple(range(len(outputs), len(outputs) + len(arguments)))
        places = iter(range(len(outputs)))
        order = [
            -1 - names.index(v.name) if isinstance(v, Hosted) else next(places) for v in results
        ]
        by_name = {v.name: v for v in hosted}
        batched = tuple(by_name[name].is_batched for name in names)
        return [*outputs, *arguments], Tail(model, reads, tuple(order), batched)


def check_host(graph: Graph, host: Host, reasons: Mapping[str, UnsupportedError]) -> None:
    """Refuse parts for the host where they may not be.

    Parameters
    ----------
    reasons : why each part is one, by its name; of the tail, by ""

    Raises
    ------
    UnsupportedError  Naming the first operator in the middle of the network, or if nothing is left
    for the engine.
    """
    if reasons and not any(_computes(graph, op) for op in graph.ops):
        raise next(iter(reasons.values()))
    if host == "anywhere":
        return
    for op in middle(graph):
        reason = reasons[op.name]
        raise UnsupportedError(
            reason.where,
            reason.what,
            f"{reason.remedy} Or let the host compute it, between parts for the engine: "
            'host="anywhere".',
        )


def has_host_parts(graph: Graph) -> bool:
    """Whether the host computes some of a network."""
    return graph.tail is not None or any(isinstance(op, q.Host) for op in graph.ops)


def check_parts(graph: Graph, host: Host) -> None:
    """Refuse a quantized network's parts for the host where they may not be.

    Raises
    ------
    UnsupportedError  Naming the part.
    """
    parts = [op for op in graph.ops if isinstance(op, q.Host)]
    between = middle(graph)
    least = "anywhere" if between else "edges"
    if host == "never" and (parts or graph.tail is not None):
        where, model = (parts[0].name, parts[0].model) if parts else ("results", graph.tail.model)  # type: ignore[union-attr]
        raise UnsupportedError(
            where, f"{model} is a part of the network", f'Compile it with host="{least}".'
        )
    if host == "edges" and between:
        raise UnsupportedError(
            between[0].name,
            f"{between[0].model} is in the middle of the network",
            'Compile it with host="anywhere".',
        )


def middle(graph: Graph) -> list[q.Host]:
    """Return the parts for the host that read what the engine computes, and that it reads."""
    made: set[str] = set()
    found = []
    for op in graph.ops:
        if isinstance(op, q.Host) and made & set(op.inputs):
            found.append(op)
        if _computes(graph, op):
            made.add(op.output)
    return found


def _computes(graph: Graph, op: q.Op) -> bool:
    """Whether an operator is the engine's; to put an input on a grid is none."""
    given = isinstance(op, q.Copy) and op.inputs[0] in graph.inputs
    return not isinstance(op, q.Host | q.Constant) and not given
