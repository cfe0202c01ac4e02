"""Where to spend: the worked example, the closed form against a search, wrong input."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.results.budget import Economy, confidence, verdict
from epitaxy.results.budget_plan import budget_curves_frame, plan_budget
from epitaxy.results.budget_slopes import Given, fitted_slopes, given_slopes
from epitaxy.results.scaling_table import scaling_table

EXACT = {"rel": 1e-9, "abs": 1e-9}
PAPER = Economy(0.12, 0.096, 5.0, 1.0, 11000.0, 178000.0)


@pytest.mark.shared
@pytest.mark.parametrize("place", [0, 1, 2])
def test_worked_example(shared, place):
    text = (shared / "specs" / "scaling_worked_example.json").read_text()
    case = json.loads(text)["budget"][place]
    economy = Economy(
        *(case[name] for name in ("alpha", "beta", "c_target", "c_pre", "n_target", "n_pre"))
    )
    found = economy.best(case["budget"])
    expected = case["add_target"], case["add_pre"], case["mae_ratio"]
    assert found == pytest.approx(expected, **EXACT)
    assert economy.break_even == pytest.approx(case["breakeven_ratio"], **EXACT)


positive = st.floats(0.01, 100)


@settings(max_examples=80, deadline=None)
@given(
    exponents=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    costs=st.tuples(positive, positive),
    rows=st.tuples(positive, positive),
    budget=st.floats(0.01, 1000),
)
def test_the_closed_form_is_the_best_of_all_mixtures(exponents, costs, rows, budget):
    (alpha, beta), (ct, cs), (nt, ns) = exponents, costs, rows
    economy = Economy(alpha, beta, ct, cs, nt, ns)
    best = economy.best(budget)
    assert best.target * ct + best.source * cs == pytest.approx(budget)
    shares = np.linspace(0, 1, 201)
    others = [economy.after(s * budget / ct, (1 - s) * budget / cs) for s in shares]
    assert best.ratio <= min(others) * (1 + 1e-12)
    assert best.ratio == pytest.approx(min(others), rel=1e-3)
    # A tiny interaction goes through the search instead of the closed form.
    searched = Economy(alpha, beta, ct, cs, nt, ns, gamma=1e-12).best(budget)
    assert searched.ratio == pytest.approx(best.ratio, rel=1e-6)
    assert economy.budget_for(best.ratio) == pytest.approx(budget, rel=1e-5)
    # The break-even ratio is where a small purchase changes sides.
    for factor, better in ((0.999, "source"), (1.001, "target")):
        at = Economy(alpha, beta, ct, cs, nt, factor * economy.break_even * nt)
        assert at.better == better


@settings(max_examples=30, deadline=None)
@given(st.floats(0, 0.1), st.floats(1, 1e6))
def test_an_interaction_is_searched_for(gamma, budget):
    economy = Economy(0.3, 0.2, 5.0, 1.0, 500.0, 2000.0, gamma=gamma)
    best = economy.best(budget)
    others = [economy.after(s * budget / 5, (1 - s) * budget) for s in np.linspace(0, 1, 301)]
    assert best.ratio <= min(others) * (1 + 1e-9)


def test_one_kind_of_rows_that_does_not_help():
    economy = Economy(0.3, -0.05, 5.0, 1.0, 100.0, 1000.0)
    assert economy.better == "target"
    assert economy.break_even == 0
    assert economy.best(500) == economy.all_target(500)
    assert economy.all_source(500).ratio > 1
    other = Economy(0.0, 0.2, 5.0, 1.0, 100.0, 1000.0)
    assert other.break_even == np.inf
    assert other.best(500) == other.all_source(500)


def test_prices_of_errors():
    assert PAPER.budget_for(1.0) == 0
    assert PAPER.budget_for(1.5) == 0
    assert PAPER.best(PAPER.budget_for(0.5)).ratio == pytest.approx(0.5)
    assert PAPER.budget_for(1e-9) == np.inf
    assert PAPER.best(0.0) == (0, 0, 1)
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="is not above 0"):
            PAPER.budget_for(wrong)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ((0.1, 0.1, 0, 1, 10, 10), "A cost target of 0 is not allowed"),
        ((0.1, 0.1, 1, -1, 10, 10), "A cost source of -1 is not allowed"),
        ((0.1, 0.1, 1, 1, 0, 10), "A have target of 0 is not allowed"),
        ((0.1, 0.1, 1, 1, 10, np.nan), "A have source of nan is not allowed"),
        ((np.nan, 0.1, 1, 1, 10, 10), "are not numbers"),
        ((0.0, -0.1, 1, 1, 10, 10), "neither kind of rows lowers the error"),
    ],
)
def test_wrong_economies(numbers, words):
    with pytest.raises(InputError, match=words):
        Economy(*numbers)


@pytest.mark.parametrize("budget", [-1.0, np.nan, np.inf])
def test_wrong_budgets(budget):
    for way in (PAPER.best, PAPER.all_target, PAPER.all_source):
        with pytest.raises(InputError, match="give a number from 0 on"):
            way(budget)


def test_how_sure():
    draws = np.column_stack([np.full(100, 0.12), np.linspace(0.09, 0.11, 100)])
    even = Economy(0.12, 0.1, 5.0, 1.0, 1000.0, 5000 / 1.2)
    assert confidence(even, draws) == pytest.approx(0.5)
    assert [verdict(x) for x in (0.81, 0.8, 0.2, 0.19)] == ["target", "either", "either", "source"]
    slopes = given_slopes(Given(0.12, 0.03), Given(0.1, 0.03))
    plan = plan_budget(even, slopes)
    assert plan.better == "either"
    assert plan.break_even_interval[0] < plan.break_even < plan.break_even_interval[1]
    exact = plan_budget(even, given_slopes(Given(0.12), Given(0.1)))
    assert exact.share_target is None
    assert exact.break_even_interval is None
    with pytest.raises(InputError, match="standard error of -1"):
        given_slopes(Given(0.12, -1.0), Given(0.1))


def test_plans():
    slopes = given_slopes(Given(0.12), Given(0.096), error=30.0)
    plan = plan_budget(PAPER, slopes, budget=500000.0, wanted=20.0)
    assert plan.purchases["best"].ratio == pytest.approx(0.7421020081249393)
    assert PAPER.best(plan.needed).ratio * 30 == pytest.approx(20)
    frame = budget_curves_frame(plan)
    assert (frame["best"] <= frame[["all_target", "all_source"]].min(axis=1) + 1e-12).all()
    assert frame["best"].is_monotonic_decreasing
    assert (frame["source"] >= PAPER.have_source).all()
    with pytest.raises(InputError, match="not known without the present error"):
        plan_budget(PAPER, given_slopes(Given(0.12), Given(0.096)), wanted=20.0)
    with pytest.raises(InputError, match="level=1 and reach=10"):
        plan_budget(PAPER, slopes, level=1.0)


def results(*, sources=(1e3, 1e4, 1e5), targets=(50, 200, 800), gamma=0.0, scatter=0.01):
    random = np.random.default_rng(0)
    rows = [
        {
            "strategy": "full",
            "target_size": n,
            "source_size": s,
            "mae": 3
            * n**-0.4
            * s**-0.1
            * np.exp(gamma * np.log(n / 200) * np.log(s / 1e4) + scatter * random.normal()),
        }
        for n in targets
        for s in sources
    ]
    scratch = [{"strategy": "scratch", "target_size": n, "mae": 3 * n**-0.5} for n in targets]
    return pd.DataFrame(rows + scratch)


def test_slopes_of_a_plane():
    found = fitted_slopes(scaling_table(results()), (200.0, 1e4))
    assert (found.alpha, found.beta) == pytest.approx((0.4, 0.1), abs=0.01)
    assert found.gamma == 0
    assert found.error == pytest.approx(3 * 200**-0.4 * 1e4**-0.1, rel=0.02)
    assert found.largest == (800, 1e5)
    assert found.draws.mean(axis=0) == pytest.approx((found.alpha, found.beta), abs=0.002)
    bent = fitted_slopes(scaling_table(results(gamma=0.03)), (800.0, 1e5))
    assert bent.gamma == pytest.approx(0.03, abs=0.004)
    assert bent.alpha == pytest.approx(0.4 - 0.03 * np.log(10), abs=0.02)


def test_slopes_of_lines_nearest_to_the_rows_that_exist():
    table = results(scatter=0)
    cross = table[
        (table["strategy"] == "scratch")
        | (table["source_size"] == 1e4)
        | (table["target_size"] == 200)
    ]
    lines = fitted_slopes(scaling_table(cross), (200.0, 9e3), alpha=Given(0.33, 0.01))
    assert (lines.alpha, lines.beta) == pytest.approx((0.33, 0.1))
    assert lines.draws[:, 0].std() == pytest.approx(0.01, rel=0.1)
    only = scaling_table(results(sources=(1e4,)))
    given = fitted_slopes(only, (200.0, 1e4), beta=Given(0.05))
    assert given.alpha == pytest.approx(0.4, abs=0.01)
    assert given.error == pytest.approx(3 * 200**-0.4 * 1e4**-0.1, rel=0.02)
    assert "source 0.05 (given)" in given.origin
    assert given.largest[0] == 800
    two = scaling_table(results(sources=(1e4,), targets=(50, 200)))
    assert fitted_slopes(two, (200.0, 1e4), beta=Given(0.05)).draws is None


def test_results_without_one_transfer():
    table = results()
    with pytest.raises(InputError, match="do not vary the number of source rows"):
        fitted_slopes(scaling_table(results(sources=(1e4,))), (200.0, 1e4))
    with pytest.raises(InputError, match="All results are from scratch"):
        fitted_slopes(scaling_table(table[table["strategy"] == "scratch"]), (200.0, 1e4))
    both = pd.concat([table, table[:9].assign(strategy="head")])
    with pytest.raises(InputError, match=r"2 transfers .full; head.*--where COLUMN=VALUE"):
        fitted_slopes(scaling_table(both), (200.0, 1e4))


def test_purchases_out_of_reach_of_the_results_are_named():
    slopes = fitted_slopes(scaling_table(results()), (200.0, 1e4))
    economy = Economy(slopes.alpha, slopes.beta, 5.0, 1.0, 200.0, 1e4)
    assert plan_budget(economy, slopes).beyond(economy.best(1e3)) is None
    far = plan_budget(economy, slopes).beyond(economy.all_target(1e6))
    assert far.startswith("200,200 target rows are more than 10 times the largest size measured")
