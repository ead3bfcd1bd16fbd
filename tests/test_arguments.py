"""Wrong types are refused at once, by the parameter's name."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import nn

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


PROGRAM = object.__new__(tw.Program)  # of no content: the arguments are looked at first
ENGINE, BATCHES = tw.EngineConfig(), [torch.zeros(1, 1, 4, 4)]
WRONG_CALLS = {
    "compile: target must be a Target, not 'ulx3s-85f': pass tw.Target.from_board": (
        lambda: tw.compile(nn.Identity(), None, "ulx3s-85f")
    ),
    r"compile: target must be a Target, not an engine: pass tw.Target\(engine=": (
        lambda: tw.compile(nn.Identity(), None, ENGINE)
    ),
    "compile: objective must be one of 'time', 'traffic', 'energy', not 'fast'": (
        lambda: tw.compile(nn.Identity(), None, tw.Target(), objective="fast")
    ),
    "compile: algorithms must be Mapping": (
        lambda: tw.compile(nn.Identity(), None, tw.Target(), algorithms="direct")
    ),
    "compile_graph: graph must be Graph": lambda: tw.compile_graph(3, tw.Target()),
    "generate_verilog: target must be Target": lambda: tw.generate_verilog(3, "build"),
    "generate_verilog: directory must be": lambda: tw.generate_verilog(tw.Target(), 3),
    "write_integration: target must be Target": lambda: tw.write_integration(3, "build"),
    "write_integration: directory must be": lambda: tw.write_integration(tw.Target(), 3),
    "synthesize: target must be": lambda: tw.synthesize(None, "build"),
    "simulate: program must be Program": lambda: tw.simulate("net.tw", None),
    "verify: program must be Program": lambda: tw.verify("net.tw", None),
    "estimate: program must be Program": lambda: tw.estimate(None),
    "evaluate: program must be Program": lambda: tw.evaluate(None, ()),
    "evaluate: data must be .inputs, labels.": lambda: tw.evaluate(PROGRAM, 3),
    "quantize: weight_bits must be int": (
        lambda: tw.quantize(nn.Identity(), BATCHES, weight_bits=8.0)
    ),
    "quantize: least_snr_db must be": (
        lambda: tw.quantize(nn.Identity(), BATCHES, least_snr_db="20")
    ),
    "load: path must be str or PathLike": lambda: tw.Program.load(3),
    "save: path must be str or PathLike": lambda: PROGRAM.save(3),
}


@pytest.mark.parametrize("match", WRONG_CALLS)
def test_verbs_take_no_other_types(match):
    with pytest.raises(tw.Error, match=match):
        WRONG_CALLS[match]()
