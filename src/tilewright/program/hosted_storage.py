"""Files of programs with parts for the host: a ZIP archive of program files and models."""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
import zipfile
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
from pydantic import Field, ValidationError

from tilewright import files
from tilewright.compiler.host import HostModel, Tail
from tilewright.errors import require_type
from tilewright.isa import ISA_VERSION
from tilewright.program.archive import DAMAGED, check_directory, member, read_bounded
from tilewright.program.errors import ProgramError
from tilewright.program.hosted import (
    EnginePart,
    Gather,
    HostedInput,
    HostedProgram,
    HostPart,
)
from tilewright.program.manifest import Checksum, Name, Result, Shape, Strict, first_line
from tilewright.program.storage import MAX_PROGRAM_BYTES, load_program, save_program

FORMAT = "tilewright-hosted"
MANIFEST = "manifest.json"
MAX_PARTS = 64
MAX_MANIFEST_BYTES, MAX_MODEL_BYTES = 1 << 23, 1 << 25
MAX_BYTES = 1 << 30
#: Elements of a tensor between parts, and of all of them, of one image.
MAX_ELEMENTS, MAX_TOTAL = 1 << 24, 1 << 26

Names = Annotated[tuple[Name, ...], Field(max_length=4096)]
Place = Annotated[int, Field(ge=0, lt=4096)]
Size = Annotated[int, Field(ge=1, lt=1 << 24)]
Map = tuple[Size, Size, Size]


class _Gather(Result):
    names: Annotated[tuple[Name, ...], Field(min_length=1, max_length=4096)]


Gathers = Annotated[tuple[_Gather, ...], Field(max_length=4096)]


class _Input(Strict):
    name: Name
    shape: Shape
    place: Map


class _Engine(Strict):
    kind: Literal["engine"]
    reads: Names
    writes: Names
    sha256: Checksum


class _Host(Strict):
    kind: Literal["host"]
    name: Name
    arguments: Gathers
    writes: Name
    shape: Map
    sha256: Checksum


class _Tail(Strict):
    reads: tuple[Place, ...]
    results: Annotated[tuple[int, ...], Field(min_length=1, max_length=4096)]
    batched: tuple[bool, ...]
    sha256: Checksum


class _Manifest(Strict):
    format: Literal["tilewright-hosted"]
    isa_version: int
    inputs: Annotated[tuple[_Input, ...], Field(min_length=1, max_length=4096)]
    parts: Annotated[
        tuple[Annotated[_Engine | _Host, Field(discriminator="kind")], ...],
        Field(min_length=1, max_length=MAX_PARTS),
    ]
    outputs: Annotated[tuple[_Gather, ...], Field(min_length=1, max_length=4096)]
    tail: _Tail | None


def save(program: HostedProgram, path: str | os.PathLike[str]) -> Path:
    """Write a program to one file; see :meth:`HostedProgram.save`."""
    require_type("save", "path", path, str, os.PathLike)
    members: dict[str, bytes] = {}
    if len(program.parts) > MAX_PARTS:
        raise ProgramError(f"{len(program.parts)} parts; a program file has at most {MAX_PARTS}")
    parts = [_part(i, part, members) for i, part in enumerate(program.parts)]
    tail = None
    if program.tail is not None:
        own = program.tail
        members["tail.onnx"] = own.model.data
        tail = {
            "reads": own.reads,
            "results": own.results,
            "batched": own.batched,
            "sha256": _sha256(own.model.data),
        }
    manifest = {
        "format": FORMAT,
        "isa_version": ISA_VERSION,
        "inputs": [{"name": x.name, "shape": x.shape, "place": x.place} for x in program.inputs],
        "parts": parts,
        "outputs": [_gather(g) for g in program.outputs],
        "tail": tail,
    }
    members = {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}
    if sum(map(len, members.values())) > MAX_BYTES:
        raise ProgramError(f"its parts have more than {MAX_BYTES} bytes")
    path = Path(path)
    with files.fresh_file(path) as fresh, zipfile.ZipFile(fresh, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _part(number: int, part: EnginePart | HostPart, members: dict[str, bytes]) -> dict[str, Any]:
    """Return a part's entry in the manifest, and add its member."""
    if isinstance(part, EnginePart):
        stream = io.BytesIO()
        save_program(part.program, stream)
        data = members[f"part-{number}.tw"] = stream.getvalue()
        entry: dict[str, Any] = {"kind": "engine", "reads": part.reads, "writes": part.writes}
    else:
        data = members[f"part-{number}.onnx"] = part.model.data
        entry = {
            "kind": "host",
            "name": part.name,
            "arguments": [_gather(g) for g in part.arguments],
            "writes": part.writes,
            "shape": part.shape,
        }
    return {**entry, "sha256": _sha256(data)}


def _gather(gather: Gather) -> dict[str, Any]:
    return {"names": gather.names, **gather.view.to_dict()}


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def load(path: str | os.PathLike[str]) -> HostedProgram:
    """Read a program file; see :meth:`HostedProgram.load`."""
    require_type("load", "path", path, str, os.PathLike)
    return read_bounded(path, MAX_BYTES, _load)


def _load(file: IO[bytes]) -> HostedProgram:
    check_directory(file, range(2, MAX_PARTS + 3))
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = _manifest(member(archive, MANIFEST, MAX_MANIFEST_BYTES))
            count = 1 + len(manifest.parts) + (manifest.tail is not None)
            if len(archive.namelist()) != count:
                raise ProgramError(f"it has {len(archive.namelist())} members instead of {count}")
            parts = [_read_part(archive, i, entry) for i, entry in enumerate(manifest.parts)]
            tail = None if manifest.tail is None else _read_tail(archive, manifest.tail)
    except DAMAGED as error:
        raise ProgramError(str(error)) from error
    inputs = tuple(HostedInput(x.name, x.shape, x.place) for x in manifest.inputs)
    outputs = tuple(map(_read_gather, manifest.outputs))
    program = HostedProgram(inputs, tuple(parts), outputs, tail)
    _check(program)
    return program


def _manifest(data: bytes) -> _Manifest:
    try:
        manifest = _Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ProgramError(first_line(error)) from error
    if manifest.isa_version != ISA_VERSION:
        raise ProgramError(
            f"it is for ISA version {manifest.isa_version}, this is {ISA_VERSION}: compile the "
            "network again"
        )
    return manifest


def _read_part(
    archive: zipfile.ZipFile, number: int, entry: _Engine | _Host
) -> EnginePart | HostPart:
    if isinstance(entry, _Engine):
        data = member(archive, f"part-{number}.tw", MAX_PROGRAM_BYTES, entry.sha256)
        program = load_program(io.BytesIO(data))
        return EnginePart(program, entry.reads, entry.writes)
    data = member(archive, f"part-{number}.onnx", MAX_MODEL_BYTES, entry.sha256)
    arguments = tuple(map(_read_gather, entry.arguments))
    return HostPart(entry.name, HostModel(data), arguments, entry.writes, entry.shape)


def _read_tail(archive: zipfile.ZipFile, entry: _Tail) -> Tail:
    data = member(archive, "tail.onnx", MAX_MODEL_BYTES, entry.sha256)
    return Tail(HostModel(data), entry.reads, entry.results, entry.batched)


def _read_gather(entry: _Gather) -> Gather:
    return Gather(entry.names, entry.view())


def _check(program: HostedProgram) -> None:
    """Refuse a program whose parts do not fit each other."""
    sizes: dict[str, int] = {}

    def write(name: str, size: int) -> None:
        if name in sizes or size > MAX_ELEMENTS:
            raise ProgramError(f"the tensor {name!r} of {size} elements"[:300])
        sizes[name] = size
        if sum(sizes.values()) > MAX_TOTAL:
            raise ProgramError(f"tensors of more than {MAX_TOTAL} elements")

    for x in program.inputs:
        write(x.name, math.prod(x.place))
        if math.prod(x.shape) != math.prod(x.place):
            raise ProgramError(f"an input of {x.shape} as {x.place}")
    for part in program.parts:
        if isinstance(part, HostPart):
            _check_arguments(part.arguments, sizes, part.model)
            write(part.writes, math.prod(part.shape))
            continue
        own = part.program
        if part.program.target != program.target:
            raise ProgramError("its programs are for different targets")
        taken = [sizes.get(name) for name in part.reads]
        if taken != [math.prod(shape) for shape in own.input_shapes]:
            raise ProgramError(f"a program that reads {part.reads[:9]}, of {taken[:9]} elements")
        if len(part.writes) != len(own.results):
            raise ProgramError(f"{len(part.writes)} names for {len(own.results)} results")
        for name, view in zip(part.writes, own.results, strict=True):
            write(name, math.prod(view.shape))
    if not program.programs:
        raise ProgramError("it has no part for the engine")
    for gather in program.outputs:
        _check_gather(gather, sizes)
    if program.tail is not None:
        _check_tail(program.tail, program.outputs)


def _check_arguments(
    arguments: tuple[Gather, ...], sizes: dict[str, int], model: HostModel
) -> None:
    for gather in arguments:
        _check_gather(gather, sizes)
    shapes = tuple(gather.view.shape for gather in arguments)
    if shapes != model.input_shapes or model.counts[1] != 1:
        raise ProgramError(f"{model}: it reads {model.input_shapes[:9]}, and is given {shapes[:9]}")


def _check_gather(gather: Gather, sizes: dict[str, int]) -> None:
    view = gather.view
    if not all(name in sizes for name in gather.names) or max(view.sources) >= len(gather.names):
        raise ProgramError(f"a tensor of {gather.names[:9]}, which nothing has written before")
    count = sum(sizes[gather.names[i]] for i in view.sources)
    used = np.arange(count) if view.index is None else view.index
    alone = view.index is not None or len(view.sources) == 1
    if not alone or used.size != math.prod(view.shape) or not ((used >= -1) & (used < count)).all():
        raise ProgramError(f"a tensor of {view.shape} that {gather.names[:9]} do not make up")


def _check_tail(tail: Tail, outputs: tuple[Gather, ...]) -> None:
    read_well = all(place < len(outputs) for place in tail.reads)
    shapes = tuple(outputs[i].view.shape for i in tail.reads) if read_well else ()
    returned_well = all(-len(tail.batched) <= i < len(outputs) for i in tail.results)
    counts = (len(tail.reads), len(tail.batched))
    if not returned_well or counts != tail.model.counts or shapes != tail.model.input_shapes:
        raise ProgramError("what the host makes of the results does not fit them")
