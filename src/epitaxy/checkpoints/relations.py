"""How labels relate to values that a model has learned of the same materials."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

import numpy as np
from scipy.stats import rankdata

from epitaxy.core.seeds import generator
from epitaxy.graphs.ragged import ranges

EQUAL = 1e-3
"""Relative difference that rounding leaves between two tables of one property."""
COPIED, COPIED_SHARE = 0.005, 0.15
"""Relative difference between copies of one measurement, and share of such pairs from which on two
sets of values are of one property. Two collections of measured gaps have 0.27, two computations of
the same gaps 0.46; computed against measured gaps 0.02, formation energies 0.13."""
MONOTONE = 0.94
"""Concordance from which on one set of values is a monotone function of the other, up to a few per
cent of noise. Computed against measured formation energies have 0.88, gaps 0.81."""
CORRELATED = 0.8
"""Rank correlation, or concordance, above which a property is related to another."""
TELLING = 10
"""Materials below which neither a correlation nor a scale can be told."""
FEW = 5
"""Equal pairs that it takes to believe a unit."""
UNDECIDED = 0.6
"""Concordance below which fewer materials than `TELLING` speak against the same property."""
COMPARED = 2000
"""Materials of which all pairs are compared; more would cost much and tell little."""
LINES = 200
"""Lines that are tried; one through two points of a majority comes up in a few of them."""
BULK = (0.25, 0.75)
"""Quantiles between which half of the values lie; extremes must not widen what is equal."""


class Relation(IntEnum):
    """What a model knows of a material, with respect to the property that is asked for."""

    UNKNOWN = 0
    """Nothing that tells of the property."""
    RELATED = 1
    """The value of a related property: a computed gap where measured ones are asked for."""
    SAME = 2
    """The value of the property itself, on whatever scale; also where it cannot be told."""


def relation(
    keys: np.ndarray, labels: np.ndarray, learned: np.ndarray, values: np.ndarray
) -> Relation:
    """Tell how labels relate to the learned values of the same materials.

    They are of the *same* property where one is a monotone function of the other, up to rounding
    and a few per cent of noise, or where so many are equal as only copies are; of
    a *related* one where their ranks are correlated by more than `CORRELATED`. Of fewer materials
    than `TELLING` the same is assumed unless their order says otherwise.

    Args:
        keys: (n,) of the materials of the rows.
        labels: (n,) NaN where not known.
        learned: (m,) keys of materials, ascending.
        values: (m,) what was learned of them.

    >>> keys, gaps = np.arange(20), np.linspace(0.5, 6.0, 20)
    >>> relation(keys, 1239.84 / gaps, keys, gaps).name
    'SAME'
    >>> relation(keys, np.sin(7 * gaps), keys, gaps).name
    'UNKNOWN'
    """
    row, there = _pairs(keys, labels, learned, values)
    if not len(row):
        return Relation.UNKNOWN
    here = labels[row]
    x, y = _of_materials(keys[row], there, here)
    ordered, untied = concordance(x, y)
    if len(x) < TELLING:
        consistent = abs(ordered) >= UNDECIDED or untied < len(x)
        same = _coincide(row, there, here) or consistent
        return Relation.SAME if same else Relation.UNKNOWN
    if abs(ordered) >= MONOTONE or _coincide(row, there, here):
        return Relation.SAME
    return Relation.RELATED if agreement(x, y) > CORRELATED else Relation.UNKNOWN


def agreement(x: np.ndarray, y: np.ndarray) -> float:
    """Return the larger of concordance and rank correlation, whatever their sign.

    >>> agreement(np.array([0.0, 0.0, 1.0, 2.0]), np.array([3.0, 3.0, 2.0, 1.0]))
    1.0
    """
    return max(abs(concordance(x, y)[0]), abs(rank_correlation(x, y)))


def concordance(x: np.ndarray, y: np.ndarray) -> tuple[float, int]:
    """Return Goodman and Kruskal's gamma, and the number of pairs that differ in both values.

    Ties are left out, so that rounded values and zeros do not count against a monotone relation.

    >>> concordance(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 1.0]))
    (1.0, 2)
    """
    x, y = x[:COMPARED], y[:COMPARED]
    signs = np.sign(x[:, None] - x) * np.sign(y[:, None] - y)
    untied = int(np.count_nonzero(signs))
    return (float(signs.sum() / untied) if untied else 0.0), untied // 2


def rank_correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Return Spearman's coefficient; 0 where all values of one are equal."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def _pairs(
    keys: np.ndarray, labels: np.ndarray, learned: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, each as often as there are learned values of its material, and these."""
    first, last = (np.searchsorted(learned, keys, side) for side in ("left", "right"))
    usable = np.flatnonzero(np.isfinite(labels) & (last > first))
    counts = (last - first)[usable]
    return np.repeat(usable, counts), values[ranges(first[usable], counts)].astype(float)


def _of_materials(
    keys: np.ndarray, there: np.ndarray, here: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return one learned value and one label of each material, their medians where it has more.

    Polymorphs blur a relation, so they are left out where enough other materials remain.
    """
    _, group, counts = np.unique(keys, return_inverse=True, return_counts=True)
    single = counts[group] == 1
    if single.sum() >= TELLING:
        return there[single], here[single]
    order = np.argsort(group, kind="stable")
    ends = np.cumsum(counts)[:-1]
    both = (np.split(part[order], ends) for part in (there, here))
    x, y = ([float(np.median(values)) for values in parts] for parts in both)
    return np.array(x), np.array(y)


def _coincide(row: np.ndarray, there: np.ndarray, here: np.ndarray) -> bool:
    """Tell whether so many labels are learned values as only those of one property are.

    Zeros are too common to tell anything. A unit or a scale counts where it makes more than half
    of the values equal, and at least `FEW` or `TELLING`.
    """
    usable = (there != 0) & (here != 0)
    row, there, here = row[usable], there[usable], here[usable]
    n = len(np.unique(row))

    def share(near: np.ndarray) -> float:
        return len(np.unique(row[near])) / max(n, 1)

    if n < TELLING and share(np.abs(there / here - 1) <= EQUAL):
        return True
    if n < FEW:
        return False
    ratio = there / here
    factors = (1.0, float(np.median(ratio)))
    off = [np.abs(ratio / factor - 1) for factor in factors]
    if any(share(o <= EQUAL) > 0.5 for o in off):
        return True
    if n < TELLING:
        return False
    if any(share(o <= COPIED) >= max(COPIED_SHARE, FEW / n) for o in off):
        return True
    return any(
        share(near) > 0.5 and share(near) * n >= TELLING
        for near in (_near_a_line(x, y) for x, y in _scales(there, here))
    )


def _scales(there: np.ndarray, here: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield learned values and labels on scales where they may lie on a line.

    That takes in units, logarithms to any base, powers (roots, squares, reciprocals), values that
    were standardised or brought between two limits.
    """
    yield there, here
    for scale, lowest in ((np.log, 0.0), (np.log1p, -1.0)):
        if there.min() > lowest:
            yield scale(there), here
        if here.min() > lowest:
            yield there, scale(here)
    yield np.log(np.abs(there)), np.log(np.abs(here))


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
