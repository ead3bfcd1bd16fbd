"""Random networks on engines of all that EngineConfig admits: golden == isa, and == rtl for a few.

The suite had six engines, of which the one with 4-bit weights had eight rows: with two, where a
pair of rows is all rows, every addition was wrong.
"""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies.agree import compare, compiled, try_network
from tests.strategies.engines import (
    DOMAINS,
    FREE,
    RANGES,
    admitted,
    engines,
    pairs_of,
    pairwise,
    random_engine,
    small_engine,
)
from tests.strategies.operators import MAKERS, random_network
from tilewright.api.verify import verify
from tilewright.compiler.ir import OPS, Add, Input, Output
from tilewright.errors import Error
from tilewright.isa import EngineConfig

PARTS = 4
#: Pairs of parameters of which EngineConfig excludes some values.
RULES = {
    frozenset(pair)
    for pair in (
        ("rows", "requantizers"), ("pipelined", "requantizers"), ("pipelined", "partial_depth"),
        ("pipelined", "offset_depth"), ("pipelined", "data_width"), ("pipelined", "kernel_width"),
        ("pipelined", "transform_at_load"), ("pipelined", "shared_words"),
        ("pipelined", "double_reads"),
        ("partial_depth", "data_width"),
        ("partial_depth", "kernel_width"), ("partial_depth", "transform_at_load"),
        ("weight_bits", "data_width"), ("weight_bits", "kernel_width"), ("weight_bits", "dsp"),
        ("weight_bits", "transform_at_load"), ("dsp", "data_width"), ("dsp", "kernel_width"),
        ("dsp", "transform_at_load"), ("kernel_width", "transform_at_load"),
        ("bus_width", "burst_beats"), ("multiplier_width", "rounding"),
        ("requantizers", "folds"), ("rows", "folds"), ("pipelined", "folds"),
        ("partial_depth", "folds"), ("data_width", "folds"), ("kernel_width", "folds"),
        ("transform_at_load", "folds"),
        ("wide_maps", "weight_bits"), ("wide_maps", "pipelined"), ("wide_maps", "dsp"),
        ("wide_maps", "early_parameters"), ("wide_maps", "partial_depth"),
        ("wide_maps", "data_width"), ("wide_maps", "kernel_width"),
        ("wide_maps", "transform_at_load"), ("wide_maps", "requantizers"),
        ("wide_maps", "rows"),
        ("stacked_images", "shared_words"), ("stacked_images", "pipelined"),
        ("split_columns", "pipelined"), ("split_columns", "cols"),
        ("split_columns", "partial_depth"), ("split_columns", "wide_maps"),
        ("split_columns", "data_width"), ("split_columns", "kernel_width"),
        ("split_columns", "transform_at_load"),
    )
}  # fmt: skip


def agree(seed, config, tries=1, wanted=1, **options):
    """Compare up to ``wanted`` networks of several seeds; return how many the engine ran."""
    compared = 0
    for number in range(tries):
        try:
            outcome = try_network(np.random.default_rng([seed, number]), config, **options)
        except Exception as error:
            pytest.fail(f"seed {[seed, number]}, {config}: {type(error).__name__}: {error}")
        assert not outcome.wrong, f"seed {[seed, number]}, {config}: {outcome}"
        compared += outcome.refused is None
        if compared == wanted:
            break
    return compared


def test_every_parameter_is_drawn():
    names = {field.name for field in fields(EngineConfig)}
    assert set(DOMAINS) == names
    assert set(RANGES) <= names
    for name, values in DOMAINS.items():
        whole = RANGES.get(name, values)
        assert set(values) <= set(whole), name
        beyond = (min(whole) - 1, max(whole) + 1) if name in RANGES else ()
        for value in beyond:
            free = {"partial_depth": 512, "requantizers": 1} if name.endswith("width") else {}
            assert admitted({**free, name: value}) is None, f"{name} may be {value}"


def test_every_pair_of_values_is_drawn():
    found, impossible = pairwise()
    assert {frozenset((a, b)) for (a, _), (b, _) in impossible} <= RULES
    drawn = set().union(*map(pairs_of, found))
    names = list(DOMAINS)
    free = [name for name in names if not any(name in rule for rule in RULES)]
    assert {*FREE, "acc_width", "weight_depth"} <= set(free)
    count = sum(len(DOMAINS[a]) * len(DOMAINS[b]) for i, a in enumerate(names) for b in names[:i])
    assert len(drawn) == count - len(impossible)


@pytest.mark.parametrize("part", range(PARTS))
def test_pairwise_engines_agree(part):
    """Every pair of parameters' values, with a network that the engine runs, if one of five."""
    chosen = list(enumerate(pairwise()[0]))[part::PARTS]
    compared = sum(agree(seed, config, tries=5, layers=4) for seed, config in chosen)
    assert compared > 0.6 * len(chosen)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(config=engines(), seed=st.integers(0, 1 << 32))
def test_any_engine_agrees(config, seed):
    agree(seed, config)


def test_every_operator_is_drawn():
    assert set(MAKERS) == set(OPS) - {Input, Output}


@pytest.mark.parametrize("op", MAKERS, ids=lambda op: op.__name__)
def test_every_operator_agrees(op):
    """On engines that have room for most."""
    drawn = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        config = random_engine(rng, roomy=True)
        graph, inputs = random_network(rng, config, layers=2, only=op)
        drawn += sum(isinstance(layer, op) for layer in graph.ops)
        try:
            program = compiled(rng, config, graph, inputs)
        except Error:
            continue
        assert not compare(program, inputs).wrong, f"seed {seed}, {config}"
    assert drawn


def test_additions_of_two_rows_with_narrow_weights_are_drawn_and_agree():
    config, added = small_engine(np.random.default_rng(0), rows=2, weight_bits=4), 0
    for seed in range(12):
        graph, inputs = random_network(np.random.default_rng(seed), config, layers=3, only=Add)
        try:
            program = compiled(np.random.default_rng(seed), config, graph, inputs)
        except Error:
            continue
        added += sum(isinstance(op, Add) for op in graph.layers)
        assert not compare(program, inputs).wrong, f"seed {seed}"
    assert added > 9


@pytest.mark.slow
@pytest.mark.parametrize(
    "fixed",
    [{"rows": 2, "weight_bits": 4}, {"partial_depth": 512, "data_width": 15}, {"pipelined": False}],
    ids=["pairs of rows", "tiles", "not pipelined"],
)
def test_small_engines_equal_rtl(fixed):
    """Every element, and every command's cycle."""
    config = small_engine(np.random.default_rng(len(fixed)), **fixed)
    compared = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        graph, inputs = random_network(rng, config, layers=4)
        try:
            program = compiled(rng, config, graph, inputs)
        except Error:
            continue
        try:
            verify(program, inputs)
        except Error as error:
            pytest.fail(f"seed {seed}, {config}: {error}")
        compared += 1
        if compared == 12:
            return
    pytest.fail(f"only {compared} networks compile for {config}")
