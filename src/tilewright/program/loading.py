"""Program files of either kind."""

from __future__ import annotations

import os

from tilewright import files
from tilewright.program.archive import has_parts
from tilewright.program.hosted import AnyProgram
from tilewright.program.hosted_storage import MAX_BYTES
from tilewright.program.hosted_storage import load as load_hosted
from tilewright.program.storage import load as load_one


def load(path: str | os.PathLike[str]) -> AnyProgram:
    """Read a program file, with parts for the host or without.

    It may hold anything: all of it is checked first.

    Raises
    ------
    Error
        If the file is not a program, is damaged, or is for another ISA version.
    """
    with files.open_bounded(path, MAX_BYTES) as file:
        hosted = has_parts(file)
    return load_hosted(path) if hosted else load_one(path)
