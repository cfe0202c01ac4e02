import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.results.metrics import bounds_coverage, mae_interval, mean_baseline_mae, metrics
from epitaxy.results.predictions import make_predictions

NUMBERS = st.integers(-(10**6), 10**6).map(lambda n: n / 1000)


def frame(y_true, y_pred, split="test", name="gap", **more):
    ids = [f"{i}" for i in range(len(y_true))]
    return make_predictions(
        ids=ids, property_name=name, split=split, y_true=y_true, y_pred=y_pred, unit="eV", **more
    )


def test_hand_computed_numbers():
    # errors 1, -1, 0, 2; squares 1 + 1 + 0 + 4 = 6; true mean 2.5, spread 2.25 + .25 + .25 + 2.25
    found = metrics(frame([1, 2, 3, 4], [2, 1, 3, 6]))["test"]["gap"]
    assert found["mae"] == pytest.approx(1.0)
    assert found["rmse"] == pytest.approx(math.sqrt(1.5))
    assert found["r2"] == pytest.approx(1 - 6 / 5)
    assert (found["n"], found["unit"]) == (4, "eV")


def test_unknown_values_are_masked():
    whole = metrics(frame([1, 2, 4], [2, 1, 6]))
    masked = metrics(frame([1, 2, np.nan, 4, np.nan], [2, 1, 100, 6, -100]))
    assert masked == whole
    assert masked["test"]["gap"]["n"] == 3


def test_nothing_known_is_left_out():
    both = pd.concat([frame([1.0], [2.0], "train"), frame([np.nan], [1.0], "new")])
    assert set(metrics(both)) == {"train"}


@pytest.mark.parametrize("values", [[2.0], [0.1, 0.1, 0.1]])
def test_r2_undefined(values):
    found = metrics(frame(values, [v + 1 for v in values]))["test"]["gap"]
    assert found["r2"] is None
    assert found["mae"] == pytest.approx(1.0)


def test_several_splits_and_properties_are_json():
    parts = [frame([1, 2], [1, 2], s, n) for s in ("train", "val", "test") for n in ("a", "b")]
    found = metrics(pd.concat(parts, ignore_index=True))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {split: set(by_name) for split, by_name in found.items()} == {
        split: {"a", "b"} for split in ("train", "val", "test")
    }


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=20), st.randoms())
def test_order_does_not_matter_and_mae_is_at_most_rmse(pairs, random):
    shuffled = random.sample(pairs, len(pairs))
    one, two = (metrics(frame(*zip(*p, strict=True)))["test"]["gap"] for p in (pairs, shuffled))
    assert one["mae"] == pytest.approx(two["mae"])
    assert one["mae"] <= one["rmse"] * (1 + 1e-9)


def test_interval_is_seeded_and_holds_the_mae():
    random = np.random.default_rng(0)
    data = frame(np.zeros(50), random.normal(size=50))
    low, high = mae_interval(data, "test")
    assert mae_interval(data, "test", "gap") == (low, high)
    assert low < metrics(data)["test"]["gap"]["mae"] < high


def test_interval_undefined():
    assert mae_interval(frame([1.0], [2.0]), "test") is None
    assert mae_interval(frame([1.0, 2.0], [2.0, 2.0]), "val") is None


def test_bounds_coverage():
    data = frame([1, 2, 3, np.nan], [1, 2, 3, 4], y_lower=[0, 2.5, np.nan, 3], y_upper=[2, 3, 4, 5])
    assert bounds_coverage(data, "test") == (0.5, 2)
    assert bounds_coverage(frame([1.0], [1.0]), "test") is None


def test_mean_baseline():
    both = pd.concat([frame([1, 3], [0, 0], "train"), frame([2, 5], [0, 0], "test")])
    assert mean_baseline_mae(both, "test") == pytest.approx(1.5)
    assert mean_baseline_mae(frame([1.0], [1.0]), "test") is None
