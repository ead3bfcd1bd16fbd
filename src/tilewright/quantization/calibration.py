"""Scales from observed values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from brevitas.backport import fx
from brevitas.backport.fx import GraphModule
from brevitas.graph.calibrate import quantization_status_manager
from torch import Tensor, nn

Batch = tuple[Tensor, ...]
_BINS = 4096
_CANDIDATES = 80


class Histogram:
    """Counts of absolute values in equal bins over ``0..top``, which grows by doubling."""

    def __init__(self) -> None:
        self.counts = torch.zeros(_BINS, dtype=torch.float64)
        self.top = 0.0
        self.maximum = 0.0

    def add(self, x: Tensor) -> None:
        """Count a tensor of finite values."""
        values = x.detach().abs().float()
        maximum = float(values.max())
        if maximum == 0:
            return
        self.maximum = max(self.maximum, maximum)
        self.top = self.top or maximum
        while self.top < maximum:
            pairs = self.counts.reshape(-1, 2).sum(1)
            self.counts = torch.cat([pairs, torch.zeros_like(pairs)])
            self.top *= 2
        self.counts += torch.histc(values, _BINS, 0.0, self.top).double()

    def squared_error(self, scale: float, levels: int) -> float:
        """Sum of squared errors of rounding to ``0..levels`` steps of ``scale``."""
        centers = (torch.arange(_BINS, dtype=torch.float64) + 0.5) * (self.top / _BINS)
        rounded = (centers / scale).round().clamp(max=levels) * scale
        return float((self.counts * (centers - rounded) ** 2).sum())


class Observer(fx.Interpreter):  # type: ignore[misc]
    """Runs a quantized model and shows what comes out of every activation quantizer.

    Parameters
    ----------
    model : GraphModule
    see : called with the node, its module and the values, a plain tensor
    """

    def __init__(self, model: GraphModule, see: Callable[[fx.Node, Any, Tensor], None]) -> None:
        super().__init__(model)
        self.see = see

    def run_node(self, n: fx.Node) -> Any:
        """Run one node."""
        result = super().run_node(n)
        if n.op == "call_module":
            module = self.module.get_submodule(str(n.target))
            if hasattr(module, "act_quant"):
                self.see(n, module, getattr(result, "value", result).detach())
        return result


@contextmanager
def float_mode(model: nn.Module) -> Iterator[None]:
    """Run a quantized model as the float model that it came from."""
    with quantization_status_manager(
        model,
        disable_act_quant=True,
        disable_weight_quant=True,
        disable_bias_quant=True,
        is_training=False,
    ):
        yield


def calibrate(
    model: GraphModule,
    batches: Sequence[Batch],
    *,
    power_of_two: bool,
    advance: Callable[[], None],
) -> None:
    """Set the scale of every activation quantizer to the one of least squared error.

    Quantizers that share a grid are set by the values of all of them.

    Parameters
    ----------
    advance : called after every batch
    """
    histograms: dict[Any, Histogram] = {}

    def see(node: fx.Node, module: Any, values: Tensor) -> None:
        core = module.act_quant.fused_activation_quant_proxy.tensor_quant
        histograms.setdefault(core, Histogram()).add(values)

    with torch.no_grad(), float_mode(model):
        observer = Observer(model, see)
        for batch in batches:
            observer.run(*batch)
            advance()
    for core, histogram in histograms.items():
        _set_threshold(core, _best_threshold(core, histogram, power_of_two))


def _best_threshold(core: Any, histogram: Histogram, power_of_two: bool) -> float:
    if not histogram.maximum:
        return 1.0
    bits = core.msb_clamp_bit_width_impl()
    divisor = float(core.int_scaling_impl(bits))
    levels = int(core.int_quant.max_int(bits))
    if power_of_two:
        exponent = math.ceil(math.log2(histogram.maximum))
        candidates = [2.0**e for e in range(exponent - 4, exponent + 2)]
    else:
        # The highest level lies one step below the threshold where the type has a lower half.
        full = histogram.maximum * divisor / levels
        candidates = [full * i / _CANDIDATES for i in range(_CANDIDATES // 8, _CANDIDATES + 1)]
    return min(candidates, key=lambda t: histogram.squared_error(t / divisor, levels))


def _set_threshold(core: Any, threshold: float) -> None:
    """Hand a quantizer its statistics and end its collection of them."""
    scaling = core.scaling_impl
    scaling.buffer.fill_(threshold)
    scaling.init_scale()
