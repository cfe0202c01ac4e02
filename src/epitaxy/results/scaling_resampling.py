"""The same line with intervals from a cluster bootstrap: sizes are drawn with all their seeds."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.seeds import generator
from epitaxy.results.intervals import LEVEL, RESAMPLES
from epitaxy.results.scaling import Band, Interval, LogLine, SizeFor, exponential


@dataclass(frozen=True)
class ResampledLine(LogLine):
    """A `LogLine` whose intervals are percentiles over resampled sizes.

    With few sizes they are too narrow (`docs/scaling.md` has the measured coverage), since a
    resample of few points has less scatter than new points would have.
    """

    seed: int = 0

    @classmethod
    def of(cls, line: LogLine, seed: int = 0) -> ResampledLine:
        """Return the same line with other intervals."""
        return cls(**{f.name: getattr(line, f.name) for f in fields(LogLine)}, seed=seed)

    def draws(self, count: int = RESAMPLES, *, seed: int = 0, name: str = "line") -> np.ndarray:
        """Return (count, 2) intercepts and slopes of lines through resampled sizes.

        A resample with a single distinct size has no line and is drawn again.

        Raises:
            InputError: there are fewer than three sizes.
        """
        if self.m < 3:
            raise InputError(f"{self.m} sizes cannot be resampled; add a third size.")
        random = generator(seed, f"scaling/resampled/{name}")
        rows = random.integers(self.m, size=(count, self.m))
        while (single := (rows == rows[:, :1]).all(axis=1)).any():
            rows[single] = random.integers(self.m, size=(int(single.sum()), self.m))
        x, y = np.log(self.sizes)[rows], self.log_errors[rows]
        dx = x - x.mean(axis=1, keepdims=True)
        slope = (dx * y).sum(axis=1) / (dx**2).sum(axis=1)
        return np.column_stack([y.mean(axis=1) - slope * x.mean(axis=1), slope])

    def slope_interval(self, level: float = LEVEL) -> Interval | None:
        """Return percentiles of the slopes."""
        return None if self.m < 3 else percentiles(self._own[:, 1], level)

    def intercept_interval(self, level: float = LEVEL) -> Interval | None:
        """Return percentiles of the intercepts."""
        return None if self.m < 3 else percentiles(self._own[:, 0], level)

    def mean_band(self, sizes: Any, level: float = LEVEL) -> Band:
        """Return percentiles of the lines at (k,) sizes."""
        return self._band(sizes, level, np.zeros((RESAMPLES, 1)))

    def prediction_band(self, sizes: Any, level: float = LEVEL) -> Band:
        """Return percentiles of the lines plus the normal scatter of one result about them."""
        spread = self.variance + self._seed_variance()[0]
        noise = generator(self.seed, "scaling/resampled/new").standard_normal((RESAMPLES, 1))
        return self._band(sizes, level, np.sqrt(spread) * noise)

    def size_for(self, error: float, level: float = LEVEL) -> SizeFor:
        """Return the rows for an error with percentiles; lines that do not fall have no end."""
        found = super().size_for(error, level)
        if self.m < 3:
            return found
        intercept, slope = self._own.T
        with np.errstate(divide="ignore", invalid="ignore"):
            sizes = exponential((np.log(error) - intercept) / slope)
        low, high = unbounded(np.where(slope < 0, sizes, np.nan), level)
        return SizeFor(found.size, (low, high) if np.isfinite(high) else None, found.g)

    @cached_property
    def _own(self) -> np.ndarray:
        return self.draws(seed=self.seed, name="own")

    def _band(self, sizes: Any, level: float, noise: np.ndarray) -> Band:
        middle = self.error(sizes)
        if self.m < 3:
            return Band(middle, middle * np.nan, middle * np.nan)
        lines = self._own[:, :1] + self._own[:, 1:] * np.log(np.asarray(sizes, np.float64)) + noise
        tail = (1 - level) / 2
        low, high = np.quantile(lines, [tail, 1 - tail], axis=0)
        return Band(middle, exponential(low), exponential(high))


def percentiles(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the two-sided interval of (k,) draws."""
    tail = (1 - level) / 2
    # Without interpolation, which would make NaN of two infinite draws.
    low, high = np.quantile(values, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def unbounded(values: np.ndarray, level: float = LEVEL) -> Interval:
    """Return the interval of positive draws in which NaN may be anything from 0 to infinity.

    >>> unbounded(np.array([1.0, 2.0, 3.0, np.nan]), 0.4)
    (1.0, 3.0)
    >>> unbounded(np.array([1.0, np.nan, np.nan]), 0.4)
    (0.0, inf)
    """
    low = percentiles(np.where(np.isnan(values), 0.0, values), level)[0]
    return low, percentiles(np.where(np.isnan(values), np.inf, values), level)[1]
