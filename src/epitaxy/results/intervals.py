"""How sure a mean error is: the one interval that stands beside every error."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from epitaxy.core.seeds import generator

LEVEL = 0.95
"""Coverage that the intervals aim at."""

RESAMPLES = 2000
"""Bootstrap samples per interval: the ends then move by about 2 % of the width between seeds."""

CHUNK = 4_000_000
"""Numbers drawn at a time, so that long tables need little memory."""

MANY = 2000
"""Groups above which the mean is as good as normal, and nothing needs to be drawn."""

FARTHEST = 3.0
"""Most that an end may lie outside the t-interval, as a multiple of its half width."""


class Score(NamedTuple):
    """A mean absolute error, or a difference of two, in physical units."""

    mae: float
    interval: tuple[float, float]
    """95 % interval of the mean error on many new crystals of the same kind; endless with a single
    group, of which nothing can be told."""

    @property
    def known(self) -> tuple[float, float] | None:
        """The interval, None where it is endless."""
        return self.interval if np.isfinite(self.interval).all() else None


def score(
    errors: np.ndarray, groups: Sequence[str] | None = None, n_folds: int | None = None
) -> Score:
    """Return the mean of absolute errors with its 95 % interval.

    Source: the studentised bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
    Section 12.5) over groups. With m the mean over the n rows of G groups and s its standard error
    (`group_error`), samples draw G whole groups and give t = (m* - m) / s*; the interval goes from
    m - q(97.5 %) s to m - q(2.5 %) s, where q are quantiles of t. Unlike quantiles of m* it holds
    the mean of skewed errors of few groups as often as it says (`tests/results/test_intervals.py`);
    it reaches at most `FARTHEST` times as far as the t-interval with G - 1 degrees of freedom.

    Args:
        errors: (n,) absolute errors in physical units.
        groups: (n,) what is drawn together, since crystals of one composition (say) have similar
            errors; single rows when left out.
        n_folds: folds of the cross-validation from which the errors come, which makes the interval
            wider (`widening`); None where one model predicted all rows.

    >>> score(np.full(10, 2.0), list("aabbccddee"), 5)
    Score(mae=2.0, interval=(2.0, 2.0))
    """
    found = _mean(errors, groups, widening(n_folds))
    return Score(found.mae, (max(0.0, found.interval[0]), found.interval[1]))


def difference(
    errors: np.ndarray,
    others: np.ndarray,
    groups: Sequence[str] | None = None,
    n_folds: int | None = None,
) -> Score:
    """Return the mean of ``errors - others`` on the same rows with its 95 % interval.

    Arguments as those of `score`; the errors of one row go together.
    """
    return _mean(errors - others, groups, widening(n_folds))


def interval_of_new_rows(
    errors: np.ndarray, groups: Sequence[str] | None, n_folds: int | None, n_new: int
) -> tuple[float, float]:
    """Return the 95 % interval of the mean error on ``n_new`` new crystals.

    It is wider than that of `score`, since a finite sample has an error of its own: the variances
    of both means add up.
    """
    factor = float(np.sqrt(widening(n_folds) ** 2 + len(errors) / n_new))
    low, high = _mean(errors, groups, factor).interval
    return max(0.0, low), high


def widening(n_folds: int | None) -> float:
    """Return the factor by which the interval is wider than the bootstrap of test rows alone.

    The errors of the folds come from models that shared most of their training rows, so their mean
    varies more than that of independent errors. Nadeau and Bengio, Mach. Learn. 52, 239 (2003),
    replace the variance s^2 / K of the mean of K folds by s^2 (1 / K + n_test / n_train), where
    n_test / n_train = 1 / (K - 1): the standard deviation grows by sqrt(1 + K / (K - 1)).

    Repeats with other folds leave it as it is. With 1 / (R K) for 1 / K it would fall (R. R.
    Bouckaert and E. Frank, PAKDD 2004), to 1.26 for R = 3, with which the intervals were measured
    to be too narrow: repeats average over folds, not over the rows (benchmarks/fit_intervals.py).

    >>> widening(5), widening(None)
    (1.5, 1.0)
    """
    return 1.0 if n_folds is None else float(np.sqrt(1 + n_folds / (n_folds - 1)))


def group_error(values: np.ndarray, groups: Sequence[str] | None = None) -> float:
    """Return the standard error of the mean of (n,) values in groups (cluster-robust)."""
    sums, _ = _sums(values - values.mean(), groups)
    n = len(sums)
    return float(np.sqrt((sums**2).sum() * n / max(n - 1, 1)) / len(values))


def _mean(values: np.ndarray, groups: Sequence[str] | None, factor: float) -> Score:
    """Return the mean of (n,) values, its interval stretched by a factor."""
    mean = float(values.mean())
    residuals, counts = _sums(values - mean, groups)
    if len(counts) < 2:
        return Score(mean, (-np.inf, np.inf))
    error = group_error(values, groups)
    # Equal values vary by the rounding of their mean; that is no spread.
    if error <= 1e-12 * np.abs(values).max():
        return Score(mean, (mean, mean))
    low, high = _quantiles(residuals, counts)
    return Score(mean, (mean - factor * high * error, mean - factor * low * error))


def _sums(values: np.ndarray, groups: Sequence[str] | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the sum and the number of values of each group, (G,) each."""
    if groups is None:
        return values, np.ones(len(values))
    _, group = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    return np.bincount(group, weights=values), np.bincount(group).astype(float)


def _quantiles(residuals: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """Return the outer quantiles of (m* - m) / s* over samples of groups.

    Args:
        residuals: (G,) sums of ``value - m`` of the groups.
        counts: (G,) sizes of the groups.
    """
    from scipy.special import stdtrit

    n = len(counts)
    quantile = float(stdtrit(n - 1, (1 + LEVEL) / 2))
    if n > MANY:
        return -quantile, quantile
    products = np.stack([residuals**2, residuals * counts, counts**2], axis=1)
    smallest = 1e-12 * products[:, 0].max()
    most = FARTHEST * quantile
    random = generator(0, "group bootstrap")
    chunk = max(1, CHUNK // n)
    found = []
    for start in range(0, RESAMPLES, chunk):
        times = random.multinomial(n, np.full(n, 1 / n), size=min(chunk, RESAMPLES - start))
        size = times @ counts
        change = (times @ residuals) / size
        a, b, c = (times @ products).T
        squares = (a - 2 * change * b + change**2 * c) * n / (n - 1)
        # A sample of equal groups has no spread; how far off its mean is, cannot be told.
        spread = np.sqrt(np.where(squares > smallest, squares, np.nan)) / size
        found.append(np.where(np.isnan(spread), np.sign(change) * most, change / spread))
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.clip(np.concatenate(found), -most, most), [tail, 1 - tail])
    return float(low), float(high)
