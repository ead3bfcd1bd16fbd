"""How far a quantized network is from its float original, layer by layer."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

import torch
from brevitas.backport import fx
from brevitas.backport.fx import GraphModule
from rich.console import Console, RenderableType
from rich.table import Table
from torch import Tensor

from tilewright.quantization.alignment import source
from tilewright.quantization.calibration import Batch, Observer, float_mode


@dataclass(frozen=True)
class LayerAccuracy:
    """Accuracy of one quantized tensor.

    Parameters
    ----------
    name : path of the module that computes it, with what follows up to the quantizer fused
    bits, signed, scale : its integer type
    snr_db : float or None, power of the float values over power of the difference; None where
        either is zero
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
    images : int, how many were compared
    """

    layers: tuple[LayerAccuracy, ...]
    outputs: tuple[str, ...]
    images: int

    @property
    def output_snr_db(self) -> float | None:
        """Lowest ratio of the outputs."""
        ratios = [x.snr_db for x in self.layers if x.name in self.outputs and x.snr_db is not None]
        return min(ratios, default=None)

    def to_json(self) -> str:
        """Return everything as JSON."""
        return json.dumps({**asdict(self), "output_snr_db": self.output_snr_db}, indent=1)

    def __rich__(self) -> RenderableType:
        table = Table(title=f"Quantized against float, {self.images} images")
        for heading in ("layer", "type", "scale", "SNR (dB)"):
            table.add_column(heading, justify="left" if heading == "layer" else "right")
        for x in self.layers:
            ratio = "-" if x.snr_db is None else f"{x.snr_db:.1f}"
            name = f"{x.name} (output)" if x.name in self.outputs else x.name
            table.add_row(name, f"{'' if x.signed else 'u'}int{x.bits}", f"{x.scale:.4g}", ratio)
        return table

    def __str__(self) -> str:
        console = Console(width=100)
        with console.capture() as capture:
            console.print(self)
        text: str = capture.get()
        return text


class FloatValues:
    """What every activation quantizer sees in float, before biases are corrected."""

    def __init__(self, model: GraphModule, batch: Batch) -> None:
        self.batch = batch
        self.values: dict[fx.Node, Tensor] = {}

        def see(node: fx.Node, module: Any, values: Tensor) -> None:
            self.values[node] = values

        with torch.no_grad(), float_mode(model):
            Observer(model, see).run(*batch)

    def compare(self, model: GraphModule) -> QuantizationReport:
        """Run the finished model on the same images."""
        layers: list[LayerAccuracy] = []
        names = {node: _name(model, node) for node in self.values}

        def see(node: fx.Node, module: Any, values: Tensor) -> None:
            reference = self.values[node].double()
            signal = float((reference**2).sum())
            noise = float(((values.double() - reference) ** 2).sum())
            ratio = 10 * math.log10(signal / noise) if signal and noise else None
            quant = module.act_quant
            layers.append(
                LayerAccuracy(
                    names[node],
                    int(quant.bit_width()),
                    bool(quant.is_signed),
                    float(quant.scale()),
                    ratio,
                )
            )

        with torch.no_grad():
            Observer(model, see).run(*self.batch)
        results = next(n for n in model.graph.nodes if n.op == "output").all_input_nodes
        outputs = tuple(names[source(model, n)] for n in results)
        return QuantizationReport(tuple(layers), outputs, len(self.batch[0]))


def _name(model: GraphModule, node: fx.Node) -> str:
    """Name the layer that computes what a quantizer quantizes."""
    (source,) = node.all_input_nodes
    if source.op != "call_module":
        return str(source.name)
    again = hasattr(model.get_submodule(str(source.target)), "act_quant")
    return str((node if again else source).target)
