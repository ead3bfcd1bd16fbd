"""Long runs that survive an interruption: the whole state of engine, bus and memory in a file."""

from __future__ import annotations

import tempfile
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tilewright.files import fresh_file
from tilewright.sim.rtl.tools import RtlError

if TYPE_CHECKING:
    from tilewright.sim.rtl.session import RtlSession

__all__ = ["Checkpoint"]


class Checkpoint:
    """A file from which a run goes on at the very cycle in which it was written.

    Parameters
    ----------
    path : where it is kept while the run lasts
    key : str, says which run it is of: another run's file is refused
    seconds : float, from one write to the next
    """

    def __init__(self, path: Path | str, key: str, *, seconds: float = 60.0) -> None:
        self.path = Path(path)
        self.seconds = seconds
        self._key = key
        self._written = time.monotonic()

    @property
    def due(self) -> bool:
        """Whether it is time to write the file again."""
        return time.monotonic() - self._written >= self.seconds

    def save(self, session: RtlSession, memory: NDArray[np.uint8]) -> None:
        """Write the file; an interrupted write leaves the one before."""
        with (
            fresh_file(self.path) as fresh,
            tempfile.TemporaryDirectory(dir=self.path.parent) as directory,
        ):
            state = Path(directory) / "state"
            session.save_state(state)
            with zipfile.ZipFile(fresh, "w") as archive:
                archive.writestr("key", self._key)
                archive.write(state, "state")
                archive.writestr("memory", memory.tobytes())
        self._written = time.monotonic()

    def restore(self, session: RtlSession, memory: NDArray[np.uint8]) -> bool:
        """Return to what the file holds; False if there is none.

        Raises
        ------
        RtlError
            If the file is damaged or of another run.
        """
        if not self.path.exists():
            return False
        try:
            with (
                zipfile.ZipFile(self.path) as archive,
                tempfile.TemporaryDirectory(dir=self.path.parent) as directory,
            ):
                if archive.read("key").decode() != self._key:
                    raise RtlError(
                        f"{self.path} is the checkpoint of another run; remove it or name another"
                    )
                data = np.frombuffer(archive.read("memory"), np.uint8)
                session.restore_state(archive.extract("state", directory))
        except (zipfile.BadZipFile, KeyError) as error:
            raise RtlError(f"{self.path} is no checkpoint: {error}; remove it") from error
        memory[:] = data
        self._written = time.monotonic()
        return True

    def remove(self) -> None:
        """Remove the file; the run is over."""
        self.path.unlink(missing_ok=True)
