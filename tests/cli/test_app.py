"""What all commands share: help, and how they fail."""

import subprocess
import sys
from pathlib import Path

import pytest

import tilewright as tw
from tests.cli.run import invoke, refused
from tilewright.cli import app, main

COMMANDS = (
    *("quantize", "compile", "info", "simulate", "verify", "evaluate"),
    *("estimate", "verilog", "synth"),
)


def test_commands_are_all_in_the_help():
    output = invoke("--help")
    for name in COMMANDS:
        assert name in output


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_help_text(command):
    import typer

    group = typer.main.get_command(app)
    parameters = group.commands[command].params
    assert group.commands[command].help
    for parameter in parameters:
        assert getattr(parameter, "help", None), f"{command}: {parameter.name}"


def test_errors_are_one_line_and_status_one(capsys):
    def fail():
        raise tw.Error("the [red] board is missing")

    with pytest.raises(SystemExit) as stop:
        main(fail)
    assert stop.value.code == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["error: the [red] board is missing"]
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compil"], "No such command 'compil'. Did you mean 'compile'? What it takes: tilewright"),
        (["compile"], "Missing argument 'model'. What it takes: tilewright compile --help"),
        (
            ["compile", "a", "--boad", "x"],
            "No such option: --boad (Possible options: --batch,",
        ),
        (["compile", "a", "b"], "Got unexpected extra argument(s) (b). What it takes:"),
        (["simulate", "a", "--backend", "x"], "Invalid value for '--backend': 'x' is not one of"),
        (["quantize", "a", "--weight-bits", "x"], "Invalid value for '--weight-bits': "),
    ],
)
def test_a_wrong_command_line_is_one_line_and_status_two(capsys, arguments, message):
    assert refused(capsys, *arguments, status=2).startswith(message)


def test_a_file_in_the_way_is_one_line_too(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stop:
        main(lambda: (tmp_path / "file" / "results").mkdir(parents=True))
    assert stop.value.code == 1
    text = "".join(capsys.readouterr().err.split())  # rich folds long lines
    assert text == f"error:{tmp_path / 'file' / 'results'}:Notadirectory"
    with pytest.raises(OSError, match="ours"):
        main(lambda: (_ for _ in ()).throw(OSError("ours")))


def test_the_installed_command_fails_without_a_traceback(tmp_path):
    command = [Path(sys.executable).parent / "tilewright", "simulate", tmp_path / "absent.tw"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "absent.tw" in result.stderr.replace("\n", "")


@pytest.mark.parametrize("command", ["info", "simulate", "verify", "verilog", "synth", "estimate"])
def test_what_is_no_program_is_refused(capsys, tmp_path, command):
    bad = tmp_path / "bad.tw"
    bad.write_bytes(b"PK but not a program")
    assert str(bad) in refused(capsys, command, bad)
    absent = tmp_path / "absent.tw"
    assert str(absent) in refused(capsys, command, absent)


def test_lines_of_a_message_become_one(capsys):
    def fail():
        raise tw.Error("first\nsecond")

    with pytest.raises(SystemExit):
        main(fail)
    assert capsys.readouterr().err == "error: first second\n"
