"""Families of FPGAs, as engines name them."""

from dataclasses import replace

import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tilewright.errors import Error
from tilewright.hdl.engine import Engine
from tilewright.hdl.families import FAMILIES, get_family
from tilewright.isa import EngineConfig


def test_unknown_family_names_those_there_are():
    message = "no family of FPGAs 'cyclone'; there are ecp5, gowin, ice40, inferred"
    config = EngineConfig(dsp="cyclone")
    for make in (Engine, lambda config: tw.Target(engine=config)):
        with pytest.raises(Error, match=message):
            make(config)


@pytest.mark.parametrize(
    "options",
    [
        {"weight_bits": 4},
        {"data_width": 13, "partial_depth": 64, "pipelined": True},
        {"kernel_width": 12, "partial_depth": 64, "pipelined": True},
    ],
)
def test_engine_that_a_family_has_no_primitives_for_is_refused(options):
    config = replace(ENGINES["4x2-small"], **options)
    name = next(iter(options))
    for make in (Engine, lambda config: tw.Target(engine=config)):
        with pytest.raises(Error, match=f"{name} must be . with dsp 'ice40'.*not {options[name]}"):
            make(config)
    get_family("ecp5").check(replace(config, dsp="ecp5"))


@pytest.mark.parametrize("name", FAMILIES.all())
def test_family_has_a_model_of_its_primitives(name):
    family = get_family(name)
    assert family.name == name
    assert (family.model is None) == (name == "inferred")
    assert family.model is None or "endmodule" in family.model.read_text()
