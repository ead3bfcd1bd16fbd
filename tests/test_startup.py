"""What is imported, and when: help is there at once, public names are there when asked for."""

import ast
import re
import subprocess
import sys
import textwrap
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


#: What the packages of pyproject's extras are imported as.
EXTRAS = (
    *("onnx", "onnxruntime", "onnxscript", "onnxoptimizer", "qonnx", "tflite", "ai_edge_litert"),
    *("altair", "vl_convert", "optuna", "dask", "distributed", "sklearn", "torchao"),
)
WITHOUT_EXTRAS = f"""
import sys
for name in {EXTRAS}:
    sys.modules[name] = None
import torch
import tilewright as tw
for name in tw.__all__:
    getattr(tw, name)
"""


def run_without_extras(code):
    """Return what code prints where none of the extras is installed."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS + textwrap.dedent(code)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_network_in_pytorch_needs_no_extra():
    *_, last = run_without_extras("""
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        x = torch.randn(8, 3, 6, 6)
        program = tw.compile(tw.quantize(net, [x]), x[:1], tw.Target.from_board("ulx3s-12f"))
        golden, isa = (tw.simulate(program, x[:1], backend=name) for name in ("golden", "isa"))
        print((golden.outputs[0] == isa.outputs[0]).all())
    """)
    assert last == "True"


def test_what_needs_an_extra_says_which():
    lines = run_without_extras("""
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        x = torch.randn(8, 3, 6, 6)
        quantized = tw.quantize(net, [x])
        program = tw.compile(quantized, x[:1], tw.Target.from_board("ulx3s-12f"))
        for use in (
            lambda: tw.read_onnx("net.onnx"),
            lambda: tw.read_tflite("net.tflite"),
            lambda: tw.explore(quantized, x[:1], board="ulx3s-12f"),
            lambda: tw.report(program, "page.html"),
        ):
            try:
                use()
            except tw.Error as error:
                print("error:", error)
    """)
    wanted = re.findall(r"pip install 'tilewright\[(\w+)\]'", "\n".join(lines))
    assert wanted == ["onnx", "tflite", "explore", "report"]
