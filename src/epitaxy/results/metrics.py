"""Errors of predictions, in physical units, with their intervals and baselines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.checksums import verified
from epitaxy.core.errors import InputError
from epitaxy.core.parsing import read_json
from epitaxy.results.intervals import difference, score
from epitaxy.results.predictions import SPLITS, known_rows, read_predictions

FILE = "metrics.json"
Metrics = dict[str, dict[str, dict[str, Any]]]
"""Split -> property -> numbers."""
SCALED = (
    "mae",
    "rmse",
    "mae_interval",
    "baseline_mae",
    "baseline_change",
    "mean_baseline_mae",
)
"""Numbers in the unit of the property."""


def metrics(
    predictions: pd.DataFrame,
    *,
    groups: Mapping[str, str] | None = None,
    n_folds: int | None = None,
    baseline: Mapping[str, float] | None = None,
    squared: bool = False,
) -> Metrics:
    """Compute what ``metrics.json`` holds: split -> property -> numbers.

    Over the n rows whose true value y is known, with predictions p and mean true value ȳ:

    - ``mae`` = Σ|p - y| / n and ``rmse`` = √(Σ(p - y)² / n), both in ``unit``;
    - ``r2`` = 1 - Σ(p - y)² / Σ(y - ȳ)², None when n < 2 or all y are equal;
    - ``n`` counts these rows, ``n_groups`` the groups in which they are. A split or property
      without any known value is left out;
    - ``mae_interval``: 95 % interval of ``mae`` (`intervals.score`), None of a single group;
    - ``baseline_mae``: mean absolute error of always predicting the median of the training values,
      and ``baseline_change``: 95 % interval of ``mae - baseline_mae``. None where no training value
      is known;
    - ``mean_baseline_mae``: that of always predicting their mean.

    Args:
        predictions: as in ``predictions.parquet``.
        groups: id -> what is drawn together, its composition say; single rows when left out.
        n_folds: see `intervals.score`.
        baseline: id -> what the constant predicts, where the split ``train`` of ``predictions``
            does not tell; of one property.
        squared: whether the training minimised squares, so that the mean is a baseline too.

    >>> from epitaxy.results.predictions import make_predictions
    >>> frame = make_predictions(ids=["a", "b"], property_name="gap", split="test",
    ...                          y_true=[1.0, 3.0], y_pred=[1.5, 3.5], unit="eV")
    >>> found = metrics(frame, baseline={"a": 2.0, "b": 2.0})["test"]["gap"]
    >>> found["mae"], found["mae_interval"], found["baseline_mae"], found["r2"]
    (0.5, [0.5, 0.5], 1.0, 0.75)
    """
    result: Metrics = {}
    for split in SPLITS:
        for name in predictions["property"].unique():
            rows = known_rows(predictions, split, name)
            if rows.empty:
                continue
            train = known_rows(predictions, "train", name)["y_true"].to_numpy()
            numbers = plain_numbers(rows)
            ids = rows["id"].tolist()
            of = None if groups is None else [groups[one] for one in ids]
            numbers["n_groups"] = len(rows if of is None else set(of))
            constant = None
            if baseline is not None:
                constant = np.array([baseline[one] for one in ids])
            elif len(train):
                constant = np.full(len(rows), np.median(train))
            numbers |= _how_sure(rows, constant, of, n_folds)
            if squared and len(train):
                mean = np.abs(rows["y_true"].to_numpy() - train.mean()).mean()
                numbers["mean_baseline_mae"] = float(mean)
            result.setdefault(split, {})[str(name)] = numbers
    return result


def read_metrics(folder: str | Path) -> Metrics:
    """Return ``metrics.json`` of a run folder.

    Where it is missing, or was written before errors had intervals, the numbers are those of
    ``predictions.parquet``, each row its own group.

    Raises:
        InputError: a file is damaged or cannot be understood.
    """
    path = verified(Path(folder) / FILE)
    try:
        found: Metrics = read_json(path) if path.is_file() else {}
        numbers = [one for properties in found.values() for one in properties.values()]
        if numbers and all("mae_interval" in one for one in numbers):
            return found
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"The file {str(path)!r} is not JSON with errors; remove it and the numbers are "
            "computed again."
        ) from error
    return metrics(read_predictions(Path(folder) / "predictions.parquet"))


def plain_numbers(rows: pd.DataFrame) -> dict[str, Any]:
    """Return ``mae``, ``rmse``, ``r2``, ``n`` and ``unit`` of rows of one property."""
    y, p = rows["y_true"].to_numpy(), rows["y_pred"].to_numpy()
    squares = float(((p - y) ** 2).sum())
    spread = float(((y - y.mean()) ** 2).sum())
    # Rounding of the mean leaves a tiny spread in a constant column, hence the range.
    defined = len(y) > 1 and float(np.ptp(y)) > 0 and spread > 0
    return {
        "mae": float(np.abs(p - y).mean()),
        "rmse": float(np.sqrt(squares / len(y))),
        "r2": 1 - squares / spread if defined else None,
        "n": len(y),
        "unit": str(rows["unit"].iloc[0]),
    }


def _how_sure(
    rows: pd.DataFrame,
    constant: np.ndarray | None,
    groups: list[str] | None,
    n_folds: int | None,
) -> dict[str, Any]:
    """Return the interval of the error, and what a constant, (n,), would have."""
    y = rows["y_true"].to_numpy()
    errors = np.abs(rows["y_pred"].to_numpy() - y)
    interval = score(errors, groups, n_folds).known
    if constant is None:
        told: dict[str, Any] = {"baseline_mae": None, "baseline_change": None}
    else:
        others = np.abs(constant - y)
        change = difference(errors, others, groups, n_folds).known
        told = {"baseline_mae": float(others.mean()), "baseline_change": change and list(change)}
    return {"mae_interval": interval and list(interval), **told}


def rescaled(numbers: Mapping[str, Any], units: float) -> dict[str, Any]:
    """Return the numbers of one property on a scale of which 1.0 is ``units`` physical units.

    >>> rescaled({"mae": 0.5, "mae_interval": [0.4, 0.6], "r2": 0.75, "n": 2, "unit": "eV"}, 2.0)
    {'mae': 0.25, 'mae_interval': [0.2, 0.3], 'r2': 0.75, 'n': 2, 'unit': '2 eV'}
    """
    changed = {
        key: [end / units for end in value] if isinstance(value, list) else value / units
        for key, value in numbers.items()
        if key in SCALED and value is not None
    }
    return {**numbers, **changed, "unit": f"{units:.6g} {numbers['unit']}".rstrip()}


def bounds_coverage(
    predictions: pd.DataFrame, split: str, property_name: str | None = None
) -> tuple[float, int] | None:
    """Tell how often the true value lies between ``y_lower`` and ``y_upper``.

    Returns:
        Fraction of the n rows that have both bounds and a true value, and n; None when n = 0.
    """
    rows = known_rows(predictions, split, property_name).dropna(subset=["y_lower", "y_upper"])
    if rows.empty:
        return None
    inside = (rows["y_lower"] <= rows["y_true"]) & (rows["y_true"] <= rows["y_upper"])
    return float(inside.mean()), len(rows)
