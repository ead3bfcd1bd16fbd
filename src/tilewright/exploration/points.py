"""What a search found."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tilewright import files
from tilewright.errors import Error
from tilewright.exploration.space import Choice
from tilewright.isa import EngineConfig
from tilewright.isa.config import ConfigError

__all__ = ["Exploration", "Point", "front_of"]

_MAX_BYTES, _SQLITE = 1 << 26, b"SQLite format 3\0"


@dataclass(frozen=True)
class Point:
    """An engine that was tried.

    Parameters
    ----------
    choice : Choice
    values : by objective, less is better
    front : bool, no other one is as good in all of them and better in one, nor was one that is
        as good in all tried before
    board : bool, it is the board's own engine
    """

    choice: Choice
    values: Mapping[str, float]
    front: bool = False
    board: bool = False

    @property
    def name(self) -> str:
        """Of the engine."""
        return self.choice.name


@dataclass(frozen=True)
class Exploration:
    """What a search found.

    Parameters
    ----------
    board : str
    objectives : names, each with its unit
    points : engines that fit, in the order in which they were tried
    refused : choices that no engine is, that do not fit the board, or the network not them
    """

    board: str
    objectives: tuple[str, ...]
    points: tuple[Point, ...]
    refused: int

    @property
    def front(self) -> tuple[Point, ...]:
        """Engines that no other one beats, the best by the first objective first."""
        first = self.objectives[0]
        return tuple(sorted((p for p in self.points if p.front), key=lambda p: p.values[first]))

    @property
    def default(self) -> Point | None:
        """The board's own engine, if the space has it and the network fits it."""
        return next((point for point in self.points if point.board), None)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything as JSON."""
        record = {
            "board": self.board,
            "objectives": self.objectives,
            "refused": self.refused,
            "points": [
                {
                    "engine": asdict(point.choice.engine),
                    "objective": point.choice.objective,
                    "weight_bits": point.choice.weight_bits,
                    "algorithms": dict(point.choice.algorithms),
                    "group_channels": point.choice.group_channels,
                    "values": dict(point.values),
                    "front": point.front,
                    "board": point.board,
                }
                for point in self.points
            ],
        }
        files.write_json(path, record)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Exploration:
        """Read what :meth:`save` wrote, or what a search has found so far from its file.

        Raises
        ------
        Error
            If the file is something else.
        """
        if _is_database(path):
            from tilewright.exploration.search import stored

            return stored(Path(path))
        try:
            record = json.loads(files.read_bytes(path, _MAX_BYTES))
            points = tuple(_point(entry) for entry in record["points"])
            objectives = tuple(map(str, record["objectives"]))
            if not all(set(point.values) == set(objectives) for point in points):
                raise ValueError("an engine has other objectives")
            return cls(str(record["board"]), objectives, points, int(record["refused"]))
        except (ValueError, TypeError, KeyError, AttributeError, ConfigError) as error:
            raise Error(f"{path} is not what `explore` writes: {error!r}") from error


def _is_database(path: str | os.PathLike[str]) -> bool:
    if not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _point(entry: Mapping[str, Any]) -> Point:
    choice = Choice(
        EngineConfig.from_fields(entry["engine"]),
        str(entry["objective"]),
        int(entry["weight_bits"]),
        {str(layer): str(algorithm) for layer, algorithm in entry["algorithms"].items()},
        int(entry["group_channels"]),
    )
    values = {str(name): float(value) for name, value in entry["values"].items()}
    return Point(choice, values, bool(entry["front"]), bool(entry["board"]))


def front_of(values: Sequence[Sequence[float]]) -> list[bool]:
    """Return which rows no other row beats: as good in all, and better in one. Less is better.

    Of rows that are equal, the first.
    """

    def beats(a: Sequence[float], b: Sequence[float]) -> bool:
        return all(x <= y for x, y in zip(a, b, strict=True)) and tuple(a) != tuple(b)

    first = dict[tuple[float, ...], int]()
    for index, row in enumerate(values):
        first.setdefault(tuple(row), index)
    return [
        first[tuple(row)] == index and not any(beats(other, row) for other in first)
        for index, row in enumerate(values)
    ]
