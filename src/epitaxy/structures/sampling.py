"""Subsets of a table; a larger draw with the same seed contains the smaller one."""

from __future__ import annotations

import numpy as np

from epitaxy.core.errors import InputError, unknown
from epitaxy.core.seeds import generator
from epitaxy.structures.table import StructureTable

METHODS = ("random", "weighted", "uniform")
BINS = 30


def sample(
    table: StructureTable,
    n: int,
    *,
    seed: int,
    method: str = "random",
    target: str | None = None,
) -> StructureTable:
    """Draw ``n`` rows without replacement.

    - ``random``: every row is equally likely.
    - ``weighted``: a row is drawn with the weight of its bin, see `bin_weights`.
    - ``uniform``: bins of the target take turns, so rare values are as many as common ones.

    The last two draw only from rows that have a value of ``target``.

    Raises:
        InputError: there are fewer usable rows than ``n``, or the method or target is wrong.
    """
    if method not in METHODS:
        raise unknown("sampling method", method, METHODS)
    rng = generator(seed, f"sample {method}")
    rows = np.arange(len(table))
    if method == "random":
        order = rng.permutation(rows)
    else:
        if target is None:
            raise InputError(f"Sampling {method!r} needs a target property; name one.")
        values = table.column(target)
        rows = np.flatnonzero(np.isfinite(values))
        draw = _weighted_order if method == "weighted" else _uniform_order
        order = rows[draw(values[rows], rng)]
    if not 1 <= n <= len(order):
        raise InputError(
            f"{n} rows cannot be drawn from {len(order)} usable ones; take 1 to {len(order)}."
        )
    return table.select(order[:n]).with_dropped(table.dropped)


def bin_weights(values: np.ndarray, n_bins: int = BINS) -> np.ndarray:
    """Return one weight per row, inversely proportional to the rows in its bin of ``values``.

    The bins are right-closed, of equal width, with edges ``linspace(min - 1, max, n_bins + 1)``;
    with c_b rows in bin b, every row of it weighs (1 / c_b) / sum over non-empty bins of 1 / c.
    Rows without a value weigh 0.

    >>> bin_weights(np.array([0.0, 0.0, 10.0])).round(3).tolist()
    [0.333, 0.333, 0.667]

    Args:
        values: (B,) property in physical units, NaN where not known.
        n_bins: number of bins.

    Returns:
        (B,) float64.
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    weights = np.zeros(len(values))
    bins = _bins(values[known], n_bins)
    counts = np.bincount(bins, minlength=n_bins)
    inverse = np.divide(1.0, counts, out=np.zeros(len(counts)), where=counts > 0)
    weights[known] = (inverse / inverse.sum())[bins] if len(bins) else 0.0
    return weights


def _bins(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Return the bin of each value, (B,) int from 0; the lowest edge is 1 below the minimum."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    edges = np.linspace(values.min() - 1, values.max(), n_bins + 1)
    return np.clip(np.searchsorted(edges, values, side="left") - 1, 0, n_bins - 1)


def _weighted_order(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # the largest u^(1/w) first is a weighted draw without replacement (Efraimidis and Spirakis)
    return np.argsort(-np.log(rng.random(len(values))) / bin_weights(values), kind="stable")


def _uniform_order(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shuffled = rng.permutation(len(values))
    span = values.max() - values.min()
    edges = np.linspace(values.min(), values.max(), BINS + 1)[1:-1] if span else np.zeros(0)
    bins = np.searchsorted(edges, values[shuffled], side="right")
    turn = np.zeros(len(values), dtype=np.int64)
    for one in np.unique(bins):
        members = np.flatnonzero(bins == one)
        turn[members] = np.arange(len(members))
    # within a turn the bins stand in random order: an unfinished turn favours none of them
    rank = rng.permutation(BINS)[bins]
    return np.asarray(shuffled[np.lexsort((rank, turn))])
