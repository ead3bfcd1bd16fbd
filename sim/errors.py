"""What the executor refuses."""

from __future__ import annotations

from tilewright.errors import Error


class ExecutionError(Error):
    """A program asks for something that the engine refuses."""
