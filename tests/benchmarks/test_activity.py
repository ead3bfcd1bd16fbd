"""Bits that switch in a value change dump, by the part of the engine that declares them."""

import pytest

from benchmarks.activity import LAYERS, layer, switched

DUMP = """$version made by hand $end
$timescale 1ps $end
$scope module TOP $end
$var wire 1 ! clk $end
$scope module tilewright_engine $end
$scope module compute $end
$scope module array $end
$var wire 4 # sums [3:0] $end
$upscope $end
$scope module drain $end
$scope module requantize_0 $end
$var wire 1 $ valid $end
$var wire 4 # same [3:0] $end
$upscope $end
$upscope $end
$upscope $end
$scope module load $end
$var wire 8 % data [7:0] $end
$upscope $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
0!
b0000 #
0$
b00000000 %
#1
1!
b1010 #
1$
b11111111 %
#2
0!
b0101 #
b11111110 %
"""


def test_bits_that_change_are_counted_once_where_they_are_declared_first(tmp_path):
    path = tmp_path / "run.vcd"
    path.write_text(DUMP)
    assert switched(path) == {"array": 2 + 4, "requantize": 1, "load and store": 8 + 1}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_graphs(name):
    graph = layer(*LAYERS[name], seed=1)
    graph.verify()
    assert (graph.layers[0].weight != 0).mean() > 0.98
