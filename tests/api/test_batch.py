"""Programs that compute several images a run."""

from dataclasses import replace

import numpy as np
import pytest

import tilewright as tw
from tests.cosim.engines import ENGINES
from tests.strategies.batches import KINDS, compare_seed, pixel_network
from tilewright.compiler import ir
from tilewright.compiler.schedule import EngineLimitError
from tilewright.isa import LoadWeights, Unit
from tilewright.isa.layout import moved_bytes

ENGINE = ENGINES["8x7-bus64"]
ROOMY = replace(ENGINE, act_depth=4096, weight_depth=8192)


def chain(layers=3, channels=16, size=(9, 11)):
    """Return convolutions one behind the other."""
    rng = np.random.default_rng(0)
    kind = ir.TensorType((channels, *size), 8, True, 1.0, 0)
    scale = ir.Requantize((1,) * channels, (9,) * channels, 0, -128, 127)
    values, ops = {"v0": kind}, [ir.Input("input", "v0")]
    for n in range(layers):
        weight = rng.integers(-8, 8, (channels, channels, 3, 3))
        ops.append(
            ir.Conv2d(
                f"conv{n}", f"v{n}", f"v{n + 1}", weight, 4, np.zeros(channels, int), (1, 1),
                (1, 1, 1, 1), (1, 1), 1, scale,
            )
        )  # fmt: skip
        values[f"v{n + 1}"] = kind
    return ir.Graph("chain", values, (*ops, ir.Output("output", f"v{layers}")))


def weight_bytes(program):
    return sum(
        moved_bytes(program.engine, command)
        for command in program.commands(Unit.LOAD)
        if isinstance(command, LoadWeights)
    )


def images_of(graph, count):
    kind = graph.values[graph.inputs[0].output]
    return np.random.default_rng(1).integers(kind.qmin, kind.qmax + 1, (count, *kind.shape))


@pytest.mark.parametrize("kind", KINDS)
def test_random_networks_give_what_the_integer_graph_gives(kind):
    ran = [compare_seed(seed, kind) for seed in range(12)]
    assert sum(program is not None and program.batch > 1 for program in ran) >= 2


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_any_number_of_images_runs(count):
    graph = chain()
    program = tw.compile_graph(graph, tw.Target(engine=ENGINE), batch=3)
    one = tw.compile_graph(graph, tw.Target(engine=ENGINE))
    images, seen = images_of(graph, count), []
    result = tw.simulate(program, images, progress=lambda *done: seen.append(done))
    np.testing.assert_array_equal(result.outputs[0], tw.simulate(one, images).outputs[0])
    assert seen[-1] == (count, count)
    assert seen == sorted(seen)


def test_weights_that_fit_are_loaded_once_for_all_images():
    one, five = (tw.compile_graph(chain(), tw.Target(engine=ROOMY), batch=n) for n in (1, 5))
    assert weight_bytes(five) == weight_bytes(one)
    alone, together = (tw.simulate(p, images_of(p.graph, 1)).cycles for p in (one, five))
    assert together < 4.9 * alone


def test_weights_that_do_not_fit_take_turns():
    """Group by group, all images: what of a group fits is loaded once."""
    graph, target = chain(size=(3, 5)), tw.Target(engine=replace(ENGINE, weight_depth=512))
    one, four = (tw.compile_graph(graph, target, objective="traffic", batch=n) for n in (1, 4))
    assert len(one.schedule) < len(four.schedule)
    assert weight_bytes(four) == weight_bytes(one)
    images = images_of(graph, 4)
    np.testing.assert_array_equal(tw.simulate(four, images).outputs[0], one.reference(images)[0])


def test_layers_and_estimates_are_of_a_run():
    one, four = (tw.compile_graph(chain(), tw.Target(engine=ROOMY), batch=n) for n in (1, 4))
    assert one.layers == four.layers
    result = tw.simulate(four, images_of(four.graph, 1))
    assert [layer.macs for layer in result.layers] == [4 * layer.macs for layer in one.layers]
    found = tw.estimate(four)
    assert found.cycles.value == result.cycles
    assert found.cycles.unit == "cycles/4 images"
    clock = four.target.clock_mhz * 1e6
    assert found.rate.value == pytest.approx(4 * clock / result.cycles)
    assert found.rate.value > tw.estimate(one).rate.value


def test_images_of_a_pixel_lie_side_by_side():
    """The columns of a pass are images: seven take about as long as one."""
    for seed in range(4):
        graph, _ = pixel_network(np.random.default_rng(seed), ENGINE)
        one, seven = (tw.compile_graph(graph, tw.Target(engine=ENGINE), batch=n) for n in (1, 7))
        assert seven.in_columns
        assert seven.layers == one.layers
        alone, together = (tw.simulate(p, images_of(graph, 1)).cycles for p in (one, seven))
        assert together < 2 * alone, seed
        again = tw.simulate(seven, images_of(graph, 10)).outputs
        for want, have in zip(one.reference(images_of(graph, 10)), again, strict=True):
            np.testing.assert_array_equal(have, want, err_msg=f"seed {seed}")


def test_a_batch_that_memory_cannot_hold_says_so():
    small = replace(ENGINE, addr_width=16)
    tw.compile_graph(chain(), tw.Target(engine=small), batch=2)
    with pytest.raises(EngineLimitError, match=r"feature maps of 40 images.*smaller batch"):
        tw.compile_graph(chain(), tw.Target(engine=small), batch=40)


@pytest.mark.parametrize("batch", [0, 1025, 2.0, True])
def test_a_batch_is_a_number_of_images(batch):
    with pytest.raises(tw.Error, match="batch must be"):
        tw.compile_graph(chain(1), tw.Target(engine=ENGINE), batch=batch)


@pytest.mark.parametrize("graph", [chain(), pixel_network(np.random.default_rng(0), ENGINE)[0]])
def test_saved_and_loaded_it_is_the_same(graph, tmp_path):
    program = tw.compile_graph(graph, tw.Target(engine=ENGINE), batch=3)
    again = tw.Program.load(program.save(tmp_path / "net.tw"))
    assert (again.batch, again.in_columns) == (3, program.in_columns)
    for want, have in zip(
        program.reference(images_of(graph, 4)),
        tw.simulate(again, images_of(graph, 4)).outputs,
        strict=True,
    ):
        np.testing.assert_array_equal(have, want)


def test_a_file_that_lies_of_its_images_is_refused(tmp_path):
    program = tw.compile_graph(chain(), tw.Target(engine=ENGINE), batch=3)
    for wrong, message in (
        (replace(program, in_columns=True), "side by side"),
        (replace(program, batch=1000), "bytes at"),
    ):
        with pytest.raises(tw.Error, match=message):
            tw.Program.load(wrong.save(tmp_path / "net.tw"))
