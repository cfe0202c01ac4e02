"""Reading tidy tables of results for scaling laws: columns, sizes, baseline, what is left out."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError, unknown
from epitaxy.results.scaling_stated import SUFFIXES, stated

ALIASES: dict[str, tuple[str, ...]] = {
    "error": ("error", "mae", "test_mae", "rmse"),
    "target_size": ("target_size", "size", "n_target", "n_train", "train_size", "rows"),
    "source_size": ("source_size", "n_source", "n_pretrain", "pretrain_size"),
    "seed": ("seed", "trial", "repeat"),
    "unit": ("unit",),
    "property": ("property", "target"),
    "model": ("model",),
    "source": ("source",),
    "strategy": ("strategy",),
    "error_step": ("error_step", "mae_step"),
    "size_step": ("size_step", "target_size_step"),
}
"""Meaning -> names of columns that have it, the likeliest first."""
NUMBERS = ("error", "target_size", "source_size")
STEPS = ("error_step", "size_step")
CONDITIONS = ("model", "source", "strategy")
"""Meanings whose values tell lines apart, beside the property."""
SCRATCH = {
    *("scratch", "from scratch", "from_scratch", "train_from_scratch"),
    *("none", "no transfer", "no_transfer", "no-transfer"),
}
"""Values of a condition that mean training without a source; in a further column, where ``none``
may be said of anything, only the others."""


@dataclass(frozen=True)
class ScalingTable:
    """Results with one row per run and columns that mean the same everywhere."""

    rows: pd.DataFrame
    """``error``, ``target_size``, ``source_size`` (NaN without a source), ``seed``, ``unit``,
    ``property`` and one column per condition; ``baseline`` tells runs from scratch. Of printed
    numbers ``error_step`` and ``size_step``, what they were rounded to (0 for exact ones), and
    ``reference``, see `scaling_stated`."""
    conditions: tuple[str, ...]
    """Columns whose values tell lines apart, without the property."""
    error_name: str
    """What the column of errors was called."""
    notes: tuple[str, ...]
    """What was left out or is worth knowing, one sentence each."""


def scaling_table(
    frame: pd.DataFrame,
    *,
    columns: Mapping[str, str] | None = None,
    by: Sequence[str] = (),
    where: Mapping[str, Sequence[str]] | None = None,
    baseline: tuple[str, str] | None = None,
) -> ScalingTable:
    """Give a table of results the names and numbers that scaling laws need.

    Args:
        frame: one row per run, texts or numbers.
        columns: meaning (a key of `ALIASES`) -> name of the column; found by its name otherwise.
        by: further columns whose values tell lines apart.
        where: column -> values that are kept.
        baseline: condition and value of runs from scratch; found by `SCRATCH` otherwise.

    Raises:
        InputError: a column or value is unknown, something that should be a size or an error is
            none, units are mixed, or a run stands twice.
    """
    chosen = _chosen_columns(frame, dict(columns or {}))
    extra = _known_columns(frame, [*by, *_axes(frame, set(chosen.values()))])
    kept = _where(frame, where or {}, {**chosen, **{name: name for name in extra}})
    notes: list[str] = []
    rows = pd.DataFrame(index=kept.index)
    errors = _texts(kept[chosen["error"]])
    rows["reference"] = errors.where(errors.str.startswith("="), "")
    kept = kept.assign(**{chosen["error"]: errors.mask(rows["reference"] != "", "")})
    for meaning in (*NUMBERS, *STEPS):
        name = chosen.get(meaning)
        rows[meaning] = np.nan if name is None else _numbers(kept[name], sizes="size" in meaning)
    rows[list(STEPS)] = rows[list(STEPS)].fillna(0.0)
    for meaning in ("seed", "unit", "property"):
        rows[meaning] = _texts(kept[chosen[meaning]]) if meaning in chosen else ""
    conditions = tuple(c for c in CONDITIONS if c in chosen) + tuple(extra)
    for name in conditions:
        rows[name] = _texts(kept[chosen.get(name, name)])
    rows["baseline"] = _baseline(rows, conditions, baseline)
    rows = _usable(rows, chosen, notes)
    rows = stated(rows, conditions)
    rows = _without_repeats(rows, kept.reindex(rows.index), conditions)
    _check_units(rows)
    _check_repeats(rows, conditions, named="seed" in chosen)
    return ScalingTable(rows.reset_index(drop=True), conditions, chosen["error"], tuple(notes))


def _chosen_columns(frame: pd.DataFrame, given: dict[str, str]) -> dict[str, str]:
    """Return meaning -> column."""
    for meaning, name in given.items():
        if meaning not in ALIASES:
            raise unknown("meaning of a column", meaning, ALIASES)
        if name not in frame.columns:
            raise unknown("column", name, map(str, frame.columns))
    taken = set(given.values())
    chosen = dict(given)
    for meaning, names in ALIASES.items():
        here = [name for name in names if name in frame.columns and name not in taken]
        if meaning not in chosen and here:
            chosen[meaning] = here[0]
            taken.add(here[0])
    for meaning, example in (("error", "mae"), ("target_size", "rows_used")):
        if meaning not in chosen:
            there = ", ".join(map(str, frame.columns)) or "none"
            raise InputError(
                f"No column has the {meaning.replace('_', ' ')} (columns: {there}); name it, for "
                f"example '{meaning}={example}'."
            )
    return chosen


def _axes(frame: pd.DataFrame, taken: set[str]) -> list[str]:
    """Return the axes of a table of `study results`: they stand between role and property."""
    names = list(map(str, frame.columns))
    if "role" not in names or "property" not in names:
        return []
    between = names[names.index("role") + 1 : names.index("property")]
    return [name for name in between if name not in taken]


def _known_columns(frame: pd.DataFrame, names: Sequence[str]) -> list[str]:
    for name in names:
        if name not in frame.columns:
            raise unknown("column", name, map(str, frame.columns))
    return [name for name in dict.fromkeys(names) if name not in CONDITIONS]


def _where(
    frame: pd.DataFrame, where: Mapping[str, Sequence[str]], chosen: Mapping[str, str]
) -> pd.DataFrame:
    """Return the rows that are wanted; of a study's table, without those of its sources."""
    kept = frame.reset_index(drop=True)
    if "role" in kept.columns:
        kept = kept[kept["role"] == "run"]
    for column, values in where.items():
        name = chosen.get(column, column)
        if name not in kept.columns:
            raise unknown("column", column, map(str, kept.columns))
        texts = _texts(kept[name])
        for value in values:
            if value not in set(texts):
                raise unknown(f"value of {name!r}", value, set(texts))
        kept = kept[texts.isin(list(values))]
    if kept.empty:
        raise InputError("The table of results has no row; give one with a row per run.")
    return kept


def _texts(column: pd.Series[Any]) -> pd.Series[str]:
    return column.map(lambda value: "" if pd.isna(value) else str(value).strip()).astype(object)


def _numbers(column: pd.Series[Any], *, sizes: bool) -> pd.Series[float]:
    return pd.Series(
        [_number(value, str(column.name), n, sizes=sizes) for n, value in column.items()],
        index=column.index,
        dtype=np.float64,
    )


def _number(value: Any, column: str, row: object, *, sizes: bool) -> float:
    """Read a number; a size may end in k or M."""
    text = "" if value is None else str(value).strip()
    if text.lower() in {"", "nan", "none", "na", "<na>", "null"}:
        return np.nan
    found = re.fullmatch(r"([-+.\deE]+|[-+]?inf)\s*([kKM]?)", text) if sizes else None
    number, suffix = found.groups() if found else (text, "")
    try:
        return float(number) * SUFFIXES[suffix.lower()]
    except ValueError as error:
        raise InputError(
            f"{text!r} in column {column!r} (row {_line(row)}) is not a number; give plain numbers"
            + (", or sizes such as 5k and 1.8M." if sizes else ".")
        ) from error


def _line(row: object) -> int:
    """Return the number of a row as people count below the header."""
    return int(str(row)) + 1


def _baseline(
    rows: pd.DataFrame, conditions: Sequence[str], given: tuple[str, str] | None
) -> pd.Series[bool]:
    if given is not None:
        name, value = given
        if name not in conditions:
            raise unknown("condition", name, conditions)
        if value not in set(rows[name]):
            raise unknown(f"value of {name!r}", value, set(rows[name]))
        return rows[name] == value
    found = pd.Series(data=False, index=rows.index)
    for name in conditions:
        meant = SCRATCH if name in CONDITIONS else SCRATCH - {"none"}
        found |= rows[name].str.lower().isin(meant)
    return found


def _usable(rows: pd.DataFrame, chosen: Mapping[str, str], notes: list[str]) -> pd.DataFrame:
    """Leave out rows without an error; refuse sizes and errors without a logarithm."""
    unknown_errors = rows["error"].isna() & (rows["reference"] == "")
    if unknown_errors.any():
        first = _line(rows.index[unknown_errors][0])
        notes.append(
            f"{int(unknown_errors.sum())} of {len(rows)} rows have no {chosen['error']} and are "
            f"left out (first: row {first})."
        )
        rows = rows[~unknown_errors]
    if rows.empty:
        raise InputError(f"No row has a value of {chosen['error']!r}; give results with errors.")
    # Without a source there are no source rows, however that is written.
    rows = rows.assign(source_size=rows["source_size"].mask(rows["baseline"]))
    for meaning in NUMBERS:
        values = rows[meaning]
        wrong = ~(np.isfinite(values) & (values > 0))
        if meaning == "source_size":
            wrong &= values.notna()
        elif meaning == "error":
            wrong &= rows["reference"] == ""
        if wrong.any():
            row = values.index[wrong][0]
            raise InputError(
                f"The {chosen[meaning]} of row {_line(row)} is {values[row]:g}, which has no place "
                "on a logarithmic axis; give finite numbers above 0, or leave such rows out."
            )
    return rows


def _without_repeats(
    rows: pd.DataFrame, origin: pd.DataFrame, conditions: Sequence[str]
) -> pd.DataFrame:
    """Let a run from scratch that a study lists under several conditions count once."""
    if "run" not in origin.columns or not rows["baseline"].any():
        return rows
    rows = rows.copy()
    scratch = rows["baseline"]
    own = rows[scratch].assign(run=origin.loc[scratch, "run"])
    for name in conditions:
        if (own.groupby("run")[name].transform("first") != own[name]).any():
            rows.loc[scratch, name] = ""
    own = rows[scratch].assign(run=origin.loc[scratch, "run"])
    repeated = own.duplicated(["run", "property", *conditions])
    return rows.drop(index=own.index[repeated])


def _check_units(rows: pd.DataFrame) -> None:
    for name, group in rows.groupby("property", sort=False):
        units = list(dict.fromkeys(group["unit"]))
        if len(units) > 1:
            listed = " and ".join(repr(unit) for unit in units[:3])
            of = f" of {name!r}" if name else ""
            raise InputError(
                f"The errors{of} have different units ({listed}); convert them to one, or keep one "
                "kind of rows."
            )


def _check_repeats(rows: pd.DataFrame, conditions: Sequence[str], *, named: bool) -> None:
    """Refuse two results of one seed: something that tells them apart was not named."""
    if not named:
        return
    repeated = rows.duplicated([*conditions, "property", "target_size", "source_size", "seed"])
    if repeated.any():
        row = rows[repeated].iloc[0]
        raise InputError(
            f"Row {_line(rows.index[repeated][0])} repeats seed {row['seed']!r} at "
            f"{row['target_size']:g} rows under the same conditions; name the columns that tell "
            "these runs apart, or keep some rows only."
        )
