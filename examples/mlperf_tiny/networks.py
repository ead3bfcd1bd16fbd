"""Which networks there are, their files and inputs, and what they are measured by."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tilewright.compiler.importers.tflite.file import read_file
from tilewright.errors import Error

#: Where two of the files are, and the variable that names a folder with all four.
MODELS, VARIABLE = Path(__file__).parent / "models", "TILEWRIGHT_MLPERF_TINY"

Int8Array = npt.NDArray[np.int8]


@dataclass(frozen=True)
class Network:
    """A network of the benchmark.

    Parameters
    ----------
    name : of its file, without ".tflite"
    title : what it is
    measure : "accuracy" or "AUC"
    needed : of the closed division
    layers : that the engine computes, each one compared
    """

    name: str
    title: str
    measure: str
    needed: float
    layers: int


NETWORKS = (
    Network("kws", "DS-CNN, keyword spotting", "accuracy", 0.90, 11),
    Network("ic", "ResNet-8, image classification", "accuracy", 0.85, 14),
    Network("vww", "MobileNetV1 0.25, visual wake words", "accuracy", 0.80, 29),
    Network("ad", "autoencoder, anomaly detection", "AUC", 0.85, 10),
)


def found(folder: Path | None = None) -> Iterator[tuple[Network, Path]]:
    """Yield the networks whose files are in a folder; by default that of the variable, or here."""
    where = folder or Path(os.environ.get(VARIABLE, MODELS))
    for network in NETWORKS:
        if (path := where / f"{network.name}.tflite").is_file():
            yield network, path


def input_shape(path: Path) -> tuple[int, ...]:
    """Return the shape of one input as the file takes it."""
    file = read_file(path.read_bytes())
    return tuple(file.tensors[file.inputs[0]].shape[1:])


def images(path: Path, count: int, seed: int = 0) -> Iterator[Int8Array]:
    """Yield inputs as the file takes them: noise, and in turns what is smooth as images are."""
    file = read_file(path.read_bytes())
    shape = file.tensors[file.inputs[0]].shape
    rng = np.random.default_rng(seed)
    for number in range(count):
        x = rng.normal(0, 1, shape)
        for axis in range(1, x.ndim - 1) if number % 2 else ():
            x = np.cumsum(x, axis) / np.sqrt((x.shape[axis] + 1) / 2)
        x = x * rng.uniform(10, 90) + rng.uniform(-60, 60)
        yield np.clip(np.rint(x), -128, 127).astype(np.int8)


def labelled(network: Network, folder: Path) -> tuple[Int8Array, npt.NDArray[np.int64]] | None:
    """Return inputs and labels of ``NAME.npz`` in a folder, or None if it is not there.

    ``inputs`` (N, ...) int8 as the file takes them, ``labels`` (N,): the class, or of anomaly
    detection 1 for an anomaly; there, an input can be several, (N, windows, ...).

    Raises
    ------
    Error  If the file holds something else.
    """
    path = folder / f"{network.name}.npz"
    if not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as data:
        if set(data) != {"inputs", "labels"} or data["inputs"].dtype != np.int8:
            raise Error(f"{path} must hold inputs, in int8, and labels")
        return data["inputs"], data["labels"].astype(np.int64)


def quality(
    network: Network,
    inputs: npt.NDArray[np.float64],
    outputs: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
) -> float:
    """Return the share of images whose largest output is the label's, or the area under the ROC.

    An anomaly's score is the mean square between input and output, both in real numbers, over all
    windows of an input.
    """
    if network.measure == "accuracy":
        return float((outputs.reshape(len(outputs), -1).argmax(1) == labels).mean())
    scores = np.square(outputs - inputs).reshape(len(labels), -1).mean(1)
    normal, other = scores[labels == 0], scores[labels == 1]
    pairs = other[:, None] - normal[None]
    return float(((pairs > 0) + 0.5 * (pairs == 0)).mean())
