"""Target scalers: there and back, what is fitted, what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from pydantic import ValidationError

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.errors import InputError

TRANSFORMS = ("identity", "log", "log1p")
SCALINGS = ("none", "standardise", "min-max")
positive = st.floats(1e-3, 1e6)


@given(
    st.lists(positive, min_size=1, max_size=8),
    st.sampled_from(TRANSFORMS),
    st.sampled_from(SCALINGS),
)
def test_there_and_back(values, transform, scaling):
    values = np.array(values)
    scaler = TargetScaler.fit(values, name="gap", transform=transform, scaling=scaling)
    scaled = scaler.forward(values)
    assert np.isfinite(scaled).all()
    # The shift is as large as the values, so what is lost is a last digit of the largest one.
    lost = 1e-12 * values.max()
    assert_allclose(scaler.inverse(scaled), values, rtol=1e-9, atol=lost)
    assert_allclose(scaler.inverse(torch.from_numpy(scaled)), values, rtol=1e-9, atol=lost)


@given(st.lists(st.floats(-6e4, 6e4, width=16), min_size=2, max_size=8, unique=True))
def test_what_the_scalings_are(values):
    values = np.array(values)
    scaled = TargetScaler.fit(values, name="gap", scaling="min-max").forward(values)
    if np.ptp(values) > 1e-6 * np.abs(values).max():
        assert_allclose([scaled.min(), scaled.max()], [-1, 1], atol=1e-6)
        scaled = TargetScaler.fit(values, name="gap").forward(values)
        assert_allclose([scaled.mean(), scaled.std(ddof=1)], [0, 1], atol=1e-6)
    unscaled = TargetScaler.fit(values, name="gap", scaling="none")
    assert unscaled == TargetScaler()


def test_transforms_are_natural_logarithms():
    assert_allclose(TargetScaler(transform="log").forward(np.array([np.e])), [1])
    assert_allclose(TargetScaler(transform="log1p").forward(np.array([np.e - 1])), [1])


@pytest.mark.parametrize("scaling", SCALINGS)
@pytest.mark.parametrize("value", [0.0, 0.1, -3.3, 1e6 / 7])
@pytest.mark.parametrize("n", [1, 3, 10])
def test_equal_labels_keep_their_unit(value, n, scaling):
    """The rounding of the mean must not become a scale of 1e-17."""
    scaler = TargetScaler.fit(np.full(n, value), name="gap", scaling=scaling)
    assert scaler.scale == 1
    assert_allclose(scaler.forward(np.array([value + 1])), value + 1 - scaler.shift)


def test_unknown_labels_are_ignored_in_the_fit_and_stay_unknown():
    values = np.array([1.0, np.nan, 3.0, np.inf])
    scaler = TargetScaler.fit(values, name="gap")
    assert scaler == TargetScaler.fit(np.array([1.0, 3.0]), name="gap")
    assert np.isnan(scaler.forward(values)[1])


@pytest.mark.parametrize("values", [[], [np.nan, np.nan]])
def test_no_label_at_all(values):
    with pytest.raises(InputError, match="training split has no value of 'gap'"):
        TargetScaler.fit(np.array(values), name="gap")


@pytest.mark.parametrize(
    ("transform", "value", "bound"), [("log", 0.0, "0"), ("log", -2.0, "0"), ("log1p", -1.0, "-1")]
)
def test_values_outside_the_domain(transform, value, bound):
    match = rf"'{transform}' needs values of 'gap' above {bound}, but the smallest is {value:g}"
    with pytest.raises(InputError, match=match):
        TargetScaler.fit(np.array([1.0, value]), name="gap", transform=transform)


def test_unknown_transform_and_keys():
    with pytest.raises(ValidationError, match="'identity', 'log' or 'log1p'"):
        TargetScaler(transform="sqrt")
    with pytest.raises(ValidationError, match="mean"):
        TargetScaler(mean=1.0)
