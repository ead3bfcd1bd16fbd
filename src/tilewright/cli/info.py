"""``tilewright info``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from rich.table import Table

import tilewright as tw
from tilewright.cli.files import write_json
from tilewright.cli.options import JsonOption, ProgramArgument
from tilewright.cli.tables import console

if TYPE_CHECKING:
    from tilewright.compiler.ir import TensorType


def info(program: ProgramArgument, json_path: JsonOption = None) -> None:
    """Say what a program takes and gives, and what engine it is for."""
    loaded = tw.load(program)
    record = describe_parts(loaded) if isinstance(loaded, tw.HostedProgram) else describe(loaded)
    for what in ("inputs", "outputs"):
        console.print(_tensors(what[:-1], record[what]))
    layers = Table("layer", "kind", "MACs")
    layers.columns[2].justify = "right"
    for layer in record["layers"]:
        layers.add_row(layer["name"], layer["kind"], f"{layer['macs']:,}")
    console.print(layers)
    for line in _lines(loaded, record):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    write_json(json_path, record)


def describe(program: tw.Program) -> dict[str, Any]:
    """Return what `info` shows, as JSON has it."""
    target = program.target
    kinds = [program.graph.values[op.output] for op in program.graph.inputs]
    inputs = zip(program.input_names, program.input_shapes, kinds, strict=True)
    shapes = [view.shape for view in program.results]
    outputs = zip(program.result_names, shapes, program.result_types, strict=True)
    return {
        "inputs": list(map(_tensor, *zip(*inputs, strict=True))),
        "outputs": list(map(_tensor, *zip(*outputs, strict=True))),
        "board": target.board,
        "clock_mhz": target.clock_mhz,
        "engine": asdict(target.engine),
        "memory": {**asdict(target.memory), "bytes": program.image.size},
        "commands": sum(count for _, count in program.streams.values()),
        "batch": program.batch,
        "layers": [asdict(layer) for layer in program.layers],
    }


def describe_parts(program: tw.HostedProgram) -> dict[str, Any]:
    """Return what `info` shows of a program with parts for the host, as JSON has it."""
    parts = [describe(part) for part in program.programs]
    outputs = [
        {"name": name, **result}
        for name, result in zip(program.result_names, _hosted_results(program), strict=True)
    ]
    return {
        "inputs": [{"name": x.name, "shape": list(x.shape)} for x in program.inputs],
        "outputs": outputs,
        "board": program.target.board,
        "clock_mhz": program.target.clock_mhz,
        "engine": asdict(program.engine),
        "memory": {
            **asdict(program.target.memory),
            "bytes": sum(part["memory"]["bytes"] for part in parts),
        },
        "commands": sum(part["commands"] for part in parts),
        "batch": program.batch,
        "layers": [layer for part in parts for layer in part["layers"]],
        "host": [
            {"name": name, "operators": model.operators, "operations": model.operations}
            for name, model in program.models
        ],
        "crossings": [asdict(x) for x in program.crossings],
    }


def _hosted_results(program: tw.HostedProgram) -> Iterable[dict[str, Any]]:
    """Type and shape of each result; of what is ``batched`` without the batch."""
    own = [
        {"type": "float", "shape": list(gather.view.shape), "batched": True}
        for gather in program.outputs
    ]
    if program.tail is None:
        return own
    tail = program.tail
    by_host: list[dict[str, Any]] = []
    for (kind, shape), batched in zip(tail.model.results, tail.batched, strict=True):
        dims = None if shape is None else list(shape[1:] if batched else shape)
        by_host.append({"type": kind, "shape": dims, "batched": batched})
    return [own[i] if i >= 0 else by_host[-1 - i] for i in tail.results]


def _tensor(name: str, shape: tuple[int, ...], kind: TensorType) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(shape),
        "bits": kind.bits,
        "signed": kind.signed,
        "scale": kind.scale,
        "zero_point": kind.zero_point,
    }


def _tensors(what: str, entries: Iterable[Mapping[str, Any]]) -> Table:
    table = Table(what, "shape", "type", "scale", "zero point")
    for x in entries:
        shape = _shape(x["shape"], x.get("batched", True))
        if "bits" not in x:
            table.add_row(x["name"], shape, x.get("type", "float"), "", "")
            continue
        sign = "" if x["signed"] else "u"
        table.add_row(
            x["name"],
            shape,
            f"{sign}int{x['bits']}",
            f"{x['scale']:.6g}",
            f"{x['zero_point']}",
        )
    return table


def _shape(dims: Sequence[int | None] | None, batched: bool) -> str:
    """Return a shape as text; what depends on values is different for each image."""
    if dims is None:
        return "any, for each image"
    shown = ["?" if n is None else str(n) for n in dims]
    return f"({', '.join(['N', *shown])})" if batched else f"({', '.join(shown)}) for each image"


def _lines(program: tw.Program | tw.HostedProgram, record: Mapping[str, Any]) -> Iterable[str]:
    """Engine, memory and layers, in a line each."""
    target, engine = program.target, program.engine
    where = "" if target.board is None else f" on {target.board}"
    changed = [
        f"{field.name}={getattr(engine, field.name)}"
        for field in fields(engine)
        if field.name not in ("rows", "cols") and getattr(engine, field.name) != field.default
    ]
    yield f"engine: {engine.rows} x {engine.cols}, {target.clock_mhz:g} MHz{where}" + (
        f"; {', '.join(changed)}" if changed else ""
    )
    memory = ", ".join(f"{name} {value}" for name, value in asdict(target.memory).items())
    yield f"memory: {record['memory']['bytes']:,} bytes; {memory}"
    macs = sum(layer.macs for layer in program.layers)
    yield f"{len(program.layers)} layers, {macs:,} MACs, {record['commands']:,} commands"
    if program.batch > 1:
        yield f"batch: {program.batch} images a run"
    if isinstance(program, tw.HostedProgram):
        from tilewright.program.hosted import host_lines

        yield from host_lines(program)
