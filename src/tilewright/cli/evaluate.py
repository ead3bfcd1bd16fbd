"""``tilewright evaluate``."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import tilewright as tw
from tilewright.cli.files import read_labelled, write_json
from tilewright.cli.options import Backend, BackendOption, JsonOption, ProgramArgument
from tilewright.cli.tables import console, progress_bar


class Metric(StrEnum):
    """What can be measured."""

    top1 = "top1"
    top5 = "top5"


def evaluate(
    program: ProgramArgument,
    inputs: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help=".npz file of `inputs` (by the inputs' names, if there are several) and `labels`, "
            "an integer for each image.",
        ),
    ],
    metric: Annotated[
        Metric,
        typer.Option(help="Share of images whose label is the largest output, or among five."),
    ] = Metric.top1,
    backend: BackendOption = Backend.golden,
    json_path: JsonOption = None,
) -> None:
    """Measure a program's accuracy on labelled images."""
    loaded = tw.load(program)
    data = read_labelled(loaded.input_names, inputs)
    with progress_bar() as bar:
        task = bar.add_task(backend.value, total=None)
        result = tw.evaluate(
            loaded,
            data,
            metric=metric.value,
            backend=backend.value,
            progress=lambda done, total: bar.update(task, completed=done, total=total or None),
        )
    console.print(f"{result.metric}: {result.value:.2%} of {result.images:,} images")
    write_json(json_path, {**asdict(result), "backend": backend.value})
