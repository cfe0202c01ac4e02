import json
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from epitaxy.core.errors import InputError
from epitaxy.results.intervals import difference, score
from epitaxy.results.metrics import bounds_coverage, metrics, read_metrics
from epitaxy.results.predictions import make_predictions, write_predictions

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


def test_intervals_draw_groups():
    random = np.random.default_rng(0)
    data = frame(np.zeros(60), random.normal(size=60).repeat(2)[:60])
    errors, ids = data["y_pred"].abs().to_numpy(), data["id"].tolist()
    groups = {one: f"A{i // 2}" for i, one in enumerate(ids)}
    alone, together, folds = (
        metrics(data, **more)["test"]["gap"]
        for more in ({}, {"groups": groups}, {"groups": groups, "n_folds": 5})
    )
    assert alone["mae_interval"] == list(score(errors).interval)
    assert together["mae_interval"] == list(score(errors, list(groups.values())).interval)
    assert folds["mae_interval"] == list(score(errors, list(groups.values()), 5).interval)
    assert np.ptp(alone["mae_interval"]) < np.ptp(together["mae_interval"])
    assert (alone["n_groups"], together["n_groups"]) == (60, 30)


def test_no_interval_of_a_single_row():
    found = metrics(frame([1.0], [2.0]))["test"]["gap"]
    assert found["mae_interval"] is None
    assert found["baseline_mae"] is None


def test_the_baseline_is_learned_on_training_rows_only():
    parts = [
        frame([1, 2, 30], [0, 0, 0], "train"),
        frame([50, 60], [50, 61], "val"),
        frame([2, 5, 2], [2, 4, 2], "test"),
    ]
    both = pd.concat(parts)
    found = metrics(both, squared=True)["test"]["gap"]
    assert found["baseline_mae"] == pytest.approx(1.0)
    assert found["mean_baseline_mae"] == pytest.approx((9 + 6 + 9) / 3)
    change = difference(np.array([0.0, 1.0, 0.0]), np.array([0.0, 3.0, 0.0])).interval
    assert found["baseline_change"] == list(change)
    assert "mean_baseline_mae" not in metrics(both)["test"]["gap"]
    given = metrics(parts[2], baseline={"0": 1.0, "1": 5.0, "2": 3.0})["test"]["gap"]
    assert given["baseline_mae"] == pytest.approx(2 / 3)


def test_metrics_of_older_runs_are_computed(tmp_path):
    data = pd.concat([frame([1, 2, 3], [1, 2, 3], "train"), frame([2, 5], [2, 4], "test")])
    write_predictions(data, tmp_path / "predictions.parquet")
    wanted = metrics(data)
    assert read_metrics(tmp_path) == wanted
    older = {"test": {"gap": {"mae": 0.5, "rmse": 0.7, "r2": None, "n": 2, "unit": "eV"}}}
    (tmp_path / "metrics.json").write_text(json.dumps(older))
    assert read_metrics(tmp_path) == wanted
    (tmp_path / "metrics.json").write_text(json.dumps(metrics(data, n_folds=5)))
    assert read_metrics(tmp_path) == metrics(data, n_folds=5)
    (tmp_path / "metrics.json").write_text("[1]")
    with pytest.raises(InputError, match="remove it"):
        read_metrics(tmp_path)


def test_bounds_coverage():
    data = frame([1, 2, 3, np.nan], [1, 2, 3, 4], y_lower=[0, 2.5, np.nan, 3], y_upper=[2, 3, 4, 5])
    assert bounds_coverage(data, "test") == (0.5, 2)
    assert bounds_coverage(frame([1.0], [1.0]), "test") is None
