"""One walk over a quantized graph, which emits the integer graph."""

from __future__ import annotations

from dataclasses import dataclass

from tilewright.compiler.ir.graph import Graph as IntegerGraph
from tilewright.compiler.ir.graph import VerifyError
from tilewright.compiler.ir.multipliers import choose_multipliers
from tilewright.compiler.ir.results import ResultView
from tilewright.compiler.ir.types import MAX_MULTIPLIER_WIDTH
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.partition import segments
from tilewright.compiler.quantized.to_integer import (
    deformable,
    dynamic,
    elementwise,
    movement,
    recurrence,
    weighted,
    windows,
)
from tilewright.compiler.quantized.to_integer.builder import Builder, RoundedBias, clip
from tilewright.compiler.quantized.to_integer.values import Abstract, RealInput
from tilewright.compiler.quantized.types import GraphError, Quantization
from tilewright.errors import UnsupportedError


@dataclass(frozen=True)
class Capture:
    """The integer graph of a model.

    Parameters
    ----------
    graph : verified, of no engine yet: ``ir.choose_multipliers`` gives it an engine's
    rounded_biases : every bias that is not exactly the model's
    input_shapes : of one image, as the model takes each input
    results : the model's results, in its own shapes, in the graph's outputs
    """

    graph: IntegerGraph
    rounded_biases: tuple[RoundedBias, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    results: tuple[ResultView, ...]


def to_integer(graph: Graph, *, round_bias: bool = True) -> Capture:
    """Emit integers for a graph of which every stored tensor has a grid.

    Parameters
    ----------
    round_bias : bool, round biases to the accumulator's grid that are not on it; batch norms are
        rounded in any case

    Raises
    ------
    UnsupportedError  Naming the layer.
    """
    builder = Builder(round_bias=round_bias, rounding=graph.rounding)
    values: dict[str, Abstract] = {}
    arguments: list[RealInput] = []

    def keep(where: str, name: str, x: Abstract) -> None:
        grid = graph.tensors[name].quantization
        values[name] = x if grid is None else builder.quantize(where, x, grid)

    for name in graph.inputs:
        arguments.append(RealInput(name, graph.shape(name)))
        keep(name, name, arguments[-1])
    for op in graph.ops:
        grid = graph.tensors[op.output].quantization
        keep(op.name, op.output, _lowered(builder, op, [values[n] for n in op.inputs], grid))
    outputs: list[str] = []
    results = []
    for view in graph.outputs:
        for source in view.sources:
            if source not in outputs:
                outputs.append(source)
        places = tuple(outputs.index(source) for source in view.sources)
        results.append(ResultView(places, view.shape, view.index))
    for i, name in enumerate(outputs):
        where = "output" if len(outputs) == 1 else f"output.{i}"
        builder.output(where, builder.quantized(where, values[name]))
    if unused := [x.name for x in arguments if x not in builder.inputs]:
        raise UnsupportedError(
            unused[0], "the model does not use this input", "Remove the argument."
        )
    heads = [builder.inputs[x] for x in arguments]
    integer = IntegerGraph(graph.name, builder.values, (*heads, *builder.ops))
    try:
        integer.verify()
    except VerifyError as error:
        raise UnsupportedError(
            graph.name, f"the integer graph breaks a rule: {error}", "See docs/supported_ops.md."
        ) from error
    return Capture(integer, tuple(builder.rounded), graph.input_shapes, tuple(results))


def check_integers(graph: Graph) -> None:
    """Refuse a graph of which there are no integers, on any engine, but for the host's parts.

    Raises
    ------
    UnsupportedError  Naming the layer.
    """
    for segment in segments(graph):
        if not isinstance(segment, q.Host):
            choose_multipliers(to_integer(segment.graph).graph, MAX_MULTIPLIER_WIDTH)


def _lowered(
    builder: Builder, op: q.Op, inputs: list[Abstract], grid: Quantization | None
) -> Abstract:
    """Return what an operator becomes: a value, or a sum that waits for its grid."""
    match op:  # what reads tensors that are not rounded yet
        case q.Copy():  # which fuses with what made the tensor
            return inputs[0]
        case q.Affine():
            return weighted.affine(op, inputs[0])
        case q.Function() if (bounds := q.bounds(op.expression)) is not None:
            return clip(op.name, inputs[0], *bounds)
        case q.Function():
            return elementwise.table(builder, op, inputs[0])
    sources = [builder.quantized(op.name, x) for x in inputs]
    match op:
        case q.Table():
            return elementwise.lookup(op, sources[0])
        case q.DeformConv():
            sources[1] = deformable.offsets(builder, op, sources[1])
            return weighted.weighted(op, sources)
        case q.Weighted():
            return weighted.weighted(op, sources)
        case q.Recurrence():
            return recurrence.recurrence(builder, op, sources[0], grid)
        case q.MaxPool():
            return windows.max_pool(builder, op, sources[0])
        case q.AvgPool():
            return windows.avg_pool(op, sources[0])
        case q.Bilinear():
            return windows.bilinear(op, sources[0])
        case q.Binary():
            return elementwise.binary(builder, op, sources[0], sources[1])
        case q.MatMul() | q.DynamicConv():
            return dynamic.dynamic(op, sources[0], sources[1])
        case q.Join():
            return elementwise.sum_of(op.name, sources[0], sources[1])
        case q.Concat():
            return movement.concat(builder, op, sources)
        case q.Select() | q.Upsample() | q.PixelShuffle() | q.PixelUnshuffle():
            return movement.moved(builder, op, sources[0])
        case q.Constant() if grid is not None:
            return movement.constant(builder, op, grid)
    raise GraphError(f"{op.name}: {op.kind} has no integers")
