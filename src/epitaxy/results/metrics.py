"""Errors of predictions, in physical units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.results.intervals import score
from epitaxy.results.predictions import SPLITS, known_rows


def metrics(predictions: pd.DataFrame) -> dict[str, dict[str, dict[str, Any]]]:
    """Compute what ``metrics.json`` holds: split -> property -> numbers.

    Over the n rows whose true value y is known, with predictions p and mean true value ȳ:

    - ``mae`` = Σ|p - y| / n and ``rmse`` = √(Σ(p - y)² / n), both in ``unit``;
    - ``r2`` = 1 - Σ(p - y)² / Σ(y - ȳ)², None when n < 2 or all y are equal;
    - ``n`` counts these rows. A split or property without any known value is left out.

    >>> from epitaxy.results.predictions import make_predictions
    >>> frame = make_predictions(ids=["a", "b"], property_name="gap", split="test",
    ...                          y_true=[1.0, 3.0], y_pred=[1.5, 3.5], unit="eV")
    >>> metrics(frame)
    {'test': {'gap': {'mae': 0.5, 'rmse': 0.5, 'r2': 0.75, 'n': 2, 'unit': 'eV'}}}
    """
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for split in SPLITS:
        for name in predictions["property"].unique():
            rows = known_rows(predictions, split, name)
            if len(rows):
                result.setdefault(split, {})[str(name)] = _numbers(rows)
    return result


def _numbers(rows: pd.DataFrame) -> dict[str, Any]:
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


def rescaled(numbers: Mapping[str, Any], units: float) -> dict[str, Any]:
    """Return the numbers of one property on a scale of which 1.0 is ``units`` physical units.

    >>> rescaled({"mae": 0.5, "rmse": 1.0, "r2": 0.75, "n": 2, "unit": "eV"}, 2.0)
    {'mae': 0.25, 'rmse': 0.5, 'r2': 0.75, 'n': 2, 'unit': '2 eV'}
    """
    changed = {key: numbers[key] / units for key in ("mae", "rmse")}
    return {**numbers, **changed, "unit": f"{units:.6g} {numbers['unit']}".rstrip()}


def mae_interval(
    predictions: pd.DataFrame, split: str, property_name: str | None = None
) -> tuple[float, float] | None:
    """95 % bootstrap interval of the mean absolute error, in the unit of the property.

    The crystals are drawn with replacement (see `intervals.score`): the interval says how
    much the MAE would vary with other test crystals of the same kind, not with another training.

    Returns:
        Lower and upper end, or None with fewer than two known values.

    Raises:
        InputError: the property is not in the frame.
    """
    rows = known_rows(predictions, split, property_name)
    return score((rows["y_pred"] - rows["y_true"]).abs().to_numpy()).known if len(rows) else None


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


def mean_baseline_mae(
    predictions: pd.DataFrame, split: str, property_name: str | None = None
) -> float | None:
    """MAE on ``split`` of always answering the mean of the training values.

    A model is worth something only as far as it beats this number. None when the training or the
    scored rows have no known value.
    """
    train = known_rows(predictions, "train", property_name)
    rows = known_rows(predictions, split, property_name)
    if train.empty or rows.empty:
        return None
    return float((rows["y_true"] - train["y_true"].mean()).abs().mean())
