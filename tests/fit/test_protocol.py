"""Folds, choosing, the guard and the interval."""

from itertools import combinations

import numpy as np
import pytest

from epitaxy.core.errors import InputError
from epitaxy.fitting.choosing import Inner, blend, guarded, mixed
from epitaxy.fitting.folds import FOLDS, group_folds, pairs, partners
from epitaxy.fitting.plan import default_budget, make_plan, seconds_of

RNG = np.random.default_rng(1)


def test_equal_compositions_never_straddle_folds():
    formulas = [f"A{n}" for n in RNG.integers(0, 40, 200)]
    folds = group_folds(formulas, 3)
    of = {}
    for formula, fold in zip(formulas, folds.tolist(), strict=True):
        assert of.setdefault(formula, fold) == fold
    assert np.ptp(np.bincount(folds)) <= 10
    assert not np.array_equal(folds, group_folds(formulas, 4))


@pytest.mark.parametrize(("rows", "compositions"), [(19, 19), (60, 9)])
def test_too_little_data_is_refused(rows, compositions):
    with pytest.raises(InputError, match="an honest score needs at least 20 of 10"):
        group_folds([f"A{i % compositions}" for i in range(rows)], 0)


@pytest.mark.parametrize("how", ["all", "ring", "cover"])
def test_every_outer_fold_is_judged_without_its_own_rows(how):
    for outer in range(FOLDS):
        found = partners(pairs(how), outer)
        assert found
        assert outer not in found
        assert all(set(held) == {outer, inner} for inner, held in found.items())
    assert set(pairs(how)) <= set(combinations(range(FOLDS), 2))


def inner(**predictions):
    labels = RNG.normal(size=60)
    made = {name: labels + RNG.normal(size=60) * size for name, size in predictions.items()}
    return Inner(labels, [f"A{i}" for i in range(60)], made)


def test_a_blend_is_better_than_its_best_member():
    found = inner(a=0.5, b=0.5, c=5.0)
    weights = blend(found, ["a", "b", "c"], np.arange(60))
    assert sum(weights.values()) == pytest.approx(1)
    assert set(weights) == {"a", "b"}
    error = np.abs(mixed(found.predictions, weights) - found.labels).mean()
    assert error < min(found.errors().values())


def test_the_guard_takes_transfer_only_if_it_is_surely_better():
    clear = guarded(inner(plain=1.0, source=0.1), {"source"})
    assert clear.transfers
    assert "source" in clear.chosen
    assert set(clear.plain) == {"plain"}
    labels = RNG.normal(size=60)
    same = labels + RNG.normal(size=60)
    equal = Inner(labels, ["A"] * 30 + ["B"] * 30, {"plain": same, "source": same + 1e-6})
    assert not guarded(equal, {"source"}).transfers
    assert guarded(equal, {"source"}).chosen == {"plain": 1.0}
    assert not guarded(inner(plain=0.1, source=2.0), {"source"}).transfers


def test_candidates_are_compared_on_rows_that_all_of_them_predicted():
    found = inner(a=0.5, b=0.4)
    found.predictions["b"][30:] = np.nan
    # Where it was judged, b is better, although a would win on its own easier rows.
    found.predictions["a"][30:] = found.labels[30:]
    found.predictions["a"][:30] = found.labels[:30] + 2.0
    assert found.errors()["a"] == pytest.approx(2.0)
    assert set(guarded(found, set()).chosen) == {"b"}


@pytest.mark.parametrize("text", ["", "30", "5 days", "-3m", "1s"])
def test_wrong_budgets_are_input_errors(text):
    with pytest.raises(InputError, match="budget"):
        seconds_of(text)


def test_more_budget_never_tries_less(problem):
    names, before = set(), 0.0
    for budget in (60, 200, default_budget(2000)):
        plan = make_plan(problem, ["constant", "descriptors", "embeddings", "combined"], budget, 1)
        found = {c.name for c in plan.shallow}
        assert names <= found
        assert before <= plan.seconds <= budget
        names, before = found, plan.seconds
    assert plan.pairs == "all"
    assert not plan.left_out
