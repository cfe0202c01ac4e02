"""Laws of errors against rows: the worked example, known laws, coverage, wrong input."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.results.scaling import fit_line
from epitaxy.results.scaling_floor import curvature, fit_floor, levels_off
from epitaxy.results.scaling_pairs import crossing, equal_size
from epitaxy.results.scaling_resampling import ResampledLine
from epitaxy.results.scaling_surface import fit_surface

EXACT = {"rel": 1e-9, "abs": 1e-9}
SIZES = (50, 100, 200, 400, 800)


@pytest.fixture
def example(shared):
    return json.loads((shared / "specs" / "scaling_worked_example.json").read_text())


@pytest.mark.shared
def test_worked_example_of_a_fit(example):
    line, fit = fit_line(example["n"], example["mae"]), example["fit"]
    found = {
        "m": line.m,
        "xb": line.centre[0],
        "yb": line.centre[1],
        "Sxx": line.sxx,
        "slope": line.slope,
        "intercept": line.intercept,
        "s2": line.variance,
        "t": line.student(),
        "se_slope": line.slope_error,
        "se_int": line.intercept_error,
        "r2": line.r2,
    }
    assert found == pytest.approx(fit, **EXACT)
    assert line.slope_interval() == pytest.approx(example["slope_ci"], **EXACT)
    a, reach = fit["intercept"], fit["t"] * fit["se_int"]
    assert line.intercept_interval() == pytest.approx((a - reach, a + reach), **EXACT)


@pytest.mark.shared
def test_worked_example_of_bands_and_sizes(example):
    line = fit_line(example["n"], example["mae"])
    for found, name in (
        (line.mean_band([360000]), "mean_band_at_360000"),
        (line.prediction_band([360000]), "prediction_band_at_360000"),
    ):
        assert [float(x[0]) for x in found] == pytest.approx(example[name], **EXACT)
    size = line.size_for(20.0)
    wanted = [size.size, *size.interval, size.g]
    assert wanted == pytest.approx(example["n_for_mae_20"], **EXACT)
    # Where the mean band itself has the error.
    for end, band in zip(size.interval, ("low", "high"), strict=True):
        assert float(getattr(line.mean_band([end]), band)[0]) == pytest.approx(20, **EXACT)


@pytest.mark.shared
def test_worked_example_of_two_lines(example):
    transfer = fit_line(example["n"], example["mae"])
    scratch = fit_line(example["n"], example["no_transfer_mae"])
    assert scratch.slope == pytest.approx(example["no_transfer_slope"], **EXACT)
    assert scratch.intercept == pytest.approx(example["no_transfer_intercept"], **EXACT)
    meeting = crossing(scratch, transfer)
    assert meeting.size == pytest.approx(example["crossing_n"], **EXACT)
    assert meeting.error == pytest.approx(example["crossing_mae"], **EXACT)
    assert meeting.interval[0] < meeting.size < meeting.interval[1]
    # At 180,000 rows the fitted line is at 22.17, so the size for 22.1 itself is larger.
    best = scratch.size_for(float(transfer.error([180000])[0])).size
    assert best == pytest.approx(equal_size(scratch, transfer, 180000).scratch_size, **EXACT)
    expected = example["n_no_transfer_for_best_transfer_mae_fitted"]
    assert best == pytest.approx(expected, **EXACT)


@settings(max_examples=60, deadline=None)
@given(
    st.floats(0.02, 1.5),
    st.floats(1e-4, 1e3),
    st.lists(st.integers(5, 10**6), min_size=2, max_size=9, unique=True),
)
def test_a_law_without_scatter_is_recovered(alpha, scale, sizes):
    sizes = np.sort(np.array(sizes, dtype=float))
    line = fit_line(np.repeat(sizes, 2), np.repeat(scale * sizes**-alpha, 2))
    assert line.alpha == pytest.approx(alpha, rel=1e-6, abs=1e-8)
    wanted = float(scale * (3 * sizes[-1]) ** -alpha)
    assert line.size_for(wanted).size == pytest.approx(3 * sizes[-1], rel=1e-4)


@settings(max_examples=40, deadline=None)
@given(st.floats(0.1, 100), st.floats(0.01, 100), st.integers(0, 1000))
def test_units_of_rows_and_errors_do_not_matter(rows, unit, seed):
    random = np.random.default_rng(seed)
    sizes = np.repeat(np.array(SIZES, dtype=float), 3)
    errors = np.exp(-0.4 * np.log(sizes) + 0.1 * random.standard_normal(len(sizes)))
    one, two = fit_line(sizes, errors), fit_line(rows * sizes, unit * errors)
    assert two.slope_interval() == pytest.approx(one.slope_interval(), rel=1e-6)
    here = two.prediction_band(rows * np.array([100.0])).high / unit
    assert here == pytest.approx(one.prediction_band([100.0]).high, rel=1e-6)


def simulated(random, seeds, between, within):
    """Errors of E = 3 n^-0.3 whose sizes and seeds scatter, and a new one at 1,600 rows."""
    shift = between * random.standard_normal(len(SIZES) + 1)
    noise = within * random.standard_normal(len(SIZES) * seeds + 1)
    sizes = np.repeat(SIZES, seeds)
    logs = np.log(3) - 0.3 * np.log(sizes) + np.repeat(shift[:-1], seeds) + noise[:-1]
    new = np.log(3) - 0.3 * np.log(1600) + shift[-1] + noise[-1]
    return sizes, np.exp(logs), float(np.exp(new))


@pytest.mark.parametrize(
    ("seeds", "between", "within"), [(1, 0.0, 0.1), (3, 0.0, 0.1), (3, 0.1, 0.1), (5, 0.1, 0.02)]
)
def test_coverage_of_slopes_bands_and_sizes(seeds, between, within):
    """Of 1,500 data sets 95 % should be covered; 3.5 standard errors are 2 %."""
    random = np.random.default_rng(1)
    hits = np.zeros(4)
    truth, wanted = 3 * 1600**-0.3, 3 * 1200**-0.3
    for _ in range(1500):
        sizes, errors, new = simulated(random, seeds, between, within)
        line = fit_line(sizes, errors)
        slope, size = line.slope_interval(), line.size_for(wanted).interval
        law, prediction = line.mean_band([1600]), line.prediction_band([1600])
        hits += [
            slope[0] <= -0.3 <= slope[1],
            law.low[0] <= truth <= law.high[0],
            prediction.low[0] <= new <= prediction.high[0],
            size is None or size[0] <= 1200 <= size[1],
        ]
    assert hits / 1500 == pytest.approx(0.95, abs=0.02)


def test_resampled_sizes_cover_less_and_say_so():
    random = np.random.default_rng(2)
    hits = np.zeros(2)
    for n in range(200):
        sizes, errors, _ = simulated(random, 3, 0.1, 0.1)
        line = fit_line(sizes, errors)
        for k, one in enumerate((line, ResampledLine.of(line, n))):
            low, high = one.slope_interval()
            hits[k] += low <= -0.3 <= high
    assert hits[1] < hits[0]
    assert 160 < hits[1] < 195
    assert "too narrow" in ResampledLine.__doc__


def test_worth_of_a_transfer_is_covered():
    random = np.random.default_rng(3)
    hits = 0
    for n in range(300):
        sizes, scratch, _ = simulated(random, 2, 0.05, 0.05)
        _, transfer, _ = simulated(random, 2, 0.05, 0.05)
        found = equal_size(fit_line(sizes, scratch), fit_line(sizes, transfer / 2), 200, seed=n)
        hits += found.interval[0] <= 200 * 2 ** (1 / 0.3) <= found.interval[1]
    assert hits / 300 == pytest.approx(0.95, abs=0.04)


def test_draws_agree_with_the_intervals():
    rng = np.random.default_rng(4)
    line = fit_line(SIZES, np.exp(-0.3 * np.log(SIZES) + 0.1 * rng.standard_normal(5)))
    drawn = line.draws(60_000)
    for column, interval in ((0, line.intercept_interval()), (1, line.slope_interval())):
        ends = np.quantile(drawn[:, column], [0.025, 0.975])
        assert ends == pytest.approx(interval, abs=0.02 * (interval[1] - interval[0]))
    assert np.array_equal(drawn, line.draws(60_000))
    assert not np.array_equal(drawn, line.draws(60_000, seed=1))


def test_each_size_counts_once():
    errors = {100: [1.0, 1.0, 1.0, 1.0], 200: [0.7], 400: [0.45, 0.55]}
    sizes = [n for n, values in errors.items() for _ in values]
    line = fit_line(sizes, [e for values in errors.values() for e in values])
    means = [float(np.exp(np.log(values).mean())) for values in errors.values()]
    same = fit_line(list(errors), means)
    assert line.slope_interval() == pytest.approx(same.slope_interval(), rel=1e-12)
    assert line.counts.tolist() == [4, 1, 2]
    loud = replace(line, within=1.0)
    assert float(loud.prediction_band([800]).high[0]) > float(same.prediction_band([800]).high[0])


def test_two_sizes_have_a_line_and_no_interval():
    line = fit_line([100, 100, 400], [0.5, 0.5, 0.25])
    assert line.alpha == pytest.approx(0.5)
    assert line.slope_interval() is None
    assert line.intercept_interval() is None
    assert line.size_for(0.125) == (pytest.approx(1600), None, pytest.approx(np.nan, nan_ok=True))
    assert np.isnan(line.mean_band([200]).low).all()
    assert np.isnan(line.prediction_band([200]).low).all()
    with pytest.raises(InputError, match="add a third size"):
        line.draws()
    resampled = ResampledLine.of(line)
    assert resampled.slope_interval() is None
    assert np.isnan(resampled.mean_band([200]).low).all()
    with pytest.raises(InputError, match="add a third size"):
        resampled.draws()
    assert equal_size(line, line, 200).interval is None
    assert crossing(line, line).interval is None


def test_a_slope_that_is_not_significant_has_no_interval_of_sizes():
    line = fit_line(SIZES, [1.0, 0.6, 1.1, 0.7, 0.9])
    found = line.size_for(0.5)
    assert found.g >= 1
    assert found.interval is None


@pytest.mark.parametrize(
    ("sizes", "errors", "words"),
    [
        ([100, 200], [0.1], "1 errors came with 2 sizes"),
        ([100, 0], [0.1, 0.2], "A size of 0 has no logarithm"),
        ([100, -5], [0.1, 0.2], "A size of -5 has no logarithm"),
        ([100, 200], [0.1, 0.0], "An error of 0 has no logarithm"),
        ([100, 200], [0.1, np.nan], "An error of nan has no logarithm"),
        ([100, np.inf], [0.1, 0.2], "A size of inf has no logarithm"),
        ([100, 100], [0.1, 0.2], "at least two sizes; the results have 1"),
        ([], [], "at least two sizes; the results have 0"),
    ],
)
def test_wrong_input(sizes, errors, words):
    with pytest.raises(InputError, match=words):
        fit_line(sizes, errors)


def test_wanted_errors_that_have_no_answer():
    falling, rising = (fit_line([1, 10, 100], e) for e in ([4, 2, 1], [1, 2, 4]))
    for wrong in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="give a number above 0"):
            falling.size_for(wrong)
    with pytest.raises(InputError, match="does not fall with the number of rows"):
        rising.size_for(0.5)
    assert falling.size_for(1e-300).size == np.inf


def test_lines_that_do_not_meet():
    n = [10, 100, 1000]
    steep, flat = fit_line(n, [8, 4, 2]), fit_line(n, [4, 3, 2.25])
    assert np.isnan(crossing(flat, steep).size)
    assert crossing(flat, steep).undefined == 1
    rising = fit_line(n, [1, 2, 4])
    found = equal_size(rising, flat, 100)
    assert np.isnan(found.scratch_size)
    assert found.interval == (0.0, np.inf)
    assert found.undefined == 1


def test_a_floor_is_found_only_where_there_is_one():
    sizes = 50.0 * 2 ** np.arange(8)
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal(8))
    floor = fit_line(sizes, (5 * sizes**-0.6 + 0.1) * noise)
    fitted = fit_floor(floor)
    assert levels_off(floor, fitted)
    assert fitted.floor == pytest.approx(0.1, rel=0.15)
    assert fitted.alpha == pytest.approx(0.6, rel=0.15)
    assert curvature(floor) < 0.01
    low, high = fitted.size_for(0.13).interval
    assert low < (5 / 0.03) ** (1 / 0.6) < high
    band = fitted.band([6400.0])
    assert band.low[0] < band.middle[0] < band.high[0]
    with pytest.raises(InputError, match="errors level off by this fit"):
        fitted.size_for(0.05)
    straight = fit_line(sizes, 5 * sizes**-0.6 * noise)
    assert not levels_off(straight, fit_floor(straight))
    assert curvature(straight) > 0.05


def test_a_law_that_stays_above_an_error_needs_infinitely_many_rows():
    """Such refits must not pull the lower end of the interval to 0."""
    sizes = np.array([50, 100, 200, 400, 800, 1600, 3200, 6400])
    noise = np.exp(np.random.default_rng(3).normal(0, 0.02, 8))
    fitted = fit_floor(fit_line(sizes, (5 * sizes**-0.6 + 0.1) * noise))
    error = 1.03 * fitted.floor
    refits = np.array([fit.floor for fit in fitted._refits()])
    assert 0.05 < (refits > error).mean() < 0.95
    low, high = fitted.size_for(error).interval
    assert low > sizes[-1]
    assert np.isinf(high)


def test_too_few_sizes_to_tell_a_floor():
    line = fit_line(SIZES, [1.0, 0.6, 0.45, 0.4, 0.39])
    assert levels_off(line, fit_floor(line)) is None
    assert fit_floor(fit_line(SIZES[:3], [3, 2, 1])) is None
    assert curvature(fit_line(SIZES[:3], [3, 2, 1])) is None
    assert curvature(fit_line(SIZES, np.array(SIZES) ** -0.5)) == 1


def grid(gamma=0.0, scatter=0.0, seed=0):
    target, source = (a.ravel() for a in np.meshgrid([50, 200, 800], [1e3, 1e4, 1e5]))
    x, y = np.log(target / 200), np.log(source / 1e4)
    noise = scatter * np.random.default_rng(seed).standard_normal(len(x))
    return target, source, np.exp(1 - 0.4 * x - 0.1 * y + gamma * x * y + noise)


def test_a_plane_with_and_without_interaction():
    plain = fit_surface(*grid(scatter=0.01))
    assert plain.coefficients[3] == 0
    assert plain.p_interaction > 0.05
    assert plain.exponents(50, 1e3) == plain.exponents(800, 1e5)
    bent = fit_surface(*grid(gamma=0.02, scatter=0.001))
    assert bent.p_interaction < 1e-6
    alpha, beta = bent.exponents(800, 1e5)
    assert alpha == pytest.approx(0.4 - 0.02 * np.log(10), abs=0.003)
    assert beta == pytest.approx(0.1 - 0.02 * np.log(4), abs=0.003)
    assert bent.error(200, 1e4) == pytest.approx(np.e, rel=0.005)


def test_exponents_of_a_plane_are_covered():
    hits = np.zeros(2)
    for seed in range(300):
        found = fit_surface(*grid(scatter=0.1, seed=seed))
        ends = found.intervals()
        drawn = found.draws(200, 1e4, 400, seed=seed)
        hits += [
            ends["alpha"][0] <= 0.4 <= ends["alpha"][1],
            np.quantile(drawn[:, 1], 0.025) <= 0.1 <= np.quantile(drawn[:, 1], 0.975),
        ]
    assert hits / 300 == pytest.approx(0.95, abs=0.04)


@pytest.mark.parametrize(
    ("target", "source"), [([1, 2, 4], [10, 20, 40]), ([1, 2], [10, 20]), ([5, 5, 5], [1, 2, 4])]
)
def test_sizes_that_go_together(target, source):
    with pytest.raises(InputError, match="do not tell both exponents apart"):
        fit_surface(target, source, np.arange(1.0, len(target) + 1))


def test_a_plane_through_as_many_pairs_as_coefficients():
    found = fit_surface([50, 100, 50], [1e3, 1e3, 1e4], [1, 0.8, 0.9])
    assert found.intervals()["alpha"] is None
    assert found.p_interaction is None
    with pytest.raises(InputError, match="hence no interval"):
        found.draws(50, 1e3)
