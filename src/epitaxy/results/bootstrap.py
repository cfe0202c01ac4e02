"""Bootstrap intervals of a mean."""

from __future__ import annotations

import numpy as np

from epitaxy.core.seeds import generator

LEVEL = 0.95
"""Coverage that the intervals aim at."""

RESAMPLES = 2000
"""Bootstrap samples per interval: the ends then move by about 2 % of the width between seeds."""

CHUNK = 4_000_000
"""Numbers drawn at a time, so that long tables need little memory."""


def mean_interval(values: np.ndarray, *, seed: int = 0) -> tuple[float, float] | None:
    """Percentile bootstrap interval of the mean.

    With m_k the mean of the k-th sample of n values drawn with replacement, the interval goes
    from the 2.5 % to the 97.5 % quantile of m_1 ... m_2000.

    Args:
        values: (n,) finite numbers.
        seed: the same seed gives the same interval.

    Returns:
        Lower and upper end in the unit of ``values``, or None when n < 2.

    >>> mean_interval(np.full(5, 2.0))
    (2.0, 2.0)
    >>> mean_interval(np.ones(1)) is None
    True
    """
    n = len(values)
    if n < 2:
        return None
    random = generator(seed, "bootstrap")
    rows = max(1, CHUNK // n)
    means = [
        values[random.integers(n, size=(min(rows, RESAMPLES - start), n))].mean(axis=1)
        for start in range(0, RESAMPLES, rows)
    ]
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)
