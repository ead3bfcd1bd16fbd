"""Load and store units under cocotb, with random back-pressure on every channel."""

import pytest

from tests.hdl.bench import simulate
from tests.hdl.configs import CONFIGS
from tilewright.hdl.load import LoadUnit
from tilewright.hdl.store import StoreUnit


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_load_unit(name, tmp_path, monkeypatch):
    simulate(LoadUnit(CONFIGS[name]), "cocotb_load", tmp_path, monkeypatch, CONFIG=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_store_unit(name, tmp_path, monkeypatch):
    simulate(StoreUnit(CONFIGS[name]), "cocotb_store", tmp_path, monkeypatch, CONFIG=name)
