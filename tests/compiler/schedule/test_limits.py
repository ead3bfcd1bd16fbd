"""What a refusal asks for can be had, and helps: every remedy with a number is followed."""

import ast
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from tests.cosim.engines import ENGINES
from tests.cosim.random_layers import random_layer
from tests.strategies.engines import random_engine
from tests.strategies.operators import random_network
from tilewright.api.compile import compile_graph
from tilewright.compiler.ir import (
    Conv2d,
    DeformConv2d,
    Gate,
    Graph,
    Input,
    Lookup,
    MaxPool2d,
    Output,
    Requantize,
    RoundedConv2d,
    TensorType,
)
from tilewright.compiler.schedule import EngineLimitError
from tilewright.compiler.schedule import limits as limits_module
from tilewright.compiler.schedule.limits import at_least
from tilewright.errors import Error
from tilewright.isa import EngineConfig
from tilewright.target import Target

COMPILER = Path(limits_module.__file__).parents[1]
NUMBER = re.compile(r"the engine's (\w+) must be at least (\d+)( with pipelined=True)?, not (\d+)")
NAMED = {"weight_bits=8": {"weight_bits": 8}, "maximum=True": {"maximum": True}}
TILES = EngineConfig(
    rows=4, cols=3, requantizers=2, weight_depth=8192, data_width=13, kernel_width=14,
    partial_depth=128,
)  # fmt: skip
F = "F(4x2,3x3)"


def same(channels, shift=8):
    return Requantize((1,) * channels, (shift,) * channels, 0, -128, 127)


def convolution(channels=6, kernels=6, size=(8, 8), limit=128, multiplier=1):
    """A layer of 3 x 3 taps between maps of one size."""
    rng = np.random.default_rng(0)
    kind = TensorType((channels, *size), 8, True, 1.0, 0)
    op = Conv2d(
        "conv", "x", "y", rng.integers(-limit, limit, (kernels, channels, 3, 3)), 8,
        np.zeros(kernels, np.int64), (1, 1), (1, 1, 1, 1), (1, 1), 1,
        replace(same(kernels), multiplier=(multiplier,) * kernels),
    )  # fmt: skip
    values = {"x": kind, "y": replace(kind, shape=(kernels, *size))}
    return Graph("g", values, (Input("i", "x"), op, Output("o", "y")))


def rounded():
    """A layer whose kernels are already those of tiles."""
    program = compile_graph(
        convolution(), Target(engine=replace(TILES, kernel_width=11)),
        algorithms={"conv": f"{F} rounded"},
    )  # fmt: skip
    assert isinstance(program.graph.layers[0], RoundedConv2d)
    return program.graph


def one(op, **shapes):
    """One operator that reads inputs and writes y."""
    values = {v: TensorType(shape, 8, True, 1.0, 0) for v, shape in shapes.items()}
    inputs = [Input(v, v) for v in op.inputs]
    return Graph("g", values, (*inputs, op, Output("o", "y")))


def deformable(fraction=4, size=9):
    """A deformable layer whose offsets and mask are inputs."""
    kind = TensorType((4, size, size), 8, True, 1.0, 0)
    values = {
        "x": kind, "y": kind,
        "offset": TensorType((18, size, size), 8, True, 2.0**-fraction, 0),
        "mask": TensorType((9, size, size), 5, False, 2.0**-5, 0),
    }  # fmt: skip
    op = DeformConv2d(
        "layer", "x", "offset", "mask", "y", np.ones((4, 4, 3, 3), int), 4, np.zeros(4, int),
        (1, 1), (1, 1, 1, 1), (1, 1), 1, 1, same(4),
    )  # fmt: skip
    inputs = [Input(v, v) for v in ("x", "offset", "mask")]
    return Graph("g", values, (*inputs, op, Output("o", "y")))


def many_commands():
    return random_layer(np.random.default_rng(10), ENGINES["4x2-small"])[0]


@dataclass(frozen=True)
class Case:
    """A refusal: what asks for it, of which engine, and what must grow."""

    graph: Graph
    config: EngineConfig
    grows: str
    algorithm: str = "auto"


SAMPLER = EngineConfig(rows=4, cols=3, offset_depth=1024)
CASES = {
    "weights": lambda: Case(
        convolution(40), EngineConfig(rows=32, weight_depth=16), "weight_depth"
    ),
    "sums": lambda: Case(convolution(), EngineConfig(acc_width=18), "acc_width"),
    "multiplier": lambda: Case(
        convolution(multiplier=1 << 19), EngineConfig(), "multiplier_width"
    ),
    "memory": lambda: Case(convolution(64, 64), EngineConfig(addr_width=12), "addr_width"),
    "counts": lambda: Case(
        many_commands(), replace(ENGINES["4x2-small"], count_width=6), "count_width"
    ),
    "tables": lambda: Case(
        one(Lookup("l", "x", "y", np.zeros(256, int)), x=(4, 3, 3), y=(4, 3, 3)),
        EngineConfig(), "tables",
    ),
    "maximum": lambda: Case(
        one(MaxPool2d("m", "x", "y", (2, 2), (2, 2), (0,) * 4, (1, 1)), x=(4, 4, 4), y=(4, 2, 2)),
        EngineConfig(maximum=False, weight_bits=4), "maximum",
    ),
    "a gate": lambda: Case(
        one(Gate("g", "x", "f", "y", same(4)), x=(4, 3, 3), f=(4, 1, 1), y=(4, 3, 3)),
        EngineConfig(weight_bits=4), "weight_bits",
    ),
    "wide weights": lambda: Case(convolution(), EngineConfig(weight_bits=4), "weight_bits"),
    "offsets": lambda: Case(
        deformable(), replace(SAMPLER, offset_depth=16), "offset_depth", "direct"
    ),
    "no sampler": lambda: Case(
        deformable(),
        EngineConfig(rows=4, cols=3, requantizers=2, pipelined=False, offset_depth=0),
        "offset_depth",
    ),
    "fractions": lambda: Case(
        deformable(), replace(SAMPLER, offset_fraction=0, mask_fraction=0), "offset_fraction"
    ),
    "fractions of masks": lambda: Case(
        deformable(), replace(SAMPLER, mask_fraction=0), "mask_fraction"
    ),
    "reach": lambda: Case(deformable(0, 40), replace(SAMPLER, act_depth=20), "act_depth"),
    "data of tiles": lambda: Case(convolution(), replace(TILES, data_width=10), "data_width", F),
    "kernels of tiles": lambda: Case(
        convolution(), replace(TILES, kernel_width=10), "kernel_width", F
    ),
    "sums of tiles": lambda: Case(convolution(), replace(TILES, acc_width=22), "acc_width", F),
    "partial sums": lambda: Case(
        convolution(size=(8, 98)), replace(TILES, partial_depth=8), "partial_depth", F
    ),
    "rows of tiles": lambda: Case(
        convolution(), replace(TILES, rows=2, bus_width=128, out_depth=16), "out_depth", F
    ),
    "input of tiles": lambda: Case(convolution(64), replace(TILES, act_depth=16), "act_depth", F),
    "weights of tiles": lambda: Case(
        convolution(64), replace(TILES, weight_depth=1024), "weight_depth", F
    ),
    "rounded sums": lambda: Case(
        convolution(limit=2), replace(TILES, kernel_width=9, acc_width=16), "acc_width",
        f"{F} rounded",
    ),
    "rounded kernels": lambda: Case(rounded(), replace(TILES, kernel_width=10), "kernel_width"),
}  # fmt: skip


def asked(message: str) -> dict[str, object] | None:
    """Return the parameters that a refusal asks for, or None where it asks for no other engine."""
    if found := NUMBER.search(message):
        more = {"pipelined": True} if found[3] else {}
        assert int(found[2]) > int(found[4]), message
        return {found[1]: int(found[2]), **more}
    return next((fields for text, fields in NAMED.items() if text in message), None)


def follow(
    graph: Graph, config: EngineConfig, algorithms: Mapping[str, str]
) -> tuple[list[str], list[dict[str, object]]]:
    """Do what refusals say until the graph compiles; return them, and what was done.

    The last refusal may be one that no engine can help.
    """
    refusals: list[str] = []
    done: list[dict[str, object]] = []
    while True:
        try:
            compile_graph(graph, Target(engine=config), algorithms=algorithms)
            return refusals, done
        except Error as error:
            refusals.append(str(error))
        wanted = asked(refusals[-1])
        if wanted is None:
            return refusals, done
        assert wanted not in done, f"followed, and refused again: {refusals[-1]}"
        assert len(done) < 30, refusals
        config = replace(config, **wanted)  # which EngineConfig must admit
        done.append(wanted)


def calls():
    """Return where the compiler names a number that a parameter must have: module, parameter."""
    for path in sorted(COMPILER.rglob("*.py")):
        module = path.relative_to(COMPILER).with_suffix("").as_posix().replace("/", ".")
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "at_least":
                name = node.args[1]
                yield module, name.value if isinstance(name, ast.Constant) else None


@pytest.fixture(scope="module")
def followed():
    """Return what each case gave, and the calls that named numbers."""
    seen = set()

    def noting(config, parameter, least):
        module = sys._getframe(1).f_globals["__name__"].removeprefix("tilewright.compiler.")
        seen.update({(module, parameter), (module, None)})
        return at_least(config, parameter, least)

    patch = pytest.MonkeyPatch()
    for name, module in list(sys.modules.items()):
        if name.startswith("tilewright.compiler") and name != limits_module.__name__:
            if hasattr(module, "at_least"):
                patch.setattr(module, "at_least", noting)
    results = {}
    for name, build in CASES.items():
        case = build()
        layers = {case.graph.layers[-1].name: case.algorithm} if case.algorithm != "auto" else {}
        results[name] = case, follow(case.graph, case.config, layers)
    patch.undo()
    return results, seen


@pytest.mark.parametrize("name", CASES)
def test_what_a_refusal_asks_for_helps(followed, name):
    """Depths of 98 and 1543 words were asked for, which no engine has."""
    case, (refusals, done) = followed[0][name]
    assert done, refusals
    assert case.grows in done[0], refusals[0]
    assert len(refusals) == len(done), f"refused in the end: {refusals[-1]}"


def test_every_number_that_the_compiler_asks_for_is_followed(followed):
    wanted = set(calls())
    assert len(wanted) > 12
    assert wanted <= followed[1], f"no case for {wanted - followed[1]}"


def test_numbers_are_asked_for_in_one_place():
    """A text beside it would name numbers that no engine has."""
    told = re.compile(r"the engine's \w+ must be|must be at least (that|\{)")
    for path in COMPILER.rglob("*.py"):
        if path != Path(limits_module.__file__):
            text = re.sub(r'"\s*\n\s*f?"', "", path.read_text())
            assert not told.search(text), f"{path.name}: {told.search(text)}"


@pytest.mark.parametrize(
    ("parameter", "least", "text"),
    [
        ("weight_depth", 1543, "must be at least 2048, not 1024"),
        ("offset_depth", 3, "must be at least 16, not 0"),
        ("act_depth", 1025, "must be at least 1025, not 1024"),
        ("act_depth", 65537, "no engine's act_depth can be 65537"),
        ("weight_depth", 65537, "no engine's weight_depth can be 65537"),
        ("acc_width", 33, "no engine's acc_width can be 33"),
        ("act_depth", np.int64(1025), "must be at least 1025, not 1024"),
    ],
)
def test_numbers_that_engines_have(parameter, least, text):
    assert text in at_least(EngineConfig(weight_depth=1024), parameter, least)


def test_what_another_parameter_excludes_is_asked_for_with_it():
    config = EngineConfig(requantizers=8, pipelined=False)
    text = at_least(config, "offset_depth", 60)
    assert "offset_depth must be at least 64 with pipelined=True, not 0" in text


@pytest.mark.parametrize("seed", range(25))
def test_random_refusals_can_be_followed(seed):
    rng = np.random.default_rng(seed)
    config = random_engine(rng)
    graph, _ = random_network(rng, config, layers=3)
    follow(graph, config, {})


def test_a_refusal_without_an_engine_that_helps_says_so():
    """A sum of 29 bits, and the bits that tiles need beside it."""
    graph = convolution(2700, 4)
    config = replace(TILES, act_depth=65536, weight_depth=65536)
    with pytest.raises(EngineLimitError, match=r"conv: .* no engine's acc_width can be \d+"):
        compile_graph(graph, Target(engine=config), algorithms={"conv": F})
