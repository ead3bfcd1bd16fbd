"""How far a quantized network is from the float original, layer by layer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import torch
from rich.console import Console, RenderableType
from rich.table import Table
from torch import Tensor

from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q
from tilewright.errors import Error
from tilewright.quantization.grids import computed, fused_tensors, joins, only_kept

_FINE = 10.0
"""dB by which a layer's inputs must be better than its output for it to be the one at fault."""


class SharedGridError(Error):
    """Part of a result has too little of the grid that all its parts share."""


@dataclass(frozen=True)
class LayerAccuracy:
    """Accuracy of one quantized tensor.

    Parameters
    ----------
    name : path of the module that computes it, with what follows up to the quantizer fused
    bits, signed, scale : its integer type
    snr_db : float or None, power of the float values over power of the difference; None where
        either is zero; of a tensor that only tables read, of what they make of it
    """

    name: str
    bits: int
    signed: bool
    scale: float
    snr_db: float | None


@dataclass(frozen=True)
class QuantizationReport:
    """Signal-to-noise ratio of quantized against float, measured on calibration images.

    Errors accumulate: a layer's ratio includes the errors of its inputs.

    Parameters
    ----------
    layers : in execution order
    outputs : names of the layers that compute the model's outputs
    outputs_snr_db : of each output, against the model as it was given; where the host computes
        results, of what it reads for them
    images : int, how many were compared
    """

    layers: tuple[LayerAccuracy, ...]
    outputs: tuple[str, ...]
    outputs_snr_db: tuple[float | None, ...]
    images: int

    @property
    def output_snr_db(self) -> float | None:
        """Lowest ratio of the outputs."""
        return min((r for r in self.outputs_snr_db if r is not None), default=None)

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({**asdict(self), "output_snr_db": self.output_snr_db}, indent=1)

    def __rich__(self) -> RenderableType:
        table = Table(title=f"Quantized against float, {self.images} images")
        for heading in ("layer", "type", "scale", "SNR (dB)"):
            table.add_column(heading, justify="left" if heading == "layer" else "right")
        for x in self.layers:
            name = f"{x.name} (output)" if x.name in self.outputs else x.name
            sign = "" if x.signed else "u"
            table.add_row(name, f"{sign}int{x.bits}", f"{x.scale:.4g}", _decibels(x.snr_db))
        for i, ratio in enumerate(self.outputs_snr_db):
            table.add_row(f"[bold]result {i}", "", "", _decibels(ratio))
        return table

    def __str__(self) -> str:
        console = Console(width=100)
        with console.capture() as capture:
            console.print(self)
        text: str = capture.get()
        return text


def _decibels(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1f}"


@dataclass
class Powers:
    """Power of a signal and of what it differs by, summed over images."""

    signal: float = 0.0
    noise: float = 0.0

    def add(self, wanted: Tensor, have: Tensor) -> None:
        """Count a batch."""
        wanted, have = wanted.double(), have.double()
        self.signal += float(wanted.square().sum())
        self.noise += float((have - wanted).square().sum())

    @property
    def ratio(self) -> float | None:
        """Signal over noise in dB; None where either is zero."""
        return 10 * math.log10(self.signal / self.noise) if self.signal and self.noise else None


class Comparison:
    """Runs the quantized graph beside the float one, batch after batch.

    Parameters
    ----------
    real : the same graph in reals, which was proved to be the model
    graph : quantized
    factors : (C,) by tensor, what its channels were divided by; ratios are of the model's values
    """

    def __init__(self, real: Graph, graph: Graph, factors: Mapping[str, Tensor]) -> None:
        self.real, self.graph = real, graph
        self.factors = {name: f[:, None, None] for name, f in factors.items()}
        self.results = {name for view in graph.outputs for name in view.sources}
        self.readers = graph.readers()
        self.seen_by = {
            name: [] if name in self.results else _tables(readers)
            for name, readers in self.readers.items()
        }
        # As the model has them, and with channels as they were chosen: one for each table.
        self.given = {
            n: [Powers() for _ in range(max(1, len(ops)))] for n, ops in self.seen_by.items()
        }
        self.chosen = {
            n: [Powers() for _ in range(max(1, len(ops)))] for n, ops in self.seen_by.items()
        }
        self.outputs = [Powers() for _ in graph.outputs]
        self.images = 0

    def add(self, original: Sequence[Tensor], images: Sequence[Tensor]) -> None:
        """Count a batch; ``original``: what the model as it was given returns for it."""
        exact = [x.double() for x in images]
        with torch.no_grad():
            wanted, have = self.real.values(exact), self.graph.values(exact, quantized=True)
        for name, x in have.items():
            for powers, by in ((self.given, self.factors[name]), (self.chosen, 1.0)):
                tables = self.seen_by[name]
                for power, op in zip(powers[name], tables, strict=bool(tables)):
                    power.add(self._result(op, wanted[name]), self._result(op, x))
                if not tables:
                    powers[name][0].add(wanted[name] * by, x * by)
        if self.graph.tail is not None:  # results of the engine: the host's may be no numbers
            original = [view.of(wanted) for view in self.graph.outputs]
        for power, output, view in zip(self.outputs, original, self.graph.outputs, strict=True):
            power.add(output, view.of(have))
        self.images += len(images[0])

    def _result(self, op: q.Function, x: Tensor) -> Tensor:
        grid = self.graph.tensors[op.output].quantization
        ends = (-math.inf, math.inf)
        if grid is not None:
            ends = (
                grid.scale * (grid.qmin - grid.zero_point),
                grid.scale * (grid.qmax - grid.zero_point),
            )
        return computed(op.expression, *ends, x)

    def seen(self) -> dict[str, float | None]:
        """Return each tensor's ratio as layers see it, whichever channels make it better."""
        both = {name: (_least(self.given[name]), _least(p)) for name, p in self.chosen.items()}
        return {
            n: max((r for r in pair if r is not None), default=None) for n, pair in both.items()
        }

    def _told(self, name: str) -> float | None:
        """Ratio of a tensor; of what is made of it, if that is only moved or pooled and better."""
        own, readers = _least(self.given[name]), self.readers[name]
        if own is None or name in self.results or not only_kept(readers):
            return own
        behind = [self._told(op.output) for op in readers]
        return max(own, min((r for r in behind if r is not None), default=own))

    def report(self) -> QuantizationReport:
        """Return what a person reads."""
        graph, layers = self.graph, []
        fused, labels = fused_tensors(graph), labels_of(graph)
        for name in (*graph.inputs, *(op.output for op in graph.ops)):
            grid = graph.tensors[name].quantization
            if name in labels and name not in fused and grid is not None:
                ratio = self._told(name)
                layers.append(
                    LayerAccuracy(labels[name], grid.bits, grid.signed, grid.scale, ratio)
                )
        origins = {_source(graph, name) for view in graph.outputs for name in view.sources}
        named = tuple(labels[name] for name in labels if name in origins)
        ratios = tuple(power.ratio for power in self.outputs)
        return QuantizationReport(tuple(layers), named, ratios, self.images)


def _tables(readers: Sequence[q.Op]) -> list[q.Function]:
    """Tables that read a tensor, if nothing else does."""
    tables = [op for op in readers if isinstance(op, q.Function)]
    return tables if len(tables) == len(readers) else []


def _least(powers: Sequence[Powers]) -> float | None:
    return min((p.ratio for p in powers if p.ratio is not None), default=None)


def labels_of(graph: Graph) -> dict[str, str]:
    """Name of the layer that computes each tensor, without those that only move elements."""
    labels = {name: name for name in graph.inputs}
    fused, producers = fused_tensors(graph), graph.producers()
    for op in graph.ops:
        if op.keeps_grid or isinstance(op, q.Constant | q.Copy):
            continue
        source = producers.get(op.inputs[0])
        labels[op.output] = source.name if source and op.inputs[0] in fused else op.name
    return labels


def _source(graph: Graph, name: str) -> str:
    """Tensor that another one has its values from."""
    producers = graph.producers()
    while (op := producers.get(name)) is not None and (op.keeps_grid or isinstance(op, q.Copy)):
        name = op.inputs[0]
    return name


def check_signal(graph: Graph, ratios: dict[str, float | None], least_db: float) -> None:
    """Refuse a network in which a layer loses its signal.

    Raises
    ------
    Error  Naming the first layer below ``least_db`` whose inputs are better by far; a
    SharedGridError if it is a part of a result.
    """
    readers = graph.readers()
    results = {name for view in graph.outputs for name in view.sources}
    for op in graph.ops:
        own = ratios[op.output]
        if own is None or own >= least_db or graph.tensors[op.output].quantization is None:
            continue
        if op.output not in results and all(map(joins, readers[op.output])):
            continue  # one part of a sum may be small: what counts is the sum
        if op.output not in results and only_kept(readers[op.output]):
            continue  # a pool may see only the large values
        inputs = [ratios[name] for name in op.inputs]
        if all(r is None or r > own + _FINE for r in inputs):
            parts = [v for v in graph.outputs if op.output in v.sources and len(v.sources) > 1]
            apart = "Return it as a result of its own: the parts of a result share one grid. Or c"
            kind = SharedGridError if parts else Error
            raise kind(
                f"{op.name}: {own:.1f} dB are left of its signal, and its inputs are better. "
                f"{apart if parts else 'C'}alibrate on more images, use more bits, look for "
                "channels of very different sizes, or accept it with "
                f"least_snr_db={math.floor(own)}"
            )
