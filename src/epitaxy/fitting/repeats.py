"""Repeats of the nested protocol, each with other folds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from epitaxy.core.seeds import child_seed
from epitaxy.fitting.choosing import Blend
from epitaxy.fitting.folds import FOLDS, KNOWN, group_folds
from epitaxy.fitting.pace import Pace
from epitaxy.fitting.plan import Plan
from epitaxy.fitting.problem import Problem, open_problem
from epitaxy.fitting.protocol import Nested, OuterFold, nested
from epitaxy.fitting.runner import PROBLEM, Runner
from epitaxy.fitting.workshop import Workshop


class Repeat(NamedTuple):
    """One run of the protocol."""

    problem: Problem
    """The crystals in the folds of this repeat."""
    runner: Runner
    outcome: Nested


def problem_of_repeat(problem: Problem, number: int) -> Problem:
    """Return the problem of a repeat: that of another seed, but for the first, which is as given.

    Features do not depend on the folds, so nothing is described or embedded again.
    """
    if number == 0:
        return problem
    seed = child_seed(problem.seed, f"fit repeat {number}") % 2**31
    folds = group_folds(problem.groups, seed, problem.folds == KNOWN)
    return replace(problem, folds=folds, seed=seed)


def run_repeats(
    problem: Problem, plan: Plan, folder: Path, workshop: Workshop, pace: Pace
) -> list[Repeat]:
    """Run the protocol as often as the plan says, each time in a folder of its own.

    A repeat that a deadline ends is left out, but for the first.

    Args:
        problem: that of the first repeat.
        plan: what is tried in each.
        folder: where trainings are kept.
        workshop: the processes that train.
        pace: the deadline, if there is one.
    """
    done: list[Repeat] = []
    needed = plan.seconds / plan.repeats / pace.factor / workshop.size
    for number in range(plan.repeats):
        if number and pace.spare(needed) < 0:
            pace.left_out.append(f"{plan.repeats - number} of {plan.repeats} repeats")
            break
        title = f"Repeat {number + 1} of {plan.repeats}: " if plan.repeats > 1 else ""
        own, place = problem_of_repeat(problem, number), folder / f"repeat-{number}"
        own.save(place / PROBLEM)
        open_problem.cache_clear()
        runner = Runner(own, place, workshop, pace, title)
        outcome = nested(own, plan, runner)
        if number and runner.was_stopped:
            break
        done.append(Repeat(own, runner, outcome))
    return done


def merged(repeats: Sequence[Repeat]) -> Nested:
    """Return all repeats as one outcome.

    Each crystal is predicted by the mean of the models that did not see it, one choice of each
    repeat: what it is compared with is an ensemble for which it took no part in anything.
    """
    outcomes = [repeat.outcome for repeat in repeats]
    apart = [outcome.apart for outcome in outcomes if outcome.apart is not None]
    return Nested(
        tuple(fold for outcome in outcomes for fold in outcome.outer),
        np.mean([outcome.chosen for outcome in outcomes], axis=0),
        np.mean([outcome.plain for outcome in outcomes], axis=0),
        np.mean([outcome.free for outcome in outcomes], axis=0),
        np.mean(apart, axis=0) if apart else None,
        tuple(found for outcome in outcomes for found in outcome.tuned),
    )


def blended_folds(
    repeats: Sequence[Repeat], blends: Sequence[Blend]
) -> Iterator[tuple[int, OuterFold, Blend]]:
    """Yield number of the repeat, outer fold and blend; blends are of all outer folds, in order."""
    for number, repeat in enumerate(repeats):
        own = blends[FOLDS * number : FOLDS * (number + 1)]
        for fold, blend in zip(repeat.outcome.outer, own, strict=True):
            yield number, fold, blend


def folds_of(repeats: Sequence[Repeat]) -> np.ndarray:
    """Return the outer folds of each row, numbered through all repeats: (n,), of several (n, R)."""
    columns = [FOLDS * r + repeat.problem.folds for r, repeat in enumerate(repeats)]
    return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)
