"""An error in words: how sure it is, and whether it is below that of a constant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from epitaxy.reports.numbers import interval_text, significant, with_unit

FEW = 30
"""Groups of rows below which an error is a rough figure."""
MOST_IN_WORDS = 3
"""Properties above which the errors are a table."""
NOT_BELOW = "No model beat predicting the median"
NOT_SURE = "Not clearly better than predicting the median"
OPENINGS = (NOT_BELOW, NOT_SURE)
"""How the sentences about a baseline that is not beaten begin."""


def verdict_of(numbers: Mapping[str, Any], name: str = "") -> str | None:
    """Say that a model is not better than the median by more than chance.

    Args:
        numbers: of a property, as in ``metrics.json``.
        name: of the property, where there are several.

    Returns:
        None where it is better, or there is no baseline.

    >>> verdict_of({"mae": 0.6, "baseline_mae": 0.4, "baseline_change": [0.1, 0.3], "unit": "eV"})
    'No model beat predicting the median: its mean absolute error is 0.400 eV, that of the model ...
    """
    constant, change = numbers.get("baseline_mae"), numbers.get("baseline_change")
    unit = numbers["unit"]
    if constant is None or (change is not None and change[1] < 0):
        return None
    opening = NOT_SURE if numbers["mae"] < constant else NOT_BELOW
    of, sure = f" of {name}" if name else "", ""
    if change is not None:
        sure = f" (95 % interval of the difference {interval_text(change, unit, 2)})"
    return (
        f"{opening}{of}: its mean absolute error is {with_unit(constant, unit, 3)}, that of the "
        f"model {with_unit(numbers['mae'], unit, 3)}{sure}."
    )


def error_text(numbers: Mapping[str, Any]) -> str:
    """Return an error with its interval, the number of rows and the baselines.

    >>> error_text({"mae": 0.139, "mae_interval": [0.09, 0.21], "n": 24, "n_groups": 20,
    ...             "baseline_mae": 0.16, "unit": "eV"})
    'MAE 0.139 eV (95 % interval 0.0900 to 0.210 eV; n = 24). Baseline (always predicting the
    median): 0.160 eV. Only a rough figure: 24 crystals in 20 groups.'
    """
    unit, found = numbers["unit"], numbers.get("mae_interval")
    interval = "" if found is None else f"95 % interval {interval_text(found, unit)}; "
    parts = [f"MAE {with_unit(numbers['mae'], unit, 3)} ({interval}n = {numbers['n']})."]
    median, mean = numbers.get("baseline_mae"), numbers.get("mean_baseline_mae")
    if median is not None:
        also = "" if mean is None else f" (the mean: {with_unit(mean, unit, 3)})"
        parts.append(
            f"Baseline (always predicting the median): {with_unit(median, unit, 3)}{also}."
        )
    return " ".join([*parts, *rough_figure(numbers)])


def rough_figure(numbers: Mapping[str, Any]) -> list[str]:
    """Return a sentence where an error comes from few rows, or else none."""
    n = numbers["n"]
    groups = numbers.get("n_groups", n)
    if groups >= FEW:
        return []
    several = "" if groups == n else f" in {groups} groups"
    return [f"Only a rough figure: {n} crystal{'s' * (n != 1)}{several}."]


def lines_of(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> list[str]:
    """Return the errors of a run in lines: first of all what is not better than the median.

    The errors of the test rows (of the validation rows, where there are none) come with intervals
    and baselines; of more than `MOST_IN_WORDS` properties as a table.

    Args:
        metrics: as in ``metrics.json``.
    """
    part = "test" if "test" in metrics else "val"
    judged = metrics.get(part, {})
    named = len(judged) > 1
    found = {name: verdict_of(numbers, name * named) for name, numbers in judged.items()}
    verdicts = {name: said for name, said in found.items() if said}
    if len(judged) > MOST_IN_WORDS:
        names = f" for {len(verdicts)} of {len(judged)} properties: {', '.join(verdicts)}."
        return [*([NOT_SURE + names] if verdicts else []), *_table(metrics, part)]
    lines = list(verdicts.values())
    lines += [f"{part:5s} {name}: {error_text(numbers)}" for name, numbers in judged.items()]
    return lines + [
        f"{other:5s} {name}: MAE {with_unit(n['mae'], n['unit'], 3)} (n = {n['n']})"
        for other in metrics
        if other != part
        for name, n in metrics[other].items()
    ]


def _table(metrics: Mapping[str, Mapping[str, Mapping[str, Any]]], part: str) -> list[str]:
    others = [other for other in metrics if other != part]
    rows = [
        {
            "property": name,
            f"{part} MAE": significant(numbers["mae"], 3),
            "95 % interval": interval_text(numbers["mae_interval"], ""),
            "median": significant(numbers["baseline_mae"], 3),
            "n": numbers["n"],
            **{f"{o} MAE": significant(metrics[o].get(name, {}).get("mae"), 3) for o in others},
            "unit": numbers["unit"],
        }
        for name, numbers in metrics[part].items()
    ]
    return pd.DataFrame(rows).to_string(index=False).splitlines()
