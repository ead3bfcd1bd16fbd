"""Where choices are evaluated: in this process, in several, or on a Dask cluster."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from typing import Any, Protocol

from tilewright.compiler.ir import Graph
from tilewright.errors import Error
from tilewright.exploration.evaluate import Outcome, evaluate
from tilewright.exploration.space import Choice

__all__ = ["Workers", "workers"]

Graphs = Mapping[int, Graph]


class Workers(Protocol):
    """Evaluates choices, several at once."""

    count: int

    def submit(self, choice: Choice) -> Any:
        """Begin with a choice; return what stands for it."""

    def first(self, pending: list[Any]) -> tuple[Any, Outcome]:
        """Wait until one of those pending is done; return it and its outcome."""


class _Here:
    """One after the other, in this process."""

    count = 1

    def __init__(self, graphs: Graphs, board: str, objectives: tuple[str, ...]) -> None:
        self._task = graphs, board, objectives

    def submit(self, choice: Choice) -> Choice:
        return choice

    def first(self, pending: list[Any]) -> tuple[Any, Outcome]:
        graphs, board, objectives = self._task
        return pending[0], evaluate(graphs, board, pending[0], objectives)


class _Processes:
    """Processes of this machine, each of which gets the network once."""

    def __init__(self, pool: ProcessPoolExecutor, count: int) -> None:
        self._pool, self.count = pool, count

    def submit(self, choice: Choice) -> Future[Outcome]:
        return self._pool.submit(_evaluate, choice)

    def first(self, pending: list[Any]) -> tuple[Any, Outcome]:
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        one: Future[Outcome] = next(future for future in pending if future in done)
        return one, one.result()


class _Cluster:
    """The workers of a Dask cluster, to which the network is sent once."""

    def __init__(
        self, client: Any, graphs: Graphs, board: str, objectives: tuple[str, ...]
    ) -> None:
        self._client, self._board, self._objectives = client, board, objectives
        self._graphs = client.scatter(dict(graphs), broadcast=True, hash=False)
        self.count = max(1, len(client.scheduler_info()["workers"]))

    def submit(self, choice: Choice) -> Any:
        return self._client.submit(
            evaluate, self._graphs, self._board, choice, self._objectives, pure=False
        )

    def first(self, pending: list[Any]) -> tuple[Any, Outcome]:
        from distributed import wait as first_of

        first_of(pending, return_when="FIRST_COMPLETED")  # type: ignore[no-untyped-call]
        one = next(future for future in pending if future.done())
        outcome: Outcome = one.result()
        return one, outcome


@contextmanager
def workers(
    graphs: Graphs, board: str, objectives: tuple[str, ...], jobs: int, scheduler: str | None
) -> Iterator[Workers]:
    """Give workers: a cluster's, if there is the address of a scheduler.

    Raises
    ------
    Error
        If Dask is not installed, or there is nobody at the address.
    """
    if scheduler is not None:
        try:
            from distributed import Client
        except ImportError as error:
            raise Error("a cluster needs dask: pip install 'tilewright[cluster]'") from error
        try:
            client = Client(scheduler, timeout=10)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise Error(f"there is no scheduler at {scheduler}: {error}") from error
        with client:
            yield _Cluster(client, graphs, board, objectives)
    elif jobs == 1:
        yield _Here(graphs, board, objectives)
    else:
        context = multiprocessing.get_context("spawn")
        task = (graphs, board, objectives)
        with ProcessPoolExecutor(jobs, context, _begin, task) as pool:
            yield _Processes(pool, jobs)


_task: tuple[Graphs, str, tuple[str, ...]]


def _begin(graphs: Graphs, board: str, objectives: tuple[str, ...]) -> None:
    global _task
    import torch

    torch.set_num_threads(1)
    _task = graphs, board, objectives
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End when the search is killed: its pipes stay open, since workers hold both their ends."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _evaluate(choice: Choice) -> Outcome:
    graphs, board, objectives = _task
    return evaluate(graphs, board, choice, objectives)
