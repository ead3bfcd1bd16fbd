"""What groups of so many channels cost is what a network of one such layer costs."""

import numpy as np
import pytest

import tilewright as tw
from tests.cli.run import invoke
from tests.compiler.importers.onnx.build import save
from tests.compiler.importers.onnx.test_on_host import ENGINE, SHAPE, between, node
from tests.cosim.engines import ENGINES
from tilewright.api.group_sizes import GroupSize, best_group_size
from tilewright.compiler.ir import Conv2d, Graph, Input, Output, Requantize, TensorType

TARGET = tw.Target(engine=ENGINES["8x7-bus64"])
CHANNELS, KERNELS = 32, 64


def graph(groups, rng):
    values = {
        "x": TensorType((CHANNELS, 9, 14), 8, True, 1.0, 0),
        "y": TensorType((KERNELS, 9, 14), 8, True, 1.0, 0),
    }
    weight = rng.integers(1, 127, (KERNELS, CHANNELS // groups, 3, 3))
    layer = Conv2d(
        "layer", "x", "y", weight, 8, np.zeros(KERNELS, np.int64), (1, 1), (1, 1, 1, 1), (1, 1),
        groups, Requantize((1,) * KERNELS, (12,) * KERNELS, 0, -128, 127),
    )  # fmt: skip
    return Graph("net", values, (Input("input", "x"), layer, Output("output", "y")))


def test_each_size_is_what_a_network_of_one_such_layer_costs():
    rng = np.random.default_rng(3)
    found = tw.group_sizes(tw.compile_graph(graph(4, rng), TARGET), "layer")
    assert [size.channels for size in found] == [1, 2, 4, 8, 16, 32]
    for size in found:
        cost = tw.estimate(tw.compile_graph(graph(CHANNELS // size.channels, rng), TARGET))
        assert size.cycles == cost.cycles.value
        assert size.energy == cost.energy.total.value
        assert size.macs == KERNELS * 9 * 14 * 9 * size.channels
        assert size.rate * size.cycles == pytest.approx(size.macs)
    # Fewer channels than rows leave rows without work; many more take as much longer.
    rows = TARGET.engine.rows
    assert rows <= best_group_size(found).channels <= 2 * rows


def test_best_is_where_a_share_more_of_one_is_a_share_less_of_the_other():
    energies = {1: 388.2, 4: 442.7, 16: 665.3, 64: 2195.0, 256: 8679.0}  # of ResNet-18 on 16 x 7
    found = [GroupSize(c, 451_584 * c, 1, energy) for c, energy in energies.items()]
    assert best_group_size(found).channels == 16


def test_what_is_no_convolution_is_refused():
    program = tw.compile_graph(graph(4, np.random.default_rng(3)), TARGET)
    with pytest.raises(tw.Error, match="no convolution is named 'other'; there are layer"):
        tw.group_sizes(program, "other")
    with pytest.raises(tw.Error, match="must be Program"):
        tw.group_sizes(3, "layer")


def test_a_convolution_of_a_part(tmp_path):
    """As of the program that the part is, of a file with an operator of the host in its middle."""
    nodes, constants = between([node("LRN", "r", size=3)])
    path = save(tmp_path, nodes, SHAPE, constants)
    target = tw.Target(engine=ENGINE)
    program = tw.compile(path, None, target, host="anywhere")
    assert isinstance(program, tw.HostedProgram)
    names = [op.name for p in program.programs for op in p.graph.layers if isinstance(op, Conv2d)]
    assert len(names) == len(program.programs) == 2
    for part, layer in zip(program.programs, names, strict=True):
        assert tw.group_sizes(program, layer) == tw.group_sizes(part, layer)
    invoke("estimate", program.save(tmp_path / "net.tw"), "--groups", names[1])
    with pytest.raises(tw.Error, match=f"no convolution is named 'other'; there are {names[0]}"):
        tw.group_sizes(program, "other")
