"""Matbench v0.1: its regression tasks on structures, file of results, published errors.

The file is what ``MatbenchBenchmark.to_file`` of the package matbench writes and reads
(Dunn et al., npj Comput. Mater. 6, 138 (2020); https://matbench.materialsproject.org).
"""

from __future__ import annotations

import gzip
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.outputs import output_file

BENCHMARK = "matbench_v0.1"
PREFIX = "matbench_"
PACKAGE_VERSION = "0.6"
"""Version of the package matbench whose layout is written."""
DATE = "%Y.%m.%d %H:%M.%S"
N_FOLDS = 5
NORMAL_95 = 1.959963984540054
"""Half width of a 95 % interval of the normal distribution in standard deviations."""
SMALLEST_TRUTH = 1e-5
"""Rows whose true value is smaller do not count in the relative error."""


@dataclass(frozen=True)
class Task:
    """A regression task on structures."""

    name: str
    column: str
    """Name of the target in the data set."""
    unit: str
    n_rows: int
    constant_errors: tuple[float, ...]
    """Published mean absolute errors of the mean of the training rows, fold by fold."""

    @property
    def ids(self) -> np.ndarray:
        """(n_rows,) official ids in the order of the data set.

        >>> find_task("phonons").ids[[0, -1]].tolist()
        ['mb-phonons-0001', 'mb-phonons-1265']
        """
        digits = math.floor(math.log10(self.n_rows)) + 1
        stem = self.name.replace("matbench", "mb").replace("_", "-")
        return np.array([f"{stem}-{i + 1:0{digits}d}" for i in range(self.n_rows)], dtype=object)


@dataclass(frozen=True)
class FoldResult:
    """Predictions of one fold; n test rows in the official order."""

    fold: int
    rows: np.ndarray
    """(n,) rows of the data set."""
    y_true: np.ndarray
    """(n,)"""
    y_pred: np.ndarray
    """(n,)"""
    std: np.ndarray | None = None
    """(n,) standard deviations of the predictions."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What was chosen in this fold: texts, numbers, and lists of them."""

    @property
    def scores(self) -> dict[str, float]:
        """The four errors of the leaderboard."""
        return fold_scores(self.y_true, self.y_pred)


@cache
def tasks() -> dict[str, Task]:
    """Return all tasks by name."""
    table = pd.read_csv(str(files("epitaxy") / "results" / "matbench_tasks.csv"))
    constants = [f"constant_{fold}" for fold in range(N_FOLDS)]
    return {
        row["task"]: Task(
            name=row["task"],
            column=row["column"],
            unit="" if pd.isna(row["unit"]) else row["unit"],
            n_rows=int(row["rows"]),
            constant_errors=tuple(float(row[name]) for name in constants),
        )
        for row in table.to_dict("records")
    }


def find_task(name: str) -> Task:
    """Return the task called ``matbench_NAME`` or ``NAME``.

    Raises:
        InputError: there is no such regression task on structures.
    """
    full = PREFIX + name.removeprefix(PREFIX)
    if full not in tasks():
        raise unknown("regression task of Matbench with structures", name, tasks())
    return tasks()[full]


def official_values(task: Task, values: np.ndarray, test_rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the labels of a table in the units of the task, or refuse them.

    Predicting the mean of the training rows has a published error in each of the five folds, which
    only the right labels in the right order and units repeat. Their natural logarithms are
    recognised, too.

    Args:
        task: the task.
        values: (n_rows,) labels in the order of the table.
        test_rows: rows of each of the five test parts.

    Raises:
        InputError: the labels are not those of the task.
    """
    with np.errstate(over="ignore"):
        candidates = (values, np.exp(values))
    for labels in candidates:
        found = _constant_errors(labels, test_rows)
        if np.allclose(found, task.constant_errors, rtol=1e-4):
            return labels
    told = ", ".join(f"{x:.4g}" for x in _constant_errors(values, test_rows))
    wanted = ", ".join(f"{x:.4g}" for x in task.constant_errors)
    raise InputError(
        f"These are not the labels of {task.name} in the official order and unit: the mean of the "
        f"training rows has the errors {told} in the five folds, published are {wanted}; give "
        f"'matminer:{task.name}' or a table made of it, column {task.column!r}."
    )


def _constant_errors(values: np.ndarray, test_rows: Sequence[np.ndarray]) -> list[float]:
    errors = []
    for rows in test_rows:
        training = np.delete(values, rows)
        errors.append(float(np.abs(values[rows] - training.mean()).mean()))
    return errors


def fold_scores(y_true: np.ndarray, y_pred: np.ndarray) -> dict[str, float]:
    """Return ``mae``, ``rmse``, ``mape`` (of rows above `SMALLEST_TRUTH`) and ``max_error``.

    >>> fold_scores(np.array([1.0, 2.0]), np.array([1.5, 2.0]))["mape"]
    0.25
    """
    error = np.abs(y_true - y_pred)
    large = np.abs(y_true) > SMALLEST_TRUTH
    relative = error[large] / np.abs(y_true[large])
    return {
        "mae": float(error.mean()),
        "rmse": float(np.sqrt((error**2).mean())),
        "mape": float(relative.mean()) if large.any() else 0.0,
        "max_error": float(error.max()),
    }


def record(
    task: Task, results: Sequence[FoldResult], metadata: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the content of the file for one task of which all folds are done.

    Args:
        task: the task.
        results: the five folds.
        metadata: what should be known of the method: texts and numbers.
    """
    done = {result.fold: result for result in results}
    assert sorted(done) == list(range(N_FOLDS))
    content = {
        "@module": "matbench.bench",
        "@class": "MatbenchBenchmark",
        "version": PACKAGE_VERSION,
        "benchmark_name": BENCHMARK,
        "datestamp": datetime.now(UTC).strftime(DATE),
        "user_metadata": dict(metadata),
        "tasks": {
            task.name: {
                "@module": "matbench.task",
                "@class": "MatbenchTask",
                "benchmark_name": BENCHMARK,
                "dataset_name": task.name,
                "results": {f"fold_{k}": _fold(task, done[k]) for k in range(N_FOLDS)},
            }
        },
    }
    return {**content, "hash": record_hash(content)}


def _fold(task: Task, result: FoldResult) -> dict[str, Any]:
    ids = task.ids[result.rows]
    uncertainty = None
    if result.std is not None:
        width = NORMAL_95 * result.std
        bounds = zip(ids, result.y_pred - width, result.y_pred + width, result.std, strict=True)
        uncertainty = {
            name: {"ci_lower": float(low), "ci_upper": float(high), "std": float(std)}
            for name, low, high, std in bounds
        }
    return {
        "data": {name: float(p) for name, p in zip(ids, result.y_pred, strict=True)},
        "uncertainty": uncertainty,
        "parameters": dict(result.parameters),
        "scores": result.scores,
    }


def record_hash(content: Mapping[str, Any]) -> str:
    """Return the checksum of the package matbench: SHA-256 of the JSON with sorted keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def write_record(path: str | Path, content: Mapping[str, Any]) -> None:
    """Write a record as ``.json.gz``, all or nothing."""
    text = json.dumps(content, allow_nan=False).encode()
    with output_file(path) as temporary:
        temporary.write_bytes(gzip.compress(text, mtime=0))


def leaderboard(task: Task) -> pd.DataFrame:
    """Return published errors of a task: ``algorithm``, ``mae``, ``std`` over folds, best first.

    Source: the leaderboard of Matbench v0.1, as of November 2026.
    """
    table = pd.read_csv(str(files("epitaxy") / "results" / "matbench_leaderboard.csv"))
    rows = table[table["task"] == task.name].drop(columns="task")
    return rows.sort_values("mae", kind="stable", ignore_index=True)


def beside_leaderboard(task: Task, name: str, errors: Sequence[float]) -> str:
    """Return the leaderboard as text with one line more, marked by ``>``.

    A mean over fewer than five folds has no place among means over five, and stands above them.

    Args:
        task: the task.
        name: how the line is called.
        errors: mean absolute errors of folds.
    """
    mean, std = float(np.mean(errors)), float(np.std(errors))
    own = pd.DataFrame([{"algorithm": name, "mae": mean, "std": std, "mark": ">"}])
    board = leaderboard(task).assign(mark=" ")
    rows = pd.concat([own, board], ignore_index=True)
    complete = len(errors) == N_FOLDS
    if complete:
        rows = rows.sort_values("mae", kind="stable")
    unit = f" ({task.unit})" if task.unit else ""
    over = "five official folds" if complete else f"{len(errors)} of 5 folds: not comparable"
    width = max(map(len, rows["algorithm"]))
    digits = 2 if mean >= 1 else 4
    lines = [f"{task.name}: MAE{unit}, mean ± standard deviation; '>' is over {over}"]
    lines += [
        f"{r.mark} {r.algorithm:{width}s}  {r.mae:.{digits}f} ± {r.std:.{digits}f}"
        for r in rows.itertuples()
    ]
    return "\n".join(lines)
