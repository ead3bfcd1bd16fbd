"""Weights that are zero in the shapes that the engine leaves out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from tilewright.errors import Error

Shape = Literal["taps", "blocks", "groups"]


@dataclass(frozen=True, eq=False)
class Pruned:
    """Which weights of a model stay zero.

    Parameters
    ----------
    masks : of each pruned layer's weights, in their shape; zero or one
    """

    masks: dict[nn.Conv2d, Tensor]

    def zero(self) -> None:
        """Set pruned weights to zero again: call it after every step of an optimizer."""
        with torch.no_grad():
            for layer, mask in self.masks.items():
                layer.weight.mul_(mask.to(layer.weight))

    def kept(self) -> float:
        """Return the share of the layers' weights that is not pruned."""
        total = sum(mask.numel() for mask in self.masks.values())
        return float(sum(mask.sum() for mask in self.masks.values())) / total if total else 1.0


def prune(model: nn.Module, keep: float, *, rows: int = 16, shape: Shape = "taps") -> Pruned:
    """Set the least weights of a model's convolutions to zero, in shapes that cost no cycles then.

    Layers of one tap have no taps to choose from, grouped ones and those of few channels no blocks;
    they stay whole. Of a layer's pieces, those of the greatest sum of squares are kept.

    Parameters
    ----------
    model : whose ``nn.Conv2d`` are pruned where they are
    keep : of the pieces of each layer, above 0 and up to 1
    rows : of the engine that it is for, as in ``EngineConfig``
    shape : pieces: "taps", one tap of all channels; "blocks", one tap between ``rows`` outputs and
        ``rows`` inputs; "groups", all taps between them

    Returns
    -------
    Pruned, to keep them zero while the model is trained on.

    Raises
    ------
    Error  If a number is out of range, or no layer has such pieces.
    """
    if not 0 < keep <= 1:
        raise Error(f"keep must be above 0 and at most 1, not {keep}")
    if rows < 1:
        raise Error(f"rows must be at least 1, not {rows}")
    if shape not in ("taps", "blocks", "groups"):
        raise Error(f"shape must be 'taps', 'blocks' or 'groups', not {shape!r}")
    masks = {}
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            found = _mask(layer, keep, rows, shape)
            if found is not None:
                masks[layer] = found
    if not masks:
        raise Error(f"no convolution of the model has {shape} of {rows} rows to prune")
    pruned = Pruned(masks)
    pruned.zero()
    return pruned


def _mask(layer: nn.Conv2d, keep: float, rows: int, shape: Shape) -> Tensor | None:
    """Return a layer's mask, or None if it has fewer than two pieces."""
    weight = layer.weight.detach()
    kernels, channels, height, width = weight.shape
    # A piece is this many outputs, inputs and taps.
    piece = (rows, rows, *((1, 1) if shape == "blocks" else (height, width)))
    if shape == "taps":
        piece = (kernels, channels, 1, 1)
    elif layer.groups > 1:
        return None
    counts = [-(-n // p) for n, p in zip(weight.shape, piece, strict=True)]
    number = torch.zeros(1, dtype=torch.long, device=weight.device)
    for axis, (n, p, count) in enumerate(zip(weight.shape, piece, counts, strict=True)):
        place = torch.arange(n, device=weight.device) // p
        number = number * count + place.reshape(-1, *(1,) * (3 - axis))
    total = int(torch.tensor(counts).prod())
    if total < 2:
        return None
    sizes = torch.zeros(total, dtype=weight.dtype, device=weight.device)
    sizes.index_add_(0, number.expand_as(weight).reshape(-1), weight.square().reshape(-1))
    chosen = torch.zeros_like(sizes)
    chosen[sizes.topk(max(1, round(keep * total))).indices] = 1
    return chosen[number].expand_as(weight).clone()
