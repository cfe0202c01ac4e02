"""What is trained in the end, and what of it a deadline leaves time for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Candidate, Task
from epitaxy.fitting.choosing import Blend, choice_of
from epitaxy.fitting.entrants import Entrant, Variant
from epitaxy.fitting.folds import FOLDS
from epitaxy.fitting.plan import final_cost, final_network_cost
from epitaxy.fitting.runner import Runner, Tail

if TYPE_CHECKING:
    from epitaxy.fitting.protocol import OuterFold

SIMPLEST = ("constant", "descriptors + ridge")
"""Candidates that are there even if a deadline leaves time for nothing else."""
CHEAP = 1e-3
"""Planned seconds below which no candidate is left out for its time."""
USUAL = 1.0
"""Cost of what is chosen, over that of the dearest candidates."""


def finals(outer: Sequence[OuterFold]) -> list[Task]:
    """Return the trainings on all rows outside each outer fold, of all that was chosen."""
    return [
        fold.variants[name].task((fold.number,))
        for fold in outer
        for name in sorted(fold.choice.members)
    ]


def trained(runner: Runner, fold: OuterFold, weights: Blend) -> Blend:
    """Return a blend without the members whose last training failed, which is rare.

    Where a deadline ended all of them, it is the best of the simplest candidates.

    Raises:
        InputError: nothing is left.
    """

    def has_succeeded(name: str) -> bool:
        task = fold.variants[name].task((fold.number,))
        return runner.is_done(task) and bool(np.isfinite(runner.predictions(task)).all())

    good = {name: weight for name, weight in weights.items() if has_succeeded(name)}
    spare = [n for n in fold.errors if is_simple(fold.variants[n]) and has_succeeded(n)]
    if not good and runner.was_stopped and spare:
        return {min(spare, key=lambda name: (fold.errors[name], name)): 1.0}
    if not good:
        raise InputError(
            f"Every model chosen for outer fold {fold.number} failed in its last training "
            f"({', '.join(weights)}); leave these candidates out (--candidates)."
        )
    return {name: weight / sum(good.values()) for name, weight in good.items()}


def ending_cost(runner: Runner, outer: Sequence[OuterFold]) -> float:
    """Return the planned time of training what is chosen, and most of it again on everything."""
    return (1 + 1 / FOLDS) * sum(runner.seconds(task) for task in finals(outer))


def tail_of(runner: Runner, outer: Sequence[OuterFold] = (), epochs: int = 0) -> Tail:
    """Return what must be done after candidates have competed, see `Runner.do`.

    Args:
        runner: does it.
        outer: what is chosen so far; without it the usual share of the candidates is chosen.
        epochs: length of the trainings of networks.
    """
    problem = runner.problem
    so_far = ending_cost(runner, outer)

    def tail(begun: Sequence[Candidate]) -> float:
        shallow = [] if outer else [c for c in begun if not FAMILIES[c.family].is_network]
        networks = [c for c in begun if FAMILIES[c.family].is_network]
        more = final_network_cost(problem, networks, epochs)
        return so_far + USUAL * (final_cost(problem, shallow) + more)

    return tail


def is_simple(variant: Variant) -> bool:
    """Tell whether a candidate is among those that take next to no time."""
    return variant.candidate.name in SIMPLEST


def simplest(entrants: Iterable[Sequence[Entrant]]) -> list[list[Entrant]]:
    """Return the entrants of each outer fold that take next to no time."""
    return [[e for e in fold if is_simple(e.variant)] for fold in entrants]


def spares(outer: Sequence[OuterFold]) -> list[Task]:
    """Return the last trainings of the simplest candidates, in case no others can be ended."""
    return [
        variant.task((fold.number,))
        for fold in outer
        for variant in fold.variants.values()
        if is_simple(variant)
    ]


def payable(runner: Runner, outer: Sequence[OuterFold]) -> list[OuterFold]:
    """Choose again without the dearest candidates, until the deadline leaves time for the rest.

    What is chosen is trained outside each outer fold, and mostly once more on everything.
    """
    found, limit = list(outer), np.inf
    while True:
        if runner.has_time_for(ending_cost(runner, found)) or limit < CHEAP:
            return found
        limit = max(runner.seconds(task) for task in finals(found)) / 2
        runner.stop(f"candidates of which a training takes more than {limit:.2g} s")
        found = [_chosen_below(runner, fold, limit) for fold in outer]


def _chosen_below(runner: Runner, fold: OuterFold, limit: float) -> OuterFold:
    """Choose again among the candidates whose last training is not planned to take longer."""
    kept = {
        name: predictions
        for name, predictions in fold.inner.predictions.items()
        if is_simple(fold.variants[name])
        or runner.seconds(fold.variants[name].task((fold.number,))) <= limit
    }
    choice = choice_of(replace(fold.inner, predictions=kept), fold.variants, runner.problem.apart)
    return replace(fold, choice=choice)
