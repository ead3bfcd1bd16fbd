"""Networks of Brevitas layers as integer graphs."""

from dataclasses import replace

from tilewright.compiler.importers.brevitas import import_module
from tilewright.compiler.ir import choose_multipliers
from tilewright.compiler.quantized.to_integer import to_integer


def capture_with_report(model, example_inputs, *, multiplier_width=18, round_bias=False):
    """The integer graph, with what was rounded on the way."""
    graph = import_module(model, example_inputs)
    captured = to_integer(graph, round_bias=round_bias)
    return replace(captured, graph=choose_multipliers(captured.graph, multiplier_width))


def capture(model, example_inputs, **options):
    """The integer graph."""
    return capture_with_report(model, example_inputs, **options).graph
