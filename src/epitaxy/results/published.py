"""Results of others as a table of runs: a CSV with one row per run, and rules how to read it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError, field_validator

from epitaxy.core.errors import InputError, suggestion
from epitaxy.core.parsing import read_yaml
from epitaxy.results.intervals import LEVEL
from epitaxy.results.rules import Rules
from epitaxy.results.summary import ABOUT, summary


class TableRules(Rules):
    """How a table of results is read.

    >>> TableRules(name="pairs", axes=["source", "target"], over="trial").over
    ('trial',)
    """

    name: str = Field(min_length=1)
    """Title of the report."""
    axes: tuple[str, ...] = Field(min_length=1)
    """Columns whose values are the conditions; those of ``over`` need not be named."""
    about: str = ""
    """Where the numbers come from, in words."""
    where: dict[str, Any] = Field(default_factory=dict)
    """Column -> value or list of values; other rows are left out."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Value of an axis -> what tables and figures show for it."""
    unit: str = ""
    """Column with the unit of each row, or the unit of all."""
    better: Literal["lower", "higher"] = "lower"
    """Which values of the metric are better."""
    std: str | None = None
    """Column with standard deviations, where a row is a mean of several trials."""
    trials: str | int | None = None
    """Column with their number, or one number for all; it makes 95 % t-intervals of ``std``."""

    @field_validator("axes", mode="before")
    @classmethod
    def _list(cls, axes: Any) -> Any:
        return [axes] if isinstance(axes, str) else axes

    @property
    def higher_is_better(self) -> bool:
        """Whether the metric is a score and not an error."""
        return self.better == "higher"

    @property
    def columns(self) -> tuple[str, ...]:
        """Axes with those that are averaged over."""
        return tuple(dict.fromkeys([*self.axes, *self.over]))


class Published(NamedTuple):
    """A table of results that was read by rules."""

    rules: TableRules
    rows: pd.DataFrame
    """Axes, ``property``, ``unit`` and the metric, one row per run."""
    table: pd.DataFrame
    """What `summary` returned, with the intervals of printed standard deviations."""


def read_rules(path: str | Path) -> TableRules:
    """Read the rules of a table from a YAML file.

    Raises:
        InputError: there is no such file, or keys are missing, unknown or of the wrong kind; all
            of them are named.
    """
    try:
        content = read_yaml(path)
    except (OSError, ValueError) as error:
        raise InputError(f"The file of rules {str(path)!r} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise InputError(f"The file of rules {str(path)!r} must hold lines 'key: value'.")
    try:
        return TableRules(**{str(key): value for key, value in content.items()})
    except ValidationError as error:
        sentences = [_sentence(dict(one)) for one in error.errors()]
        raise InputError(
            f"The file of rules {str(path)!r} is wrong: {' '.join(sentences)}"
        ) from error


def read_published(path: str | Path, rules: TableRules) -> Published:
    """Read a table of results.

    Args:
        path: CSV file with a header.
        rules: which columns are what.

    Raises:
        InputError: it cannot be read, columns or values of the rules are not in it, a number is
            missing, or several rows have the same values of all axes.
    """
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values=[""])
    except (OSError, ValueError) as error:
        raise InputError(
            f"The table of results {str(path)!r} cannot be read as CSV: {error}."
        ) from error
    _check_columns(frame, rules, path)
    for column, wanted in rules.where.items():
        frame = frame[_chosen(frame[column], wanted, column)]
    if frame.empty:
        raise InputError(f"No row of {str(path)!r} fits 'where'; allow more values.")
    baseline = {}
    for axis, value in rules.baseline.items():
        rows_of_it = _chosen(frame[axis], value, f"baseline.{axis}")
        # As the table has it: the text '5' is not the number 5.
        baseline[axis] = frame.loc[rows_of_it, axis].iloc[0]
    metric = pd.to_numeric(frame[rules.metric], errors="coerce")
    if metric.isna().any():
        line = int(metric.index[metric.isna()][0]) + 2
        raise InputError(
            f"The column {rules.metric!r} of {str(path)!r} has no number in line {line}; leave "
            "such rows out with 'where', or fill them in."
        )
    _check_unique(frame, rules, path)
    _check_labels(frame, rules)
    units = frame[rules.unit].fillna("") if rules.unit in frame else rules.unit
    about: dict[str, Any] = {
        "property": frame.get("property", ""),
        "unit": units,
    }
    spread = {
        str(name): _numbers(frame[name], str(name), path)
        for name in (rules.std, rules.trials)
        if name in frame
    }
    rows = frame[[*rules.columns]].assign(**about, **{rules.metric: metric}, **spread)
    for axis in rules.axes:
        rows[axis] = [rules.labels.get(str(value), value) for value in rows[axis]]
    shown = {a: rules.labels.get(str(value), value) for a, value in baseline.items()}
    rules = rules.model_copy(update={"baseline": shown})
    rows = rows.reset_index(drop=True)
    labels = [{str(k): v for k, v in row.items()} for row in rows.to_dict("records")]
    table = summary(rows, rules.columns, rules, labels)
    return Published(rules, rows, _with_spread(table, rows, rules))


def _with_spread(table: pd.DataFrame, rows: pd.DataFrame, rules: TableRules) -> pd.DataFrame:
    """Make intervals of printed standard deviations: ``mean ± t std / √n``."""
    if rules.std is None:
        return table
    from scipy.stats import t

    keys = [*(axis for axis in rules.columns if axis not in rules.over), *ABOUT]
    count = rows[rules.trials] if isinstance(rules.trials, str) else rules.trials
    n = pd.Series(count, index=rows.index)
    reach = t.ppf((1 + LEVEL) / 2, n - 1) * rows[rules.std] / np.sqrt(n)
    found = rows[keys].assign(n=n, reach=reach, std=rows[rules.std])
    merged = table.drop(columns="n").merge(found, on=keys, how="left")
    value = merged[rules.metric]
    merged = merged.assign(low=value - merged["reach"], high=value + merged["reach"])
    names = list(table.columns)
    names.insert(names.index(rules.metric) + 1, "std")
    return merged[names]


def _check_columns(frame: pd.DataFrame, rules: TableRules, path: str | Path) -> None:
    named = [(axis, "axes") for axis in rules.axes] + [(axis, "over") for axis in rules.over]
    named += [(rules.metric, "metric"), *((c, "where") for c in rules.where)]
    named += [(rules.std, "std")] if rules.std is not None else []
    named += [(rules.trials, "trials")] if isinstance(rules.trials, str) else []
    wrong = [
        f"'{key}' names the column {name!r}, which is not there.{suggestion(str(name), columns)}"
        for columns in [list(map(str, frame.columns))]
        for name, key in named
        if name not in columns
    ]
    parts = [("baseline", list(rules.baseline)), ("roles", list(rules.roles.values()))]
    wrong += [
        f"'{key}' names {name!r}, which is none of the axes.{suggestion(name, rules.columns)}"
        for key, names in parts
        for name in names
        if name not in rules.columns
    ]
    if (rules.std is None) != (rules.trials is None):
        wrong.append("'std' and 'trials' belong together; give both or none.")
    if rules.std is not None and rules.over:
        wrong.append("Rows with 'std' are means already, so 'over' must be left out.")
    if wrong:
        raise InputError(f"The rules do not fit {str(path)!r}: {' '.join(wrong)}")


def _chosen(column: pd.Series, wanted: Any, name: str) -> pd.Series:
    """Return which rows have one of the values; each of them must occur."""
    values = wanted if isinstance(wanted, list) else [wanted]
    known = {str(value): value for value in column.dropna().unique()}
    for value in values:
        if str(value) not in known:
            raise InputError(
                f"'{name}' asks for {value!r}, which does not occur; there are "
                f"{', '.join(list(known)[:12])}.{suggestion(str(value), known)}"
            )
    return column.astype(str).isin([str(value) for value in values])


def _check_unique(frame: pd.DataFrame, rules: TableRules, path: str | Path) -> None:
    keys = [*rules.columns, *([rules.unit] if rules.unit in frame else [])]
    keys += ["property"] if "property" in frame and "property" not in keys else []
    double = frame[frame.duplicated(keys, keep=False)]
    if double.empty:
        return
    first = double[keys].iloc[0].to_dict()
    same = double[(double[keys] == double[keys].iloc[0]).all(axis=1)]
    differ = [str(c) for c in frame if c not in keys and len({*map(str, same[c])}) > 1]
    raise InputError(
        f"{len(same)} rows of {str(path)!r} have the same {_words(first)}; they differ in "
        f"{', '.join(differ) or 'nothing'}: add a column to 'axes' or 'over', or choose by 'where'."
    )


def _check_labels(frame: pd.DataFrame, rules: TableRules) -> None:
    for axis in rules.axes:
        shown: dict[str, str] = {}
        for value in map(str, frame[axis].unique()):
            label = rules.labels.get(value, value)
            if label in shown:
                raise InputError(
                    f"'labels' calls both {shown[label]!r} and {value!r} of {axis!r} {label!r}; "
                    "give each a name of its own."
                )
            shown[label] = value


def _numbers(column: pd.Series, name: str, path: str | Path) -> pd.Series:
    """Return the numbers of a column that may have empty cells."""
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = column[numbers.isna() & column.notna()]
    if len(wrong):
        raise InputError(
            f"The column {name!r} of {str(path)!r} has {wrong.iloc[0]!r} in line "
            f"{int(wrong.index[0]) + 2}; give a number, or leave the cell empty."
        )
    return numbers


def _words(values: Mapping[Any, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _sentence(error: dict[str, Any]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        return f"There is no key {key!r}.{suggestion(key, list(TableRules.model_fields))}"
    if error["type"] == "missing":
        return f"The key {key!r} is missing."
    return f"{key!r} is {error['input']!r}: {error['msg']}."
