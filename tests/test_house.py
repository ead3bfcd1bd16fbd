"""Files and functions that a reader can hold in mind."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILE_LINES, FUNCTION_LINES = 450, 80
ROOMS = ("isa", "compiler", "sim", "hdl", "boards", "src", "benchmarks", "examples", "tools")


def sources():
    names = subprocess.run(
        ["git", "ls-files", *(f"{room}/*.py" for room in ROOMS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert len(names) > 200
    return [ROOT / name for name in names if not (ROOT / name).is_symlink()]


def functions(tree):
    """Yield each function with its lines, those of its documentation not counted."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            yield node.name, node.end_lineno - first.lineno + 1


@pytest.mark.parametrize("room", ROOMS)
def test_files_are_one_idea(room):
    long = {
        str(path.relative_to(ROOT)): lines
        for path in sources()
        if path.is_relative_to(ROOT / room) and (lines := path.read_text().count("\n")) > FILE_LINES
    }
    assert not long


@pytest.mark.parametrize("room", ROOMS)
def test_functions_fit_a_screen(room):
    long = [
        (str(path.relative_to(ROOT)), name, lines)
        for path in sources()
        if path.is_relative_to(ROOT / room)
        for name, lines in functions(ast.parse(path.read_text()))
        if lines > FUNCTION_LINES
    ]
    assert not long
