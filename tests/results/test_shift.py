"""The central moment discrepancy: published formula, properties, wrong input."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.results.shift import central_moment_discrepancy as cmd
from epitaxy.results.shift import feature_shift, label_shift, shift_interval
from epitaxy.results.shift_table import ShiftRow, nearest_sources, shift_table


@pytest.fixture
def random():
    return np.random.default_rng(3)


@pytest.fixture
def samples(random):
    return random.beta(2, 3, (80, 4)), random.beta(3, 2, (50, 4))


@pytest.mark.shared
@pytest.mark.parametrize("orders", [1, 5, 50])
def test_golden_values(shared, orders):
    with np.load(shared / "golden" / "golden_cgcnn.npz") as golden:
        found = cmd(golden["cmd_X"], golden["cmd_Y"], orders=orders)
        assert found == pytest.approx(float(golden[f"cmd_K{orders}"]), abs=1e-6)


@pytest.mark.shared
def test_golden_value_of_one_coordinate(shared):
    with np.load(shared / "golden" / "golden_cgcnn.npz") as golden:
        found = cmd(golden["cmd_X"][:, 0], golden["cmd_Y"][:, 0])
        assert found == pytest.approx(float(golden["cmd_1d_K50"]), abs=1e-6)


def test_by_hand():
    """Means 1/2 and 3/4, variances 1/4 and 1/16, third moments 0."""
    x, y = np.array([0.0, 1.0]), np.array([0.5, 1.0])
    assert cmd(x, y, orders=1) == pytest.approx(0.25)
    assert cmd(x, y, orders=3) == pytest.approx(0.25 + 0.1875)
    wide = cmd(4 * x - 1, 4 * y - 1, orders=3, low=-1, high=3)
    assert wide == pytest.approx(0.4375)


def test_metric_properties(samples, random):
    x, y = samples
    assert cmd(x, x) == 0
    assert cmd(x, y) == cmd(y, x) > 0
    shuffled = cmd(random.permutation(x), random.permutation(y))
    assert shuffled == pytest.approx(cmd(x, y), rel=1e-12)
    assert cmd(np.concatenate([x, x]), y) == pytest.approx(cmd(x, y), rel=1e-12)
    assert cmd(x[:, ::-1], y[:, ::-1]) == pytest.approx(cmd(x, y), rel=1e-12)
    z = random.uniform(0, 1, (30, 4))
    assert cmd(x, y) <= cmd(x, z) + cmd(z, y)


def test_it_grows_with_the_shift_and_with_the_orders(samples):
    x = samples[0] / 2
    shifts = [cmd(x, x + d) for d in (0, 0.1, 0.2, 0.4)]
    assert shifts == pytest.approx([0, 0.2, 0.4, 0.8], abs=1e-12)
    orders = [cmd(*samples, orders=k) for k in (1, 2, 5, 50)]
    assert orders == sorted(orders)


def test_a_constant_sample_differs_by_the_spread_of_the_other(samples):
    x = samples[0]
    still = np.broadcast_to(x.mean(axis=0), x.shape)
    assert cmd(x, still, orders=1) == pytest.approx(0, abs=1e-12)
    assert cmd(x, still, orders=2) == pytest.approx(np.linalg.norm(x.var(axis=0)))


@pytest.mark.parametrize(
    ("x", "y", "more", "words"),
    [
        ([0.1, 1.2], [0.5], {}, r"goes from 0.1 to 1.2, outside \[0, 1\]"),
        ([0.5], [-0.1], {}, "outside"),
        ([2.0], [3.0], {"low": 0, "high": 2.5}, r"outside \[0, 2.5\]"),
        ([], [0.5], {}, r"shape \(0,\) has no CMD"),
        ([0.5], np.zeros((0, 3)), {}, r"shape \(0, 3\) has no CMD"),
        ([0.5], np.zeros((2, 2, 2)), {}, r"shape \(2, 2, 2\) has no CMD"),
        ([[0.1, 0.2]], [[0.1, 0.2, 0.3]], {}, "2 and 3 columns"),
        ([np.nan], [0.5], {}, "not finite"),
        ([0.5], [0.5], {"orders": 0}, "orders=0 is not allowed"),
        ([0.5], [0.5], {"low": 1.0}, r"The interval \[1, 1\] is empty"),
    ],
)
def test_wrong_input(x, y, more, words):
    with pytest.raises(InputError, match=words):
        cmd(np.array(x), np.array(y), **more)


def test_labels_count_by_the_shape_of_their_distribution(random):
    x = random.gamma(2, 1, 300)
    assert label_shift(x, 1000 * x - 7) == pytest.approx(0, abs=1e-12)
    assert label_shift(x, -x) > 0.02
    assert label_shift(x, random.gamma(2, 5, 300)) < label_shift(x, random.normal(0, 1, 300))


def test_labels_without_spread(random):
    x = random.normal(0, 1, 50)
    assert label_shift(np.full(3, 7.0), np.full(9, 0.1)) == 0
    assert label_shift(np.array([1.0]), x) > 0
    with pytest.raises(InputError, match="has no CMD"):
        label_shift(np.array([]), x)
    with pytest.raises(InputError, match="not finite"):
        label_shift(np.array([1.0, np.nan]), x)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=8))
def test_features_of_any_size_have_a_distance(values):
    found = feature_shift(np.array(values)[:, None], np.zeros((2, 1)))
    assert 0 <= found < 60


def test_interval_is_reproducible_and_narrows(random):
    small = random.normal(0, 1, (40, 3)), random.normal(0.8, 1, (40, 3))
    large = random.normal(0, 1, (900, 3)), random.normal(0.8, 1, (900, 3))
    first = shift_interval(feature_shift, *small, resamples=60)
    assert first == shift_interval(feature_shift, *small, resamples=60)
    assert first != shift_interval(feature_shift, *small, resamples=60, seed=1)
    low, high = shift_interval(feature_shift, *large, resamples=60)
    assert high - low < first[1] - first[0]
    assert low < feature_shift(*large) < high + 0.05


def test_interval_allows_for_the_chance_in_small_samples(random):
    """Samples of one distribution have a distance above 0, which the interval takes off."""
    x, y = random.normal(0, 1, (200, 8)), random.normal(0, 1, (60, 8))
    assert feature_shift(x, y) > 0.05
    assert shift_interval(feature_shift, x, y)[0] < 0.03


def test_interval_of_labels_that_a_resample_may_make_equal():
    low, high = shift_interval(label_shift, np.array([1.0, 2.0]), np.arange(20.0), resamples=40)
    assert 0 <= low <= high
    with pytest.raises(InputError, match="resamples=1 is not allowed"):
        shift_interval(label_shift, np.zeros(3), np.zeros(3), resamples=1)


def test_nearest_sources_are_chosen_apart_in_features_and_labels():
    rows = [
        ShiftRow("far", "far", feature_cmd=0.9, label_cmd=0.1),
        ShiftRow("none", "none", note="no table"),
        ShiftRow("near", "near", feature_cmd=0.1, label_cmd=0.8),
        ShiftRow("unlabelled", "unlabelled", feature_cmd=0.3),
    ]
    table = shift_table(rows)
    assert list(table["source"]) == ["near", "unlabelled", "far", "none"]
    found = nearest_sources(table, 2).set_index("space")
    assert found.loc["features", "sources"] == "near; unlabelled"
    assert found.loc["features", "mean_cmd"] == pytest.approx(0.2)
    assert found.loc["labels", "sources"] == "far; near"
    assert found.loc["labels", "n"] == 2
    nothing = nearest_sources(shift_table(rows[1:2]))
    assert list(nothing["n"]) == [0, 0]
    assert nothing["mean_cmd"].isna().all()
    with pytest.raises(InputError, match="closest=0 is not allowed"):
        nearest_sources(table, 0)
