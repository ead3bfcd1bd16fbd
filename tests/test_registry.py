"""What the modules of a package offer."""

from dataclasses import dataclass

import pytest

from tilewright.errors import Error
from tilewright.registry import Registry


@dataclass(frozen=True)
class Tool:
    name: str


@pytest.fixture
def room(tmp_path, monkeypatch, request):
    """Return a function that writes a module into a package of its own, and its registry."""
    package = f"room_of_{abs(hash(request.node.name))}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)

    def write(module, text):
        (tmp_path / package / f"{module}.py").write_text(
            f"from tests.test_registry import Tool\n{text}\n"
        )

    return write, Registry(package, "TOOLS", Tool, "tool")


def test_module_that_is_there_is_found(room):
    write, tools = room
    write("saws", "TOOLS = (Tool('saw'), Tool('jigsaw'))")
    write("axes", "TOOLS = (Tool('axe'),)")
    assert list(tools.all()) == ["axe", "saw", "jigsaw"]
    assert tools.get("saw") == Tool("saw")
    with pytest.raises(Error, match="there is no tool 'drill'; there are axe, jigsaw, saw"):
        tools.get("drill")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lists no tool in TOOLS"),
        ("TOOLS = ('saw',)", "has 'saw', which is no tool"),
        ("TOOLS = (Tool('saw'), Tool('saw'))", "two of the tool 'saw'"),
    ],
)
def test_module_that_does_not_say_what_it_has_is_an_error(room, text, message):
    write, tools = room
    write("saws", text)
    with pytest.raises(Error, match=message):
        tools.all()
