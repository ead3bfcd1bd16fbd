"""Accuracy of a program on labelled data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tilewright.api.result import Backend, Progress
from tilewright.api.simulate import simulate
from tilewright.errors import Error, require_type
from tilewright.program import AnyProgram, HostedProgram, Program
from tilewright.progress import Steps

Metric = Literal["top1", "top5"]
_BATCH = 16


@dataclass(frozen=True)
class Evaluation:
    """What was measured.

    Parameters
    ----------
    metric : str
    value : float, of 0 to 1 for "top1" and "top5"
    images : int
    """

    metric: str
    value: float
    images: int


def evaluate(
    program: AnyProgram,
    data: Any,
    *,
    metric: Metric | Callable[[list[Any], NDArray[Any]], float] = "top1",
    backend: Backend = "golden",
    progress: Progress | None = None,
) -> Evaluation:
    """Run a program on labelled images.

    Parameters
    ----------
    data : (inputs, labels), as for :func:`simulate` and one label for each image, or a dataset or
        loader of such pairs, of single images or of batches
    metric : "top1" or "top5" (the share of images whose label is among the largest outputs), or a
        function of the dequantized outputs and the labels of a batch that returns a mean
    backend : as for :func:`simulate`
    progress : called with the images done and those in all, or 0 if that is not known; by default a
        bar appears on a terminal after two seconds

    Raises
    ------
    Error  If there are no images, or labels do not fit.
    """
    require_type("evaluate", "program", program, Program, HostedProgram)
    total, pieces = _batches(data)
    done, weighted = 0, 0.0
    with Steps("Evaluating", total, progress) as steps:
        for inputs, labels in pieces:
            outputs: list[Any] = list(simulate(program, inputs, backend=backend).dequantized())
            count = len(labels)
            if len(outputs[0]) != count:
                raise Error(f"{len(outputs[0])} images and {count} labels: there must be one each")
            score = metric(outputs, labels) if callable(metric) else _top(metric, outputs, labels)
            weighted += count * float(score)
            done += count
            steps.advance(count)
    if not done:
        raise Error("there are no images to evaluate: a generator can be read only once")
    name = metric if isinstance(metric, str) else getattr(metric, "__name__", "metric")
    return Evaluation(name, weighted / done, done)


def _top(metric: str, outputs: list[Any], labels: NDArray[Any]) -> float:
    counts = {"top1": 1, "top5": 5}
    if metric not in counts:
        raise Error(f"metric must be 'top1', 'top5' or a function, not {metric!r}")
    scores: NDArray[Any] = np.empty(0)
    if not isinstance(outputs[0], list):
        scores = np.asarray(outputs[0])
    if scores.ndim != 2 or not np.issubdtype(labels.dtype, np.integer) or labels.ndim != 1:
        raise Error(
            f"{metric} needs outputs (N, classes) and integer labels (N,), not {scores.shape} and "
            f"{labels.dtype} {labels.shape}: pass a function as the metric"
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < scores.shape[1]:
        raise Error(
            f"labels must be in 0..{scores.shape[1] - 1}, not {labels.min()}..{labels.max()}"
        )
    best = np.argsort(-scores, axis=1, kind="stable")[:, : counts[metric]]
    return float((best == labels[:, None]).any(axis=1).mean())


def _batches(data: Any) -> tuple[int, Iterator[tuple[Any, NDArray[Any]]]]:
    """Return the number of images, 0 if it is not known, and pairs of inputs and labels."""
    if isinstance(data, tuple) and len(data) == 2:
        inputs, labels = data[0], _array(data[1])
        several = isinstance(inputs, tuple | list)

        def pieces() -> Iterator[tuple[Any, NDArray[Any]]]:
            for at in range(0, len(labels), _BATCH):
                part = slice(at, at + _BATCH)
                yield (tuple(x[part] for x in inputs) if several else inputs[part]), labels[part]

        arrays = inputs if several else [inputs]
        if any(np.ndim(x) == 0 for x in (*arrays, labels)):
            raise Error("inputs and labels must have an entry for each image, not be one number")
        if any(len(x) != len(labels) for x in arrays):
            raise Error(f"{len(arrays[0])} images and {len(labels)} labels: there must be one each")
        return len(labels), pieces()
    if not isinstance(data, Iterable):
        raise Error(
            "evaluate: data must be (inputs, labels), or a dataset or loader of such pairs, not "
            f"{type(data).__name__}"
        )
    return 0, _loaded(data)


def _loaded(data: Iterable[Any]) -> Iterator[tuple[Any, NDArray[Any]]]:
    for entry in data:
        if not isinstance(entry, tuple | list) or len(entry) != 2:
            raise Error("a dataset must hold pairs of inputs and labels")
        inputs, labels = entry[0], _array(entry[1])
        if labels.ndim == 0:  # one image without its batch
            several = isinstance(inputs, tuple | list)
            inputs = tuple(x[None] for x in inputs) if several else inputs[None]
            labels = labels[None]
        yield inputs, labels


def _array(labels: Any) -> NDArray[Any]:
    return np.asarray(labels.detach().cpu().numpy() if hasattr(labels, "detach") else labels)
