"""What a search may choose, and the engine that a choice is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, get_args

from tilewright.compiler.schedule.objective import Objective
from tilewright.errors import Error
from tilewright.estimation.advice import widths_of_tiles
from tilewright.hdl.families import get_family
from tilewright.isa import EngineConfig

__all__ = ["Choice", "Space"]


@dataclass(frozen=True)
class Choice:
    """One engine, and how a network is compiled for it.

    Parameters
    ----------
    engine : EngineConfig
    objective : "time", "traffic" or "energy", of the schedule
    weight_bits : int, which of the networks that were given
    algorithms : of layers by name, "*" of all others, as for :func:`tilewright.compile`
    group_channels : int, input channels of a group in all convolutions with groups; 0: its own
    """

    engine: EngineConfig
    objective: str
    weight_bits: int
    algorithms: Mapping[str, str]
    group_channels: int = 0

    @property
    def plain(self) -> bool:
        """Whether the network is compiled as without a search, and has its own groups."""
        return (
            self.objective == "time"
            and set(self.algorithms.values()) == {"auto"}
            and not self.group_channels
        )

    @property
    def key(self) -> str:
        """The same of choices that are the same."""
        return json.dumps(asdict(self), sort_keys=True)

    @property
    def name(self) -> str:
        """What tells engines of a search apart."""
        e = self.engine
        parts = [f"{e.rows}x{e.cols}", f"act {e.act_depth}", f"weights {e.weight_depth}"]
        parts += [f"out {e.out_depth}", f"bus {e.bus_width}", f"requantizers {e.requantizer_count}"]
        parts += [f"tables {e.tables}"] * bool(e.tables)
        parts += ["shared words"] * e.shared_words
        parts += [f"tiles {e.partial_depth}"] * bool(e.partial_depth)
        parts += [self.objective] * (self.objective != "time")
        parts += [f"{self.weight_bits} bits"] * (self.weight_bits != 8)
        layers = {n: a for n, a in self.algorithms.items() if a != "auto"}
        parts += [a if n == "*" else f"{n}={a}" for n, a in layers.items()]
        parts += [f"groups of {self.group_channels}"] * bool(self.group_channels)
        return ", ".join(parts)


@dataclass(frozen=True, kw_only=True)
class Space:
    """The values that each parameter may have; what is not among them keeps the board's.

    Parameters
    ----------
    rows, cols, act_depth, weight_depth, out_depth, bus_width, tables : of :class:`EngineConfig`
    rows_per_requantizer : rows that share a requantizer
    shared_words : of :class:`EngineConfig`
    partial_depth : 0, or partial sums for tiles of results (Winograd); with them come operands of
        13 bits
    objective : of the schedule
    algorithm : "auto", "direct", of all layers that are not in ``algorithms``
    algorithms : what layers may have, by name, as for :func:`tilewright.compile`
    group_channels : input channels that groups may have, in all convolutions with groups, depthwise
        ones too; 0: as they are. Another network, which is not trained: it has costs and no error
    smallest : multipliers of the array at least, as a share of those of the board's own engine.
        Small engines are slow, and so is the search for them: they run many commands
    """

    rows: tuple[int, ...] = (4, 8, 16, 32)
    cols: tuple[int, ...] = (3, 4, 5, 7, 8, 10, 14)
    rows_per_requantizer: tuple[int, ...] = (1, 2, 4, 8)
    act_depth: tuple[int, ...] = (256, 512, 768, 1024, 1536, 2048)
    weight_depth: tuple[int, ...] = (512, 1024, 2048, 4096, 8192)
    out_depth: tuple[int, ...] = (256, 512, 1024)
    bus_width: tuple[int, ...] = (32, 64, 128)
    tables: tuple[int, ...] = (0, 2)
    shared_words: tuple[bool, ...] = (False, True)
    partial_depth: tuple[int, ...] = (0, 512)
    objective: tuple[str, ...] = ("time", "traffic", "energy")
    algorithm: tuple[str, ...] = ("auto",)
    algorithms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    group_channels: tuple[int, ...] = (0,)
    smallest: float = 0.5

    def __post_init__(self) -> None:
        for name, values in self._tuples().items():
            if not values:
                raise Error(f"Space: {name} must have at least one value")
        if unknown := set(self.objective) - set(get_args(Objective)):
            raise Error(
                f"Space: objective must be of {', '.join(get_args(Objective))}, not {unknown.pop()}"
            )
        if min(self.group_channels) < 0:
            raise Error(f"Space: group_channels must be 0 or more, not {self.group_channels}")
        if not 0 <= self.smallest <= 1:
            raise Error(f"Space: smallest must be in 0..1, not {self.smallest!r}")

    @classmethod
    def around(cls, engine: EngineConfig) -> Space:
        """Return the default space, with the values of an engine beside those it has."""
        default = cls()
        values: dict[str, Any] = {
            name: tuple(sorted({*getattr(default, name), value}))
            for name, value in _chosen(engine).items()
        }
        return replace(default, **values)

    def dimensions(self, weight_bits: tuple[int, ...]) -> dict[str, tuple[int | str, ...]]:
        """Return the values by parameter, those with but one too."""
        return self._tuples() | {"weight_bits": weight_bits}

    def _tuples(self) -> dict[str, tuple[int | str, ...]]:
        named = {each.name: getattr(self, each.name) for each in fields(self)}
        named |= {f"{_LAYER}{layer}": values for layer, values in self.algorithms.items()}
        return {name: values for name, values in named.items() if isinstance(values, tuple)}

    def of(self, engine: EngineConfig, bits: tuple[int, ...]) -> dict[str, int | str] | None:
        """Return an engine as a choice of this space; None if it has other values."""
        chosen: dict[str, int | str] = dict(_chosen(engine))
        chosen |= {"objective": "time", "algorithm": "auto", "group_channels": 0}
        chosen |= {f"{_LAYER}{layer}": "auto" for layer in self.algorithms}
        chosen["weight_bits"] = max(bits)
        values = self.dimensions(bits)
        return chosen if all(chosen[name] in values[name] for name in values) else None


#: What the names of a layer's dimension begin with.
_LAYER = "algorithm of "
#: Of an engine: its parameters, and one that follows from two.
_OF_ENGINES = (
    "rows", "cols", "rows_per_requantizer", "act_depth", "weight_depth", "out_depth", "bus_width",
    "tables", "shared_words", "partial_depth",
)  # fmt: skip


def _chosen(engine: EngineConfig) -> dict[str, int]:
    """Return an engine's value of each of ``_OF_ENGINES``."""
    per = {"rows_per_requantizer": engine.rows_per_requantizer}
    return {name: per[name] if name in per else getattr(engine, name) for name in _OF_ENGINES}


def rounding_twice(engine: EngineConfig) -> EngineConfig:
    """Return an engine with the rounding that TFLite files need."""
    return replace(engine, rounding="double", multiplier_width=31)


def choice_of(base: EngineConfig, chosen: Mapping[str, int | str]) -> Choice:
    """Return the engine of a choice.

    Parameters
    ----------
    base : the board's engine, for what is not chosen

    Raises
    ------
    ConfigError
        If there is no such engine.
    """
    numbers = {name: value for name, value in chosen.items() if isinstance(value, int)}
    per, bits = numbers.pop("rows_per_requantizer"), numbers.pop("weight_bits")
    group_channels = numbers.pop("group_channels")
    rows, tiles = numbers["rows"], numbers["partial_depth"] > 0 and bits == 8
    engine = EngineConfig.from_fields(
        {
            **asdict(base),
            **numbers,
            "partial_depth": numbers["partial_depth"] if tiles else 0,
            "requantizers": rows * base.result_words if per == 1 else max(1, rows // per),
            "weight_bits": bits,
            **widths_of_tiles(base.dsp, tiles=tiles),
        }
    )
    get_family(engine.dsp).check(engine)
    layers = {n.removeprefix(_LAYER): str(v) for n, v in chosen.items() if n.startswith(_LAYER)}
    algorithms = {"*": str(chosen["algorithm"])} | layers
    return Choice(engine, str(chosen["objective"]), bits, algorithms, group_channels)
