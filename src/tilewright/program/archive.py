"""ZIP archives that may hold anything: no more is unpacked than they may have."""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Container
from typing import IO, TypeVar

from tilewright import files
from tilewright.errors import Error
from tilewright.program.errors import ProgramError

Content = TypeVar("Content")

#: What Python raises where bytes of an archive are wrong: each kind has an exception of its own.
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    RuntimeError,  # of encrypted members, and of methods that are not implemented
    ValueError,
)

_END = struct.Struct("<4s4H2LH")  # a ZIP archive's last record, without a comment
_MAX_DIRECTORY = 1 << 13


def has_parts(file: IO[bytes]) -> bool:
    """Whether a file says that it is a program with parts for the host."""
    start = file.read(1 << 12)
    file.seek(0)
    return start[:2] == b"PK" and b'"format": "tilewright-hosted"' in start


def read_bounded(
    path: str | os.PathLike[str], limit: int, read: Callable[[IO[bytes]], Content]
) -> Content:
    """Read a file of at most ``limit`` bytes; an error says which file it is."""
    try:
        with files.open_bounded(path, limit) as file:
            return read(file)
    except files.FileError:
        raise
    except Error as error:
        raise ProgramError(f"cannot load {path}: {error}") from error


def check_directory(file: IO[bytes], counts: Container[int]) -> None:
    """Refuse archives of other numbers of members before their directory is read."""
    size = file.seek(0, 2)
    tail = min(size, _END.size + 20)
    file.seek(size - tail)
    data = file.read(tail)
    if len(data) < _END.size:
        raise ProgramError(f"it has {size} bytes")
    mark, _, _, here, entries, directory, _, comment = _END.unpack(data[-_END.size :])
    large = data[:4] == b"PK\x06\x07"  # a second directory, for archives beyond 4 GiB
    if mark != b"PK\x05\x06" or comment or large or here != entries or directory > _MAX_DIRECTORY:
        raise ProgramError("it is not a Tilewright program: `tilewright compile` writes them")
    if entries not in counts:
        raise ProgramError(f"it has {entries} members")


def member(archive: zipfile.ZipFile, name: str, limit: int, checksum: str | None = None) -> bytes:
    """Return what a member holds, of which no more is unpacked than it may have."""
    try:
        info = archive.getinfo(name)
    except KeyError as error:
        raise ProgramError(f"it has no {name}") from error
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ProgramError(f"{name} is compressed by method {info.compress_type}")
    if info.file_size > limit:
        raise ProgramError(f"{name} has {info.file_size} bytes; at most {limit} are taken")
    with archive.open(info) as opened:
        data = opened.read(info.file_size)
        if len(data) != info.file_size or opened.read(1):
            raise ProgramError(f"{name} has not the {info.file_size} bytes that it says")
    if checksum is not None and hashlib.sha256(data).hexdigest() != checksum:
        raise ProgramError(f"the checksum of {name} is wrong")
    return data
