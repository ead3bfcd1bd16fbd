"""What a program file says of itself: the schema of its manifest, and the limits of its parts.

The limits leave room for every network of today by a factor of five or more, and bound what a file
can make its reader do, whatever it says: below 1 GB of memory and ten seconds.
"""

from __future__ import annotations

import zlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tilewright.compiler.ir import ResultView
from tilewright.compiler.schedule import GroupView
from tilewright.isa.rules import MAX_COMMANDS
from tilewright.program.artefact import MAX_BATCH, LayerInfo
from tilewright.program.errors import ProgramError

FORMAT = "tilewright-program"

#: Bytes of a program file's members, at most.
MAX_MANIFEST_BYTES, MAX_GRAPH_BYTES, MAX_IMAGE_BYTES = 1 << 23, 1 << 26, 1 << 28

Name = Annotated[str, Field(max_length=4096)]
Address = Annotated[int, Field(ge=0, lt=MAX_IMAGE_BYTES)]
Count = Annotated[int, Field(ge=1, le=MAX_COMMANDS)]
Stream = tuple[Address, Annotated[int, Field(ge=0, le=MAX_COMMANDS)]]
Shape = Annotated[tuple[Annotated[int, Field(ge=1, lt=1 << 24)], ...], Field(max_length=16)]
Checksum = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """What has exactly the fields of its class."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Timing(Strict):
    """Latencies that simulation assumes; see :class:`~tilewright.sim.timing.MemoryTiming`."""

    read_latency: int
    write_latency: int


class Chip(Strict):
    """A chip that simulation assumes; see :class:`~tilewright.sim.timing.SDRAM`."""

    chip: str
    clock_mhz: float
    pad_latency: int


class Large(Strict):
    """Memories that simulation assumes; see :class:`~tilewright.sim.timing.LargeMemory`."""

    dsp: str


class Streams(Strict):
    """Byte address and number of commands, by unit."""

    load: Stream
    compute: Stream
    store: Stream


class Checksums(Strict):
    """SHA-256 of the other members."""

    graph: Checksum = Field(alias="graph.txt")
    memory: Checksum = Field(alias="memory.bin")


class Result(Strict):
    """A result of the model; see :class:`~tilewright.compiler.ir.ResultView`."""

    sources: Annotated[tuple[Annotated[int, Field(ge=0, lt=4096)], ...], Field(min_length=1)]
    shape: Shape
    index: Annotated[str, Field(max_length=MAX_MANIFEST_BYTES)] | None

    def view(self) -> ResultView:
        """Return the view that this describes, or raise a ProgramError."""
        try:
            return ResultView.from_text(self.sources, self.shape, self.index)
        except (ValueError, MemoryError, zlib.error) as error:
            raise ProgramError(f"the index of a tensor of {self.shape}: {error}") from error


class Manifest(Strict):
    """The whole of ``manifest.json``."""

    format: str
    isa_version: int
    engine: dict[Name, bool | int | Name | None]
    memory_timing: Timing | Chip | Large
    clock_mhz: float
    board: Name | None
    streams: Streams
    boot_count: Count
    addresses: dict[Name, Address]
    orders: dict[Name, tuple[Annotated[int, Field(ge=-1, lt=1 << 16)], ...]]
    pixels: dict[Name, Annotated[int, Field(ge=0, le=64)]]
    layers: Annotated[tuple[LayerInfo, ...], Field(max_length=4096)]
    schedule: Annotated[tuple[GroupView, ...], Field(max_length=4096)]
    rounded_biases: tuple[tuple[Name, float], ...]
    input_shapes: Annotated[tuple[Shape, ...], Field(max_length=4096)]
    results: Annotated[tuple[Result, ...], Field(min_length=1, max_length=4096)]
    batch: Annotated[int, Field(ge=1, le=MAX_BATCH)]
    in_columns: bool
    sha256: Checksums


class _Version(BaseModel):
    """What is read first, since other versions say the rest otherwise."""

    model_config = ConfigDict(strict=True)

    format: str
    isa_version: int


def read_manifest(data: bytes, isa_version: int) -> Manifest:
    """Return the manifest whose JSON is ``data``.

    Raises
    ------
    ProgramError
        If it is of another format or version, or breaks a rule of the schema.
    """
    try:
        version = _Version.model_validate_json(data)
        if version.format != FORMAT:
            raise ProgramError("it says that it is something else")
        if version.isa_version != isa_version:
            raise ProgramError(
                f"it is for ISA version {version.isa_version}, this is {isa_version}: compile the "
                "network again"
            )
        return Manifest.model_validate_json(data)
    except ValidationError as error:
        raise ProgramError(first_line(error)) from error


def first_line(error: ValidationError) -> str:
    """Say what is wrong with a manifest."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"manifest {where}: {first['msg']}"[:500]
