"""What is slow to make is kept under a name that says all it depends on.

An entry is ``KIND-DIGEST.SUFFIX`` in the cache's folder. Processes that want the same one at once
make it once; whoever reads it sees all of it. What nobody has asked for in a month is removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from tilewright.files import fresh_file

__all__ = ["cache_folder", "cached", "cached_text", "digest", "digest_of_sources"]

KEPT_SECONDS = 30 * 24 * 3600
_ENTRY = re.compile(r"\.?[a-z]+-[0-9a-f]{24}\.")


def cache_folder() -> Path:
    """Return ``$TILEWRIGHT_CACHE``, else the user's cache directory."""
    named = os.environ.get("TILEWRIGHT_CACHE")
    if named:
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "tilewright"


def digest(parts: Iterable[str]) -> str:
    """Return a short name for texts, another one for any others."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode()
        total.update(f"{len(data)} ".encode())
        total.update(data)
    return total.hexdigest()[:24]


def digest_of_sources(*folders: Path) -> str:
    """Return a short name for the Python files of packages, with their names."""
    return digest(
        part
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for part in (str(path.relative_to(folder)), path.read_text())
    )


def cached(
    kind: str, key: str, suffix: str, make: Callable[[Path], None], *, folder: Path | None = None
) -> Path:
    """Return an entry's file; make it unless it is there.

    Parameters
    ----------
    kind : lower-case letters
    key : by :func:`digest`, of all that the entry depends on
    suffix : how the file's name ends, without a dot
    make : writes the file that it is given, an empty one beside the entry
    folder : :func:`cache_folder` if None

    Raises
    ------
    FileError
        If the folder cannot be written.
    """
    folder = (cache_folder() if folder is None else folder).resolve()
    path = folder / f"{kind}-{key}.{suffix}"
    assert _ENTRY.match(path.name), path.name
    if not _in_use(path):
        folder.mkdir(parents=True, exist_ok=True)
        with path.with_name(path.name + ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _in_use(path):
                with fresh_file(path) as fresh:
                    make(fresh)
                _remove_old_entries(folder)
    return path


def cached_text(kind: str, key: str, suffix: str, make: Callable[[], str]) -> str:
    """Return the text of an entry; see :func:`cached`."""

    def write(path: Path) -> None:
        path.write_text(make())

    return cached(kind, key, suffix, write).read_text()


def _in_use(path: Path) -> bool:
    """Return whether there is an entry; if so, note that it is asked for."""
    try:
        os.utime(path)
    except OSError:
        return path.exists()  # a cache that may only be read
    return True


def _remove_old_entries(folder: Path) -> None:
    oldest = time.time() - KEPT_SECONDS
    for path in folder.iterdir():
        with suppress(OSError):
            if _ENTRY.match(path.name) and path.stat().st_mtime < oldest:
                path.unlink()
