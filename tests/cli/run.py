"""Commands as a user gives them."""

import sys
from unittest import mock

from typer.testing import CliRunner

from tilewright.cli import app, main


def invoke(*arguments):
    """Return what a command that succeeds prints."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, f"{result.output}{result.exception!r}"
    return result.output


def refused(capsys, *arguments, status=1):
    """Return the one line that a command that fails prints."""
    code = 0
    with mock.patch.object(sys, "argv", ["tilewright", *map(str, arguments)]):
        try:
            main()
        except SystemExit as stop:
            code = stop.code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert code == status, captured.out + line
    assert line.startswith("error: ")
    return line.removeprefix("error: ")
