"""How deformable layers lie on the engine, and which engines are too small for them."""

from dataclasses import replace
from itertools import pairwise

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int32Bias
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint
from torch import nn

from tests.compiler.timing import timing
from tilewright import EngineConfig, Target, UnsupportedError
from tilewright.api.compile import compile, compile_graph
from tilewright.api.estimate import estimate
from tilewright.api.simulate import simulate
from tilewright.api.verify import compare_outputs
from tilewright.compiler.ir import (
    Conv2d,
    DeformConv2d,
    Graph,
    Input,
    Output,
    Requantize,
    TensorType,
    run,
)
from tilewright.compiler.schedule import EngineLimitError, lower
from tilewright.compiler.schedule.array.work import Chunk
from tilewright.compiler.schedule.order.offsets import cut_by_offsets, grouped_order, shared_groups
from tilewright.estimation.energies import Cause
from tilewright.isa import Compute, Deform, LoadOffsets, Unit
from tilewright.nn import QuantDeformConv2dPack

ENGINE = EngineConfig(
    rows=4, cols=3, act_depth=512, weight_depth=1024, out_depth=256, offset_depth=512
)


def layer(channels=8, kernels=8, groups=1, offset_groups=1, size=12, mask=None, reach=(-32, 32)):
    """A 3x3 layer; offsets are in sixteenths of a pixel and computed from the input."""
    kind = TensorType((channels, size, size), 8, True, 1.0, 0)
    taps = 9 * offset_groups
    values = {
        "x": kind,
        "offset": TensorType((2 * taps, size, size), 8, True, 2.0**-4, 0),
        "y": replace(kind, shape=(kernels, size, size)),
    }
    if mask is not None:
        values["mask"] = mask((taps, size, size))
    rng = np.random.default_rng(0)

    def requantize(count, low, high):
        return Requantize((1,) * count, (4,) * count, 0, low, high)

    offsets = Conv2d(
        "offsets", "x", "offset", rng.integers(-8, 8, (2 * taps, channels, 1, 1)), 4,
        np.zeros(2 * taps, np.int64), (1, 1), (0, 0, 0, 0), (1, 1), 1,
        requantize(2 * taps, *reach),
    )  # fmt: skip
    conv = DeformConv2d(
        "layer", "x", "offset", None if mask is None else "mask", "y",
        rng.integers(-8, 8, (kernels, channels // groups, 3, 3)), 4, np.zeros(kernels, np.int64),
        (1, 1), (1, 1, 1, 1), (1, 1), groups, offset_groups, requantize(kernels, -128, 127),
    )  # fmt: skip
    inputs = [Input(f"the {v}", v) for v in ("x", *(["mask"] if mask else []))]
    return Graph("network", values, (*inputs, offsets, conv, Output("output", "y")))


def commands(graph, kind, unit, config=ENGINE):
    program = compile_graph(graph, Target(engine=config))
    return [command for command in program.commands(unit) if isinstance(command, kind)]


def test_sampled_rows_lie_at_an_odd_pitch_in_an_even_ring():
    """Width 12 takes 4 words of a lane, which becomes 5."""
    stream = commands(layer(), (Compute, Deform), Unit.COMPUTE)
    pairs = [(a, b) for a, b in pairwise(stream) if isinstance(a, Deform)]
    assert pairs
    for deform, compute in pairs:
        assert isinstance(compute, Compute)
        assert deform.row_pitch == 5
        assert compute.act_ring % (2 * deform.row_pitch) == 0
        assert deform.taps == compute.n_r * compute.n_s


def test_rows_on_chip_follow_from_the_bound():
    """A strip of one row keeps 3 + 2 * 2 rows, and one more to make them even."""
    small = replace(ENGINE, act_depth=2 * 5 * 8)
    program = compile_graph(layer(), Target(engine=small))
    assert program.schedule[-1].rows_on_chip["x"] == 8


def test_offsets_are_loaded_once_where_they_fit():
    """Several blocks of output channels use the same offsets."""
    config = replace(ENGINE, out_depth=16, weight_depth=4096)
    loads = commands(layer(kernels=16), LoadOffsets, Unit.LOAD, config)
    rows = sum(load.words for load in loads)
    assert rows == 12 * 12 * -(-18 // 4)
    computes = commands(layer(kernels=16), Deform, Unit.COMPUTE, config)
    assert len(computes) > len({(c.offset_base, c.first_row) for c in computes})


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        (
            {"offset_depth": 0},
            {},
            "layer: the offsets of 2 output pixels take 10 words; .* must be at least 16, not 0",
        ),
        (
            {"offset_fraction": 3},
            {},
            "layer: offsets have 4 bits below the point; .* offset_fraction must be .* not 3",
        ),
        (
            {"mask_fraction": 7},
            {"mask": lambda shape: TensorType(shape, 8, False, 2.0**-8, 0)},
            "layer: masks have 8 bits below the point; .* mask_fraction must be .* not 7",
        ),
        (
            {"act_depth": 16, "cols": 2},
            {"size": 40, "reach": (-128, 127)},
            r"layer: offsets of -8 to 7\.9375 pixels need .* rows at once, .* Or bound",
        ),
    ],
)
def test_engines_that_are_too_small(changes, options, message):
    with pytest.raises(EngineLimitError, match=message):
        compile_graph(layer(**options), Target(engine=replace(ENGINE, **changes)))


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"offset_depth": 32}, {}),
        ({"offset_depth": 64}, {"mask": lambda shape: TensorType(shape, 8, False, 2.0**-8, 0)}),
        ({"act_depth": 64}, {}),
        ({"act_depth": 48}, {"reach": (-16, 16)}),
        ({"act_depth": 16}, {"reach": (-64, 64)}),
    ],
)
def test_rows_that_do_not_fit_are_computed_in_strips_of_columns(changes, options):
    """Rows of positions, of samples, and those around a position."""
    graph = layer(**options)
    program = compile_graph(graph, Target(engine=replace(ENGINE, **changes)))
    rng = np.random.default_rng(0)
    kinds = [graph.values[op.output] for op in graph.inputs]
    arrays = program.quantize([rng.integers(t.qmin, t.qmax + 1, (1, *t.shape)) for t in kinds])
    compare_outputs(program, *(simulate(program, arrays, backend=b) for b in ("golden", "isa")))


def test_masks_beyond_one_are_refused():
    graph = layer(mask=lambda shape: TensorType(shape, 8, False, 2.0**-7, 0))
    with pytest.raises(UnsupportedError, match=r"layer: a mask of up to 1.99219.*QuantMask"):
        compile_graph(graph, Target(engine=ENGINE))


@pytest.mark.parametrize(("channels", "copied"), [(8, False), (6, True)])
def test_offset_groups_have_channel_groups_of_their_own(channels, copied):
    """Four rows hold a group of four channels as it is; groups of three are copied apart."""
    lowered = lower(layer(channels, offset_groups=2), ENGINE, timing(ENGINE))
    names = [stage.ops[0].name for stage in lowered.stages]
    assert ("layer.arranged" in names) == copied
    deform = lowered.stages[-1].ops[0].windows.deform
    assert deform is not None
    assert deform.shared == 1


def test_orders_of_offset_groups():
    assert grouped_order(6, 2, 4).tolist() == [0, 1, 2, -1, 3, 4, 5, -1]
    assert shared_groups(np.arange(8), 8, 2, 4) == 1
    assert shared_groups(np.arange(8), 8, 1, 4) == 2
    assert shared_groups(np.arange(12), 12, 2, 4) is None
    assert shared_groups(grouped_order(12, 2, 4), 12, 2, 4) == 2
    assert shared_groups(np.array([3, 2, 1, 0, 7, 6, 5, 4]), 8, 2, 4) == 1


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_sections_begin_with_an_offset_group(groups):
    lowered = lower(layer(8, 8, groups), replace(ENGINE, rows=2), timing(ENGINE))
    sections = lowered.stages[-1].ops[0].sections
    per_group = lowered.stages[-1].ops[0].weights.per_group
    cut = cut_by_offsets(sections, 2, per_group, 2, 9)
    assert sum(section.n_kg for section in cut) == sum(section.n_kg for section in sections)
    for section in cut:
        last = section.n_kg if per_group else -(-section.channels // 2)
        within = section.cg // 2 == (section.cg + last - 1) // 2
        assert within or (not per_group and section.cg % 2 == 0)


def test_golden_runs_the_graph():
    graph = layer()
    x = np.random.default_rng(1).integers(-128, 128, (8, 12, 12))
    assert np.ptp(run(graph, [x])["y"]) > 8


@pytest.mark.parametrize(("algorithm", "times"), [("direct", 2), ("sampled", 1)])
def test_every_kernel_group_samples_again_unless_samples_are_in_memory(algorithm, times):
    program = compile_graph(layer(), Target(engine=ENGINE), algorithms={"layer": algorithm})
    channel_groups, positions, taps = 2, 12 * 12, 9
    samples = times * channel_groups * positions * taps
    assert estimate(program).energy.counted[Cause.SAMPLES] == samples * ENGINE.rows
    assert {group.layers[-1].algorithm for group in program.schedule} >= {algorithm}


def test_rows_that_do_not_fit_are_sampled_first():
    """Ten rows of 5 words for one channel group, and twice as many for both."""
    for depth, algorithm in ((100, "direct"), (98, "sampled")):
        engine = replace(ENGINE, act_depth=depth)
        program = compile_graph(layer(reach=(-64, 48)), Target(engine=engine))
        assert program.schedule[-1].layers[-1].algorithm == algorithm


@pytest.mark.parametrize(
    ("changes", "options", "pieces"),
    [
        ({"offset_depth": 16}, {"offset_groups": 2}, 4),  # two rows of taps, and one
        ({"offset_depth": 16, "rows": 2, "bus_width": 128}, {}, 18),  # each tap
        ({"act_depth": 16}, {"reach": (-64, 64)}, 27),  # a row of taps, offsets in nine classes
    ],
)
def test_positions_or_rows_that_do_not_fit_are_sampled_in_pieces(changes, options, pieces):
    """They were refused for the buffer's size."""
    masks = {"mask": lambda shape: TensorType(shape, 8, False, 2.0**-8, 0)}
    graph = layer(channels=4, **masks, **options)
    program = compile_graph(graph, Target(engine=replace(ENGINE, **changes)))
    kinds = [view.kind for group in program.schedule for view in group.layers]
    rng = np.random.default_rng(0)
    types = [graph.values[op.output] for op in graph.inputs]
    arrays = program.quantize([rng.integers(t.qmin, t.qmax + 1, (1, *t.shape)) for t in types])
    compare_outputs(program, *(simulate(program, arrays, backend=b) for b in ("golden", "isa")))
    assert kinds.count("Sample") == pieces


@pytest.mark.parametrize(("rows", "offset_groups"), [(2, 2), (4, 3), (8, 4), (16, 8)])
def test_square_offsets_of_several_groups(rows, offset_groups):
    """A KeyError: the copy in the model's order took the name of the square's own value."""
    torch.manual_seed(0)
    pack = QuantDeformConv2dPack(
        2 * offset_groups, 4, 3, padding=1, square=True, offset_groups=offset_groups,
        bias_quant=Int32Bias,
    )  # fmt: skip
    quant = {"act_quant": Int8ActPerTensorFixedPoint, "return_quant_tensor": True}
    model = nn.Sequential(qnn.QuantIdentity(**quant), pack, qnn.QuantIdentity(**quant))
    images = torch.randn(1, 2 * offset_groups, 6, 6)
    model(images)
    config = EngineConfig(rows=rows, offset_depth=1024)
    program = compile(model.eval(), images, Target(engine=config))
    compare_outputs(program, *(simulate(program, images, backend=b) for b in ("golden", "isa")))


def test_an_unknown_algorithm_is_refused():
    with pytest.raises(EngineLimitError, match="layer: its algorithms are auto, direct, sampled"):
        compile_graph(layer(), Target(engine=ENGINE), algorithms={"layer": "F(4x2,3x3)"})


def test_a_layer_of_which_a_strip_takes_no_rows():
    """Rows that are not read were divided into no tiles: a ZeroDivisionError."""
    (stage,) = (s for s in lower(layer(), ENGINE, timing(ENGINE)).stages if s.output == "y")
    assert stage.ops[0].windows.at_once(ENGINE, Chunk(0, 1, 12)).rows == 1
    assert stage.ops[0].windows.at_once(ENGINE, Chunk(12, 1, 12)).rows >= 1
