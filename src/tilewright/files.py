"""Files: the one way to write them, and the one way to read those that others made.

A file is written under a fresh name in its own folder, brought to the disk and renamed: whoever
reads it sees all of it or the one before. A symbolic link in its place is replaced, never
followed. A file is read only if it is a regular one and no longer than its reader says.
"""

from __future__ import annotations

import errno
import json
import operator
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from tilewright.errors import Error

PathLike = str | os.PathLike[str]


class FileError(Error):
    """A file cannot be written or read, or is longer than it may be; the message names it."""


@contextmanager
def fresh_file(path: PathLike) -> Iterator[Path]:
    """Give an empty file of a fresh name that becomes ``path`` when the block ends well.

    Folders that are missing are made. If the block raises, nothing is left of the file, and what
    ``path`` held before stays.

    Raises
    ------
    FileError
        If the file cannot be written, or ``path`` is neither a file nor free: a folder, a device.
    """
    path = Path(path)
    with _os_errors("write", path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _require_replaceable(path)
        fresh = _create(path)
    try:
        with _os_errors("write", path):
            yield fresh
            _sync(fresh)
            fresh.replace(path)
            _sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


def write_bytes(path: PathLike, data: bytes) -> None:
    """Write a file; see :func:`fresh_file`."""
    with fresh_file(path) as fresh:
        fresh.write_bytes(data)


def write_text(path: PathLike, text: str) -> None:
    """Write a file of UTF-8 text; see :func:`fresh_file`."""
    write_bytes(path, text.encode())


def write_json(path: PathLike, record: Any) -> None:
    """Write figures as JSON that a person can read, too; see :func:`fresh_file`."""
    write_text(path, json.dumps(record, indent=1, default=operator.index) + "\n")


@contextmanager
def open_bounded(path: PathLike, limit: int) -> Iterator[IO[bytes]]:
    """Open a file for reading in binary, if it is a regular one of at most ``limit`` bytes.

    Raises
    ------
    FileError
        If there is none, it cannot be opened, is a folder or a device, or is longer.
    """
    path = Path(path)
    with _os_errors("read", path):
        # Without waiting: to open a pipe would last until somebody writes to it.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"cannot read {path}: it is not a regular file")
        if status.st_size > limit:
            raise FileError(
                f"cannot read {path}: it has {status.st_size} bytes, and at most {limit} are taken"
            )
    except BaseException:
        os.close(handle)
        raise
    with os.fdopen(handle, "rb") as file:
        yield file


def read_bytes(path: PathLike, limit: int) -> bytes:
    """Return what a file holds; see :func:`open_bounded`."""
    with open_bounded(path, limit) as file, _os_errors("read", Path(path)):
        return file.read(limit)


@contextmanager
def _os_errors(verb: str, path: Path) -> Iterator[None]:
    if "\0" in str(path):
        raise FileError(f"cannot {verb} {str(path)!r}: the name has a zero in it")
    try:
        yield
    except OSError as error:
        raise FileError(f"cannot {verb} {path}: {error.strerror or error}") from error


def _require_replaceable(path: Path) -> None:
    """Refuse what a rename would put in the place of a folder or a device."""
    try:
        mode = path.stat().st_mode  # of what a link points to: /dev/stdout is a link
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _create(path: Path) -> Path:
    """Make a file that did not exist, with the rights that the user's umask leaves."""
    while True:
        fresh = path.with_name(f".{path.name[:100]}.{secrets.token_hex(8)}")
        with suppress(FileExistsError):
            os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666))
            return fresh


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
