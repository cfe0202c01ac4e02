"""Many runs in a few numbers: means with intervals, paired differences, ranks, many tests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.results.intervals import LEVEL

ROUNDING = 1e-12
"""Relative spread of equal differences."""


@dataclass(frozen=True)
class Mean:
    """Mean of n independent numbers and its interval, in their unit."""

    n: int
    value: float
    interval: tuple[float, float] | None
    """None when n < 2."""


@dataclass(frozen=True)
class Paired:
    """How n numbers differ from those of a baseline under the same conditions, in their unit."""

    n: int
    difference: Mean
    """Of value - baseline."""
    change_percent: float | None
    """See `change_percent`, of the means."""
    p_t: float | None
    """Two-sided paired t-test; None when n < 2, or when all differences are equal and not 0."""
    p_wilcoxon: float
    """Two-sided Wilcoxon signed-rank test, 1 without any difference; never below 2 / 2^n."""


def mean_over_trials(values: Any, *, level: float = LEVEL) -> Mean:
    """Return the mean over trials and its t-interval.

    With mean m and standard deviation s (n - 1 in the denominator) the interval is
    m ± t s / √n, where t is the (1 + level) / 2 quantile of Student's t with n - 1 degrees of
    freedom. It supposes trials that are independent and about normally distributed.

    Args:
        values: (n,) finite numbers, n >= 1.
        level: coverage of the interval.

    Raises:
        InputError: there is no number, or one is not finite.

    >>> mean_over_trials([1.0, 2.0, 3.0])
    Mean(n=3, value=2.0, interval=(-0.484..., 4.484...))
    >>> mean_over_trials([5.0])
    Mean(n=1, value=5.0, interval=None)
    """
    from scipy.stats import t

    numbers = _finite(values)
    n, mean = len(numbers), float(numbers.mean())
    if n < 2:
        return Mean(n, mean, None)
    reach = float(t.ppf((1 + level) / 2, n - 1) * numbers.std(ddof=1) / np.sqrt(n))
    return Mean(n, mean, (mean - reach, mean + reach))


def change_percent(baseline: float, value: float) -> float | None:
    """Return ``100 (baseline - value) / baseline``; of errors, positive is better.

    This is the change as the papers on transfer learning print it. None when the baseline is 0.

    >>> change_percent(0.5, 0.4)
    20.0
    """
    return round(100 * (baseline - value) / baseline, 10) if baseline else None


def paired_difference(baseline: Any, values: Any, *, level: float = LEVEL) -> Paired:
    """Compare numbers with those of a baseline that were found under the same conditions.

    Args:
        baseline: (n,) one finite number per condition (trial, say), n >= 1.
        values: (n,) the numbers under the same conditions in the same order.
        level: coverage of the interval of the difference.

    Raises:
        InputError: the lengths differ, there is no number, or one is not finite.

    >>> found = paired_difference([10.0, 12.0, 11.0], [8.0, 9.0, 10.0])
    >>> found.difference.value, round(found.change_percent, 2), round(found.p_t, 4)
    (-2.0, 18.18, 0.0742)
    """
    before, after = _finite(baseline), _finite(values)
    if len(before) != len(after):
        raise InputError(
            f"{len(after)} numbers cannot be paired with {len(before)} of the baseline; give one "
            "of each per condition."
        )
    difference = after - before
    return Paired(
        n=len(difference),
        difference=mean_over_trials(difference, level=level),
        change_percent=change_percent(float(before.mean()), float(after.mean())),
        p_t=_p_t(difference),
        p_wilcoxon=_p_wilcoxon(difference),
    )


def _p_t(difference: np.ndarray) -> float | None:
    from scipy.stats import ttest_1samp

    if not difference.any():
        return 1.0
    # Equal differences vary by the rounding of what was subtracted; that is no spread.
    if len(difference) < 2 or np.ptp(difference) <= ROUNDING * np.abs(difference).max():
        return None
    return float(ttest_1samp(difference, 0.0).pvalue)


def _p_wilcoxon(difference: np.ndarray) -> float:
    from scipy.stats import wilcoxon

    # Pairs without a difference say nothing about its sign (Wilcoxon's own treatment).
    decided = difference[difference != 0]
    return float(wilcoxon(decided).pvalue) if len(decided) else 1.0


def rank_table(values: Any) -> np.ndarray:
    """Return the ranks of methods under each condition; 1 is the smallest number.

    Equal numbers share the mean of their ranks. A number that is not known leaves its whole
    condition out (NaN), since ranks among fewer methods are not comparable.

    Args:
        values: (conditions, methods), NaN where not known.

    Returns:
        (conditions, methods) float64; the mean over the first axis is the mean rank.

    >>> rank_table([[0.3, 0.1, 0.2], [0.5, 0.5, 0.9]]).tolist()
    [[3.0, 1.0, 2.0], [1.5, 1.5, 3.0]]
    """
    from scipy.stats import rankdata

    table = np.atleast_2d(np.asarray(values, dtype=np.float64))
    ranks = np.full(table.shape, np.nan)
    known = np.isfinite(table).all(axis=1)
    if known.any():
        ranks[known] = rankdata(table[known], axis=1)
    return ranks


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct p values of several tests by Holm's step-down method.

    With the m known values in rising order, the k-th (from 0) becomes the largest of
    (m - j) p_j over j <= k, at most 1. None stays None and does not count.

    >>> holm([0.01, 0.04, None, 0.03])
    [0.03, 0.06, None, 0.06]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[place] = largest
    return corrected


def _finite(values: Any) -> np.ndarray:
    numbers = np.asarray(values, dtype=np.float64).ravel()
    if not len(numbers) or not np.isfinite(numbers).all():
        raise InputError("A mean needs at least one number, and finite ones; leave the others out.")
    return numbers
