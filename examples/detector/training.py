"""Losses and training of the detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import brevitas.config
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.detector.model import STRIDE, Detector
from examples.detector.shapes import CLASSES, SIZE, Shapes

BATCH = 32
CELLS = SIZE // STRIDE


@dataclass(frozen=True)
class Targets:
    """What the outputs should be.

    Parameters
    ----------
    heatmap : (N, classes, CELLS, CELLS), 1 at centers, falling around them
    boxes : (N, MOST, 4): width, height, and the center's distance from its cell's corner, in cells
    cells : (N, MOST) index of the center's cell
    present : (N, MOST)
    """

    heatmap: Tensor
    boxes: Tensor
    cells: Tensor
    present: Tensor

    def batch(self, index: Tensor) -> Targets:
        """Return those of some images."""
        return Targets(
            self.heatmap[index], self.boxes[index], self.cells[index], self.present[index]
        )


def make_targets(shapes: Shapes) -> Targets:
    """Return the targets of all images."""
    low, high = shapes.boxes[..., :2] / STRIDE, shapes.boxes[..., 2:] / STRIDE
    size, center = high - low, (low + high) / 2
    corner = center.floor()
    present = shapes.labels >= 0
    heatmap = torch.zeros(len(shapes), len(CLASSES), CELLS, CELLS)
    axis = torch.arange(CELLS)
    for n, k in present.nonzero().tolist():
        spread = (size[n, k] / 6).clamp(min=0.4)
        x, y = (torch.exp(-((axis - corner[n, k, i]) ** 2) / (2 * spread[i] ** 2)) for i in (0, 1))
        label = int(shapes.labels[n, k])
        heatmap[n, label] = torch.maximum(heatmap[n, label], y[:, None] * x)
    cells = (corner[..., 1] * CELLS + corner[..., 0]).long()
    return Targets(heatmap, torch.cat([size, center - corner], -1), cells, present)


def loss_of(outputs: tuple[Tensor, Tensor, Tensor], targets: Targets) -> Tensor:
    """Return CenterNet's loss: focal for the heatmap, absolute for sizes and offsets."""
    heatmap, size, offset = outputs
    found = heatmap.sigmoid().clamp(1e-4, 1 - 1e-4)
    centers = targets.heatmap == 1
    positive = (1 - found) ** 2 * found.log() * centers
    negative = (1 - targets.heatmap) ** 4 * found**2 * (1 - found).log() * ~centers
    count = targets.present.sum().clamp(min=1)
    boxes = torch.cat([size, offset], 1).flatten(2)
    index = targets.cells[:, None].expand(-1, 4, -1)
    there = boxes.gather(2, index).transpose(1, 2)
    weight = torch.tensor([0.2, 0.2, 1.0, 1.0]) * targets.present[..., None]
    return (F.l1_loss(there, targets.boxes, reduction="none") * weight).sum() / count - (
        positive.sum() + negative.sum()
    ) / count


def fit(
    model: nn.Module,
    shapes: Shapes,
    *,
    steps: int,
    rate: float,
    seed: int,
    report: Callable[[str], None] = print,
) -> None:
    """Train with random batches; the learning rate rises and falls once."""
    targets = make_targets(shapes)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    total = 0.0
    for step in range(1, steps + 1):
        index = torch.randint(len(shapes), (BATCH,), generator=generator)
        loss = loss_of(model(shapes.images[index]), targets.batch(index))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        schedule.step()
        total += float(loss)
        if step % 100 == 0 or step == steps:
            report(f"step {step}: loss {total / ((step - 1) % 100 + 1):.3f}")
            total = 0.0
    model.eval()


def train(
    shapes: Shapes,
    *,
    deformable: bool,
    seed: int,
    steps: tuple[int, int],
    report: Callable[[str], None] = print,
) -> tuple[Detector, Detector]:
    """Train in floats, then quantized; return both networks.

    ``steps``: of the two.
    """
    torch.manual_seed(seed)
    floats = Detector(deformable=deformable, quantized=False)
    # Objects are rare: begin with their share of the cells.
    last = floats.heads[0][-2]
    assert isinstance(last, nn.Conv2d)
    assert last.bias is not None
    nn.init.constant_(last.bias, -3.0)
    fit(floats, shapes, steps=steps[0], rate=4e-3, seed=seed, report=report)
    quantized = Detector(deformable=deformable, quantized=True)
    lenient, brevitas.config.IGNORE_MISSING_KEYS = brevitas.config.IGNORE_MISSING_KEYS, True
    try:
        quantized.load_state_dict(floats.state_dict())
    finally:
        brevitas.config.IGNORE_MISSING_KEYS = lenient
    fit(quantized, shapes, steps=steps[1], rate=1e-3, seed=seed + 1, report=report)
    return floats, quantized
