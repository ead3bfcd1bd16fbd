"""``tilewright estimate``."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

import tilewright as tw
from tilewright import files
from tilewright.cli.files import is_program, load_network, write_json
from tilewright.cli.options import (
    AlgorithmOption,
    BatchOption,
    BoardOption,
    EngineOption,
    Host,
    HostOption,
    JsonOption,
    MemoryOption,
    Objective,
    ObjectiveOption,
    SetOption,
    parse_algorithms,
)
from tilewright.cli.tables import console
from tilewright.cli.targets import chosen_target, refuse_options
from tilewright.errors import Error
from tilewright.estimation.figures import Figure, Unknown, plain

if TYPE_CHECKING:
    from tilewright.api.estimate import Estimate, HostedEstimate
    from tilewright.api.group_sizes import GroupSize
    from tilewright.estimation.advice import Advice


def estimate(
    network: Annotated[
        str,
        typer.Argument(
            help="Program file that `compile` wrote; or a network as `compile` takes it, and the "
            "engine by the options. --objective and --algorithm are those of its compilation."
        ),
    ],
    board: BoardOption = None,
    engine: EngineOption = None,
    settings: SetOption = None,
    memory: MemoryOption = None,
    csv_path: Annotated[
        Path | None,
        typer.Option("--csv", metavar="FILE", help="Also write the figures of each layer here."),
    ] = None,
    advise: Annotated[
        bool,
        typer.Option(
            "--advise", help="Say what larger buffers and a wider bus would save; compiles again."
        ),
    ] = False,
    groups: Annotated[
        str | None,
        typer.Option(
            metavar="LAYER", help="Say what this convolution costs with other sizes of groups."
        ),
    ] = None,
    objective: ObjectiveOption = Objective.time,
    algorithm: AlgorithmOption = None,
    host: HostOption = Host.edges,
    batch: BatchOption = 1,
    json_path: JsonOption = None,
) -> None:
    """Estimate what a program will cost: time, traffic, cells of the FPGA, clock, energy."""
    how: dict[str, Any] = {
        "objective": objective.value,
        "algorithms": parse_algorithms(algorithm or []),
    }
    if is_program(network):
        refuse_options(Path(network), board, engine, settings, memory)
        program = tw.load(network)
        if batch not in (1, program.batch):
            raise Error(
                f"{network} computes {program.batch} images a run: --batch {batch} is for a "
                "network, or for `compile`"
            )
    else:
        target = chosen_target(board, engine, settings, memory)
        model, examples = load_network(network, host.value)
        with console.status("compile"):
            program = tw.compile(model, examples, target, host=host.value, batch=batch, **how)
    from tilewright.api.estimate import HostedEstimate

    # What may be refused comes before anything is printed or written.
    asked: list[Table] = []
    if groups is not None:
        asked.append(groups_table(tw.group_sizes(program, groups)))
    if advise:
        asked.insert(0, advice_table(tw.advise(program, **how)))
    found = tw.estimate(program)
    parts = found.parts if isinstance(found, HostedEstimate) else (found,)
    console.print(figures_table(found))
    for part in parts:
        console.print(layers_table(part))
    write_json(json_path, found.to_record())
    if csv_path is not None:
        texts = [layers_csv(part).split("\n", 1) for part in parts]
        files.write_text(csv_path, texts[0][0] + "\n" + "".join(lines for _, lines in texts))
    for table in asked:
        console.print(table)


def figures_table(found: Estimate | HostedEstimate) -> Table:
    """Return all figures of an estimate."""
    table = Table("figure", "value", "error", "source")
    resources = getattr(found, "parts", [found])[0].resources
    available = {f"{kind} of the board": s.available for kind, s in resources.sites.items()}
    for name, figure in found.figures.items():
        if isinstance(figure, Unknown):
            table.add_row(name, "unknown", "", figure.reason)
            continue
        text = f"{plain(figure.value, 6)} {figure.unit}"
        if name in available:
            text += f" of {available[name]:,}"
        table.add_row(name, text, figure.error_text(), figure.basis)
    return table


def layers_table(found: Estimate) -> Table:
    """Return the layers: cycles, share of the peak, traffic, energy."""
    table = Table("layer", "kind", "MACs", "cycles", "of peak", "bytes", "energy, uJ", "most of it")
    table.columns[0].overflow = "fold"
    for column in table.columns[2:7]:
        column.justify = "right"
    for row in layer_rows(found):
        table.add_row(
            row.name,
            row.kind,
            f"{row.macs:,}",
            f"{row.cycles:,}",
            f"{row.utilization:.1%}",
            f"{row.bytes:,}",
            plain(row.energy.value),
            row.most,
        )
    return table


def layers_csv(found: Estimate) -> str:
    """Return a line for each layer, with a column for each cause of energy."""
    causes = found.energy.causes
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    heads = ["layer", "kind", "macs", "cycles", "utilization", "bytes_read", "bytes_written"]
    writer.writerow([*heads, *(f"{cause} uJ" for cause in causes), "energy uJ"])
    for index, layer in enumerate(found.layers):
        parts = [found.energy.part(index, cause) for cause in causes]
        writer.writerow(
            [
                *(layer.name, layer.kind, layer.macs, layer.cycles, layer.utilization),
                *(layer.bytes_read, layer.bytes_written),
                *("" if isinstance(part, Unknown) else part.value for part in parts),
                found.energy.of_layer(index).value,
            ]
        )
    return file.getvalue()


@dataclass(frozen=True)
class LayerRow:
    """A layer as tables show it; ``most``: the cause of most of its energy."""

    name: str
    kind: str
    macs: int
    cycles: int
    utilization: float
    bytes: int
    energy: Figure
    most: str


def layer_rows(found: Estimate) -> list[LayerRow]:
    """Return the rows of a table of layers."""
    rows = []
    for index, layer in enumerate(found.layers):
        parts = {cause: found.energy.part(index, cause) for cause in found.energy.causes}
        known = {cause: part.value for cause, part in parts.items() if isinstance(part, Figure)}
        rows.append(
            LayerRow(
                layer.name,
                layer.kind,
                layer.macs,
                layer.cycles,
                layer.utilization,
                layer.bytes_read + layer.bytes_written,
                found.energy.of_layer(index),
                max(known, key=lambda cause: known[cause], default=""),
            )
        )
    return rows


def advice_table(pieces: Sequence[Advice]) -> Table:
    """Return what other engines would save."""
    table = Table("change", "cycles", "bytes", "energy", "note")
    for piece in pieces:
        table.add_row(*piece.cells())
    return table


def groups_table(sizes: Sequence[GroupSize]) -> Table:
    """Return what sizes of groups cost; the best one is marked."""
    from tilewright.api.group_sizes import best_group_size

    heads = ("channels in a group", "MACs", "cycles", "MACs/cycle", "energy, uJ", "pJ/MAC", "")
    table = Table(*heads)
    best = best_group_size(sizes)
    for column in table.columns[:-1]:
        column.justify = "right"
    for size in sizes:
        table.add_row(
            *(str(size.channels), f"{size.macs:,}", f"{size.cycles:,}", f"{size.rate:.1f}"),
            *(plain(size.energy), plain(size.energy_of_product)),
            "best" if size is best else "",
        )
    return table
