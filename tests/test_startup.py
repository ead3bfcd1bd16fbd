"""What is imported, and when: help is there at once, public names are there when asked for."""

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.random_layers import random_layer

SLOW = {"amaranth", "brevitas", "numpy", "torch"}


def modules_after(code):
    """Return the top-level modules that a fresh interpreter has loaded after some code."""
    report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    command = [sys.executable, "-c", f"{code}\n{report}"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "arguments",
    [
        *([name, "--help"] for name in ("quantize", "compile", "info", "evaluate", "synth")),
        *(["--help"], ["--version"], ["simul"]),
    ],
)
def test_help_imports_nothing_slow(arguments):
    code = f"""
from tilewright.cli import app
try:
    app({arguments})
except SystemExit:
    pass
"""
    loaded = modules_after(code)
    assert "typer" in loaded
    assert loaded & SLOW == set()


def test_importing_the_package_imports_nothing_slow():
    assert modules_after("import tilewright; tilewright.Error") & SLOW == set()


def test_simulating_a_program_needs_no_pytorch(tmp_path):
    path = tmp_path / "net.tw"
    engine = tw.EngineConfig(rows=2, cols=2)
    graph, _ = random_layer(np.random.default_rng(0), engine)
    tw.compile_graph(graph, tw.Target(engine=engine)).save(path)
    code = f"""
import tilewright as tw
program = tw.Program.load({str(path)!r})
tw.simulate(program, program.random_image(), backend="isa")
tw.simulate(program, program.random_image(), backend="golden")
"""
    assert modules_after(code) & {"brevitas", "torch"} == set()


def test_every_public_name_is_there():
    assert len(tw.__all__) > 20
    for name in tw.__all__:
        assert getattr(tw, name).__name__ == name
    assert set(tw.__all__) < set(dir(tw))
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        _ = tw.absent


def test_type_checkers_see_what_python_sees():
    tree = ast.parse(Path(tw.__file__).read_text())
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {}
    for statement in block.body:
        (alias,) = statement.names
        assert alias.name == alias.asname
        seen[alias.name] = statement.module.removeprefix("tilewright.")
    assert seen == tw._MODULES
