"""`study_report`: means over trials, intervals, and changes against a baseline."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError
from epitaxy.core.files import atomic_file, write_text
from epitaxy.reports.numbers import cell, significant
from epitaxy.results.statistics import holm, mean_over_trials, paired_difference, rank_table
from epitaxy.studies.config import Compare
from epitaxy.studies.folder import StudyFolder
from epitaxy.studies.results import study_results

Numbers = dict[str, dict[str, float]]
"""Conditions -> values of the axes that are averaged over -> error; both as JSON."""
ABOUT = ("property", "unit")


@dataclass(frozen=True)
class StudyReport:
    """What a study says in one table."""

    folder: Path
    table: pd.DataFrame
    """One row per condition: axes, ``property``, ``unit``, ``n`` (runs), mean (named after the
    error), ``low`` and ``high`` (95 % t-interval); and against the baseline ``pairs``,
    ``change_percent`` (positive is better), ``difference`` with ``difference_low`` and
    ``difference_high``, ``p_t``, ``p_holm`` (corrected for all rows) and ``p_wilcoxon``."""
    ranks: pd.DataFrame
    """Mean rank of each value of the axes of the baseline; empty without a baseline."""


def study_report(folder: str | Path) -> StudyReport:
    """Sum up what is finished, and write ``report.md`` and ``report.csv`` into the study folder.

    Raises:
        InputError: it is not the folder of a study, its file has no ``compare``, or nothing is
            finished.
    """
    study = StudyFolder(folder)
    written = study.read()
    if written.compare is None:
        raise InputError(
            f"The study {written.name!r} does not say what to average over; add for example "
            "'compare: {over: trial}' to its file and run it again (nothing is trained twice)."
        )
    results = study_results(folder)
    results = results[results["role"] == "run"]
    if results.empty:
        raise InputError(f"The study {written.name!r} has no finished run yet.")
    labels = [labels for _, labels in written.plan.cells]
    table = summary(results, written.axes, written.compare, labels)
    ranks = mean_ranks(results, written.axes, written.compare)
    with atomic_file(study.root / "report.csv") as temporary:
        table.to_csv(temporary, index=False)
    write_text(study.root / "report.md", _page(written.name, written.compare, table, ranks))
    return StudyReport(study.root, table, ranks)


def summary(
    results: pd.DataFrame,
    axes: Sequence[str],
    compare: Compare,
    labels: Sequence[Mapping[str, Any]],
) -> pd.DataFrame:
    """Return the table of a `StudyReport`.

    Args:
        results: rows of `study_results`.
        axes: names of all axes.
        compare: what to average over and to compare with.
        labels: axis -> value of all combinations, finished or not. An axis in which the planned
            baseline has a single value is no condition of the comparison: training from scratch
            that was planned for one strategy is the baseline of all strategies.
    """
    kept = [axis for axis in axes if axis not in compare.over]
    planned = [one for one in labels if is_baseline(one, compare)]
    varied = [a for a in kept if len({_key({a: one[a]}) for one in planned}) > 1]
    of_baseline = results[[is_baseline(row, compare) for row in _rows(results)]]
    references = _numbers(of_baseline, [*varied, *ABOUT], compare)
    rows = []
    for key, values in _numbers(results, [*kept, *ABOUT], compare).items():
        condition = json.loads(key)
        mean = mean_over_trials(list(values.values()))
        low, high = mean.interval or (np.nan, np.nan)
        row = {**condition, "n": mean.n, compare.metric: mean.value, "low": low, "high": high}
        if compare.baseline:
            same = _key({name: condition[name] for name in [*varied, *ABOUT]})
            itself = is_baseline(condition, compare)
            row |= _against({} if itself else references.get(same, {}), values)
        rows.append(row)
    if compare.baseline:
        corrected = holm([row["p_t"] for row in rows])
        rows = [{**row, "p_holm": p} for row, p in zip(rows, corrected, strict=True)]
    return pd.DataFrame(rows)


def mean_ranks(results: pd.DataFrame, axes: Sequence[str], compare: Compare) -> pd.DataFrame:
    """Return the mean rank of each value of the axes of the baseline; 1 is the smallest error.

    A block is one value of each other axis, of one property. Only blocks with all values count.

    Returns:
        The axes of the baseline, ``mean_rank`` and ``blocks``, the best first.
    """
    methods_axes = [axis for axis in axes if axis in compare.baseline]
    others = [axis for axis in axes if axis not in compare.baseline]
    numbers: dict[str, dict[str, float]] = {}
    for row in _rows(results):
        block = _key({axis: row[axis] for axis in [*others, *ABOUT]})
        method = _key({axis: row[axis] for axis in methods_axes})
        numbers.setdefault(block, {})[method] = row[compare.metric]
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


def is_baseline(condition: Mapping[str, Any], compare: Compare) -> bool:
    """Tell whether a condition is the baseline itself; nothing is without one."""
    named = compare.baseline.items()
    return bool(named) and all(condition[axis] == value for axis, value in named)


def _numbers(results: pd.DataFrame, keys: Sequence[str], compare: Compare) -> Numbers:
    found: Numbers = {}
    for row in _rows(results):
        trial = _key({axis: row[axis] for axis in compare.over})
        found.setdefault(_key({key: row[key] for key in keys}), {})[trial] = row[compare.metric]
    return found


def _rows(results: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(k): v for k, v in row.items()} for row in results.to_dict("records")]


def _key(values: Mapping[str, Any]) -> str:
    return json.dumps(values, default=_plain)


def _plain(value: Any) -> Any:
    """Return a NumPy number as one of Python."""
    return value.item()


def _against(baseline: Mapping[str, float], values: Mapping[str, float]) -> dict[str, Any]:
    """Compare runs with those of the baseline with the same trial."""
    names = ("change_percent", "difference", "difference_low", "difference_high")
    nothing: dict[str, Any] = {"pairs": 0, **dict.fromkeys((*names, "p_t", "p_wilcoxon"))}
    both = [trial for trial in values if trial in baseline]
    if not both:
        return nothing
    found = paired_difference([baseline[t] for t in both], [values[t] for t in both])
    low, high = found.difference.interval or (None, None)
    numbers = (found.change_percent, found.difference.value, low, high)
    changes = dict(zip(names, numbers, strict=True))
    return {"pairs": found.n, **changes, "p_t": found.p_t, "p_wilcoxon": found.p_wilcoxon}


def _page(name: str, compare: Compare, table: pd.DataFrame, ranks: pd.DataFrame) -> str:
    over = " and ".join(compare.over)
    lines = [
        f"# {name}",
        "",
        f"`{compare.metric}` on the test part: mean over {over} with its 95 % t-interval.",
    ]
    if compare.baseline:
        named = ", ".join(f"{axis} {value}" for axis, value in compare.baseline.items())
        lines.append(
            f"`change_percent` is 100 (baseline - value) / baseline against {named}: positive is "
            "better. Differences and tests are paired; `p_holm` is the t-test corrected for all "
            "rows of the table."
        )
    lines += ["", *_markdown(table)]
    if len(ranks):
        lines += ["", "Mean rank, 1 is best:", "", *_markdown(ranks)]
    return "\n".join(lines) + "\n"


def _markdown(table: pd.DataFrame) -> list[str]:
    head = list(map(str, table.columns))
    rows = [
        [_shown(value) for value in row.values()] for row in table.astype(object).to_dict("records")
    ]
    return [_line(head), _line(["---"] * len(head)), *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(text.replace('|', chr(92) + '|') for text in cells)} |"


def _shown(value: Any) -> str:
    return significant(value) if isinstance(value, float) else cell(value)
