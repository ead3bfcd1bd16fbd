"""Wrong types are refused at once, by the parameter's name."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

import tilewright as tw
from tilewright.errors import ArgumentError

WRONG = [8.0, "8", None, [8], np.int64(8), Fraction(8), object(), True]


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(tw.EngineConfig)])
def test_engine_config_takes_no_other_types(name):
    right = type(getattr(tw.EngineConfig(), name))
    for value in WRONG:
        if type(value) is right or (name == "requantizers" and value is None):
            continue
        with pytest.raises(ArgumentError, match=f"EngineConfig: {name} must be "):
            tw.EngineConfig(**{name: value})


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"engine": "ulx3s-85f"}, "Target: engine must be EngineConfig, not 'ulx3s-85f'"),
        ({"engine": None}, "Target: engine must be"),
        ({"memory": 20}, "Target: memory must be MemoryTiming"),
        ({"clock_mhz": "100"}, "Target: clock_mhz must be int or float"),
        ({"clock_mhz": 0}, "Target: clock_mhz must be above 0"),
        ({"clock_mhz": float("nan")}, "Target: clock_mhz must be above 0"),
        ({"board": 85}, "Target: board must be str or None"),
        ({"board": "ulx3s"}, "no board 'ulx3s'"),
    ],
)
def test_target_takes_no_other_types(arguments, match):
    with pytest.raises(tw.Error, match=match):
        tw.Target(**arguments)


@pytest.mark.parametrize("value", [0, -1, 2.0, "2", None, True, 1 << 40])
@pytest.mark.parametrize("name", ["read_latency", "write_latency"])
def test_memory_timing_takes_no_other_types(name, value):
    with pytest.raises(tw.Error, match=f"MemoryTiming: {name} must be "):
        tw.MemoryTiming(**{name: value})


def test_an_argument_error_is_a_type_error():
    with pytest.raises(TypeError):
        tw.EngineConfig(rows=8.0)
