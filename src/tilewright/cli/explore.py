"""``tilewright explore``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

import tilewright as tw
from tilewright.cli.files import load_network, read_labelled
from tilewright.cli.options import DEFAULT_BOARD, Host
from tilewright.cli.tables import console, progress_bar
from tilewright.errors import Error
from tilewright.estimation.figures import plain

if TYPE_CHECKING:
    from tilewright.exploration.points import Exploration

_OBJECTIVES = "latency,energy,area"


def explore(
    network: Annotated[str, typer.Argument(help="A quantized network, as `compile` takes it.")],
    board: Annotated[str, typer.Option(metavar="NAME", help="Board.")] = DEFAULT_BOARD,
    objectives: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME",
            help="What engines are compared by; also traffic, energy_per_mac, and error with "
            "--labelled.",
        ),
    ] = _OBJECTIVES,
    evaluations: Annotated[
        int,
        typer.Option(metavar="COUNT", help="Engines that the network is compiled for, in all."),
    ] = 100,
    four_bits: Annotated[
        str | None,
        typer.Option(
            "--four-bits",
            metavar="NETWORK",
            help="The network with 4-bit weights, of which an engine may have either.",
        ),
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE,VALUE",
            help="Values that a parameter of the engine, or group_channels or algorithm, may have; "
            "with LAYER:algorithm=auto,direct those of a layer. May be repeated.",
        ),
    ] = None,
    labelled: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="For error: .npz file of `inputs` and `labels`, as `evaluate` takes it.",
        ),
    ] = None,
    storage: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Keep the search here; the same command goes on from there."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="COUNT", help="Processes.")] = 1,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler, as in tcp://host:8786."),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="NUMBER", help="Of the choices.")] = 0,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write every engine here, for `report`."),
    ] = None,
) -> None:
    """Search for engines that fit a board and that no other one beats."""
    model, examples = load_network(network, Host.anywhere.value)
    networks = {8: model}
    if four_bits is not None:
        networks[4], _ = load_network(four_bits, Host.anywhere.value)
    names = getattr(getattr(model, "graph", None), "inputs", ("inputs",))
    data = None if labelled is None else read_labelled(tuple(names), labelled)
    with progress_bar() as bar:
        task = bar.add_task("explore", total=evaluations)
        found = tw.explore(
            networks,
            examples,
            board=board,
            objectives=tuple(objectives.split(",")),
            evaluations=evaluations,
            space=parse_space(board, vary or []),
            labelled=data,
            storage=storage,
            jobs=jobs,
            scheduler=scheduler,
            seed=seed,
            progress=lambda done, total: bar.update(task, completed=done),
        )
    console.print(front_table(found))
    console.print(
        f"{len(found.points)} engines, {len(found.front)} of which no other one beats; "
        f"{found.refused} that the network does not fit"
    )
    if json_path is not None:
        found.save(json_path)


def parse_space(board: str, texts: list[str]) -> tw.Space:
    """Read NAME=VALUE,VALUE, of the space around a board's engine."""
    space = tw.Space.around(tw.Target.from_board(board).engine)
    varied = [f.name for f in fields(space) if isinstance(getattr(space, f.name), tuple)]
    layers: dict[str, tuple[str, ...]] = {}
    values: dict[str, tuple[int | str | bool, ...]] = {}
    for text in texts:
        name, _, listed = text.rpartition("=")
        layer, _, rest = name.rpartition(":")
        if layer and rest == "algorithm":
            layers[layer] = tuple(split_algorithms(listed))
            continue
        kind = type(getattr(space, name)[0]) if name in varied else None
        if kind is None or not listed:
            raise Error(
                f"{text!r} must be NAME=VALUE,VALUE of {', '.join(varied)}, or "
                "LAYER:algorithm=VALUE,VALUE"
            )
        try:
            values[name] = tuple(_READERS[kind](value) for value in split_algorithms(listed))
        except (KeyError, ValueError) as error:
            raise Error(f"{text!r}: values of {name} are {_KINDS[kind]}") from error
    return replace(space, algorithms=layers, **values)  # type: ignore[arg-type]


def split_algorithms(text: str) -> list[str]:
    """Split at commas that are in no brackets, as in auto,F(4x2,3x3)."""
    return re.split(r",(?![^(]*\))", text)


_KINDS: dict[type, str] = {bool: "true or false", int: "integers", str: "names"}
_READERS: dict[type, Callable[[str], int | str | bool]] = {
    bool: {"true": True, "false": False}.__getitem__,
    int: int,
    str: str,
}


def front_table(found: Exploration) -> Table:
    """Return the engines that no other one beats, and the board's own."""
    table = Table("engine", *found.objectives)
    for column in table.columns[1:]:
        column.justify = "right"
    shown = list(found.front)
    if found.default is not None and found.default not in shown:
        shown.append(found.default)
    for point in shown:
        name = f"{point.name} (the board's)" if point.board else point.name
        table.add_row(name, *(plain(point.values[name]) for name in found.objectives))
    return table
