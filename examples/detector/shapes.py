"""Images of rotated rectangles, ellipses and triangles, with the boxes around them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

CLASSES = ("rectangle", "ellipse", "triangle")
SIZE = 32
"""Rows and columns of an image."""
MOST = 3
"""Objects of an image, at most."""


@dataclass(frozen=True)
class Shapes:
    """Images with their objects.

    Parameters
    ----------
    images : (N, 1, SIZE, SIZE) floats of about -1..1
    boxes : (N, MOST, 4) pixels: left, top, right, bottom
    labels : (N, MOST) index into CLASSES, -1 for no object
    """

    images: Tensor
    boxes: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)


def make_shapes(count: int, *, seed: int) -> Shapes:
    """Draw ``count`` images; objects are 8 to 28 pixels long, at any angle, and hardly overlap."""
    rng = np.random.default_rng(seed)
    images = np.zeros((count, SIZE, SIZE), np.float32)
    boxes = np.zeros((count, MOST, 4), np.float32)
    labels = np.full((count, MOST), -1)
    for n in range(count):
        images[n] = _background(rng)
        for k in range(int(rng.integers(1, MOST + 1))):
            _place(rng, images[n], boxes[n], labels[n], k)
    images += rng.normal(0, 0.05, images.shape).astype(np.float32)
    return Shapes(
        torch.from_numpy(images)[:, None], torch.from_numpy(boxes), torch.from_numpy(labels)
    )


_GRID = np.stack(np.meshgrid(np.arange(SIZE), np.arange(SIZE)), -1) + 0.5  # (row, column, x y)


def _background(rng: np.random.Generator) -> np.ndarray:
    slope = rng.normal(0, 0.3, 2) / SIZE
    return ((_GRID - SIZE / 2) @ slope).astype(np.float32)


def _place(
    rng: np.random.Generator, image: np.ndarray, boxes: np.ndarray, labels: np.ndarray, k: int
) -> None:
    """Draw object k where it fits; leave it out if it does not."""
    for _ in range(20):
        length = float(np.exp(rng.uniform(np.log(8), np.log(28))))
        half = np.array([length, max(5.0, length * rng.uniform(0.3, 1))]) / 2
        angle, label = rng.uniform(0, np.pi), int(rng.integers(len(CLASSES)))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        x, y = np.moveaxis((_GRID - rng.uniform(0, SIZE, 2)) @ turn / half, -1, 0)
        match CLASSES[label]:
            case "rectangle":
                inside = (abs(x) < 1) & (abs(y) < 1)
            case "ellipse":
                inside = x**2 + y**2 < 1
            case _:
                inside = (y < 1) & (abs(x) < (y + 1) / 2)
        rows, columns = np.nonzero(inside)
        # Whole objects only, so that a box says what is seen.
        if len(rows) < 16 or rows.min() < 1 or columns.min() < 1:
            continue
        if rows.max() > SIZE - 2 or columns.max() > SIZE - 2:
            continue
        box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
        if any(_overlap(box, other) > 0.05 for other in boxes[:k][labels[:k] >= 0]):
            continue
        image[inside] += rng.choice([-1, 1]) * rng.uniform(0.4, 1)
        boxes[k], labels[k] = box, label
        return


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the common area over the smaller one."""
    size = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    smaller = min(np.prod(box[2:] - box[:2]) for box in (a, b))
    return float(np.prod(size.clip(0)) / smaller)
