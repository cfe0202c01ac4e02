"""The nested protocol: candidates compete inside each outer fold, the choice is scored outside."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.fitting.candidates import FAMILIES
from epitaxy.fitting.candidates.family import Candidate, Task
from epitaxy.fitting.choosing import Blend, Guarded, Inner, guarded, mixed
from epitaxy.fitting.folds import FOLDS, pairs, partners
from epitaxy.fitting.plan import Plan
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.runner import Runner
from epitaxy.reports.numbers import with_unit

logger = logging.getLogger("epitaxy")
NOTHING = Guarded({}, {}, transfers=False, gain=0.0, error_of_gain=0.0)


@dataclass(frozen=True)
class Variant:
    """A candidate with its learning scale and length of training: what competes."""

    candidate: Candidate
    transform: str = "identity"
    epochs: int = 0

    @property
    def name(self) -> str:
        """Return it in words."""
        scale = "" if self.transform == "identity" else f", {self.transform}"
        length = f", {self.epochs} epochs" if self.epochs else ""
        return f"{self.candidate.name}{scale}{length}"

    @property
    def transfers(self) -> bool:
        """Whether it uses what other models have learned."""
        return bool(FAMILIES[self.candidate.family].transfers)

    def task(self, held: Sequence[int]) -> Task:
        """Return its training without some folds."""
        return Task(self.candidate, tuple(sorted(held)), self.transform, self.epochs)


@dataclass(frozen=True)
class Entrant:
    """A variant in an outer fold, with the pairs of folds on which it is judged."""

    variant: Variant
    judged: Mapping[int, tuple[int, ...]]
    """Inner fold -> folds held out."""


@dataclass(frozen=True)
class OuterFold:
    """What came of one outer fold."""

    number: int
    variants: dict[str, Variant]
    errors: dict[str, float]
    """Inner error of each variant."""
    choice: Guarded
    inner: Inner


@dataclass(frozen=True)
class Nested:
    """The outcome of the protocol; predictions are of rows that took no part in anything."""

    outer: tuple[OuterFold, ...]
    chosen: np.ndarray
    """(n,) predictions of what was chosen, guard included."""
    plain: np.ndarray
    """(n,) predictions of the best without transfer."""

    @property
    def transfers(self) -> int:
        """Return the number of outer folds in which transfer was taken."""
        return sum(fold.choice.transfers for fold in self.outer)


def nested(problem: Problem, plan: Plan, runner: Runner) -> Nested:
    """Run the protocol: judge the candidates inside, choose, train the choice, predict outside."""
    entrants = shallow_entrants(problem, plan)
    runner.do(judging(entrants), "Comparing candidates")
    outer = [judged(problem, runner, number, entrants[number]) for number in range(FOLDS)]
    if plan.networks and not runner.is_late:
        outer = with_networks(problem, plan, runner, entrants, outer)
    runner.do(finals(outer), "Training what was chosen", note=best_so_far(problem, outer))
    outer = [replace(fold, choice=_trained_choice(runner, fold)) for fold in outer]
    chosen = [outer_predictions(problem, runner, fold, fold.choice.chosen) for fold in outer]
    plain = [outer_predictions(problem, runner, fold, fold.choice.plain) for fold in outer]
    return Nested(tuple(outer), _gathered(problem, chosen), _gathered(problem, plain))


def shallow_entrants(problem: Problem, plan: Plan) -> list[list[Entrant]]:
    """Return what competes in each outer fold, on every learning scale that its rows suggest."""
    held = pairs(plan.pairs)
    return [
        [
            Entrant(Variant(candidate, transform), partners(held, outer))
            for candidate in plan.shallow
            for transform in problem.transforms(outer)
            if transform == "identity" or candidate.family != "constant"
        ]
        for outer in range(FOLDS)
    ]


def with_networks(
    problem: Problem,
    plan: Plan,
    runner: Runner,
    entrants: Sequence[Sequence[Entrant]],
    outer: Sequence[OuterFold],
) -> list[OuterFold]:
    """Let networks compete, too: after a short training the best go on to a long one.

    They learn on the scale on which the shallow candidates of the outer fold were best.
    """
    scales = [best_transform(fold) for fold in outer]
    screened: list[Mapping[str, float]] = [{}] * FOLDS
    going_on = [list(plan.networks)] * FOLDS
    if plan.screening_epochs:
        short = network_entrants(going_on, scales, plan.screening_epochs, "cover")
        runner.do(judging(short), "Screening networks", note=best_so_far(problem, outer))
        folds = [judged(problem, runner, f, short[f], choose=False) for f in range(FOLDS)]
        screened = [fold.errors for fold in folds]
        going_on = [finalists(fold, plan.finalists) for fold in folds]
    if runner.is_late:
        return list(outer)
    full = network_entrants(going_on, scales, plan.epochs, "ring")
    runner.do(judging(full), "Comparing networks", note=best_so_far(problem, outer))
    both = [[*entrants[f], *full[f]] for f in range(FOLDS)]
    return [judged(problem, runner, f, both[f], further=screened[f]) for f in range(FOLDS)]


def network_entrants(
    candidates: Sequence[Sequence[Candidate]], scales: Sequence[str], epochs: int, how: str
) -> list[list[Entrant]]:
    """Return the networks that compete in each outer fold."""
    return [
        [Entrant(Variant(c, scales[f], epochs), partners(pairs(how), f)) for c in candidates[f]]
        for f in range(FOLDS)
    ]


def best_transform(fold: OuterFold) -> str:
    """Return the learning scale of the best shallow variant of an outer fold."""
    name = min(fold.errors, key=lambda n: (fold.errors[n], n))
    return fold.variants[name].transform


def finalists(fold: OuterFold, number: int) -> list[Candidate]:
    """Return the candidates with the lowest errors of a screening."""
    names = sorted(fold.errors, key=lambda n: (fold.errors[n], n))
    return [fold.variants[name].candidate for name in names[:number]]


def judging(entrants: Iterable[Sequence[Entrant]]) -> list[Task]:
    """Return the trainings by which entrants are judged; many serve two outer folds."""
    return [e.variant.task(held) for fold in entrants for e in fold for held in e.judged.values()]


def judged(
    problem: Problem,
    runner: Runner,
    number: int,
    entrants: Sequence[Entrant],
    *,
    choose: bool = True,
    further: Mapping[str, float] | None = None,
) -> OuterFold:
    """Choose in one outer fold by what the entrants predicted inside.

    Args:
        problem: what is to be learned.
        runner: has done the trainings.
        number: the outer fold.
        entrants: what competes; whose training failed is left out.
        choose: False only measures.
        further: errors of variants that are out already, for the table of selection scores.
    """
    rows = problem.inside((number,))
    found = {e.variant.name: _inside(problem, runner, number, e) for e in entrants}
    predictions = {name: p[rows] for name, p in found.items() if p is not None}
    groups = [problem.table.formulas[row] for row in rows.tolist()]
    inner = Inner(problem.labels[rows], groups, predictions)
    variants = {e.variant.name: e.variant for e in entrants if e.variant.name in predictions}
    transferring = {name for name, variant in variants.items() if variant.transfers}
    choice = guarded(inner, transferring) if choose else NOTHING
    errors = {**inner.errors(), **(further or {})}
    return OuterFold(number, variants, errors, choice, inner)


def finals(outer: Sequence[OuterFold]) -> list[Task]:
    """Return the trainings on all rows outside each outer fold, of all that was chosen."""
    return [
        fold.variants[name].task((fold.number,))
        for fold in outer
        for name in sorted({*fold.choice.chosen, *fold.choice.plain})
    ]


def outer_predictions(
    problem: Problem, runner: Runner, fold: OuterFold, weights: Blend
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of an outer fold and what a blend predicts for them."""
    held = (fold.number,)
    found = {name: runner.predictions(fold.variants[name].task(held)) for name in weights}
    return problem.outside(held), mixed(found, weights)


def trained(runner: Runner, fold: OuterFold, weights: Blend) -> Blend:
    """Return a blend without the members whose last training failed, which is rare.

    Raises:
        InputError: nothing is left.
    """
    held = (fold.number,)
    good = {
        name: weight
        for name, weight in weights.items()
        if np.isfinite(runner.predictions(fold.variants[name].task(held))).all()
    }
    if not good:
        raise InputError(
            f"Every model chosen for outer fold {fold.number} failed in its last training "
            f"({', '.join(weights)}); leave these candidates out (--candidates)."
        )
    return {name: weight / sum(good.values()) for name, weight in good.items()}


def best_so_far(problem: Problem, outer: Sequence[OuterFold]) -> str:
    """Return the candidate with the lowest mean inner error, in words."""
    means = mean_errors(outer)
    name = min(means, key=lambda n: (means[n], n))
    return f"best so far: {name}, {with_unit(means[name], problem.spec.unit, 3)}"


def mean_errors(outer: Sequence[OuterFold]) -> dict[str, float]:
    """Return the inner error of each variant, averaged over the outer folds that tried it."""
    names = list(dict.fromkeys(name for fold in outer for name in fold.errors))
    return {
        name: float(np.mean([fold.errors[name] for fold in outer if name in fold.errors]))
        for name in names
    }


def _trained_choice(runner: Runner, fold: OuterFold) -> Guarded:
    chosen, plain = (trained(runner, fold, b) for b in (fold.choice.chosen, fold.choice.plain))
    return fold.choice._replace(chosen=chosen, plain=plain)


def _inside(problem: Problem, runner: Runner, number: int, entrant: Entrant) -> np.ndarray | None:
    """Return (n,) inner predictions, NaN on rows for which there is none; None if one failed."""
    found = np.full(len(problem.table), np.nan)
    for inner, held in entrant.judged.items():
        rows = problem.outside(held)
        here = problem.folds[rows] == inner
        assert number in held
        predicted = runner.predictions(entrant.variant.task(held))[here]
        if not np.isfinite(predicted).all():
            return None
        found[rows[here]] = predicted
    return found


def _gathered(problem: Problem, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    found = np.full(len(problem.table), np.nan)
    for rows, values in parts:
        found[rows] = values
    return found
