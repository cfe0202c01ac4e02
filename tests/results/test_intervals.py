"""The one interval of a mean error."""

import numpy as np
import pytest

from epitaxy.results import intervals
from epitaxy.results.intervals import (
    difference,
    group_error,
    interval_of_new_rows,
    score,
    widening,
)

RNG = np.random.default_rng(1)


def zero_inflated(random, n):
    """Draw errors as of band gaps: most are small, the others as large as they like."""
    metal = random.random(n) < 0.6
    return np.where(metal, 0.05, 1.0) * random.exponential(size=n)


def coverage(draw, mean, n, trials=200):
    """Return how often the interval of n errors holds the mean of their distribution."""
    random = np.random.default_rng(n)
    ends = np.array([score(*draw(random, n)).interval for _ in range(trials)])
    return float(np.mean((ends[:, 0] <= mean) & (mean <= ends[:, 1])))


@pytest.mark.parametrize("n", [12, 40])
@pytest.mark.parametrize(
    ("draw", "mean"),
    [
        (lambda random, n: (np.abs(random.normal(size=n)),), np.sqrt(2 / np.pi)),
        (lambda random, n: (random.exponential(size=n),), 1.0),
        (lambda random, n: (zero_inflated(random, n),), 0.43),
    ],
    ids=["normal", "exponential", "zero-inflated"],
)
def test_the_interval_holds_the_mean_of_few_skewed_errors(draw, mean, n):
    # 95 % is aimed at; 200 trials tell it to within 1.5 %. Quantiles of means: 83 % at worst.
    assert 0.91 <= coverage(draw, mean, n) <= 0.985


def test_errors_of_a_group_go_together():
    def alike(random, n):
        sizes = random.integers(1, 6, size=n)
        errors = [random.exponential() * np.abs(random.normal(size=k)) for k in sizes]
        return np.concatenate(errors), np.repeat([f"A{i}" for i in range(n)], sizes)

    mean = np.sqrt(2 / np.pi)
    together = coverage(alike, mean, 40, 100)
    assert together >= 0.90
    assert coverage(lambda random, n: alike(random, n)[:1], mean, 40, 100) < together - 0.05


def test_cross_validation_and_finite_samples_make_it_wider():
    errors, groups = RNG.exponential(size=200), [f"A{i // 2}" for i in range(200)]
    narrow, wide = (np.array(score(errors, groups, k).interval) for k in (None, 5))
    mean = errors.mean()
    assert wide - mean == pytest.approx(1.5 * (narrow - mean))
    assert widening(3) == pytest.approx(np.sqrt(2.5))
    low, high = interval_of_new_rows(errors, groups, None, 200)
    assert np.array([low, high]) - mean == pytest.approx(np.sqrt(2) * (narrow - mean))


def test_it_does_not_depend_on_chunks_or_the_order_of_rows(monkeypatch):
    errors = RNG.exponential(size=90)
    groups = [f"A{i % 40}" for i in range(90)]
    found = score(errors, groups)
    order = RNG.permutation(90)
    assert score(errors[order], [groups[i] for i in order]).interval == pytest.approx(
        found.interval
    )
    monkeypatch.setattr(intervals, "CHUNK", 1000)
    assert score(errors, groups).interval == pytest.approx(found.interval)


def test_many_rows_need_no_draw(monkeypatch):
    errors = RNG.exponential(size=1500)
    drawn = score(errors).interval
    monkeypatch.setattr(intervals, "MANY", 1000)
    assert score(errors).interval == pytest.approx(drawn, rel=5e-3)


def test_of_one_group_nothing_can_be_told():
    one = score(np.array([1.0, 2.0]), ["A", "A"])
    assert one.interval == (0.0, np.inf)
    assert one.known is None
    assert difference(np.ones(1), np.zeros(1)).interval == (-np.inf, np.inf)
    assert score(np.array([1.0, 2.0])).known == score(np.array([1.0, 2.0])).interval


def test_equal_errors_leave_no_doubt_and_one_large_one_much():
    assert score(np.full(7, 0.1)).interval == pytest.approx((0.1, 0.1))
    once = np.zeros(24)
    once[3] = 2.4
    low, high = score(once).interval
    assert low >= 0
    assert 0.3 < high < np.inf


def test_differences_are_paired():
    errors = RNG.normal(size=50) ** 2
    change = difference(errors - 0.1, errors, [str(i) for i in range(50)], 5)
    assert change.mae == pytest.approx(-0.1)
    assert change.interval[1] < 0
    values = RNG.normal(size=400)
    assert group_error(values) == pytest.approx(values.std(ddof=1) / 20, rel=1e-6)
    assert group_error(values, [str(i) for i in range(400)]) == pytest.approx(group_error(values))


def test_it_agrees_with_the_central_limit():
    values = RNG.exponential(size=1900)
    low, high = score(values).interval
    half = 1.96 * values.std() / np.sqrt(len(values))
    assert (high - low) / 2 == pytest.approx(half, rel=0.08)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=half / 5)
