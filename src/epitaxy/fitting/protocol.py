"""The nested protocol: candidates compete inside each outer fold, the choice is scored outside."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from epitaxy.fitting.candidates.family import Candidate, Task
from epitaxy.fitting.choosing import Blend, Guarded, Inner, choice_of, mixed
from epitaxy.fitting.ending import finals, payable, simplest, spares, tail_of, trained
from epitaxy.fitting.entrants import Entrant, Variant
from epitaxy.fitting.folds import FOLDS, pairs, partners
from epitaxy.fitting.plan import SEARCHED, Plan
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.runner import Runner
from epitaxy.fitting.tuning import Search, Tuned, tune
from epitaxy.reports.numbers import with_unit

logger = logging.getLogger("epitaxy")
NOTHING = Guarded({}, {}, transfers=False, free={})


@dataclass(frozen=True)
class OuterFold:
    """What came of one outer fold."""

    number: int
    variants: dict[str, Variant]
    errors: dict[str, float]
    """Inner error of each variant, on the rows that all of them predicted."""
    choice: Guarded
    inner: Inner
    screened: Mapping[str, float] = field(default_factory=dict)
    """Errors of short trainings of networks, on fewer rows; the best of them went on."""


@dataclass(frozen=True)
class Nested:
    """The outcome of the protocol; predictions are of rows that took no part in anything."""

    outer: tuple[OuterFold, ...]
    chosen: np.ndarray
    """(n,) predictions of what was chosen, guard included."""
    plain: np.ndarray
    """(n,) predictions of the best without transfer."""
    free: np.ndarray
    """(n,) predictions of the best with it, whether it was taken or not."""
    apart: np.ndarray | None = None
    """(n,) predictions of the best where sources count that may know everything."""
    tuned: tuple[Tuned, ...] = ()
    """Searches for hyperparameters, each inside one outer fold."""

    @property
    def transfers(self) -> int:
        """Return the number of outer folds in which transfer was taken."""
        return sum(fold.choice.transfers for fold in self.outer)


def nested(problem: Problem, plan: Plan, runner: Runner) -> Nested:
    """Run the protocol: judge the candidates inside, choose, train the choice, predict outside."""
    entrants = shallow_entrants(problem, plan)
    if runner.pace.deadline is not None:
        runner.do(judging(simplest(entrants)), "Comparing the simplest candidates")
    runner.do(judging(entrants), "Comparing candidates", tail=tail_of(runner))
    outer = [judged(problem, runner, number, entrants[number]) for number in range(FOLDS)]
    tuned: list[Tuned] = []
    if plan.trials:
        tuned = tuned_in(problem, plan, runner, outer, entrants)
        entrants = joined(entrants, tuned)
        outer = [judged(problem, runner, number, entrants[number]) for number in range(FOLDS)]
    if plan.networks:
        outer, more = with_networks(problem, plan, runner, entrants, outer)
        tuned += more
    if runner.pace.deadline is not None:
        outer = payable(runner, outer)
        runner.do(spares(outer), "Training the simplest candidates")
    note = best_so_far(problem, outer)
    runner.do(finals(outer), "Training what was chosen", note=note, tail=lambda _: 0.0)
    outer = [replace(fold, choice=_trained_choice(runner, fold)) for fold in outer]
    chosen, plain, free, apart = (
        _gathered(problem, [outer_predictions(problem, runner, f, b) for f, b in _blends(outer, k)])
        for k in ("chosen", "plain", "free", "apart")
    )
    return Nested(tuple(outer), chosen, plain, free, apart if problem.apart else None, tuple(tuned))


def _blends(outer: Sequence[OuterFold], kind: str) -> list[tuple[OuterFold, Blend]]:
    """Return the outer folds with their blends of a kind, where they have one."""
    found = [(fold, getattr(fold.choice, kind)) for fold in outer]
    return [(fold, blend) for fold, blend in found if blend]


def shallow_entrants(problem: Problem, plan: Plan) -> list[list[Entrant]]:
    """Return what competes in each outer fold, on every learning scale that its rows suggest."""
    held = pairs(plan.pairs)
    return [
        [
            Entrant.of(Variant(candidate, transform), partners(held, outer))
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
) -> tuple[list[OuterFold], list[Tuned]]:
    """Let networks compete, too: after a short training the best go on to a long one.

    They learn on the scale on which the shallow candidates of the outer fold were best. Where the
    plan has trials for them, the best is tuned.
    """
    scales = [best_transform(fold) for fold in outer]
    screened: list[Mapping[str, float]] = [{}] * FOLDS
    tail = tail_of(runner, outer, plan.epochs)
    going_on = [list(plan.networks)] * FOLDS
    if plan.screening_epochs:
        short = network_entrants(going_on, scales, plan.screening_epochs, "cover")
        note = best_so_far(problem, outer)
        runner.do(judging(short), "Screening networks", note=note, tail=tail)
        folds = [judged(problem, runner, f, short[f], choose=False) for f in range(FOLDS)]
        screened = [fold.errors for fold in folds]
        going_on = [finalists(fold, plan.finalists) for fold in folds]
    full = network_entrants(going_on, scales, plan.epochs, "ring")
    runner.do(judging(full), "Comparing networks", note=best_so_far(problem, outer), tail=tail)

    def judge_all(found: Sequence[Sequence[Entrant]]) -> list[OuterFold]:
        both = [[*entrants[f], *found[f]] for f in range(FOLDS)]
        folds = [judged(problem, runner, f, both[f]) for f in range(FOLDS)]
        return [replace(folds[f], screened=screened[f]) for f in range(FOLDS)]

    compared = judge_all(full)
    if not any(c.name in plan.trials for c in plan.networks):
        return compared, []
    tuned = tuned_in(problem, plan, runner, compared, full)
    return judge_all(joined(full, tuned)), tuned


def tuned_in(
    problem: Problem,
    plan: Plan,
    runner: Runner,
    outer: Sequence[OuterFold],
    entrants: Sequence[Sequence[Entrant]],
) -> list[Tuned]:
    """Tune the best of the entrants of each outer fold, those with and without transfer alike."""
    searches = [
        search
        for fold in outer
        for transfers in (False, True)
        for search in searches_in(plan, fold, entrants[fold.number], transfers=transfers)
    ]
    tail = tail_of(runner, outer, plan.epochs)
    return tune(problem, runner, searches, tail, best_so_far(problem, outer))


def searches_in(
    plan: Plan, fold: OuterFold, entrants: Sequence[Entrant], *, transfers: bool
) -> list[Search]:
    """Return what is tuned in an outer fold: the best inside it for which the plan has trials."""
    able = [
        e
        for e in entrants
        if e.variant.candidate.name in plan.trials
        and e.variant.name in fold.variants
        and e.variant.transfers == transfers
    ]
    able.sort(key=lambda e: (fold.errors[e.variant.name], e.variant.name))
    return [
        Search(
            fold.number,
            e.variant,
            {inner: task.held for inner, task in e.judged.items()},
            plan.trials[e.variant.candidate.name],
        )
        for e in able[:SEARCHED]
    ]


def joined(entrants: Sequence[Sequence[Entrant]], tuned: Sequence[Tuned]) -> list[list[Entrant]]:
    """Return the entrants of each outer fold with the tuned ones beside them."""
    found = [list(fold) for fold in entrants]
    for one in tuned:
        entrant = one.entrant
        found[one.search.outer] += [entrant] if entrant else []
    return found


def network_entrants(
    candidates: Sequence[Sequence[Candidate]], scales: Sequence[str], epochs: int, how: str
) -> list[list[Entrant]]:
    """Return the networks that compete in each outer fold."""
    return [
        [Entrant.of(Variant(c, scales[f], epochs), partners(pairs(how), f)) for c in candidates[f]]
        for f in range(FOLDS)
    ]


def best_transform(fold: OuterFold) -> str:
    """Return the learning scale of the best shallow variant of an outer fold."""
    return fold.variants[min(fold.errors, key=lambda n: (fold.errors[n], n))].transform


def finalists(fold: OuterFold, number: int) -> list[Candidate]:
    """Return the candidates with the lowest errors of a screening."""
    names = sorted(fold.errors, key=lambda n: (fold.errors[n], n))
    return [fold.variants[name].candidate for name in names[:number]]


def judging(entrants: Iterable[Sequence[Entrant]]) -> list[Task]:
    """Return the trainings by which entrants are judged; many serve two outer folds."""
    return [task for fold in entrants for e in fold for task in e.judged.values()]


def judged(
    problem: Problem,
    runner: Runner,
    number: int,
    entrants: Sequence[Entrant],
    *,
    choose: bool = True,
) -> OuterFold:
    """Choose in one outer fold by what the entrants predicted inside.

    Args:
        problem: what is to be learned.
        runner: has done the trainings.
        number: the outer fold.
        entrants: what competes; whose training failed, or was ended by a deadline, is left
            out.
        choose: False only measures.
    """
    rows = problem.inside((number,))
    found = {e.variant.name: _inside(problem, runner, number, e) for e in entrants}
    predictions = {name: p[rows] for name, p in found.items() if p is not None}
    judges = problem.judges[rows]
    inner = Inner(problem.labels[rows], problem.groups_of(rows), predictions, judges)
    variants = {e.variant.name: e.variant for e in entrants if e.variant.name in predictions}
    choice = choice_of(inner, variants, problem.apart) if choose else NOTHING
    errors = inner.errors() if predictions else {}
    return OuterFold(number, variants, errors, choice, inner)


def outer_predictions(
    problem: Problem, runner: Runner, fold: OuterFold, weights: Blend
) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of an outer fold and what a blend predicts for them."""
    held = (fold.number,)
    found = {name: runner.predictions(fold.variants[name].task(held)) for name in weights}
    return problem.outside(held), mixed(found, weights)


def best_so_far(problem: Problem, outer: Sequence[OuterFold]) -> str:
    """Return the candidate with the lowest mean inner error, in words."""
    means = mean_errors([fold.errors for fold in outer])
    name = min(means, key=lambda n: (means[n], n))
    return f"best so far: {name}, {with_unit(means[name], problem.spec.unit, 3)}"


def mean_errors(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the error of each variant, averaged over the outer folds that tried it."""
    names = list(dict.fromkeys(name for errors in folds for name in errors))
    return {
        name: float(np.mean([errors[name] for errors in folds if name in errors])) for name in names
    }


def _trained_choice(runner: Runner, fold: OuterFold) -> Guarded:
    choice = fold.choice
    chosen, plain, free = (
        trained(runner, fold, b) for b in (choice.chosen, choice.plain, choice.free)
    )
    apart = trained(runner, fold, choice.apart) if choice.apart else None
    return choice._replace(chosen=chosen, plain=plain, free=free, apart=apart)


def _inside(problem: Problem, runner: Runner, number: int, entrant: Entrant) -> np.ndarray | None:
    """Return (n,) inner predictions, NaN on rows for which there is none; None if one failed."""
    found = np.full(len(problem.table), np.nan)
    for inner, task in entrant.judged.items():
        rows = problem.outside(task.held)
        here = problem.folds[rows] == inner
        assert number in task.held
        if not runner.is_done(task):
            return None
        predicted = runner.predictions(task)[here]
        if not np.isfinite(predicted).all():
            return None
        found[rows[here]] = predicted
    return found


def _gathered(problem: Problem, parts: Sequence[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    found = np.full(len(problem.table), np.nan)
    for rows, values in parts:
        found[rows] = values
    return found
