"""Many runs in one table: a row per condition, with intervals and changes against a baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.results.rules import Rules
from epitaxy.results.statistics import (
    change_percent,
    holm,
    mean_over_trials,
    paired_difference,
    rank_table,
)

Numbers = dict[str, dict[str, float]]
"""Conditions -> values of the axes that are averaged over -> error; both as JSON."""
ABOUT = ("property", "unit")


def summary(
    results: pd.DataFrame,
    axes: Sequence[str],
    rules: Rules,
    labels: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Sum up runs, one row per condition.

    Args:
        results: one row per run with the axes, ``property``, ``unit`` and the metric.
        axes: names of all axes.
        rules: what to average over and to compare with.
        labels: axis -> value of all combinations, finished or not. An axis in which the planned
            baseline has a single value is no condition of the comparison: training from scratch
            that was planned for one strategy is the baseline of all strategies.

    Returns:
        Axes without those of ``rules.over``, ``property``, ``unit``, ``n`` (runs), the mean (named
        after the metric), ``low`` and ``high`` (95 % t-interval); and against the baseline
        ``pairs``, ``change_percent`` (positive is better), ``difference`` with ``difference_low``
        and ``difference_high``, ``p_t``, ``p_wilcoxon`` and ``p_holm`` (``p_t`` corrected for all
        rows).
    """
    kept = [axis for axis in axes if axis not in rules.over]
    planned = [one for one in labels if is_baseline(one, rules)]
    varied = [a for a in kept if len({_key({a: one[a]}) for one in planned}) > 1]
    of_baseline = results[[is_baseline(row, rules) for row in _rows(results)]]
    references = _numbers(of_baseline, [*varied, *ABOUT], rules)
    rows = []
    for key, values in _numbers(results, [*kept, *ABOUT], rules).items():
        condition = json.loads(key)
        mean = mean_over_trials(list(values.values()))
        low, high = mean.interval or (np.nan, np.nan)
        row = {**condition, "n": mean.n, rules.metric: mean.value, "low": low, "high": high}
        if rules.baseline:
            same = _key({name: condition[name] for name in [*varied, *ABOUT]})
            itself = is_baseline(condition, rules)
            row |= _against({} if itself else references.get(same, {}), values, rules)
        rows.append(row)
    if rules.baseline:
        corrected = holm([row["p_t"] for row in rows])
        rows = [{**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)]
    return pd.DataFrame(rows)


def mean_ranks(results: pd.DataFrame, axes: Sequence[str], rules: Rules) -> pd.DataFrame:
    """Return the mean rank of each value of the axes of the baseline; 1 is the best.

    A block is one value of each other axis, of one property. Only blocks with all values count.

    Returns:
        The axes of the baseline, ``mean_rank`` and ``blocks``, the best first.
    """
    methods_axes = [axis for axis in axes if axis in rules.baseline]
    others = [axis for axis in axes if axis not in rules.baseline]
    sign = -1.0 if rules.higher_is_better else 1.0
    numbers: dict[str, dict[str, float]] = {}
    for row in _rows(results):
        block = _key({axis: row[axis] for axis in [*others, *ABOUT]})
        method = _key({axis: row[axis] for axis in methods_axes})
        numbers.setdefault(block, {})[method] = sign * row[rules.metric]
    methods = list(dict.fromkeys(m for block in numbers.values() for m in block))
    if not methods_axes or len(methods) < 2:
        return pd.DataFrame()
    ranks = rank_table([[b.get(m, np.nan) for m in methods] for b in numbers.values()])
    complete = ranks[np.isfinite(ranks).all(axis=1)]
    if not len(complete):
        return pd.DataFrame()
    rows = [
        {**json.loads(method), "mean_rank": float(rank), "blocks": len(complete)}
        for method, rank in zip(methods, complete.mean(axis=0), strict=True)
    ]
    return pd.DataFrame(rows).sort_values("mean_rank", kind="stable").reset_index(drop=True)


def is_baseline(condition: Mapping[str, Any], rules: Rules) -> bool:
    """Tell whether a condition is the baseline itself; nothing is without one."""
    named = rules.baseline.items()
    return bool(named) and all(condition[axis] == value for axis, value in named)


def _numbers(results: pd.DataFrame, keys: Sequence[str], rules: Rules) -> Numbers:
    found: Numbers = {}
    for row in _rows(results):
        trial = _key({axis: row[axis] for axis in rules.over})
        found.setdefault(_key({key: row[key] for key in keys}), {})[trial] = row[rules.metric]
    return found


def _rows(results: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in results.to_dict("records")]


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, default=_plain)


def _plain(value: Any) -> Any:
    """Return a NumPy number as one of Python."""
    return value.item()


def _against(
    baseline: Mapping[str, float], values: Mapping[str, float], rules: Rules
) -> dict[str, Any]:
    """Compare runs with those of the baseline with the same trial."""
    names = ("change_percent", "difference", "difference_low", "difference_high")
    nothing: dict[str, Any] = {"pairs": 0, **dict.fromkeys((*names, "p_t", "p_wilcoxon"))}
    both = [trial for trial in values if trial in baseline]
    if not both:
        return nothing
    before, after = [baseline[t] for t in both], [values[t] for t in both]
    found = paired_difference(before, after)
    low, high = found.difference.interval or (None, None)
    change = improvement(float(np.mean(before)), float(np.mean(after)), rules.higher_is_better)
    changes = dict(zip(names, (change, found.difference.value, low, high), strict=True))
    return {"pairs": found.n, **changes, "p_t": found.p_t, "p_wilcoxon": found.p_wilcoxon}


def improvement(baseline: float, value: float, higher_is_better: bool = False) -> float | None:
    """Return the change in percent of the size of the baseline; positive is better.

    >>> improvement(0.5, 0.4), improvement(0.5, 0.6, True), improvement(-0.2, -0.1, True)
    (20.0, 20.0, 50.0)
    """
    change = change_percent(baseline, value)
    if change is None:
        return None
    return -change * float(np.sign(baseline)) if higher_is_better else change
