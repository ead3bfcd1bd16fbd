"""Who may import whom."""

import ast
from pathlib import Path

import pytest

from tilewright.compiler.ir import OPS
from tilewright.compiler.ir.op import Unary, complete

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "hdl": {"hdl", "isa", "cache", "errors", "registry"},
    "src/tilewright/nn": {"nn", "errors"},
    "isa": {"isa", "errors"},
    "compiler": {"compiler", "isa", "nn", "errors", "files"},
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


#: What handles any operator asks for traits and names none, but for those at a graph's boundary.
GENERIC = (
    *(f"compiler/ir/{name}.py" for name in ("graph", "intervals", "rules", "run", "text", "docs")),
    *(
        str(path.relative_to(ROOT))
        for room in ("schedule/array", "schedule/order", "schedule/plan", "codegen")
        for path in (ROOT / "compiler" / room).rglob("*.py")
    ),
    "compiler/schedule/lowering/context.py",
    "compiler/schedule/lowering/dispatch.py",
    "compiler/schedule/lowered.py",
)


@pytest.mark.parametrize("path", GENERIC)
def test_generic_modules_know_no_operator(path):
    names = {op.__name__ for op in OPS} - {"Input", "Output"}
    tree = ast.parse((ROOT / path).read_text())
    imported = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("tilewright.compiler.ir")
        for alias in node.names
    }
    assert not imported & names


#: Questions that are answered by the parts of an operation; no one asks which kind a part is.
PARTS = {
    "JoinedWindows", "SampledWindows", "StackedWindows", "TileWindows", "StoredWeights",
    "GateWeights", "TermWeights", "KernelWeights", "Largest", "TileSum",
}  # fmt: skip


@pytest.mark.parametrize("room", ["schedule/plan", "codegen"])
def test_nobody_asks_which_kind_a_part_is(room):
    for path in (ROOT / "compiler" / room).rglob("*.py"):
        names = {
            node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)
        }
        assert not names & PARTS, path.relative_to(ROOT)


def test_importers_know_quantized_graphs_and_no_integers():
    """But for the float64 reference, which puts a model's outputs on an integer graph's grids."""
    rooms = (
        "compiler.ir",
        "compiler.quantized.to_integer",
        "compiler.schedule",
        "compiler.codegen",
    )
    for path in (ROOT / "compiler" / "importers").rglob("*.py"):
        if path.name != "reference.py":
            assert not [n for n in imports(path) if n.startswith(rooms)], path.relative_to(ROOT)


def test_an_operator_that_does_not_say_everything_is_refused():
    class Halved(Unary):
        """Half of every element."""

        RULES = ()

    with pytest.raises(TypeError, match="Halved does not say its shape"):
        complete(Halved)
