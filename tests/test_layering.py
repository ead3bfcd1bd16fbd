"""Who may import whom."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "hdl": {"hdl", "isa", "cache", "errors", "registry"},
    "src/tilewright/nn": {"nn", "errors"},
    "isa": {"isa", "errors"},
    "compiler": {"compiler", "isa", "nn", "errors"},
    "sim": {"sim", "hdl", "compiler", "isa", "cache", "errors", "files"},
    "boards": {"boards", "hdl", "isa", "cache", "errors", "files", "registry"},
}


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            if name == "tilewright" or name.startswith("tilewright."):
                yield name.removeprefix("tilewright").removeprefix(".")


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_what_it_may(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            allowed = any(name == a or name.startswith(a + ".") for a in ALLOWED[package])
            assert allowed, f"{path.relative_to(ROOT)} imports tilewright.{name}"
