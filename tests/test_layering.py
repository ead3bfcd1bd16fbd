"""Which package may import which, as docs and reviewers assume it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# Package: prefixes of what it may import from the project, besides itself and `tilewright.errors`.
ALLOWED = {
    "hdl": ("tilewright.compiler.isa",),
    "compiler": (),
    "sim": ("tilewright.compiler", "tilewright.hdl"),
    "boards": ("tilewright.compiler.isa", "tilewright.hdl"),
}


def imports(source):
    """Return the project's modules that some source imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # `from tilewright import hdl` names its module in the list.
            whole = node.module == "tilewright"
            names = [f"tilewright.{alias.name}" for alias in node.names] if whole else [node.module]
            yield from ("." * node.level + (name or "") for name in names)


def violations(package, source):
    allowed = (f"tilewright.{package}", "tilewright.errors", *ALLOWED[package])

    def ours(name):
        return name.startswith(".") or name.split(".")[0] == "tilewright"

    def fine(name):
        return any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)

    return [name for name in imports(source) if ours(name) and not fine(name)]


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_one_way(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    wrong = {
        str(f.relative_to(ROOT)): found
        for f in files
        if (found := violations(package, f.read_text()))
    }
    assert not wrong


@pytest.mark.parametrize(
    ("package", "source"),
    [
        ("compiler", "from tilewright.hdl.axi import AXI4"),
        ("compiler", "def f():\n    import tilewright.hdl"),
        ("hdl", "from tilewright.compiler.ir import Graph"),
        ("hdl", "from tilewright import sim"),
        ("hdl", "from tilewright.compiler.isa_extra import X"),
        ("boards", "from tilewright.target import Target"),
        ("sim", "from ..hdl import axi"),
    ],
)
def test_the_check_sees_what_it_must(package, source):
    assert violations(package, source)


def test_the_check_lets_pass_what_it_must():
    assert not violations("hdl", "import numpy\nfrom tilewright.compiler.isa.config import X")
    assert not violations("sim", "from tilewright.hdl import axi")
