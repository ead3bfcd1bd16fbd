"""How far something is, for a callback or for a person who waits."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console
from rich.progress import Progress

#: Called with the steps done and all steps.
ProgressCallback = Callable[[int, int], None]

_PATIENCE = 2.0  # seconds


class Steps:
    """Counts steps, for a callback or for a bar that appears when the work takes long.

    Parameters
    ----------
    what : str, the work, in front of the bar
    total : int, 0 if it is not known
    callback : called with every step, instead of a bar
    """

    def __init__(self, what: str, total: int, callback: ProgressCallback | None) -> None:
        self.what = what
        self.total = total
        self.callback = callback
        self.done = 0
        self.bar: Progress | None = None

    def __enter__(self) -> Steps:
        self.started = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self, count: int = 1) -> None:
        """Count steps that are done."""
        self.done += count
        if self.callback is not None:
            self.callback(self.done, self.total)
            return
        if self.bar is None and time.monotonic() - self.started > _PATIENCE:
            console = Console(stderr=True)
            self.bar = Progress(console=console, transient=True, disable=not console.is_terminal)
            self.bar.add_task(self.what, total=self.total or None)
            self.bar.start()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done)
