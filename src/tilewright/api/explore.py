"""Which engine is best for a network: a search."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from tilewright.api.compile import captured_model
from tilewright.api.read import opened
from tilewright.boards import get_board
from tilewright.compiler.ir import Graph, Requantize, choose_multipliers, run
from tilewright.compiler.quantized import ops as q
from tilewright.compiler.schedule import ROUNDED, with_algorithms
from tilewright.errors import Error, UnsupportedError, require_choice, require_type
from tilewright.exploration.evaluate import UNITS
from tilewright.exploration.groups import regrouped
from tilewright.exploration.points import Exploration
from tilewright.exploration.search import Search
from tilewright.exploration.space import Space, rounding_twice
from tilewright.exploration.workers import workers
from tilewright.program.inputs import quantize
from tilewright.progress import ProgressCallback, Steps
from tilewright.quantization.model import QuantizedModel

__all__ = ["explore"]

Model = nn.Module | str | os.PathLike[str]


def explore(
    model: Model | Mapping[int, Model],
    example_inputs: Tensor | tuple[Tensor, ...] | None,
    *,
    board: str,
    objectives: Sequence[str] = ("latency", "energy", "area"),
    evaluations: int = 100,
    space: Space | None = None,
    labelled: tuple[Any, Any] | None = None,
    storage: str | os.PathLike[str] | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> Exploration:
    """Search the engines that fit a board for those that no other one beats.

    Engines are compared by what programs cost on them, behind the board's memory and at its clock:
    cycles from when commands run alone, energy and area by estimate (:func:`tilewright.estimate`).
    The board's own engine is tried first, where the space has it. Engines for a TFLite file round
    as its reference kernels do, whatever the board's own does.

    Parameters
    ----------
    model, example_inputs : as for :func:`tilewright.compile`; or networks by the bits of their
        weights, 8 and 4, of which one is chosen
    board : str, a board's name
    objectives : of "latency", "energy", "area" (of the kind of sites of which the FPGA has least
        left), "traffic", "energy_per_mac" (where ``space`` has sizes of groups: small ones take
        less energy, large ones less for each product), and "error", the share of ``labelled``
        images whose label is not the largest output; less is better
    evaluations : engines that are compiled for, in all; those that do not fit are not counted
    space : values that parameters may have; ``Space.around`` the board's engine if None
    labelled : (inputs, labels) as for :func:`tilewright.evaluate`, for "error"; it is the same for
        all engines of one network, whose results are exact
    storage : a file of SQLite: what is known is in it at once, and the same search goes on from
        there. In memory if None
    jobs : processes
    scheduler : address of a Dask scheduler, whose workers evaluate instead
    seed : of the choices
    progress : called with the engines evaluated and those in all

    Returns
    -------
    Exploration

    Raises
    ------
    Error
        If the file is of another search, nothing can be compiled, or a package is not installed.
    """
    own = base = get_board(board).engine
    for name, number in (("evaluations", evaluations), ("jobs", jobs), ("seed", seed)):
        require_type("explore", name, number, int)
    if not objectives or len(set(objectives)) < len(objectives):
        raise Error("explore: objectives must be at least one, each once")
    for objective in objectives:
        require_choice("explore", "objectives", objective, UNITS)
    if ("error" in objectives) is not (labelled is not None):
        raise Error('explore: "error" is an objective if there are labelled images, and only then')
    if evaluations < 1 or jobs < 1:
        raise Error("explore: evaluations and jobs must be at least 1")
    networks = dict(model) if isinstance(model, Mapping) else {8: model}
    if not networks or not set(networks) <= {4, 8}:
        raise Error("explore: networks must be by the bits of their weights, 8 or 4")
    whole = {bits: _integers(opened(net), example_inputs) for bits, net in networks.items()}
    if any(map(_rounds_twice, whole.values())):
        base = rounding_twice(base)
    # Multipliers have one width in all of them: they are chosen once.
    graphs = {b: choose_multipliers(graph, base.multiplier_width) for b, graph in whole.items()}
    space = Space.around(own) if space is None else space
    _check_space(space, graphs, judged=labelled is not None)
    named = tuple(objectives)
    errors = {} if labelled is None else {b: _error(g, *labelled) for b, g in graphs.items()}
    search = Search(
        board,
        base,
        named,
        space,
        tuple(sorted(graphs)),
        _fingerprint(graphs),
        storage=None if storage is None else Path(storage),
        seed=seed,
        errors=errors,
    )
    with (
        workers(graphs, board, named, jobs, scheduler) as at_work,
        Steps("Exploring", evaluations, progress) as steps,
    ):
        steps.advance(search.done)
        search.run(evaluations, at_work, lambda done, total: steps.advance(done - steps.done))
    found = search.result()
    if not found.points:
        raise Error(
            f"none of {search.done} engines that fit {board} can run the network; the last one: "
            f"{search.last_refusal}"
            if search.done
            else f"no engine of the space fits {board}; the last one: {search.last_misfit}"
        )
    return found


def _check_space(space: Space, graphs: Mapping[int, Graph], *, judged: bool) -> None:
    """Refuse what a space asks of layers that no network has, or that changes results."""
    if judged and any(space.group_channels):
        raise Error(
            "explore: the error of a network with other groups is not known before it is trained: "
            'leave out "error", or group_channels'
        )
    for graph in graphs.values():
        for channels in filter(None, space.group_channels):
            regrouped(graph, channels)
        names = with_algorithms(graph)
        if unknown := set(space.algorithms) - set(names):
            raise Error(
                f"explore: algorithms names {min(unknown)!r}, which is no convolution; there are "
                f"{', '.join(names) or 'none'}"
            )
    for layer, values in space.algorithms.items():
        if rounded := [value for value in values if value.endswith(ROUNDED)]:
            raise Error(f"explore: {layer}={rounded[0]} changes results: compile with it")


def _integers(model: Any, example_inputs: Any) -> Graph:
    """Return the integer graph of a network, all of which an engine computes."""
    parts = (
        [op for op in model.graph.ops if isinstance(op, q.Host)]
        if isinstance(model, QuantizedModel)
        else []
    )
    if parts:
        raise UnsupportedError(
            parts[0].name,
            "a part for the host between parts for the engine, whose time a search does not know",
            'Compare a few engines: compile for each with host="anywhere", and estimate.',
        )
    return captured_model(model, example_inputs).graph


def _rounds_twice(graph: Graph) -> bool:
    """Whether a network's results are rounded as TFLite's reference kernels do it."""
    steps = [v for op in graph.ops for v in vars(op).values() if isinstance(v, Requantize)]
    return any(step.rounding != "half_even" and step.rounds for step in steps)


def _fingerprint(graphs: Mapping[int, Graph]) -> str:
    """Return a name for networks: of their layers and shapes, not of their weights."""
    total = hashlib.sha256()
    for bits, graph in sorted(graphs.items()):
        total.update(f"{bits} {sorted(graph.values.items())}".encode())
        for op in graph.ops:
            shapes = [v.shape for v in vars(op).values() if isinstance(v, np.ndarray)]
            total.update(
                f"{type(op).__name__} {op.name} {op.inputs} {op.outputs} {shapes}".encode()
            )
    return total.hexdigest()[:24]


def _error(graph: Graph, inputs: Any, labels: Any) -> float:
    """Return the share of images whose label is not the largest output."""
    shapes = tuple(graph.values[op.output].shape for op in graph.inputs)
    arrays, wanted = quantize(graph, shapes, inputs), np.asarray(labels)
    if wanted.ndim != 1 or not len(wanted) or len(arrays[0]) != len(wanted):
        raise Error(
            f"explore: {len(arrays[0])} images and labels {wanted.shape}: there must be one each"
        )
    wrong = 0
    for index, label in enumerate(wanted):
        values = run(graph, [array[index] for array in arrays])
        wrong += int(values[graph.outputs[0].input].reshape(-1).argmax()) != int(label)
    return wrong / len(wanted)
