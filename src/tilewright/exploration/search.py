"""A search: asks Optuna for choices, and tells it what they cost.

Everything is in a file of SQLite as soon as it is known, so that a search that was killed goes on
where it was: choices that were under way are tried first.
"""

from __future__ import annotations

import json
import random
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tilewright.boards import get_board
from tilewright.errors import Error
from tilewright.exploration.evaluate import UNITS, Outcome, misfit, target_of
from tilewright.exploration.points import Exploration, Point, front_of
from tilewright.exploration.space import Choice, Space, choice_of, rounding_twice
from tilewright.exploration.workers import Workers
from tilewright.isa import EngineConfig

if TYPE_CHECKING:
    from optuna import Study, Trial

__all__ = ["Search", "stored"]

#: Choices that are looked at for one that has not been tried and fits, before there is none.
PATIENCE = 400
_REFUSED, _QUESTION, _STUDY = "refused", "question", "tilewright"


class Search:
    """A search in a file, or in memory.

    Parameters
    ----------
    board : str
    base : engine of which the search changes parameters; the board's own, but for its rounding
    objectives : names in ``UNITS``
    space : Space
    weight_bits : of the networks that there are
    question : str, of what the search depends on besides: the network
    storage : path of the file, or None
    seed : int
    errors : of each network, by the bits of its weights; empty if no objective asks for them

    Raises
    ------
    Error
        If the file is of another search, or Optuna is not installed.
    """

    def __init__(
        self,
        board: str,
        base: EngineConfig,
        objectives: tuple[str, ...],
        space: Space,
        weight_bits: tuple[int, ...],
        question: str,
        *,
        storage: Path | None,
        seed: int,
        errors: Mapping[int, float],
    ) -> None:
        self.study: Study = _opened(storage, objectives)
        import optuna

        self._optuna = optuna
        self.board, self.objectives, self._errors = board, objectives, errors
        self.last_refusal = self.last_misfit = ""
        self._base = base
        self._dimensions = space.dimensions(weight_bits)
        self._fewest = space.smallest * self._base.multipliers
        seeds = zlib.crc32(f"{seed} {len(self.study.trials)}".encode())
        self._random = random.Random(seeds)
        self.study.sampler = optuna.samplers.TPESampler(
            seed=seeds,
            multivariate=True,
            constant_liar=True,
            n_startup_trials=20,
        )
        about = [board, get_board(board).clock_mhz, self._base.digest, question]
        asked = [objectives, self._dimensions, space.smallest, sorted(errors.items())]
        self._claim(json.dumps([about, asked], sort_keys=True))
        self._take_up(space.of(self._base, weight_bits))

    def _claim(self, question: str) -> None:
        """Refuse the file of a search for something else."""
        earlier = self.study.user_attrs.get(_QUESTION)
        if earlier is None:
            self.study.set_user_attr(_QUESTION, question)
        elif earlier != question:
            raise Error(
                "the search's file is of another network, board, space or other objectives: "
                "choose another file"
            )

    def _take_up(self, own: Mapping[str, int | str] | None) -> None:
        """Read what is known, and queue what was under way.

        Of a new search, the board's engine, and those with one parameter a value further.
        """
        states = self._optuna.trial.TrialState
        for trial in self.study.get_trials(deepcopy=False):
            if trial.state == states.RUNNING:
                self.study.tell(trial.number, state=states.FAIL)
                if len(trial.params) == len(self._dimensions):
                    self.study.enqueue_trial(trial.params)
        self._known = _outcomes(self.study, self.objectives)
        self._tried = {choice_of(self._base, json.loads(key)).key for key in self._known}
        if own is not None and not self.study.trials:
            for chosen in (own, *self._beside(own)):
                self.study.enqueue_trial(dict(chosen))

    def _beside(self, own: Mapping[str, int | str]) -> Iterator[Mapping[str, int | str]]:
        """Yield choices with one parameter a value further, which can be used."""
        for name, values in self._dimensions.items():
            place = values.index(own[name])
            for value in (*values[place + 1 : place + 2], *values[max(0, place - 1) : place]):
                chosen = {**own, name: value}
                if self._usable(chosen, set()) is not None:
                    yield chosen

    @property
    def done(self) -> int:
        """Choices that were evaluated: compiled, or refused by the compiler."""
        return len(self._known)

    def run(self, evaluations: int, at_work: Workers, report: Callable[[int, int], None]) -> None:
        """Go on until so many choices have been evaluated in all, or none is left."""
        pending: list[tuple[Trial, Choice, Any]] = []
        left = True
        while self.done < evaluations:
            under_way = {choice.key for _, choice, _ in pending}
            while left and len(pending) < min(at_work.count, evaluations - self.done):
                asked = self._ask(under_way)
                if asked is None:
                    left = False
                    break
                trial, choice = asked
                pending.append((trial, choice, at_work.submit(choice)))
                under_way.add(choice.key)
            if not pending:
                break
            one, outcome = at_work.first([handle for *_, handle in pending])
            place = next(i for i, (*_, handle) in enumerate(pending) if handle is one)
            trial, choice, _ = pending.pop(place)
            self._tell(trial, choice, outcome)
            report(self.done, evaluations)

    def _ask(self, under_way: set[str]) -> tuple[Trial, Choice] | None:
        """Return a choice that has not been tried and fits, and its trial; None if none is found.

        Optuna's, if it is one; else one that differs a little from the best so far.
        """
        states = self._optuna.trial.TrialState
        while True:
            trial = self.study.ask()
            chosen: dict[str, Any] = {
                name: trial.suggest_categorical(name, values)
                for name, values in self._dimensions.items()
            }
            if (choice := self._usable(chosen, under_way)) is not None:
                return trial, choice
            self.study.tell(trial, state=states.FAIL)
            changed = self._changed(under_way)
            if changed is None:
                return None
            self.study.enqueue_trial(changed)  # which comes next, or after others that wait

    def _usable(self, chosen: Mapping[str, int | str], under_way: set[str]) -> Choice | None:
        """Return a choice if it is one, has not been tried, and fits the board.

        Different values may be one choice: of 4 and of 8 rows for a requantizer, 4 rows have one.
        """
        try:
            choice = choice_of(self._base, chosen)
            if choice.key in self._tried or choice.key in under_way:
                return None
            target_of(self.board, choice)
        except Error as error:
            self.last_misfit = str(error)
            return None
        if choice.engine.multipliers < self._fewest:
            return None
        if reason := misfit(self.board, choice):
            self.last_misfit = f"{choice.name}: {reason}"
            return None
        return choice

    def _changed(self, under_way: set[str]) -> dict[str, int | str] | None:
        """Return one of the best so far with a few other values, that is usable."""
        tried = {key: outcome.values for key, outcome in self._known.items() if outcome.values}
        rows = [[values[name] for name in self.objectives] for values in tried.values()]
        best = [key for key, front in zip(tried, front_of(rows), strict=True) if front]
        for attempt in range(PATIENCE):
            chosen = json.loads(self._random.choice(best)) if best else {}
            # From a few values to all of them, which is anywhere.
            count = min(len(self._dimensions), 1 + attempt * len(self._dimensions) // PATIENCE * 2)
            names = self._random.sample(sorted(self._dimensions), count)
            for name in names if chosen else self._dimensions:
                chosen[name] = self._random.choice(self._dimensions[name])
            if self._usable(chosen, under_way) is not None:
                return dict(chosen)
        return None

    def _tell(self, trial: Trial, choice: Choice, outcome: Outcome) -> None:
        """Keep what a choice costs."""
        if outcome.refused:
            self.last_refusal = outcome.refused
            trial.set_user_attr(_REFUSED, outcome.refused[:300])
            self.study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
        else:
            if self._errors:
                error = self._errors[trial.params["weight_bits"]]
                outcome = Outcome({**outcome.values, "error": error})
            self.study.tell(trial, [outcome.values[name] for name in self.objectives])
        self._known[_key(trial.params)] = outcome
        self._tried.add(choice.key)

    def result(self) -> Exploration:
        """Return what is known."""
        return _found(self.board, self._base, self.objectives, self._known)


def stored(path: Path) -> Exploration:
    """Return what is in a search's file, be the search over or not.

    Raises
    ------
    Error
        If it is no such file, or the board's engine is another one by now.
    """
    study = _opened(path, None)
    try:
        (board, _, digest, _), (objectives, *_) = json.loads(study.user_attrs[_QUESTION])
    except (KeyError, ValueError, TypeError) as error:
        raise Error(f"{path} is no search's file, or of an earlier version") from error
    own = get_board(board).engine
    base = {engine.digest: engine for engine in (own, rounding_twice(own))}.get(digest)
    if base is None:
        raise Error(f"{path}: {board} has another engine by now")
    return _found(board, base, tuple(objectives), _outcomes(study, objectives))


def _opened(storage: Path | None, objectives: Sequence[str] | None) -> Study:
    """Return the study in a file or in memory; with ``objectives``, a new one if there is none."""
    try:
        import optuna
    except ImportError as error:
        raise Error("a search needs optuna: pip install 'tilewright[explore]'") from error
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)

    address = None if storage is None else f"sqlite:///{storage.resolve()}"
    try:
        if objectives is None:
            assert address is not None
            return optuna.load_study(study_name=_STUDY, storage=address)
        if storage is not None:
            storage.parent.mkdir(parents=True, exist_ok=True)
        return optuna.create_study(
            study_name=_STUDY,
            storage=address,
            directions=["minimize"] * len(objectives),
            load_if_exists=True,
        )
    except (OSError, KeyError, RuntimeError, optuna.exceptions.OptunaError,
            SQLAlchemyError) as error:  # fmt: skip
        reason = str(error).split("\n")[0]
        raise Error(f"{storage} cannot be a search's file: {reason}") from error


def _outcomes(study: Study, objectives: Sequence[str]) -> dict[str, Outcome]:
    """Return what is known of each choice."""
    known: dict[str, Outcome] = {}
    for trial in study.get_trials(deepcopy=False):
        if _REFUSED in trial.user_attrs:
            known[_key(trial.params)] = Outcome({}, trial.user_attrs[_REFUSED])
        elif trial.values is not None:
            values = dict(zip(objectives, trial.values, strict=True))
            known[_key(trial.params)] = Outcome(values)
    return known


def _found(
    board: str, base: EngineConfig, objectives: Sequence[str], known: Mapping[str, Outcome]
) -> Exploration:
    """Return engines with their names and objectives with their units."""
    own = get_board(board).engine
    choices, refused = [], 0
    for text, outcome in known.items():
        if outcome.refused:
            refused += 1
            continue
        choices.append((choice_of(base, json.loads(text)), outcome.values))
    named = [f"{name}, {UNITS[name]}" for name in objectives]
    rows = [[values[name] for name in objectives] for _, values in choices]
    points = tuple(
        Point(
            choice,
            dict(zip(named, row, strict=True)),
            front,
            board=choice.engine.digest == own.digest and choice.plain,
        )
        for (choice, _), row, front in zip(choices, rows, front_of(rows), strict=True)
    )
    return Exploration(board, tuple(named), points, refused)


def _key(chosen: Mapping[str, Any]) -> str:
    return json.dumps(dict(chosen), sort_keys=True)
