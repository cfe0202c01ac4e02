"""Results that are known from statements of a paper, and numbers that were rounded.

"Without transfer 613 thousand rows are needed for the error of the transfer at 180 thousand" is a
result whose error is not a number but that of another line: ``=full_transfer@180000``. "The lines
meet at 1.6 million" is ``=no_transfer``, the error of that line at the row's own size. Printed
numbers are rounded, which leaves a range of slopes even where there is no scatter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.seeds import generator
from epitaxy.results.scaling_resampling import percentiles

DRAWS = 1000
"""Draws of what rounded numbers may have been."""
REFERENCE = re.compile(
    r"=\s*(?P<name>[^@]+?)\s*(?:@\s*(?P<size>\d+\.?\d*(?:[eE]\+?\d+)?)\s*(?P<suffix>[kKM]?))?"
)
SUFFIXES = {"": 1.0, "k": 1e3, "m": 1e6}


class Reference(NamedTuple):
    """What an error that is no number refers to."""

    row: int
    text: str
    members: np.ndarray
    """(n,) bool, the results of the other line."""
    at: float | None
    """Size at which its error is meant; None for the size of the row itself."""


def stated(rows: pd.DataFrame, conditions: Sequence[str]) -> pd.DataFrame:
    """Return the rows with a number for every error that refers to another line.

    Args:
        rows: ``error`` (NaN where it refers), ``target_size``, ``property``, ``reference`` and
            the conditions.
        conditions: columns in which the name of a line may stand.

    Raises:
        InputError: no line has the name, or references go round in a circle.
    """
    references = _parsed(rows, conditions)
    sizes = rows["target_size"].to_numpy()
    return rows.assign(error=_resolved(rows["error"].to_numpy(), sizes, sizes, references))


def rounding_ranges(
    rows: pd.DataFrame, conditions: Sequence[str], keys: Sequence[str], level: float, seed: int
) -> dict[tuple[str, ...], tuple[float, float]]:
    """Return the range of alpha that rounding alone leaves, for each line against target rows.

    Every number is drawn evenly from what rounds to it, references follow, and lines are fitted
    again; the range holds percentiles.

    Args:
        rows: as for `stated`, with ``error_step`` and ``size_step``: what numbers were rounded to,
            0 for exact ones.
        conditions: columns in which the name of a line may stand.
        keys: columns that tell lines apart; their texts are the keys of the result.
        level: share of the draws in the range.
        seed: of the draws.
    """
    steps = rows[["error_step", "size_step"]].to_numpy().T
    if not steps.any():
        return {}
    random = generator(seed, "scaling/rounding")
    references = _parsed(rows, conditions)
    nominal = rows["target_size"].to_numpy()
    printed = rows["error"].where(rows["reference"] == "").to_numpy()
    names = rows[list(keys)].astype(str).apply(tuple, axis=1)
    lines = {name: (names == name).to_numpy() for name in dict.fromkeys(names)}
    lines = {name: mask for name, mask in lines.items() if len(set(nominal[mask])) > 1}
    slopes: dict[tuple[str, ...], list[float]] = {name: [] for name in lines}
    for _ in range(DRAWS):
        noise = random.uniform(-0.5, 0.5, steps.shape) * steps
        sizes = nominal + noise[1]
        errors = _resolved(printed + noise[0], sizes, nominal, references)
        for name, mask in lines.items():
            slopes[name].append(-_line(sizes[mask], errors[mask])[1])
    return {name: percentiles(np.array(found), level) for name, found in slopes.items()}


def _parsed(rows: pd.DataFrame, conditions: Sequence[str]) -> list[Reference]:
    found = []
    for n, text in enumerate(map(str, rows["reference"])):
        if not text:
            continue
        match = REFERENCE.fullmatch(text)
        if match is None:
            raise InputError(
                f"The error {text!r} is neither a number nor a reference; write =LINE or "
                "=LINE@ROWS."
            )
        size = match["size"]
        at = float(size) * SUFFIXES[match["suffix"].lower()] if size else None
        found.append(Reference(n, text, _members(rows, conditions, n, match["name"]), at))
    return found


def _members(rows: pd.DataFrame, conditions: Sequence[str], n: int, name: str) -> np.ndarray:
    """Return which rows belong to the line of a name, as seen from row ``n``."""
    named = np.zeros(len(rows), dtype=bool)
    for condition in conditions:
        named |= (rows[condition] == name).to_numpy()
    if not named.any():
        there = {value for condition in conditions for value in rows[condition] if value}
        raise unknown("line", name, there)
    # Both lines agree in the property, and in all conditions in which they can.
    for column in ("property", *conditions):
        same = (rows[column] == rows[column].iloc[n]).to_numpy()
        if column == "property" or (named & same).any():
            named &= same
    return named


def _resolved(
    errors: np.ndarray, sizes: np.ndarray, nominal: np.ndarray, references: list[Reference]
) -> np.ndarray:
    """Return errors in which references are worked out, from those that need no other ones on."""
    errors = errors.copy()
    waiting = references
    while waiting:
        for one in waiting:
            own = sizes[one.row]
            known = errors[one.members], sizes[one.members], nominal[one.members]
            errors[one.row] = _error(*known, own=own, at=one.at)
        left = [one for one in waiting if np.isnan(errors[one.row])]
        if len(left) == len(waiting):
            raise InputError(
                f"{left[0].text!r} cannot be worked out: its line has no result at that size and "
                "not two results with known errors; give one of them as a number."
            )
        waiting = left
    return errors


def _error(
    errors: np.ndarray, sizes: np.ndarray, nominal: np.ndarray, *, own: float, at: float | None
) -> float:
    """Return the error of a line at a size, NaN as long as it is not known."""
    if at is not None:
        here = np.isclose(nominal, at, rtol=1e-9)
        if here.any():
            return float(np.exp(np.log(errors[here]).mean()))
    if not np.isfinite(errors).all() or len(set(nominal)) < 2:
        return np.nan
    intercept, slope = _line(sizes, errors)
    return float(np.exp(intercept + slope * np.log(own if at is None else at)))


def _line(sizes: np.ndarray, errors: np.ndarray) -> tuple[float, float]:
    """Return intercept and slope through all points; printed results have one per size."""
    x, y = np.log(sizes), np.log(errors)
    dx = x - x.mean()
    slope = float(dx @ y / (dx @ dx))
    return float(y.mean()) - slope * float(x.mean()), slope
