"""Program files: a ZIP archive of a manifest, the integer graph and the memory image."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from tilewright import files
from tilewright.compiler.ir import Graph, ResultView, check_limits, parse_graph, print_graph
from tilewright.errors import Error, require_type
from tilewright.isa import ISA_VERSION, EngineConfig, Unit
from tilewright.program.artefact import Program
from tilewright.program.checks import check_program
from tilewright.program.errors import ProgramError
from tilewright.program.manifest import (
    FORMAT,
    MAX_GRAPH_BYTES,
    MAX_IMAGE_BYTES,
    MAX_MANIFEST_BYTES,
    Chip,
    Manifest,
    Result,
    read_manifest,
)
from tilewright.sim.timing import SDRAM, MemoryTiming
from tilewright.target import Target

MANIFEST, GRAPH, IMAGE = "manifest.json", "graph.txt", "memory.bin"
#: Bytes of each member, at most.
LIMITS = {MANIFEST: MAX_MANIFEST_BYTES, GRAPH: MAX_GRAPH_BYTES, IMAGE: MAX_IMAGE_BYTES}
_END = struct.Struct("<4s4H2LH")  # a ZIP archive's last record, without a comment


def save(program: Program, path: str | os.PathLike[str]) -> Path:
    """Write a program to one file; see :meth:`Program.save`."""
    require_type("save", "path", path, str, os.PathLike)
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
        "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in members.items()},
    }
    members = {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}
    for name, data in members.items():
        if len(data) > LIMITS[name]:
            raise ProgramError(
                f"{name} has {len(data)} bytes; a program file's at most {LIMITS[name]}"
            )
    path = Path(path)
    with (
        files.fresh_file(path) as fresh,
        zipfile.ZipFile(fresh, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def load(path: str | os.PathLike[str]) -> Program:
    """Read a program file; see :meth:`Program.load`."""
    require_type("load", "path", path, str, os.PathLike)
    try:
        with files.open_bounded(path, sum(LIMITS.values())) as file:
            return _load(file)
    except files.FileError:
        raise
    except Error as error:
        raise ProgramError(f"cannot load {path}: {error}") from error


def _load(file: IO[bytes]) -> Program:
    _check_directory(file)
    # Of what can be wrong with the bytes of an archive, each kind has an exception of its own.
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = read_manifest(_member(archive, MANIFEST), ISA_VERSION)
            text = _member(archive, GRAPH, manifest.sha256.graph).decode("ascii")
            graph = parse_graph(text)
            image = np.frombuffer(_member(archive, IMAGE, manifest.sha256.memory), np.uint8)
    except (
        zipfile.BadZipFile,
        zlib.error,
        struct.error,
        EOFError,
        OSError,
        RuntimeError,  # of encrypted members, and of methods that are not implemented
        ValueError,
    ) as error:
        raise ProgramError(str(error)) from error
    program = _program(manifest, graph, image)
    check_program(program)
    return program


def _check_directory(file: IO[bytes]) -> None:
    """Refuse archives of more than the three members before their directory is read."""
    size = os.fstat(file.fileno()).st_size
    tail = min(size, _END.size + 20)
    file.seek(size - tail)
    data = file.read(tail)
    if len(data) < _END.size:
        raise ProgramError(f"it has {size} bytes")
    mark, _, _, here, entries, directory, _, comment = _END.unpack(data[-_END.size :])
    large = data[:4] == b"PK\x06\x07"  # a second directory, for archives beyond 4 GiB
    if mark != b"PK\x05\x06" or comment or large or here != entries or directory > 4096:
        raise ProgramError("it is not a Tilewright program, but no or another archive")
    if entries != len(LIMITS):
        raise ProgramError(f"it has {entries} members instead of {len(LIMITS)}")


def _member(archive: zipfile.ZipFile, name: str, checksum: str | None = None) -> bytes:
    """Return what a member holds, of which no more is unpacked than it may have."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ProgramError(f"it has no {name}") from error
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ProgramError(f"{name} is compressed by method {info.compress_type}")
    if info.file_size > LIMITS[name]:
        raise ProgramError(f"{name} has {info.file_size} bytes; at most {LIMITS[name]} are taken")
    with archive.open(info) as member:
        data = member.read(info.file_size)
        if len(data) != info.file_size or member.read(1):
            raise ProgramError(f"{name} has not the {info.file_size} bytes that it says")
    if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
        raise ProgramError(f"the checksum of {name} is wrong")
    return data


def _program(manifest: Manifest, graph: Graph, image: NDArray[np.uint8]) -> Program:
    kind = SDRAM if isinstance(manifest.memory_timing, Chip) else MemoryTiming
    target = Target(
        engine=EngineConfig.from_fields(manifest.engine),
        memory=kind(**manifest.memory_timing.model_dump()),
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
        results=tuple(map(_result, manifest.results)),
    )


def _result(entry: Result) -> ResultView:
    try:
        return ResultView.from_text(entry.sources, entry.shape, entry.index)
    except (ValueError, MemoryError, zlib.error) as error:
        raise ProgramError(f"the index of a result of {entry.shape}: {error}") from error
