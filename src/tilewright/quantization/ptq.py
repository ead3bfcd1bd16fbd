"""Post-training quantization in one call."""

from __future__ import annotations

import inspect
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor, nn

from tilewright.compiler.importers.export import (
    TOLERANCE,
    import_module,
    outputs_of,
    own_copy,
    prove,
    prove_equal,
)
from tilewright.compiler.importers.hosted import Host, check_parts
from tilewright.compiler.quantized import Graph
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.quantized.partition import with_crossings
from tilewright.compiler.quantized.passes import (
    lower_products,
    maps_multiplied,
    normalized,
    prepared,
    scaled_sums,
)
from tilewright.compiler.quantized.to_integer import check_integers
from tilewright.errors import Error, require_choice, require_type
from tilewright.progress import ProgressCallback, Steps
from tilewright.quantization.correction import correct_biases
from tilewright.quantization.equalize import channels_of, equalized
from tilewright.quantization.grids import choose_grids, joins_of_terms, with_copies
from tilewright.quantization.model import QuantizedModel
from tilewright.quantization.network import FloatNetwork
from tilewright.quantization.observe import evened, observe, spreads
from tilewright.quantization.readers import Channels
from tilewright.quantization.report import (
    Comparison,
    QuantizationReport,
    SharedGridError,
    check_signal,
)
from tilewright.quantization.weights import quantize_weights, with_bias
from tilewright.quantization.wide import WideGroups

Batch = tuple[Tensor, ...]
_PROVED_IMAGES = 8
_OF_HALVES = 1e-2  # float16 has 11 bits
_PART = 32
"""Images that are compared at a time: all tensors of both networks are held."""


@dataclass(frozen=True)
class Quantized:
    """A quantized network, and how far it is from its float original."""

    model: QuantizedModel
    report: QuantizationReport


def quantize(
    model: nn.Module | str | os.PathLike[str],
    calibration_batches: Iterable[Tensor | Batch],
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    power_of_two: bool = False,
    squares: bool | None = None,
    least_snr_db: float | None = None,
    wide_layers: Collection[str] = (),
    wide_below_db: float | None = None,
    host: Host = "edges",
    progress: ProgressCallback | None = None,
) -> QuantizedModel:
    """Quantize a float network after training; what comes back compiles.

    The model is exported with ``torch.export`` and run as it was given beside what is made of it.
    Batch norms are folded, weights have a scale per output channel, activations a scale per tensor
    that loses least on the calibration images, operands of an addition share a grid, and biases are
    corrected for the mean error of the weights. :func:`quantize_with_report` also says how far each
    layer is from the float model.

    Parameters
    ----------
    model : float module, of any floating type; not modified. Or a float network in ONNX, as
        :func:`tilewright.read_onnx` returns it, or its file
    calibration_batches : tensors (N, C, H, W) as the model takes them, or tuples of them if it has
        several inputs; a few hundred images that look like those to come
    weight_bits, activation_bits : int, 2..8
    power_of_two : restrict scales to powers of two, for which requantization is exact
    squares : products of two feature maps become tables of squares, for engines that do not
        multiply maps (``products``); by default where weights have 4 bits or fewer
    least_snr_db : a layer that loses its signal is an error: one with less than this though its
        inputs are better by 10 dB. By default 20 dB of 8 bits, 5 less for each bit less, and no
        limit below 5; ``-math.inf`` accepts everything
    wide_layers : names of layers, as the report has them, whose results have up to 16 bits, as have
        those that share their grid; for engines with ``wide_maps``
    wide_below_db : so have the results of all layers that stay below this, where what makes and
        reads them takes them
    host : where the host may compute what the engine has not: "edges", before and behind all that
        the engine computes, "anywhere", or "never"; :func:`tilewright.compile` has the same
    progress : called after each batch of calibration and of bias correction; by default a bar
        appears on a terminal after two seconds

    Returns
    -------
    A module that computes what the engine will, in floats.

    Raises
    ------
    UnsupportedError  Naming the layer that cannot be quantized, and a way out.
    Error  If there are no calibration batches, or one does not fit the model, if the graph is not
    the model, or a layer loses its signal.
    """
    return quantize_with_report(
        model,
        calibration_batches,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        power_of_two=power_of_two,
        squares=squares,
        least_snr_db=least_snr_db,
        wide_layers=wide_layers,
        wide_below_db=wide_below_db,
        host=host,
        progress=progress,
    ).model


def quantize_with_report(
    model: nn.Module | str | os.PathLike[str],
    calibration_batches: Iterable[Tensor | Batch],
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    power_of_two: bool = False,
    squares: bool | None = None,
    least_snr_db: float | None = None,
    wide_layers: Collection[str] = (),
    wide_below_db: float | None = None,
    host: Host = "edges",
    progress: ProgressCallback | None = None,
) -> Quantized:
    """As :func:`quantize`, and measure the accuracy of every layer on all calibration images."""
    for name, bits in (("weight_bits", weight_bits), ("activation_bits", activation_bits)):
        require_type("quantize", name, bits, int)
        if not 2 <= bits <= 8:
            raise Error(f"{name} must be in 2..8, not {bits!r}")
    require_type("quantize", "squares", squares, bool, type(None))
    require_type("quantize", "least_snr_db", least_snr_db, int, float, type(None))
    require_type("quantize", "wide_below_db", wide_below_db, int, float, type(None))
    require_choice("quantize", "host", host, get_args(Host))
    batches = _checked(calibration_batches)
    own = _own(model, host)
    _check_shapes(own, batches)
    images = tuple(x[:_PROVED_IMAGES] for x in batches[0])
    original = outputs_of(own, images)
    settings = _Settings(
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        power_of_two=power_of_two,
        squares=weight_bits <= 4 if squares is None else squares,
        least_snr_db=(
            _least_snr_db(min(weight_bits, activation_bits))
            if least_snr_db is None
            else least_snr_db
        ),
        wide_layers=tuple(wide_layers),
        wide_below_db=wide_below_db,
        host=host,
        progress=progress,
    )
    try:
        return _quantized(own, batches, original, settings)
    except SharedGridError as error:
        if host == "never" or isinstance(own, FloatNetwork):
            raise
        try:
            return _quantized(own, batches, original, settings, apart=True)
        except Error:
            raise error from None


@dataclass(frozen=True, kw_only=True)
class _Settings:
    """What was asked for; fields as the parameters of :func:`quantize`."""

    weight_bits: int
    activation_bits: int
    power_of_two: bool
    squares: bool
    least_snr_db: float
    wide_layers: tuple[str, ...]
    wide_below_db: float | None
    host: Host
    progress: ProgressCallback | None


def _quantized(
    own: nn.Module,
    batches: Sequence[Batch],
    original: Sequence[Tensor],
    settings: _Settings,
    *,
    apart: bool = False,
) -> Quantized:
    """Quantize a network, and measure it.

    Parameters
    ----------
    original : its results for the first images
    apart : parts of a result leave the engine each by itself
    """
    images = tuple(x[:_PROVED_IMAGES] for x in batches[0])
    activation_bits, weight_bits = settings.activation_bits, settings.weight_bits
    power_of_two = settings.power_of_two
    real = _graph_of(own, original, images, settings, apart=apart)
    with Steps("Calibrating", 4 * len(batches), settings.progress) as steps:
        real, channels = _apart(real, channels_of(real, batches, steps.advance))
        real, factors = equalized(
            real,
            channels,
            weight_bits=weight_bits,
            activation_bits=activation_bits,
        )
        prove_equal(real, original, images, _tolerance(own))
        seen = observe(real, batches, steps.advance)
        real = with_copies(real, {name: h.maximum for name, h in seen.items()})
        for op in real.ops:
            if isinstance(op, q.Copy):
                seen[op.output] = seen[op.inputs[0]]
                factors[op.output] = factors[op.inputs[0]]
        groups = WideGroups(real, weight_bits)
        wide = groups.named(settings.wide_layers)
        while True:
            grids = choose_grids(
                real, seen, bits=activation_bits, power_of_two=power_of_two, wide=wide
            )
            graph = quantize_weights(
                real.with_quantization(grids), bits=weight_bits, power_of_two=power_of_two
            )
            graph = graph.with_ops(
                with_bias(graph, op, op.bias) if isinstance(op, q.Weighted) else op
                for op in graph.ops
            )
            graph = correct_biases(real, graph, batches, steps.advance)
            # What cannot become integers is an error here, with its name, not when it is compiled.
            check_integers(graph)
            comparison = Comparison(real, graph, factors)
            for batch in batches:
                for part in zip(*(torch.split(x, _PART) for x in batch), strict=True):
                    comparison.add(outputs_of(own, part), part)
                steps.advance()
            if settings.wide_below_db is None:
                break
            more = groups.below(comparison.seen(), settings.wide_below_db)
            if more.keys() <= wide.keys():
                break
            wide |= more
            steps.total += 2 * len(batches)
    check_signal(graph, comparison.seen(), settings.least_snr_db)
    return Quantized(QuantizedModel(graph, single=_returns_one(own, images)), comparison.report())


def _apart(graph: Graph, channels: Mapping[str, Channels]) -> tuple[Graph, dict[str, Channels]]:
    """Take terms of sums off the grids of larger tensors, by copies.

    A term that nothing else reads, as a mean, may have any size: that which its own grid has room
    for, and not that of what another term is added to elsewhere.
    """
    ranges = {name: float(each.largest.max()) for name, each in channels.items()}
    graph = with_copies(graph, ranges, joins_of_terms(graph))
    known = dict(channels)
    for op in graph.ops:
        if isinstance(op, q.Copy) and op.output not in known:
            known[op.output] = known[op.inputs[0]]
    return graph, known


def _own(model: nn.Module | str | os.PathLike[str], host: Host) -> nn.Module:
    """Return a network that may be run and taken apart."""
    if isinstance(model, str | os.PathLike):
        from tilewright.api.read import opened  # which imports this package

        model = opened(model, host=host)
    if isinstance(model, QuantizedModel):
        raise Error("the network is quantized already: tw.compile takes it as it is")
    return model if isinstance(model, FloatNetwork) else own_copy(model)


def _graph_of(
    own: nn.Module, original: Sequence[Tensor], images: Batch, settings: _Settings, *, apart: bool
) -> Graph:
    """Return operators that the engine has, in reals, proved to be the model."""
    if isinstance(own, FloatNetwork):
        given = own.graph
        check_parts(given, settings.host)
        prove_equal(given, original, images, _tolerance(own))
    else:
        imported = import_module(own, images, settings.host, apart=apart)
        prove(own, imported, images)
        given = imported.graph
    try:
        graph = evened(prepared(with_crossings(given)), images)
        if settings.squares:
            factors = [name for op in maps_multiplied(graph) for name in op.inputs]
            graph = lower_products(graph, spreads(graph, factors, images))
        graph = scaled_sums(normalized(graph))
    except Error:
        raise
    except Exception as error:
        raise Error(
            f"{given.name}: rewriting its graph failed with {type(error).__name__}: "
            f"{error}. Please report this; quantizing its parts apart shows which one it is"
        ) from error
    prove_equal(graph, original, images, _tolerance(own))
    return graph


def _tolerance(own: nn.Module) -> float:
    """How far the graph may be from the model, in reals."""
    return _OF_HALVES if isinstance(own, FloatNetwork) and own.rounds else TOLERANCE


def _least_snr_db(bits: int) -> float:
    return 20.0 - 5 * (8 - bits) if bits > 4 else -float("inf")


def _returns_one(own: nn.Module, images: Batch) -> bool:
    with torch.no_grad():
        return isinstance(own(*(x[:1] for x in images)), Tensor)


def _checked(calibration_batches: Iterable[Tensor | Batch]) -> list[Batch]:
    """Return the batches as tuples of finite float tensors of equal numbers of images."""
    if isinstance(calibration_batches, Tensor):
        raise Error(
            "calibration_batches must be a list of batches, not one tensor: pass [images], or a "
            "data loader"
        )
    if not isinstance(calibration_batches, Iterable):
        kind = type(calibration_batches).__name__
        raise Error(f"calibration_batches must be a list of batches or a data loader, not {kind}")
    batches: list[Batch] = []
    for index, batch in enumerate(calibration_batches):
        tensors = tuple(batch) if isinstance(batch, tuple | list) else (batch,)
        for x in tensors:
            if not isinstance(x, Tensor) or not x.is_floating_point() or not x.numel():
                what = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
                raise Error(
                    f"calibration batch {index} holds {what}: a batch must be a float tensor "
                    "(N, C, H, W), without labels, or a tuple with one for each input"
                )
            if not bool(torch.isfinite(x).all()):
                raise Error(f"calibration batch {index} holds NaN or infinity")
        if [x.shape[1:] for x in tensors] != [x.shape[1:] for x in (batches or [tensors])[0]]:
            shapes = [tuple(x.shape) for x in tensors]
            first = [tuple(x.shape) for x in batches[0]]
            raise Error(f"calibration batch {index} has shapes {shapes}, batch 0 has {first}")
        batches.append(tuple(x.detach().float() for x in tensors))
    if not batches:
        raise Error(
            "there are no calibration batches: pass some that look like the inputs to come; a "
            "generator can be read only once"
        )
    return batches


def _check_shapes(model: nn.Module, batches: list[Batch]) -> None:
    parameters = inspect.signature(model.forward).parameters.values()
    if not any(p.kind is p.VAR_POSITIONAL for p in parameters):
        places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        required = [p for p in places if p.default is p.empty]
        given = len(batches[0])
        if not len(required) <= given <= len(places):
            raise Error(
                f"the model takes {len(required)} inputs and calibration batch 0 holds {given}: "
                "leave labels out of the batches"
            )
    try:
        with torch.no_grad():
            model(*(x[:1] for x in batches[0]))
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in batches[0])
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Error(
            f"the model does not run on calibration batches of {shapes}: {reason}"
        ) from error
