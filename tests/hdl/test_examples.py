"""Every public component of hdl has a short example of its name."""

import importlib
import inspect
import pkgutil
import re

import pytest
from amaranth.lib import wiring

import tests.hdl.examples
import tilewright.hdl


def modules(package):
    """Return all modules below a package."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found]


COMPONENTS = {
    value
    for module in modules(tilewright.hdl)
    for name, value in vars(module).items()
    if inspect.isclass(value)
    and issubclass(value, wiring.Component)
    and value.__module__.startswith("tilewright.hdl")
    and not name.startswith("_")
}
EXAMPLES = {
    name.removeprefix("test_"): function
    for module in modules(tests.hdl.examples)
    for name, function in vars(module).items()
    if name.startswith("test_")
}


def snake_case(name):
    """Return ``MACArray`` as ``mac_array``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def test_there_are_components():
    assert len(COMPONENTS) > 45


@pytest.mark.parametrize("component", sorted(COMPONENTS, key=lambda c: c.__name__))
def test_component_has_an_example(component):
    name = snake_case(component.__name__)
    assert name in EXAMPLES, f"tests/hdl/examples lacks test_{name}"
    assert re.search(rf"\b{component.__name__}\b", inspect.getsource(EXAMPLES[name])), name
