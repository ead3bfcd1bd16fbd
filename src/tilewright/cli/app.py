"""The application: its commands, and what an error looks like."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from typer._click.exceptions import ClickException, NoArgsIsHelpError

import tilewright as tw
from tilewright.cli.compile import compile
from tilewright.cli.estimate import estimate
from tilewright.cli.evaluate import evaluate
from tilewright.cli.explore import explore
from tilewright.cli.flash import flash
from tilewright.cli.info import info
from tilewright.cli.quantize import quantize
from tilewright.cli.report import report
from tilewright.cli.run import run
from tilewright.cli.simulate import simulate
from tilewright.cli.synth import synth
from tilewright.cli.tables import console
from tilewright.cli.verify import verify
from tilewright.cli.verilog import verilog
from tilewright.errors import Error

app = typer.Typer(
    help="PyTorch networks to bit-exact convolution accelerators on FPGAs: quantize, compile, then "
    "simulate, verify or evaluate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    *(quantize, compile, info, simulate, verify, evaluate),
    *(estimate, report, explore, verilog, synth, flash, run),
):
    app.command()(command)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"tilewright {tw.__version__}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Take the options that come before a command."""


def _run() -> None:
    """Run the application; its exit status is that of the process."""
    code = app(prog_name="tilewright", standalone_mode=False)
    if isinstance(code, int) and code:
        raise SystemExit(code)


def main(run: Callable[[], None] = _run) -> None:
    """Run the command line; errors of the user's making are one line.

    The exit status is 2 for what is wrong in the command line itself, otherwise 1.
    """
    try:
        run()
    except (Error, OSError) as error:
        if isinstance(error, OSError):
            if error.filename is None:
                raise
            error = Error(f"{error.filename}: {error.strerror}")
        _fail(str(error), 1)
    except NoArgsIsHelpError as error:
        console.print(error.message, highlight=False, markup=False, end="")
        raise SystemExit(2) from None
    except ClickException as error:
        context = getattr(error, "ctx", None)
        command = context.command_path if context else "tilewright"
        text = error.format_message().replace("Value error, ", "").strip()
        text += "" if text.endswith((".", "?", "!")) else "."
        _fail(f"{text} What it takes: {command} --help", error.exit_code)
    except typer.Abort:
        _fail("aborted", 1)


def _fail(text: str, code: int) -> NoReturn:
    text = " ".join(f"error: {text}".split("\n"))
    text = re.sub(r'\bhost="(\w+)"', r"--host \1", text)  # an argument of functions
    Console(stderr=True).print(text, style="red", markup=False, highlight=False, soft_wrap=True)
    raise SystemExit(code) from None
