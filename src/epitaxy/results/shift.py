"""How far one sample is from another: the central moment discrepancy (CMD).

W. Zellinger et al., Int. Conf. on Learning Representations (2017), arXiv:1702.08811; used as here
by R. Chang, Y.-X. Wang and E. Ertekin, npj Comput. Mater. 8, 242 (2022).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.seeds import generator
from epitaxy.results.intervals import LEVEL

ORDERS = 50
"""Highest order of the central moments (Chang 2022)."""

Distance = Callable[[np.ndarray, np.ndarray], float]


def central_moment_discrepancy(
    x: np.ndarray, y: np.ndarray, *, orders: int = ORDERS, low: float = 0.0, high: float = 1.0
) -> float:
    """Return the CMD of two samples whose values lie in [low, high].

    With K orders and c_r the vector of r-th central moments per coordinate, E[(x - E[x])^r]:

        CMD = |E[x] - E[y]| / (high - low) + sum over r = 2 ... K of
              |c_r(x) - c_r(y)| / (high - low)^r

    where |.| is the Euclidean norm. It is 0 for equal samples and has no unit. Two finite samples
    of one distribution differ by chance, so it is too large by an amount that falls with the
    numbers of rows (see `shift_interval`).

    Args:
        x: (n, F), or (n,) for one coordinate.
        y: (m, F) or (m,).
        orders: K, the number of orders that are summed.
        low: smallest value that is possible.
        high: largest value that is possible.

    Raises:
        InputError: a sample is empty or leaves [low, high], the widths differ, or ``orders`` or
            the interval is impossible.

    >>> central_moment_discrepancy(np.array([0.0, 0.5]), np.array([0.5, 1.0]))
    0.5
    """
    if orders < 1:
        raise InputError(f"orders={orders} is not allowed; the CMD needs at least 1 order.")
    if not low < high:
        raise InputError(f"The interval [{low:g}, {high:g}] is empty; low must be below high.")
    one, two = (_sample(values, low, high) for values in (x, y))
    if one.shape[1] != two.shape[1]:
        raise InputError(
            f"The samples have {one.shape[1]} and {two.shape[1]} columns; compare features of one "
            "kind."
        )
    scale = (high - low) ** np.arange(1, orders + 1)
    difference = _moments(one, orders) - _moments(two, orders)
    return float((np.linalg.norm(difference, axis=1) / scale).sum())


def feature_shift(source: np.ndarray, target: np.ndarray, *, orders: int = ORDERS) -> float:
    """Return the CMD of the sigmoids of two samples of crystal features.

    Args:
        source: (n, F), any real numbers.
        target: (m, F), features of the same extractor.
        orders: see `central_moment_discrepancy`.

    Raises:
        InputError: a sample is empty or not finite, or the widths differ.

    >>> feature_shift(np.zeros((5, 2)), np.zeros((3, 2)))
    0.0
    """
    return central_moment_discrepancy(_sigmoid(source), _sigmoid(target), orders=orders)


def label_shift(source: np.ndarray, target: np.ndarray, *, orders: int = ORDERS) -> float:
    """Return the CMD of the sigmoids of two samples of labels, each standardised by itself.

    Mean, spread and unit thus play no part: what is compared is the shape of the distributions.
    The standard deviation is the sample one (n - 1); labels that are all equal become 0.

    Args:
        source: (n,) on the scale on which they are learned.
        target: (m,) likewise; the unit may be another one.
        orders: see `central_moment_discrepancy`.

    Raises:
        InputError: a sample is empty or not finite.

    >>> round(label_shift(np.array([1.0, 2.0, 4.0]), np.array([10.0, 20.0, 40.0])), 12)
    0.0
    """
    return central_moment_discrepancy(
        _sigmoid(_standardised(source)), _sigmoid(_standardised(target)), orders=orders
    )


def shift_interval(
    distance: Distance,
    source: np.ndarray,
    target: np.ndarray,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """Return a 95 % bootstrap interval of a distance; crystals are drawn anew with replacement.

    With d the distance of the samples and q the quantiles of the distance of resamples, it goes
    from 2 d - q(97.5 %) to 2 d - q(2.5 %), at least 0 (the basic bootstrap). Chance makes samples
    and resamples more distant than the distributions are; this form takes that off, hence d may
    lie above the interval. The interval of quantiles itself never covers a distance near 0.

    Args:
        distance: `feature_shift` or `label_shift`.
        source: (n, ...) one row per crystal.
        target: (m, ...) likewise.
        resamples: how often both samples are drawn.
        seed: the same seed gives the same interval.

    Raises:
        InputError: ``resamples`` is below 2, or as ``distance``.

    >>> shift_interval(feature_shift, np.zeros((5, 2)), np.zeros((3, 2)), resamples=10)
    (0.0, 0.0)
    """
    if resamples < 2:
        raise InputError(f"resamples={resamples} is not allowed; an interval needs at least 2.")
    measured = distance(source, target)
    random = generator(seed, "shift")
    found = [
        distance(*(s[random.integers(len(s), size=len(s))] for s in (source, target)))
        for _ in range(resamples)
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return max(float(2 * measured - high), 0.0), max(float(2 * measured - low), 0.0)


def _sample(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a sample as (n, F) float64."""
    sample = np.asarray(values, dtype=np.float64)
    sample = sample[:, None] if sample.ndim == 1 else sample
    if sample.ndim != 2 or sample.size == 0:
        raise InputError(
            f"A sample of shape {np.shape(values)} has no CMD; give at least one row, (n,) or "
            "(n, F)."
        )
    if not np.isfinite(sample).all():
        raise InputError("A sample holds values that are not finite; leave these rows out.")
    least, most = float(sample.min()), float(sample.max())
    if least < low or most > high:
        raise InputError(
            f"The sample goes from {least:g} to {most:g}, outside [{low:g}, {high:g}]; map it into "
            "the interval, or give its true bounds."
        )
    return sample


def _moments(sample: np.ndarray, orders: int) -> np.ndarray:
    """Return (orders, F): the mean, then the central moments of order 2, 3, ..."""
    mean = sample.mean(axis=0)
    moments = np.empty((orders, sample.shape[1]))
    moments[0] = mean
    centred = sample - mean
    power = centred.copy()
    for row in range(1, orders):
        power *= centred
        moments[row] = power.mean(axis=0)
    return moments


def _sigmoid(values: np.ndarray) -> np.ndarray:
    # By the hyperbolic tangent, because the exponential function overflows.
    mapped: np.ndarray = 0.5 * (1 + np.tanh(np.asarray(values, dtype=np.float64) / 2))
    return mapped


def _standardised(labels: np.ndarray) -> np.ndarray:
    values = np.asarray(labels, dtype=np.float64)
    # A resample of few crystals may hold one value only, which has no spread to divide by.
    if len(values) == 0 or np.ptp(values) == 0:
        return np.zeros_like(values)
    scaled: np.ndarray = (values - values.mean()) / values.std(ddof=1)
    return scaled
