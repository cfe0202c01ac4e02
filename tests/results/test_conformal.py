"""CV+ intervals: against the definition and mapie, coverage, storage, wrong input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.results.conformal import FLOOR, CrossConformal, measured_coverage


def example(n=60, folds=5, m=40, seed=0):
    """Scores of cross-validation, and fold predictions with spreads of new rows."""
    random = np.random.default_rng(seed)
    spread = random.uniform(0.5, 2, n)
    residuals = spread * random.standard_normal(n)
    rows = CrossConformal(residuals, random.permutation(np.arange(n) % folds), spread)
    centres = random.standard_normal((m, 1)) + 0.1 * random.standard_normal((m, folds))
    return rows, centres, random.uniform(0.5, 2, m)


@pytest.mark.parametrize("coverage", [0.5, 0.8, 0.9, 0.95])
def test_the_definition(coverage):
    rows, centres, spread = example()
    low, high = rows.intervals(centres, spread, coverage)
    rank = int(np.ceil(coverage * 61 - 1e-9))
    for j in range(len(centres)):
        scored = list(zip(spread[j] * rows.scores, rows.folds, strict=True))
        below = sorted(centres[j, k] - reach for reach, k in scored)
        above = sorted(centres[j, k] + reach for reach, k in scored)
        assert (low[j], high[j]) == (below[60 - rank], above[rank - 1])


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_against_mapie(coverage):
    """Equal spreads: the intervals of mapie's cross-conformal regressor, method "plus"."""
    mapie = pytest.importorskip("mapie.regression", reason="mapie is not installed")
    from sklearn.linear_model import Ridge
    from sklearn.model_selection import KFold

    random = np.random.default_rng(1)
    x = random.standard_normal((130, 4))
    y = x @ [1.0, -2.0, 0.5, 0.0] + random.standard_normal(130)
    train, new = slice(0, 90), slice(90, 130)
    cv = KFold(6)
    theirs = mapie.CrossConformalRegressor(
        Ridge(), confidence_level=coverage, method="plus", cv=cv
    ).fit_conformalize(x[train], y[train])
    _, expected = theirs.predict_interval(x[new])

    folds, residuals, predictions = np.zeros(90, dtype=int), np.zeros(90), []
    for k, (fitted, held) in enumerate(cv.split(x[train])):
        model = Ridge().fit(x[train][fitted], y[train][fitted])
        folds[held], residuals[held] = k, y[train][held] - model.predict(x[train][held])
        predictions.append(model.predict(x[new]))
    rows = CrossConformal(residuals, folds, np.full(90, 3.0))
    low, high = rows.intervals(np.column_stack(predictions), np.full(40, 3.0), coverage)
    np.testing.assert_allclose(low, expected[:, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(high, expected[:, 1, 0], rtol=1e-12)


@pytest.mark.parametrize("useful", [True, False])
def test_coverage_over_many_data_sets(useful):
    """Noise grows with x; a spread that knows so makes intervals no surer, but fairer."""
    from sklearn.linear_model import LinearRegression

    random = np.random.default_rng(2)
    shares, by_noise = [], []
    for _ in range(80):
        x = random.uniform(0, 1, (120, 1))
        noise = 0.1 + x[:, 0]
        y = 2 * x[:, 0] + noise * random.standard_normal(120)
        folds, old, new = np.arange(80) % 5, slice(0, 80), slice(80, 120)
        models = [LinearRegression().fit(x[old][folds != k], y[old][folds != k]) for k in range(5)]
        own = np.array([models[k].predict(x[[i]])[0] for i, k in enumerate(folds)])
        spread = noise if useful else np.ones(120)
        rows = CrossConformal(y[old] - own, folds, spread[old])
        ends = rows.intervals(np.column_stack([m.predict(x[new]) for m in models]), spread[new])
        shares.append(measured_coverage(y[new], *ends).share)
        loud = noise[new] > 0.9
        by_noise.append((y[new][loud] >= ends[0][loud]) & (y[new][loud] <= ends[1][loud]))
    assert np.mean(shares) == pytest.approx(0.9, abs=0.015)
    in_noise = np.concatenate(by_noise).mean()
    assert (in_noise > 0.87) if useful else (in_noise < 0.85)


def test_rows_measured_by_the_other_folds():
    random = np.random.default_rng(3)
    shares = []
    for _ in range(100):
        rows = CrossConformal(random.standard_normal(60), np.arange(60) % 5, np.ones(60))
        shares.append(rows.covered(0.9).mean())
    # The 45th of 48 other scores is the first that covers 90 %: 45 / 49 in the mean.
    assert np.mean(shares) == pytest.approx(45 / 49, abs=0.01)
    # An outlier is judged by the others, not by itself.
    far = CrossConformal(np.r_[np.ones(59), 100.0], np.arange(60) % 5, np.ones(60))
    assert not far.covered(0.9)[-1]
    assert far.covered(0.9)[:-1].all()
    with pytest.raises(InputError, match="all of one fold"):
        CrossConformal(np.ones(9), np.zeros(9, dtype=int), np.ones(9)).covered(0.5)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.01, 100), st.floats(0.01, 100), st.integers(0, 99))
def test_units_do_not_matter_and_wider_coverage_contains(values, spreads, seed):
    rows, centres, spread = example(seed=seed)
    scaled = CrossConformal(
        rows.scores * values, rows.folds, np.full(rows.n, spreads), floor=spreads
    )
    plain = CrossConformal(rows.scores, rows.folds, np.ones(rows.n), floor=1.0)
    one, two = (
        plain.intervals(centres, spread),
        scaled.intervals(values * centres, spreads * spread),
    )
    np.testing.assert_allclose(two[0] / values, one[0], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(two[1] / values, one[1], rtol=1e-9, atol=1e-9)
    wide = plain.intervals(centres, spread, 0.95)
    assert (wide[0] <= one[0]).all()
    assert (wide[1] >= one[1]).all()


def test_a_smallest_spread_counts():
    rows = CrossConformal(np.ones(20), np.arange(20) % 2, np.r_[np.zeros(5), np.full(15, 2.0)])
    assert rows.floor == pytest.approx(2.0 * FLOOR)
    assert rows.scores[:5].tolist() == [5.0] * 5
    low, high = rows.intervals(np.zeros((1, 2)), np.zeros(1), 0.5)
    assert low[0] < 0 < high[0]
    # Without any spread all intervals are equally wide.
    none = CrossConformal(np.arange(20.0), np.arange(20) % 2, np.zeros(20))
    same = CrossConformal(np.arange(20.0), np.arange(20) % 2, np.ones(20))
    assert none.intervals(np.zeros((1, 2)), np.zeros(1)) == same.intervals(
        np.zeros((1, 2)), np.ones(1)
    )
    mostly = CrossConformal(np.ones(9), np.arange(9) % 2, np.r_[np.zeros(8), 3.0])
    assert mostly.floor == 3.0


def test_storage_as_plain_arrays(tmp_path):
    rows, centres, spread = example()
    np.savez(tmp_path / "rows.npz", **rows.arrays())
    with np.load(tmp_path / "rows.npz", allow_pickle=False) as file:
        again = CrossConformal.of_arrays(file)
    assert np.array_equal(again.scores, rows.scores)
    for one, two in zip(
        rows.intervals(centres, spread), again.intervals(centres, spread), strict=True
    ):
        assert np.array_equal(one, two)
    with pytest.raises(InputError, match="array 'folds' of the intervals is missing"):
        CrossConformal.of_arrays({"scores": np.ones(3), "floor": np.ones(1)})


def test_long_tables_are_done_in_parts(monkeypatch):
    rows, centres, spread = example()
    whole = rows.intervals(centres, spread)
    monkeypatch.setattr("epitaxy.results.conformal.CHUNK", 7 * rows.n)
    parts = rows.intervals(centres, spread)
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    assert [end.shape for end in rows.intervals(np.zeros((0, 5)), np.zeros(0))] == [(0,), (0,)]


@pytest.mark.parametrize(("n", "coverage", "needed"), [(8, 0.9, 9), (18, 0.95, 19), (1, 0.6, 2)])
def test_too_few_rows(n, coverage, needed):
    folds = np.arange(n) % 2
    rows = CrossConformal(np.ones(n), folds, np.ones(n))
    words = f"{n} rows are too few .* infinite; use at least {needed} rows"
    with pytest.raises(InputError, match=words):
        rows.intervals(np.zeros((1, 2)), np.ones(1), coverage)
    enough = CrossConformal(np.ones(needed), np.arange(needed) % 2, np.ones(needed))
    assert np.isfinite(enough.intervals(np.zeros((1, 2)), np.ones(1), coverage)).all()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((np.ones(3), np.zeros(2, int), np.ones(3)), r"shapes \(3,\), \(2,\) and \(3,\)"),
        ((np.ones(0), np.zeros(0, int), np.ones(0)), "at least one row"),
        ((np.r_[1.0, np.nan], np.zeros(2, int), np.ones(2)), "1 of 2 residuals are not finite"),
        ((np.ones(2), np.zeros(2, int), np.r_[1.0, -1.0]), "negative or not finite"),
        ((np.ones(2), np.zeros(2, int), np.r_[1.0, np.inf]), "negative or not finite"),
        ((np.ones(2), np.r_[0, -1], np.ones(2)), "whole numbers from 0 on"),
        ((np.ones(2), np.zeros(2), np.ones(2)), "whole numbers from 0 on"),
    ],
)
def test_wrong_scores(arguments, words):
    with pytest.raises(InputError, match=words):
        CrossConformal(*arguments)


def test_wrong_new_rows():
    rows, centres, spread = example()
    for coverage in (0.0, 1.0, 90.0):
        with pytest.raises(InputError, match=r"give a share such as 0\.9"):
            rows.intervals(centres, spread, coverage)
    with pytest.raises(InputError, match=r"give \(m, K\) and \(m,\)"):
        rows.intervals(centres[:, 0], spread)
    with pytest.raises(InputError, match="4 folds predicted, but rows were held out in 5"):
        rows.intervals(centres[:, :4], spread)
    with pytest.raises(InputError, match="negative or not finite"):
        rows.intervals(centres, -spread)


def test_measured_coverage():
    values = np.array([1.0, 2.0, 3.0, np.nan])
    found = measured_coverage(values, np.zeros(4), np.array([1.0, 1.5, np.inf, 9.0]))
    assert (found.share, found.n) == (pytest.approx(2 / 3), 3)
    assert found.interval[0] < 2 / 3 < found.interval[1]
    assert found.width == 1.25
    for end, share in ((np.zeros(3), 0.0), (np.full(3, 5.0), 1.0)):
        assert measured_coverage(values[:3], np.zeros(3), end).share == share
    assert measured_coverage(values[:3], np.zeros(3), np.full(3, 5.0)).interval[1] == 1
    with pytest.raises(InputError, match="None of 1 rows"):
        measured_coverage(values[3:], np.zeros(1), np.zeros(1))
    with pytest.raises(InputError, match="have shapes"):
        measured_coverage(values, np.zeros(3), np.zeros(4))


def test_repeats_count_as_the_mean_of_the_models_that_did_not_see_a_row():
    """By the definition of the jackknife+-after-bootstrap, row by row."""
    random = np.random.default_rng(6)
    n, k = 40, 4
    folds = np.stack([np.arange(n) % k, k + random.permutation(n) % k], axis=1)
    residuals, spread = random.standard_normal(n), random.uniform(0.5, 2, n)
    models, new = random.standard_normal((3, 2 * k)), random.uniform(0.5, 2, 3)
    found = CrossConformal(residuals, folds, spread)
    low, high = found.intervals(models, new, 0.8)
    for i in range(3):
        centres = models[i][folds].mean(axis=1)
        reach = new[i] * np.abs(residuals) / spread
        assert low[i] == pytest.approx(np.sort(centres - reach)[int(0.2 * (n + 1)) - 1])
        assert high[i] == pytest.approx(np.sort(centres + reach)[int(np.ceil(0.8 * (n + 1))) - 1])
    again = CrossConformal.of_arrays(found.arrays())
    assert np.allclose(again.intervals(models, new, 0.8), (low, high))
    one = CrossConformal(residuals, folds[:, 0], spread)
    assert np.array_equal(one.covered(0.8), found.covered(0.8))
    both = CrossConformal(residuals, folds[:, [0, 0]], spread)
    np.testing.assert_allclose(both.intervals(models, new, 0.8), one.intervals(models, new, 0.8))
