"""Boxes from the detector's outputs, and how good they are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from examples.detector.model import STRIDE
from examples.detector.shapes import CLASSES, Shapes

KEPT = 20
"""Detections of an image and class."""


def detections(outputs: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Return boxes (N, classes, KEPT, 4) in pixels and their scores (N, classes, KEPT).

    Centers are cells of a class's heatmap that no neighbour exceeds.
    """
    heatmap, size, offset = outputs
    n, classes, _, width = heatmap.shape
    peaks = heatmap >= F.max_pool2d(heatmap, 3, 1, 1)
    scores = torch.where(peaks, heatmap.sigmoid(), 0.0).flatten(2)
    scores, cells = scores.topk(KEPT, dim=2)
    values = torch.cat([size, offset], 1).flatten(2)
    values = values.gather(2, cells.reshape(n, 1, -1).expand(-1, 4, -1)).reshape(n, 4, classes, -1)
    x = (cells % width + values[:, 2]) * STRIDE
    y = (cells // width + values[:, 3]) * STRIDE
    half_w, half_h = (values[:, i].clamp(min=0.1) * STRIDE / 2 for i in (0, 1))
    return torch.stack([x - half_w, y - half_h, x + half_w, y + half_h], -1), scores


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union of boxes (P, 4) and (Q, 4), (P, Q)."""
    low = torch.maximum(a[:, None, :2], b[None, :, :2])
    high = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    common = (high - low).clamp(min=0).prod(-1)
    area_a, area_b = ((x[:, 2:] - x[:, :2]).prod(-1) for x in (a, b))
    return common / (area_a[:, None] + area_b[None] - common)


def average_precision(boxes: Tensor, scores: Tensor, shapes: Shapes, threshold: float) -> float:
    """Return the mean over classes of the area under precision over recall.

    ``boxes``, ``scores``: as :func:`detections` returns them. A detection counts for the object of
    its class that it overlaps most, by at least ``threshold``, if no better one did.
    """
    results = []
    for label in range(len(CLASSES)):
        ranked, total = [], 0
        for n in range(len(shapes)):
            truth = shapes.boxes[n][shapes.labels[n] == label]
            total += len(truth)
            taken: set[int] = set()
            found = overlaps(boxes[n, label], truth)
            for k in scores[n, label].argsort(descending=True).tolist():
                best = int(found[k].argmax()) if len(truth) else -1
                hit = best >= 0 and best not in taken and float(found[k, best]) >= threshold
                if hit:
                    taken.add(best)
                ranked.append((float(scores[n, label, k]), hit))
        ranked.sort(key=lambda entry: -entry[0])
        hits = np.cumsum([hit for _, hit in ranked])
        precision = hits / np.arange(1, len(hits) + 1)
        # At each recall, the best precision from there on.
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        steps = np.array([hit for _, hit in ranked])
        results.append(float((precision * steps).sum() / max(total, 1)))
    return float(np.mean(results))


def evaluate(model: nn.Module, shapes: Shapes) -> dict[str, float]:
    """Return average precisions at overlaps of 0.5 and 0.75, and the mean from 0.5 to 0.95."""
    with torch.no_grad():
        boxes, scores = detections(model(shapes.images))
    thresholds = [0.5 + 0.05 * i for i in range(10)]
    values = [average_precision(boxes, scores, shapes, t) for t in thresholds]
    return {"AP50": values[0], "AP75": values[5], "mAP": float(np.mean(values))}
