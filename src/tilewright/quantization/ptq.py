"""Post-training quantization in one call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from brevitas.backport.fx import GraphModule
from brevitas.graph.calibrate import bias_correction_mode
from rich.console import Console
from rich.progress import Progress
from torch import Tensor, nn

from tilewright.compiler.frontend import capture_with_report
from tilewright.errors import Error
from tilewright.quantization.calibration import Batch, calibrate
from tilewright.quantization.graph import float_graph
from tilewright.quantization.insertion import insert_quantizers
from tilewright.quantization.quantizers import Quantizers
from tilewright.quantization.report import FloatValues, QuantizationReport

_COMPARED_IMAGES = 8
_PATIENCE = 2.0  # seconds

ProgressCallback = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


@dataclass(frozen=True)
class Quantized:
    """A quantized network, and how far it is from its float original."""

    model: nn.Module
    report: QuantizationReport


def quantize(
    model: nn.Module,
    calibration_batches: Iterable[Tensor | Batch],
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    power_of_two: bool = False,
    progress: ProgressCallback | None = None,
) -> nn.Module:
    """Quantize a float network after training; what comes back compiles.

    Batch norms are folded, weights have a scale per output channel, activations a scale per tensor
    that loses least on the calibration images, operands of an addition share a grid, and biases are
    corrected for the mean error of the weights. :func:`quantize_with_report` also says how far each
    layer is from the float model.

    Parameters
    ----------
    model : float module; not modified
    calibration_batches : tensors (N, C, H, W) as the model takes them, or tuples of them if it has
        several inputs; a few hundred images that look like those to come
    weight_bits, activation_bits : int, 2..8
    power_of_two : restrict scales to powers of two, for which requantization is exact
    progress : called after each batch of calibration and of bias correction; by default a bar
        appears on a terminal after two seconds

    Returns
    -------
    A module of Brevitas layers, in evaluation mode.

    Raises
    ------
    UnsupportedError  Naming the module that cannot be quantized, and a rewrite that works.
    Error  If there are no calibration batches, or one does not fit the model.
    """
    return quantize_with_report(
        model,
        calibration_batches,
        weight_bits=weight_bits,
        activation_bits=activation_bits,
        power_of_two=power_of_two,
        progress=progress,
    ).model


def quantize_with_report(
    model: nn.Module,
    calibration_batches: Iterable[Tensor | Batch],
    *,
    weight_bits: int = 8,
    activation_bits: int = 8,
    power_of_two: bool = False,
    progress: ProgressCallback | None = None,
) -> Quantized:
    """As :func:`quantize`, and measure the accuracy of every layer on the first batch."""
    quantizers = Quantizers(
        weight_bits=weight_bits, activation_bits=activation_bits, power_of_two=power_of_two
    )
    batches = _checked(calibration_batches)
    graph = float_graph(model)
    _check_shapes(graph, batches)
    insert_quantizers(graph, quantizers, batches)
    with _Steps(2 * len(batches), progress) as steps:
        calibrate(graph, batches, power_of_two=power_of_two, advance=steps.advance)
        compared = tuple(x[:_COMPARED_IMAGES] for x in batches[0])
        reference = FloatValues(graph, compared)
        with torch.no_grad(), bias_correction_mode(graph):
            for batch in batches:
                graph(*batch)
                steps.advance()
    graph.eval()
    # Whatever is left in float is an error here, with its name, and not when it is compiled.
    capture_with_report(graph, tuple(x[:1] for x in batches[0]))
    return Quantized(graph, reference.compare(graph))


def _checked(calibration_batches: Iterable[Tensor | Batch]) -> list[Batch]:
    """Return the batches as tuples of finite float tensors of equal numbers of images."""
    if isinstance(calibration_batches, Tensor):
        raise Error(
            "calibration_batches must be a list of batches, not one tensor: pass [images], or a "
            "data loader"
        )
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
        batches.append(tuple(x.detach() for x in tensors))
    if not batches:
        raise Error(
            "there are no calibration batches: pass some that look like the inputs to come; a "
            "generator can be read only once"
        )
    return batches


def _check_shapes(graph: GraphModule, batches: list[Batch]) -> None:
    placeholders = [n for n in graph.graph.nodes if n.op == "placeholder"]
    required = [n for n in placeholders if not n.args]
    given = len(batches[0])
    if not len(required) <= given <= len(placeholders):
        raise Error(
            f"the model takes {len(required)} inputs and calibration batch 0 holds {given}: leave "
            "labels out of the batches"
        )
    try:
        with torch.no_grad():
            graph(*(x[:1] for x in batches[0]))
    except Exception as error:
        shapes = ", ".join(str(tuple(x.shape)) for x in batches[0])
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:200]
        raise Error(
            f"the model does not run on calibration batches of {shapes}: {reason}"
        ) from error


class _Steps:
    """Counts steps, for a callback or for a bar that appears when the work takes long."""

    def __init__(self, total: int, callback: ProgressCallback | None) -> None:
        self.total = total
        self.callback = callback
        self.done = 0
        self.bar: Progress | None = None

    def __enter__(self) -> _Steps:
        self.started = time.monotonic()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.bar is not None:
            self.bar.stop()

    def advance(self) -> None:
        self.done += 1
        if self.callback is not None:
            self.callback(self.done, self.total)
            return
        if self.bar is None and time.monotonic() - self.started > _PATIENCE:
            console = Console(stderr=True)
            self.bar = Progress(console=console, transient=True, disable=not console.is_terminal)
            self.bar.add_task("Calibrating", total=self.total)
            self.bar.start()
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done)
