"""What is refused of programs, their files and their inputs."""

from __future__ import annotations

from tilewright.errors import Error


class ProgramError(Error):
    """A program file is damaged or not one, or inputs do not fit the program."""
