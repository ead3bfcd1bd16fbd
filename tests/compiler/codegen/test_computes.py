"""Areas of results are computed in parts that are about alike."""

from benchmarks.deformable import ENGINE, LAYERS, VARIANTS, graph_of
from tests.compiler.timing import timing
from tilewright.compiler.codegen import assemble
from tilewright.compiler.schedule.array.work import evenly


def test_parts_are_alike():
    """The store unit had no work while the array computed a large part behind a small one."""
    assert [evenly(total, 8) for total in (8, 9, 16, 17, 18, 24)] == [8, 5, 8, 6, 6, 8]
    # Rows of tiles stay together.
    assert [evenly(total, 8, 4) for total in (8, 9, 17, 25)] == [8, 8, 8, 8]
    assert [evenly(total, 12, 4) for total in (13, 17, 25)] == [8, 12, 12]


def test_parts_are_as_few_as_can_be():
    for total in range(1, 60):
        for most in range(3, 20, 3):
            size = evenly(total, most, 3)
            assert size <= most
            assert size % 3 == 0
            assert -(-total // size) <= -(-total // most)


def test_a_large_depthwise_layer_keeps_the_bus_busy():
    """It took 168,354 cycles, in strips of which parts of eight, eight and two rows were stored."""
    graph = graph_of(LAYERS[1], VARIANTS[0])
    model = timing(ENGINE)
    streams = assemble(graph, ENGINE, model).streams
    cycles = model.run(streams.commands, streams.addresses, streams.boot)
    moved = 2 * graph.values["x"].numel // ENGINE.bus_bytes
    assert cycles < 1.09 * moved // 2
