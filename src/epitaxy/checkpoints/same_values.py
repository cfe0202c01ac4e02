"""Whether labels are values that a model has learned, in whatever unit or on whatever scale."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from epitaxy.core.seeds import generator
from epitaxy.graphs.ragged import ranges

EQUAL = 1e-3
"""Values of one property from two tables differ by rounding."""
ENOUGH, MANY = 5, 10
"""So many equal values are needed to tell in which unit, or on which scale, they are."""
LINES = 200
"""Lines that are tried; one through two points of a majority comes up in a few of them."""
BULK = (0.25, 0.75)
"""Quantiles between which half of the values lie; extremes must not widen what is equal."""

Values = tuple[np.ndarray, np.ndarray]
"""Composition keys, ascending, and the value of each, (n,) uint32 and (n,) float32."""


def same_values(keys: np.ndarray, labels: np.ndarray, learned: Values) -> np.ndarray:
    """Tell which rows have a learned value of their composition, (n,) bool.

    Zeros are too common to tell anything. A unit or a scale counts if it makes more than half of
    the values equal to learned ones, and at least `ENOUGH` or `MANY`.

    Args:
        keys: (n,) uint32 of compositions.
        labels: (n,) values.
        learned: what was learned.
    """
    first, last = (np.searchsorted(learned[0], keys, side) for side in ("left", "right"))
    usable = np.isfinite(labels) & (labels != 0) & (last > first)
    counts = (last - first)[usable]
    row = np.repeat(np.flatnonzero(usable), counts)
    there = learned[1][ranges(first[usable], counts)].astype(float)
    row, there = row[there != 0], there[there != 0]
    here = labels[row]
    same = _rows(row, np.abs(there / here - 1) <= EQUAL, len(keys))
    known = len(np.unique(row))
    for enough, near in _relations(there, here) if known >= ENOUGH else ():
        found = _rows(row, near, len(keys))
        if int(found.sum()) >= enough and 2 * int(found.sum()) > known:
            same |= found
    return same


def _rows(row: np.ndarray, near: np.ndarray, n: int) -> np.ndarray:
    found = np.zeros(n, dtype=bool)
    found[row[near]] = True
    return found


def _relations(there: np.ndarray, here: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield which pairs of values agree in a unit or on a scale, and how many make it believed.

    A unit is a factor. A scale is one of `_scales` with any factor and origin, which takes in
    logarithms to any base, values that were standardised or brought between two limits, and both.
    """
    ratio = there / here
    factor = float(np.median(ratio))
    yield ENOUGH, np.abs(ratio - factor) <= EQUAL * abs(factor)
    for x, y in _scales(there, here):
        yield MANY, _near_a_line(x, y)


def _scales(there: np.ndarray, here: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield learned values and labels on scales where they may lie on a line."""
    yield there, here
    for scale, lowest in ((np.log, 0.0), (np.log1p, -1.0)):
        if there.min() > lowest:
            yield scale(there), here
        if here.min() > lowest:
            yield there, scale(here)


def _near_a_line(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return which points lie on the line, of many through two of them, that has most; (n,) bool.

    Fischler and Bolles, Commun. ACM 24, 381 (1981).
    """
    low, high = np.quantile(y, BULK)
    one, other = generator(0, "lines").integers(len(x), size=(2, LINES))
    apart = x[one] != x[other]
    one, other = one[apart], other[apart]
    slopes = (y[other] - y[one]) / (x[other] - x[one])
    best = np.zeros(len(x), dtype=bool)
    for start, slope in zip(one, slopes, strict=True):
        near = np.abs(y - y[start] - slope * (x - x[start])) <= EQUAL * (high - low)
        if slope and near.sum() > best.sum():
            best = near
    return best
