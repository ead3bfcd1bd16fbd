"""One walk over a quantized graph, which emits the integer graph."""

from __future__ import annotations

from tilewright.compiler.frontend.builder import Builder, clip
from tilewright.compiler.frontend.capture import Capture
from tilewright.compiler.frontend.quantizers import Grid
from tilewright.compiler.frontend.values import Abstract, RealInput
from tilewright.compiler.ir.graph import Graph as IntegerGraph
from tilewright.compiler.ir.graph import VerifyError
from tilewright.compiler.ir.results import ResultView
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.graph import Graph
from tilewright.compiler.quantized.to_integer import elementwise, movement, weighted, windows
from tilewright.compiler.quantized.types import GraphError, Quantization
from tilewright.errors import UnsupportedError


def to_integer(graph: Graph, *, multiplier_width: int) -> Capture:
    """Emit integers for a graph of which every stored tensor has a grid.

    Parameters
    ----------
    multiplier_width : int, bits of the requantization multipliers, 2..31

    Raises
    ------
    UnsupportedError  Naming the layer.
    """
    builder = Builder(multiplier_width=multiplier_width, round_bias=True)
    values: dict[str, Abstract] = {}
    arguments: list[RealInput] = []

    def keep(where: str, name: str, x: Abstract) -> None:
        grid = graph.tensors[name].quantization
        values[name] = x if grid is None else builder.quantize(where, x, grid_of(grid))

    for name, shape in zip(graph.inputs, graph.input_shapes, strict=True):
        arguments.append(RealInput(name, graph.shape(name), len(shape) == 1))
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


def grid_of(grid: Quantization) -> Grid:
    """Return a tensor's grid as the integer graph's builder takes it."""
    return Grid(grid.scale, grid.zero_point, grid.bits, grid.signed, grid.qmin, grid.qmax)


def _lowered(
    builder: Builder, op: q.Op, inputs: list[Abstract], grid: Quantization | None
) -> Abstract:
    """Return what an operator becomes: a value, or a sum that waits for its grid."""
    if isinstance(op, q.Function) and (bounds := q.bounds(op.expression)) is not None:
        return clip(op.name, inputs[0], *bounds)
    if isinstance(op, q.Copy):  # which fuses with what made the tensor
        return inputs[0]
    sources = [builder.quantized(op.name, x) for x in inputs]
    match op:
        case q.Conv() | q.ConvTranspose() | q.Linear() | q.DeformConv():
            return weighted.weighted(op, sources)
        case q.MaxPool():
            return windows.max_pool(builder, op, sources[0])
        case q.AvgPool():
            return windows.avg_pool(op, sources[0])
        case q.Bilinear():
            return windows.bilinear(op, sources[0])
        case q.Function():
            return elementwise.table(op, sources[0])
        case q.Binary():
            return elementwise.binary(builder, op, sources[0], sources[1])
        case q.Join():
            return elementwise.sum_of(op.name, sources[0], sources[1])
        case q.Concat():
            return movement.concat(builder, op, sources)
        case q.Select():
            return movement.select(builder, op, sources[0])
        case q.Constant():
            assert grid is not None
            return movement.constant(builder, op, grid_of(grid))
    raise GraphError(f"{op.name}: {op.kind} has no integers")
