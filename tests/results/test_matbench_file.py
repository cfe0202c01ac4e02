"""The file of results of Matbench, its tasks, and the published errors."""

import gzip
import json

import numpy as np
import pytest
from sklearn.metrics import max_error, mean_absolute_error, root_mean_squared_error
from sklearn.model_selection import KFold

from epitaxy.core.errors import InputError
from epitaxy.results.matbench import (
    FoldResult,
    beside_leaderboard,
    find_task,
    fold_scores,
    leaderboard,
    official_values,
    record,
    record_hash,
    tasks,
    write_record,
)

HASHED = {"b": {"y": 1.5, "x": "ä"}, "a": [1, 2.0, None], "c": {"z": {"k2": 1e-9, "k1": 100.0}}}
SHA = "cd12c95b903b6ef153c0eea6df01cdc075f490c510bf1e6f150b24ae076c7e20"
"""``matbench.util.hash_dictionary(HASHED)`` of matbench 0.6."""


def folds(n):
    """Return the test rows of the official folds."""
    return [rows for _, rows in KFold(5, shuffle=True, random_state=18012019).split(np.arange(n))]


def results(task, *, std=None):
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 2, task.n_rows)
    return [
        FoldResult(k, rows, truth[rows], truth[rows] + 0.1, std and np.full(len(rows), std))
        for k, rows in enumerate(folds(task.n_rows))
    ]


def test_checksum_is_that_of_the_package():
    assert record_hash(HASHED) == SHA
    assert record_hash(dict(reversed(HASHED.items()))) == SHA


@pytest.mark.parametrize("name", tasks())
def test_ids_have_the_official_form(name):
    task = find_task(name)
    first, last = task.ids[[0, -1]]
    assert first.startswith(f"mb-{name.removeprefix('matbench_').replace('_', '-')}-0")
    assert len(first) == len(last)
    assert last.endswith(f"-{task.n_rows}")
    assert find_task(name.removeprefix("matbench_")) is task


def test_unknown_task():
    with pytest.raises(InputError, match="Did you mean 'matbench_phonons'"):
        find_task("matbench_phonon")
    with pytest.raises(InputError, match="regression task of Matbench with structures"):
        find_task("matbench_mp_is_metal")


def test_scores_are_those_of_scikit_learn():
    rng = np.random.default_rng(3)
    y, p = rng.normal(size=50), rng.normal(size=50)
    found = fold_scores(y, p)
    assert found["mae"] == pytest.approx(mean_absolute_error(y, p))
    assert found["rmse"] == pytest.approx(root_mean_squared_error(y, p))
    assert found["max_error"] == pytest.approx(max_error(y, p))
    y[3] = 0
    assert np.isfinite(fold_scores(y, p)["mape"])
    assert fold_scores(np.zeros(2), np.ones(2))["mape"] == 0


@pytest.mark.parametrize("std", [None, 0.5])
def test_a_record_has_what_the_package_asks_for(tmp_path, std):
    task = find_task("jdft2d")
    content = record(task, results(task, std=std), {"algorithm": "mine"})
    write_record(tmp_path / "results.json.gz", content)
    read = json.loads(gzip.decompress((tmp_path / "results.json.gz").read_bytes()))
    assert read == content
    assert read.pop("hash") == record_hash(read)
    assert read.keys() == {
        *("@module", "@class", "version", "tasks", "user_metadata", "benchmark_name", "datestamp")
    }
    one = read["tasks"]["matbench_jdft2d"]
    assert one.keys() == {"@module", "@class", "benchmark_name", "dataset_name", "results"}
    for k, rows in enumerate(folds(636)):
        fold = one["results"][f"fold_{k}"]
        assert fold.keys() == {"data", "parameters", "scores", "uncertainty"}
        assert list(fold["data"]) == [f"mb-jdft2d-{row + 1:03d}" for row in rows]
        assert all(isinstance(value, float) for value in fold["data"].values())
        assert fold["scores"]["mae"] == pytest.approx(0.1)
        assert (fold["uncertainty"] is None) is (std is None)
        for name, bounds in (fold["uncertainty"] or {}).items():
            assert bounds["std"] == std
            assert bounds["ci_upper"] - fold["data"][name] == pytest.approx(1.95996 * std, rel=1e-5)
            assert fold["data"][name] - bounds["ci_lower"] == pytest.approx(1.95996 * std, rel=1e-5)


def test_labels_of_another_order_or_unit_are_refused(monkeypatch):
    rng = np.random.default_rng(0)
    labels = rng.lognormal(size=100)
    tests = folds(100)
    errors = [np.abs(labels[t] - np.delete(labels, t).mean()).mean() for t in tests]
    task = find_task("phonons").__class__("matbench_toy", "y", "", 100, tuple(errors))
    assert official_values(task, labels, tests) is labels
    np.testing.assert_allclose(official_values(task, np.log(labels), tests), labels)
    for wrong in (labels[::-1], labels * 1.01, np.append(labels[1:], labels[0])):
        with pytest.raises(InputError, match="not the labels of matbench_toy in the official"):
            official_values(task, wrong, tests)


@pytest.mark.shared
def test_published_labels_are_recognised(shared):
    from epitaxy.structures.reading import read_table

    task = find_task("phonons")
    for name in ("devi2024/ph", "chang2022/mp_phonons"):
        table = read_table(shared / "datasets" / f"{name}.parquet")
        values = official_values(task, table.column("target"), folds(1265))
        assert values.max() == pytest.approx(3643.65, abs=0.1)


@pytest.mark.parametrize("name", tasks())
def test_leaderboard_agrees_with_the_errors_of_the_constant(name):
    task, board = find_task(name), leaderboard(find_task(name))
    dummy = board[board["algorithm"] == "Dummy"].iloc[0]
    assert dummy["mae"] == pytest.approx(np.mean(task.constant_errors), rel=2e-4)
    assert dummy["std"] == pytest.approx(np.std(task.constant_errors), rel=0.02)
    assert board["mae"].is_monotonic_increasing
    assert len(board) > 10


def test_the_own_line_stands_in_its_place():
    task = find_task("phonons")
    lines = beside_leaderboard(task, "mine", [30.0, 31, 32, 33, 34]).splitlines()
    place = next(i for i, text in enumerate(lines) if text.startswith(">"))
    assert lines[place].split() == ["> mine 32.00 ± 1.41"][0].split()
    assert "coGN " in lines[place - 1]
    assert "DeeperGATGNN" in lines[place + 1]
    assert "five official folds" in lines[0]


def test_trap_fold_0_is_not_set_among_means_of_five():
    text = beside_leaderboard(find_task("dielectric"), "mine", [0.17])
    assert "1 of 5 folds: not comparable" in text
    assert text.splitlines()[1].startswith("> mine")
