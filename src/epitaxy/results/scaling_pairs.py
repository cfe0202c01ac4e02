"""Two lines against each other: at equal error, how many rows was a transfer worth?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epitaxy.results.intervals import LEVEL
from epitaxy.results.scaling import Interval, LogLine, exponential
from epitaxy.results.scaling_resampling import unbounded


@dataclass(frozen=True)
class Equal:
    """How many rows training from scratch needs for the error of the transfer at one size."""

    size: float
    """Rows of the transfer, n."""
    error: float
    """Its error there, on its line."""
    scratch_size: float
    """Rows from scratch for the same error, n'; NaN when that line does not fall."""
    interval: Interval | None
    """Of n'; None when a line has fewer than three sizes."""
    undefined: float
    """Share of draws in which the line from scratch does not fall; NaN without draws."""

    @property
    def rows(self) -> float:
        """What the transfer was worth, n' - n; negative where it did harm."""
        return self.scratch_size - self.size

    @property
    def factor(self) -> float:
        """How many times as many rows scratch needs, n' / n."""
        return self.scratch_size / self.size


@dataclass(frozen=True)
class Crossing:
    """Where two lines meet: from there on the transfer has no advantage."""

    size: float
    """NaN when the lines do not meet, or meet the other way round."""
    error: float
    interval: Interval | None
    """Of the size; None when a line has fewer than three sizes."""
    undefined: float
    """Share of draws in which the line from scratch is not the steeper one; NaN without draws."""


def equal_size(
    scratch: LogLine, transfer: LogLine, size: float, *, level: float = LEVEL, seed: int = 0
) -> Equal:
    """Return n' = exp((a_t + b_t ln n - a_s) / b_s) at n rows of the transfer.

    The interval holds percentiles over draws of both lines, which are taken for independent; where
    they share training rows or test rows it is approximate.

    >>> from epitaxy.results.scaling import fit_line
    >>> n = [100, 1000, 10000]
    >>> found = equal_size(fit_line(n, [0.8, 0.4, 0.2]), fit_line(n, [0.4, 0.2, 0.1]), 1000)
    >>> round(found.scratch_size), round(found.factor, 3)
    (10000, 10.0)
    """
    log = float(np.log(size))
    own = float(_same(_own(scratch), _own(transfer), log)[0])
    error = float(transfer.error([size])[0])
    if min(scratch.m, transfer.m) < 3:
        return Equal(size, error, own, None, np.nan)
    drawn = _same(*_draws(scratch, transfer, seed), log)
    undefined = float(np.isnan(drawn).mean())
    return Equal(size, error, own, unbounded(drawn, level), undefined)


def crossing(
    scratch: LogLine, transfer: LogLine, *, level: float = LEVEL, seed: int = 0
) -> Crossing:
    """Return ln n = (a_t - a_s) / (b_s - b_t), which means something only when b_s < b_t.

    Then the line from scratch is the steeper one: the advantage of the transfer shrinks with rows
    and is used up at n.
    """
    size = float(_meet(_own(scratch), _own(transfer))[0])
    error = float(scratch.error([size])[0]) if np.isfinite(size) else np.nan
    if min(scratch.m, transfer.m) < 3:
        return Crossing(size, error, None, np.nan)
    drawn = _meet(*_draws(scratch, transfer, seed))
    return Crossing(size, error, unbounded(drawn, level), float(np.isnan(drawn).mean()))


def _own(line: LogLine) -> np.ndarray:
    """Return (1, 2) intercept and slope."""
    return np.array([[line.intercept, line.slope]])


def _draws(scratch: LogLine, transfer: LogLine, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return scratch.draws(seed=seed, name="scratch"), transfer.draws(seed=seed, name="transfer")


def _same(scratch: np.ndarray, transfer: np.ndarray, log: float) -> np.ndarray:
    """Return (k,) n' of (k, 2) lines, NaN where the error from scratch does not fall."""
    (a_s, b_s), (a_t, b_t) = scratch.T, transfer.T
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = exponential((a_t + b_t * log - a_s) / b_s)
    return np.where(b_s < 0, sizes, np.nan)


def _meet(scratch: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Return (k,) sizes at which (k, 2) lines meet, NaN where scratch is not the steeper one."""
    (a_s, b_s), (a_t, b_t) = scratch.T, transfer.T
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = exponential((a_t - a_s) / (b_s - b_t))
    return np.where(b_s < b_t, sizes, np.nan)
