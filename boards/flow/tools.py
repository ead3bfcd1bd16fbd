"""Running the tools of the flow."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from tilewright.errors import Error

__all__ = ["ROUNDS", "STALLED", "FlowError", "Progress", "Tools"]

Progress = Callable[[str], None]

#: A router that moves wires of late paths is given up after so many rounds, or when these and wires
#: in conflict, together, have not become fewer for so many.
ROUNDS = 300
STALLED = 100
_ROUND = re.compile(r" iter=(\d+) .* overused=(\d+) .* tmgfail=(\d+)")


class FlowError(Error):
    """A tool failed; the message has the end of what it said."""


class Tools:
    """Runs tools that PyPI has installed beside this interpreter.

    Parameters
    ----------
    directory : where they run and their logs go
    progress : called with lines for people

    Attributes
    ----------
    commands : list of str, as they were run
    """

    def __init__(self, directory: Path, progress: Progress) -> None:
        self.directory, self._progress = directory, progress
        self.commands: list[str] = []
        self._best = (0, 0)  # what was left to do when it was least, and in which round

    def run(self, name: str, *arguments: str) -> bool:
        """Run a tool; return whether it came to an end: a router may be given up.

        Raises
        ------
        FlowError
            If it fails.
        """
        self._progress(f"{name} ...")
        self.commands.append(" ".join((name, *arguments)))
        scripts = sysconfig.get_path("scripts")
        log = self.directory / f"{name}.log"
        log.unlink(missing_ok=True)
        with (
            log.open("x", buffering=1) as file,
            subprocess.Popen(
                [str(Path(scripts) / name), *arguments],
                cwd=self.directory,
                env={**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    file.write(line)
                    if (found := _ROUND.search(line)) and not self._goes_on(*found.groups()):
                        process.kill()
                        return False
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise FlowError(f"{name} failed; the end of {log}:\n{tail}")
        return True

    def yosys(self, passes: Sequence[str]) -> None:
        """Run Yosys's passes on an empty design.

        Raises
        ------
        FlowError
            If one fails.
        """
        from tilewright.hdl.yosys import YosysError, run_yosys  # hdl brings Amaranth

        self._progress("yosys ...")
        self.commands.append(f"yosys -p {shlex.quote('; '.join(passes))}")
        try:
            run_yosys(passes, self.directory)
        except YosysError as error:
            raise FlowError(str(error)) from None

    def _goes_on(self, count: str, conflicts: str, late: str) -> bool:
        """Report a round of the router now and then; return whether there may be another one."""
        done, left = int(count), int(conflicts) + int(late)
        if done % 10 == 0:
            self._progress(f"  round {done}: {conflicts} wires in conflict, {late} paths late")
        if done == 1 or left < self._best[0]:
            self._best = (left, done)
        return done < ROUNDS and done - self._best[1] < STALLED
