"""Parts of commands, one after another, do what the whole command does."""

import random
from dataclasses import replace

import numpy as np
import pytest

from tests.hdl.compute_cases import random_compute
from tilewright.isa import EngineConfig
from tilewright.isa.layout import pack_parameters
from tilewright.isa.parts import Part, PassLoops, take_part, take_pass
from tilewright.sim.effects.buffers import Buffers
from tilewright.sim.effects.compute import run_compute

CONFIG = EngineConfig(rows=4, cols=3, act_depth=65536, weight_depth=65536, out_depth=65536)
TILES = replace(CONFIG, partial_depth=4096)


def cut(rng, count):
    """Cut ``range(count)`` somewhere, in order or not."""
    ends = sorted({count, *rng.sample(range(1, count), rng.randrange(count))} if count > 1 else {1})
    return [range(a, b) for a, b in zip([0, *ends], ends, strict=False)]


def random_parts(rng, loops):
    """Return boxes that together are all of the loops, each once."""
    parts = [
        Part(groups=groups, rows=rows, columns=columns)
        for groups in cut(rng, loops.groups)
        for rows in cut(rng, loops.rows)
        for columns in cut(rng, loops.columns)
    ]
    rng.shuffle(parts)
    return parts


def filled(config, seed):
    """Return buffers of random contents; sums that were left there mean nothing."""
    rng = np.random.default_rng(seed)
    buffers = Buffers.of(config)
    buffers.activations[:] = rng.integers(0, 256, buffers.activations.shape)
    buffers.weights[:] = rng.integers(-128, 128, buffers.weights.shape)
    buffers.sums = rng.integers(-99, 99, (config.cols, config.rows))
    return buffers


def random_case(rng, config):
    """Return a command of one kernel group, and its loops."""
    maximum = int(rng.random() < 0.3) if config is CONFIG else 0
    command = random_compute(
        rng, config, n_kg=1, n_cg=rng.randint(1, 5), n_r=rng.randint(1, 4), n_s=rng.randint(1, 4),
        weight_base=60000, act_base=rng.randrange(9000), cg_step=rng.randrange(999),
        maximum=maximum, to_act=0, to_out=1, dst_step=1, qmin=-128, qmax=127,
    )  # fmt: skip
    loops = PassLoops(
        groups=command.n_cg,
        rows=command.n_r,
        columns=command.n_s,
        segment=command.segment,
        last_segment=command.last_segment,
    )
    return command, loops


def load(config, buffers, words, loops, part, base):
    """Put the parameters and the weight words of a part at a word."""
    chosen = [*range(config.param_words), *(config.param_words + loops.steps(part))]
    buffers.weights[base : base + len(chosen)] = words[chosen]


def test_every_step_belongs_to_one_part():
    for seed in range(100):
        rng = random.Random(seed)
        command, loops = random_case(rng, CONFIG)
        parts = random_parts(rng, loops)
        steps = np.concatenate([loops.steps(part) for part in parts])
        whole = command.n_r * command.n_s * ((command.n_cg - 1) * command.segment)
        whole += command.n_r * command.n_s * command.last_segment
        assert sorted(steps) == list(range(whole)), f"seed {seed}"
        assert sum(loops.shape(part).steps for part in parts) == whole, f"seed {seed}"


@pytest.mark.parametrize("config", [CONFIG, TILES], ids=["in the array", "in partial sums"])
def test_parts_have_the_results_of_the_whole(config):
    for seed in range(25):
        rng = random.Random(seed)
        command, loops = random_case(rng, config)
        buffers, whole = filled(config, seed), filled(config, seed)
        count = config.param_words + 4 * 4 * 5 * config.rows
        words = buffers.weights[np.arange(60000, 60000 + count) % config.weight_depth].copy()
        # Such that sums show in the results.
        scale = [np.full(config.rows, value) for value in (17, 3, 1 if command.maximum else 8, 0)]
        words[: config.param_words] = pack_parameters(config, *scale).view(np.int8)
        if command.maximum:
            words[config.param_words :] = 1
        whole.weights[np.arange(60000, 60000 + count) % config.weight_depth] = words
        run_compute(config, command, whole)
        passes = [(y, x) for y in range(command.n_oy) for x in range(command.n_ox)]
        for unit in passes if config is CONFIG else [None]:
            parts = random_parts(rng, loops)
            for number, part in enumerate(parts):
                last = number == len(parts) - 1
                load(config, buffers, words, loops, part, 500)
                one = command if unit is None else take_pass(config, command, *unit)
                one = replace(
                    take_part(config, one, loops, part), weight_base=500, to_out=int(last)
                )
                if unit is None:
                    one = replace(
                        one, partial=1, first=int(number == 0), last=int(last),
                        tile_h=1, tile_w=1, last_h=1, rows_used=1, columns_used=1,
                    )  # fmt: skip
                else:
                    one = replace(one, resume=int(number > 0))
                run_compute(config, one, buffers)
        np.testing.assert_array_equal(buffers.results, whole.results, f"seed {seed}")
