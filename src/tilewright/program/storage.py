"""Program files: a ZIP archive of a manifest, the integer graph and the memory image."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tilewright import files
from tilewright.compiler.ir import Graph, check_limits, parse_graph, print_graph
from tilewright.errors import require_type
from tilewright.isa import ISA_VERSION, EngineConfig, Unit
from tilewright.program.archive import DAMAGED, check_directory, has_parts, member, read_bounded
from tilewright.program.artefact import Program
from tilewright.program.checks import check_program
from tilewright.program.errors import ProgramError
from tilewright.program.manifest import (
    FORMAT,
    MAX_GRAPH_BYTES,
    MAX_IMAGE_BYTES,
    MAX_MANIFEST_BYTES,
    Chip,
    Large,
    Manifest,
    Timing,
    read_manifest,
)
from tilewright.sim.timing import SDRAM, LargeMemory, MemoryTiming
from tilewright.target import Target

MANIFEST, GRAPH, IMAGE = "manifest.json", "graph.txt", "memory.bin"
#: Bytes of each member, at most.
LIMITS = {MANIFEST: MAX_MANIFEST_BYTES, GRAPH: MAX_GRAPH_BYTES, IMAGE: MAX_IMAGE_BYTES}
_MEMORIES = {Timing: MemoryTiming, Chip: SDRAM, Large: LargeMemory}
#: Bytes of a program file, at most.
MAX_PROGRAM_BYTES = sum(LIMITS.values())


def save(program: Program, path: str | os.PathLike[str]) -> Path:
    """Write a program to one file; see :meth:`Program.save`."""
    require_type("save", "path", path, str, os.PathLike)
    members = _members(program)
    path = Path(path)
    with files.fresh_file(path) as fresh, fresh.open("wb") as file:
        _write(members, file)
    return path


def save_program(program: Program, file: IO[bytes]) -> None:
    """Write a program to a file that is open."""
    _write(_members(program), file)


def _members(program: Program) -> dict[str, bytes]:
    check_limits(program.graph)
    members = {GRAPH: print_graph(program.graph).encode(), IMAGE: program.image.tobytes()}
    manifest = {
        "format": FORMAT,
        "isa_version": ISA_VERSION,
        "engine": asdict(program.engine),
        "memory_timing": asdict(program.target.memory),
        "clock_mhz": program.target.clock_mhz,
        "board": program.target.board,
        "streams": {unit.name.lower(): list(program.streams[unit]) for unit in Unit},
        "boot_count": program.boot_count,
        "addresses": program.addresses,
        "orders": program.orders,
        "pixels": program.pixels,
        "layers": [asdict(layer) for layer in program.layers],
        "schedule": [asdict(group) for group in program.schedule],
        "rounded_biases": [list(entry) for entry in program.rounded_biases],
        "input_shapes": [list(shape) for shape in program.input_shapes],
        "results": [view.to_dict() for view in program.results],
        "batch": program.batch,
        "in_columns": program.in_columns,
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    members = {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}
    for name, data in members.items():
        if len(data) > LIMITS[name]:
            raise ProgramError(
                f"{name} has {len(data)} bytes; a program file's at most {LIMITS[name]}"
            )
    return members


def _write(members: Mapping[str, bytes], file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def load(path: str | os.PathLike[str]) -> Program:
    """Read a program file; see :meth:`Program.load`."""
    require_type("load", "path", path, str, os.PathLike)
    return read_bounded(path, MAX_PROGRAM_BYTES, load_program)


def load_program(file: IO[bytes]) -> Program:
    """Read a program from a file that is open, which may hold anything."""
    if has_parts(file):
        raise ProgramError("it has parts for the host, too: tw.load reads it")
    check_directory(file, (len(LIMITS),))
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = read_manifest(member(archive, MANIFEST, MAX_MANIFEST_BYTES), ISA_VERSION)
            text = member(archive, GRAPH, MAX_GRAPH_BYTES, manifest.sha256.graph).decode("ascii")
            graph = parse_graph(text)
            data = member(archive, IMAGE, MAX_IMAGE_BYTES, manifest.sha256.memory)
            image = np.frombuffer(data, np.uint8)
    except DAMAGED as error:
        raise ProgramError(str(error)) from error
    program = _program(manifest, graph, image)
    check_program(program)
    return program


def _program(manifest: Manifest, graph: Graph, image: NDArray[np.uint8]) -> Program:
    target = Target(
        engine=EngineConfig.from_fields(manifest.engine),
        memory=_MEMORIES[type(manifest.memory_timing)](**manifest.memory_timing.model_dump()),
        clock_mhz=manifest.clock_mhz,
        board=manifest.board,
    )
    return Program(
        target=target,
        graph=graph,
        image=image,
        streams={unit: getattr(manifest.streams, unit.name.lower()) for unit in Unit},
        boot_count=manifest.boot_count,
        addresses=manifest.addresses,
        orders=manifest.orders,
        pixels=manifest.pixels,
        layers=manifest.layers,
        schedule=manifest.schedule,
        rounded_biases=manifest.rounded_biases,
        input_shapes=manifest.input_shapes,
        results=tuple(entry.view() for entry in manifest.results),
        batch=manifest.batch,
        in_columns=manifest.in_columns,
    )
