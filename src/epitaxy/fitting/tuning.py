"""Tuning: hyperparameters sought inside an outer fold, one more candidate of their family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.files import write_json
from epitaxy.core.hashing import content_hash
from epitaxy.core.parsing import read_json
from epitaxy.core.progress import Progress
from epitaxy.core.seeds import child_seed
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.entrants import Entrant, Variant
from epitaxy.fitting.folds import Held
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.runner import Runner, Tail
from epitaxy.fitting.spaces import Range, space_of

SEARCHES = "searches"
DIGITS = 4
"""Significant digits of what is tried, so that it can be read and written exactly."""


class Trial(NamedTuple):
    """Hyperparameters that were tried."""

    parameters: dict[str, float]
    errors: dict[int, float | None]
    """Inner fold -> mean absolute error on it, physical units; None where the training failed."""

    def error(self, without: int | None = None) -> float:
        """Return the mean over the inner folds but one; infinite if a training failed."""
        found = [error for inner, error in self.errors.items() if inner != without]
        return float(np.mean([np.inf if error is None else error for error in found]))


@dataclass(frozen=True)
class Search:
    """What is sought for a variant inside an outer fold."""

    outer: int
    variant: Variant
    held: Mapping[int, Held]
    """Inner fold -> folds held out, at least two of them."""
    trials: int

    @property
    def space(self) -> dict[str, Range]:
        """Return the hyperparameters and their ranges."""
        return space_of(self.variant.candidate)

    def file(self, problem: Problem, runner: Runner) -> Path:
        """Return where the finished search is, or will be."""
        tasks = [self.variant.task(pair).key(problem) for pair in self.held.values()]
        ranges = {name: repr(found) for name, found in self.space.items()}
        key = content_hash(self.outer, self.trials, ranges, tasks)
        return runner.folder / SEARCHES / f"{key}.json"

    def tasks(self, parameters: Mapping[str, float]) -> dict[int, Task]:
        """Return the trainings of a trial by inner fold."""
        variant = self.variant.tuned(parameters, named=True)
        return {inner: variant.task(pair) for inner, pair in self.held.items()}

    def entrant(self, trials: Sequence[Trial]) -> Entrant | None:
        """Return what competes; None if every trial failed.

        It is judged on each inner fold with the hyperparameters that were best on the *other*
        inner folds. Otherwise it would be judged by the rows for which it was tuned, and win
        against untuned ones by luck. What is trained in the end is the best on all inner folds.
        """
        best = _best(trials)
        if not np.isfinite(best.error()):
            return None
        judged = {inner: self.tasks(_best(trials, inner).parameters)[inner] for inner in self.held}
        return Entrant(self.variant.tuned(best.parameters), judged)


@dataclass
class Study:
    """A search in progress: Optuna proposes, trainings answer.

    It starts with the untuned hyperparameters. The proposals follow from the seed and the answers,
    so that an interrupted search that is begun again asks for the same trainings, which are there.
    """

    search: Search
    seed: int
    trials: list[Trial] = field(default_factory=list)

    @cached_property
    def sampler(self) -> Any:
        """Return the study of Optuna, which lives in memory."""
        optuna = require_optuna()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        made = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=self.seed))
        made.enqueue_trial({name: found.start for name, found in self.search.space.items()})
        return made

    def ask(self) -> tuple[Any, dict[str, float]]:
        """Return the next trial of Optuna and its hyperparameters."""
        asked = self.sampler.ask()
        return asked, {name: _number(asked, name, r) for name, r in self.search.space.items()}

    def tell(self, asked: Any, trial: Trial) -> None:
        """Take the answer."""
        self.trials.append(trial)
        error = trial.error()
        if np.isfinite(error):
            self.sampler.tell(asked, error)
        else:
            self.sampler.tell(asked, state=require_optuna().trial.TrialState.FAIL)


def require_optuna() -> Any:
    """Return the package.

    Raises:
        InputError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise InputError(
            "Tuning needs the package optuna; run: pip install 'epitaxy[tune]', or leave it out "
            "(--tune)."
        ) from error
    return optuna


class Tuned(NamedTuple):
    """A finished search."""

    search: Search
    trials: list[Trial]
    """In the order in which they were made."""

    @property
    def entrant(self) -> Entrant | None:
        """Return what competes; None if every trial failed."""
        return self.search.entrant(self.trials)

    def content(self) -> dict[str, Any]:
        """Return it as it is written for the user."""
        best = _best(self.trials)
        return {
            "outer_fold": self.search.outer,
            "candidate": self.search.variant.name,
            "best": best.parameters,
            "trials": [{**t.parameters, "inner_mae": _finite(t.error())} for t in self.trials],
        }


def tune(
    problem: Problem, runner: Runner, searches: Sequence[Search], tail: Tail, note: str = ""
) -> list[Tuned]:
    """Do searches side by side; one that is finished already is read, not repeated.

    Of searches that the deadline ends, the trials made so far count; they are not written, so that
    they go on when there is more time.
    """
    files = [search.file(problem, runner) for search in searches]
    studies = {
        number: Study(search, _seed(problem, search))
        for number, search in enumerate(searches)
        if not files[number].is_file()
    }
    rounds = max((studies[number].search.trials for number in studies), default=0)
    with Progress(rounds, f"{runner.title}Tuning") as bar:
        for done in range(rounds):
            going_on = {k: s for k, s in studies.items() if done < s.search.trials}
            if not _round(problem, runner, list(going_on.values()), tail):
                runner.stop(f"tuning ({done} of {rounds} trials done)")
                break
            for number in [k for k, s in going_on.items() if done + 1 == s.search.trials]:
                write_search(files[number], studies[number].trials)
            bar.step(note=note)
    found = [
        Tuned(s, read_search(file) if file.is_file() else studies[number].trials)
        for number, (s, file) in enumerate(zip(searches, files, strict=True))
    ]
    return [tuned for tuned in found if tuned.trials]


def _round(problem: Problem, runner: Runner, studies: Sequence[Study], tail: Tail) -> bool:
    """Make one trial of each study; tell whether the deadline left time for it."""
    asked = [study.ask() for study in studies]
    tasks = [s.search.tasks(values) for s, (_, values) in zip(studies, asked, strict=True)]
    if not runner.do_quietly((task for found in tasks for task in found.values()), tail):
        return False
    for study, (number, values), found in zip(studies, asked, tasks, strict=True):
        errors = {inner: _error(problem, runner, inner, task) for inner, task in found.items()}
        study.tell(number, Trial(values, errors))
    return True


def _error(problem: Problem, runner: Runner, inner: int, task: Task) -> float | None:
    """Return the error of a training on its inner fold; the outer one is not looked at."""
    rows = problem.outside(task.held)
    here = problem.folds[rows] == inner
    errors = np.abs(runner.predictions(task)[here] - problem.labels[rows[here]])
    return float(errors.mean()) if np.isfinite(errors).all() else None


def _seed(problem: Problem, search: Search) -> int:
    return child_seed(problem.seed, f"tune/{search.outer}/{search.variant.name}") % 2**31


def _number(asked: Any, name: str, found: Range) -> float:
    if found.whole:
        return int(asked.suggest_int(name, int(found.low), int(found.high), log=True))
    return float(f"{asked.suggest_float(name, found.low, found.high, log=True):.{DIGITS}g}")


def _finite(error: float) -> float | None:
    """Return None for what JSON has no word for."""
    return error if np.isfinite(error) else None


def _best(trials: Sequence[Trial], without: int | None = None) -> Trial:
    """Return the best trial on all inner folds but one, of equals the first."""
    return min(trials, key=lambda trial: trial.error(without))


def write_search(file: Path, trials: Sequence[Trial]) -> None:
    """Write a finished search."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, [trial._asdict() for trial in trials])


def read_search(file: Path) -> list[Trial]:
    """Read what `write_search` wrote."""
    return [
        Trial(found["parameters"], {int(inner): e for inner, e in found["errors"].items()})
        for found in read_json(file)
    ]
