"""The error on crystals whose composition is in the table, beside that on new compositions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from epitaxy.core.seeds import generator
from epitaxy.fitting.bundling import Handed
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Task
from epitaxy.fitting.choosing import Blend, mixed
from epitaxy.fitting.folds import FEWEST_ROWS, FOLDS, KNOWN
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import OuterFold
from epitaxy.fitting.repeats import Repeat
from epitaxy.fitting.runner import PROBLEM
from epitaxy.fitting.scoring import error_of

FEWEST_SHARE = 0.1
"""Share of rows with others of their group from which on the question is worth asking."""
FOLDER = "known"
KNOWN_GROUPS, PLAIN_FOLDS = "known_groups", "plain_folds"


def known_group_errors(repeats: Sequence[Repeat], handed: Handed) -> dict[str, Any]:
    """Return ``n``, ``mae`` and ``mae_interval`` on rows of groups that a training has seen.

    The rows of each outer fold are divided into halves, through the groups. What was chosen for
    the fold is trained on everything but one half, and predicts it: these rows took part in no
    choice either, but others of their group are learned from.

    Returns:
        `KNOWN_GROUPS`: the error on rows with others of their group elsewhere; `PLAIN_FOLDS`: that
        on all rows, as folds tell it that do not keep groups together. None where few rows have
        others of their group, or a network is part of the model, whose trainings would take too
        long.
    """
    first = repeats[0]
    problem, folds = first.problem, first.outcome.outer
    halves = halved(problem)
    rows = mates(problem, halves)
    networks = any(_is_network(f, b) for f, b in zip(folds, handed.blends[:FOLDS], strict=True))
    nothing = {KNOWN_GROUPS: None, PLAIN_FOLDS: None}
    if networks or len(rows) < max(FEWEST_ROWS, FEWEST_SHARE * len(problem.scored)):
        return nothing
    runner = replace(
        first.runner, problem=replace(problem, folds=halves), folder=first.runner.folder / FOLDER
    )
    runner.problem.save(runner.folder / PROBLEM)
    tasks = {
        (fold.number, half): {name: _task(fold, name, half) for name in sorted(blend)}
        for fold, blend in zip(folds, handed.blends[:FOLDS], strict=True)
        for half in (0, 1)
    }
    every = [task for found in tasks.values() for task in found.values()]
    runner.do(every, "Predicting crystals of known compositions", tail=lambda _: 0.0)
    if not all(runner.is_done(task) for task in every):
        return nothing
    predicted = np.full(len(problem.table), np.nan)
    for (number, _), found in tasks.items():
        each = {name: runner.predictions(task) for name, task in found.items()}
        held = next(iter(found.values())).held
        predicted[runner.problem.outside(held)] = mixed(each, handed.blends[number])
    errors = np.abs(predicted - problem.labels)
    if not np.isfinite(errors[problem.told]).all():
        return nothing
    kinds = {KNOWN_GROUPS: rows, PLAIN_FOLDS: problem.told}
    return {kind: error_of(problem, errors, chosen) for kind, chosen in kinds.items()}


def halved(problem: Problem) -> np.ndarray:
    """Return folds 2 k and 2 k + 1 for the rows of fold k, (n,); each group is divided evenly."""
    random = generator(problem.seed, "halves").permutation(len(problem.folds))
    order = random[np.argsort(np.asarray(problem.groups, dtype=str)[random], kind="stable")]
    half = np.empty(len(order), np.int64)
    half[order] = np.arange(len(order)) % 2
    return np.where(problem.folds == KNOWN, KNOWN, 2 * problem.folds + half)


def mates(problem: Problem, halves: np.ndarray) -> np.ndarray:
    """Return the rows of the headline, or of all scored, with others of their group elsewhere."""
    seen: dict[str, set[int]] = {}
    for group, fold in zip(problem.groups, halves.tolist(), strict=True):
        seen.setdefault(group, set()).add(fold)
    rows = problem.told
    return np.array([r for r in rows.tolist() if len(seen[problem.groups[r]]) > 1], dtype=np.int64)


def _task(fold: OuterFold, name: str, half: int) -> Task:
    return fold.variants[name].task((2 * fold.number + half,))


def _is_network(fold: OuterFold, blend: Blend) -> bool:
    return any(FAMILIES[fold.variants[name].candidate.family].is_network for name in blend)
