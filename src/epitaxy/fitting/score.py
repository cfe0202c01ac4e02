"""The error on rows that took no part in anything, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from epitaxy.core.seeds import generator
from epitaxy.results.bootstrap import CHUNK, LEVEL, RESAMPLES


class Score(NamedTuple):
    """A mean absolute error in physical units."""

    mae: float
    interval: tuple[float, float]
    """95 % interval of the mean error on many new crystals of the same kind."""


def group_means(values: np.ndarray, groups: Sequence[str], *, seed: int = 0) -> np.ndarray:
    """Return the means of bootstrap samples that draw whole groups, (2000,).

    Crystals of one composition are alike, so they are drawn or left together.
    """
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    sums, counts = np.bincount(group, weights=values), np.bincount(group).astype(float)
    random = generator(seed, "group bootstrap")
    n = len(sums)
    chunk = max(1, CHUNK // n)
    means = [np.zeros(0)]
    for start in range(0, RESAMPLES, chunk):
        times = random.multinomial(n, np.full(n, 1 / n), size=min(chunk, RESAMPLES - start))
        means.append((times @ sums) / (times @ counts))
    return np.concatenate(means)


def widening(n_folds: int) -> float:
    """Return the factor by which the interval is wider than the bootstrap of test rows alone.

    The errors of the folds come from models that shared most of their training rows, so their mean
    varies more than that of independent errors. Nadeau and Bengio, Mach. Learn. 52, 239 (2003),
    replace the variance s^2 / K of the mean of K folds by s^2 (1 / K + n_test / n_train), where
    n_test / n_train = 1 / (K - 1): the standard deviation grows by sqrt(1 + K / (K - 1)).

    Repeats with other folds leave it as it is. With 1 / (R K) for 1 / K it would fall (R. R.
    Bouckaert and E. Frank, PAKDD 2004), to 1.26 for R = 3, with which the intervals were measured
    to be too narrow: repeats average over folds, not over the rows (benchmarks/fit_intervals.py).

    >>> widening(5)
    1.5
    """
    return float(np.sqrt(1 + n_folds / (n_folds - 1)))


def score(errors: np.ndarray, groups: Sequence[str], n_folds: int) -> Score:
    """Return the mean of absolute errors, (n,), of all outer folds with its 95 % interval.

    The interval is that of `group_means`, stretched around the mean by `widening`.

    >>> score(np.full(10, 2.0), list("aabbccddee"), 5)
    Score(mae=2.0, interval=(2.0, 2.0))
    """
    mean = float(errors.mean())
    low, high = _stretched(group_means(errors, groups), mean, widening(n_folds))
    return Score(mean, (max(0.0, low), high))


def interval_of_new_rows(
    errors: np.ndarray, groups: Sequence[str], n_folds: int, n_new: int
) -> tuple[float, float]:
    """Return the 95 % interval of the mean error on ``n_new`` new crystals.

    It is wider than that of `score`, since a finite sample has an error of its own: the variances
    of both means add up.
    """
    mean = float(errors.mean())
    factor = float(np.sqrt(widening(n_folds) ** 2 + len(errors) / n_new))
    low, high = _stretched(group_means(errors, groups), mean, factor)
    return max(0.0, low), high


def difference(
    errors: np.ndarray, others: np.ndarray, groups: Sequence[str], n_folds: int
) -> Score:
    """Return the mean of ``errors - others`` on the same rows with its 95 % interval."""
    change = errors - others
    mean = float(change.mean())
    return Score(mean, _stretched(group_means(change, groups), mean, widening(n_folds)))


def group_error(values: np.ndarray, groups: Sequence[str]) -> float:
    """Return the standard error of the mean of (n,) values in groups (cluster-robust)."""
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    n = group.max() + 1
    sums = np.bincount(group, weights=values - values.mean())
    return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)) / len(values))


def _stretched(means: np.ndarray, mean: float, factor: float) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return mean + factor * (float(low) - mean), mean + factor * (float(high) - mean)
