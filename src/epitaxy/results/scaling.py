"""Power laws of errors: straight lines of ln(error) against ln(rows), with bands and sizes.

Natural logarithms of sizes in rows and of errors in their unit. A line ln E = a + b ln n is the
law E = A n^-alpha with A = exp(a) and alpha = -b. Used for transfer between functionals by
Hoffmann, Schmidt, Botti and Marques, Digital Discovery 2, 1368 (2023); the formulas are those of
simple linear regression.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.seeds import generator
from epitaxy.results.intervals import LEVEL, RESAMPLES

Interval = tuple[float, float]


class Band(NamedTuple):
    """A law and its band at k sizes, in the unit of the errors; NaN where there is no band."""

    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray


class SizeFor(NamedTuple):
    """The rows at which a line reaches an error."""

    size: float
    interval: Interval | None
    """None when there are fewer than three sizes, or when the slope is not significant."""
    g: float
    """Fieller's g = t² s² / (b² Sxx); the interval is unbounded from 1 on. NaN when unknown."""


@dataclass(frozen=True)
class LogLine:
    """ln E = a + b ln n by least squares over m sizes.

    With x = ln n, y = ln E, r the residuals and t the quantile of Student's t with m - 2 degrees
    of freedom:

        b = Sxy / Sxx    a = mean(y) - b mean(x)    s² = sum(r²) / (m - 2)
    """

    sizes: np.ndarray
    """(m,) rows, distinct."""
    log_errors: np.ndarray
    """(m,) ln of the error; of several seeds at one size the mean, that is of the geometric
    mean of their errors."""
    counts: np.ndarray
    """(m,) results per size."""
    within: float = np.nan
    """Pooled variance of ln E between results of one size, NaN where no size has two."""

    @cached_property
    def m(self) -> int:
        """Number of sizes."""
        return len(self.sizes)

    @cached_property
    def centre(self) -> tuple[float, float]:
        """Means of x and y."""
        return float(np.log(self.sizes).mean()), float(self.log_errors.mean())

    @cached_property
    def sxx(self) -> float:
        """Sum of squares of x - mean(x)."""
        return float(((np.log(self.sizes) - self.centre[0]) ** 2).sum())

    @cached_property
    def slope(self) -> float:
        """The slope b, negative where the error falls."""
        x = np.log(self.sizes) - self.centre[0]
        return float((x * (self.log_errors - self.centre[1])).sum() / self.sxx)

    @cached_property
    def alpha(self) -> float:
        """The exponent of the law, -b."""
        return -self.slope

    @cached_property
    def intercept(self) -> float:
        """The intercept a, ln of the error at one row."""
        return self.centre[1] - self.slope * self.centre[0]

    @cached_property
    def variance(self) -> float:
        """The residual variance s², NaN with two sizes."""
        if self.m < 3:
            return np.nan
        residuals = self.log_errors - self.intercept - self.slope * np.log(self.sizes)
        return float((residuals**2).sum() / (self.m - 2))

    @cached_property
    def r2(self) -> float:
        """Share of the variance of ln E that the line explains, NaN when all are equal."""
        spread = float(((self.log_errors - self.centre[1]) ** 2).sum())
        if self.m < 3 or spread == 0:
            return np.nan
        return 1 - self.variance * (self.m - 2) / spread

    def student(self, level: float = LEVEL) -> float:
        """Return the quantile of Student's t for two-sided intervals, NaN with two sizes."""
        from scipy.stats import t

        return float(t.ppf((1 + level) / 2, self.m - 2)) if self.m > 2 else np.nan

    @cached_property
    def slope_error(self) -> float:
        """Standard error of the slope."""
        return float(np.sqrt(self.variance / self.sxx))

    @cached_property
    def intercept_error(self) -> float:
        """Standard error of the intercept."""
        return float(np.sqrt(self.variance * (1 / self.m + self.centre[0] ** 2 / self.sxx)))

    def slope_interval(self, level: float = LEVEL) -> Interval | None:
        """Return b ± t s / √Sxx, None with two sizes."""
        return self._around(self.slope, self.slope_error, level)

    def intercept_interval(self, level: float = LEVEL) -> Interval | None:
        """Return a ± t s √(1/m + mean(x)² / Sxx), None with two sizes."""
        return self._around(self.intercept, self.intercept_error, level)

    def error(self, sizes: Any) -> np.ndarray:
        """Return the error of the law at (k,) sizes."""
        return exponential(self.intercept + self.slope * np.log(np.asarray(sizes, np.float64)))

    def mean_band(self, sizes: Any, level: float = LEVEL) -> Band:
        """Return where the line itself lies: a + b x ± t s √(1/m + (x - mean(x))² / Sxx)."""
        log = np.log(np.asarray(sizes, dtype=np.float64))
        reach = self.student(level) * np.sqrt(self.variance * self._leverage(log))
        return _band(self.intercept + self.slope * log, reach)

    def prediction_band(self, sizes: Any, level: float = LEVEL) -> Band:
        """Return where a new result lies: as the mean band with 1 more under the root.

        Where sizes have several seeds, the scatter of one result about the mean of its size is
        added, with Satterthwaite's degrees of freedom for the sum of both variances.
        """
        from scipy.stats import t

        log = np.log(np.asarray(sizes, dtype=np.float64))
        between = self.variance * (1 + self._leverage(log))
        spread, free = self._seed_variance()
        with np.errstate(invalid="ignore", divide="ignore"):
            weighed = between**2 / (self.m - 2) if self.m > 2 else between * np.nan
            weighed = weighed + (spread**2 / free if free else 0.0)
            freedom = (between + spread) ** 2 / weighed
        # A law without any scatter has a band of no width.
        known = np.where(between + spread > 0, freedom, float(max(self.m - 2, 1)))
        reach = t.ppf((1 + level) / 2, known) * np.sqrt(between + spread)
        return _band(self.intercept + self.slope * log, reach)

    def size_for(self, error: float, level: float = LEVEL) -> SizeFor:
        """Return n = exp((ln E - a) / b) and where the mean band has that error (Fieller).

        With D = ln E - mean(y), the logarithms of the ends are

            mean(x) + D / (b (1 - g)) ± t s / (|b| (1 - g)) √((1 - g) / m + (D / b)² / Sxx)

        Raises:
            InputError: ``error`` is not above 0, or the line does not fall.
        """
        if not (np.isfinite(error) and error > 0):
            raise InputError(f"The wanted error {error} is not allowed; give a number above 0.")
        if self.slope >= 0:
            raise InputError(
                f"The error does not fall with the number of rows (slope {self.slope:+.3f}), so "
                "no number of rows is known to reach a wanted error; add larger sizes or seeds."
            )
        distance = float(np.log(error)) - self.centre[1]
        size = float(exponential(self.centre[0] + distance / self.slope))
        t = self.student(level)
        g = t**2 * self.variance / (self.slope**2 * self.sxx)
        if not g < 1:
            return SizeFor(size, None, float(g))
        middle = self.centre[0] + distance / (self.slope * (1 - g))
        root = np.sqrt((1 - g) / self.m + (distance / self.slope) ** 2 / self.sxx)
        half = t * np.sqrt(self.variance) / (-self.slope * (1 - g)) * root
        low, high = exponential(np.array([middle - half, middle + half]))
        return SizeFor(size, (float(low), float(high)), float(g))

    def draws(self, count: int = RESAMPLES, *, seed: int = 0, name: str = "line") -> np.ndarray:
        """Return (count, 2) intercepts and slopes that the results allow.

        s² (m - 2) / χ² stands for the variance, with χ² drawn at m - 2 degrees of freedom; given
        it, mean(y) and b are normal and independent. Quantiles of a and b are then those of the
        t-intervals, and any function of them has an interval in agreement with these.

        Raises:
            InputError: there are fewer than three sizes.
        """
        if self.m < 3:
            raise InputError(
                f"{self.m} sizes leave no scatter about the line, hence no interval; add a third "
                "size."
            )
        random = generator(seed, f"scaling/{name}")
        deviation = np.sqrt(self.variance * (self.m - 2) / random.chisquare(self.m - 2, count))
        middle = self.centre[1] + deviation / np.sqrt(self.m) * random.standard_normal(count)
        slope = self.slope + deviation / np.sqrt(self.sxx) * random.standard_normal(count)
        return np.column_stack([middle - slope * self.centre[0], slope])

    def _leverage(self, log: np.ndarray) -> np.ndarray:
        value: np.ndarray = 1 / self.m + (log - self.centre[0]) ** 2 / self.sxx
        return value

    def _seed_variance(self) -> tuple[float, int]:
        """Return what one result scatters beyond the mean of its size, and the freedom."""
        free = int((self.counts - 1).sum())
        if not free or np.isnan(self.within):
            return 0.0, 0
        return self.within * (1 - float((1 / self.counts).mean())), free

    def _around(self, value: float, error: float, level: float) -> Interval | None:
        reach = self.student(level) * error
        return None if np.isnan(reach) else (value - reach, value + reach)


def fit_line(sizes: Any, errors: Any) -> LogLine:
    """Fit the law of errors against sizes.

    Results of one size share training rows and all test rows, so their scatter says little about
    how far the line is off; each size therefore counts once, whatever the number of its seeds.

    Args:
        sizes: (k,) numbers of rows, above 0; equal numbers are seeds of one size.
        errors: (k,) errors in one unit, above 0.

    Raises:
        InputError: lengths differ, a number is not finite and above 0, or fewer than two sizes.

    >>> line = fit_line([100, 1000, 10000], [0.4, 0.2, 0.1])
    >>> round(line.alpha, 6), line.error([100000]).round(6)
    (0.30103, array([0.05]))
    """
    x, y = (np.asarray(values, dtype=np.float64).ravel() for values in (sizes, errors))
    if len(x) != len(y):
        raise InputError(f"{len(y)} errors came with {len(x)} sizes; give one of each per result.")
    for name, values in (("A size", x), ("An error", y)):
        wrong = ~(np.isfinite(values) & (values > 0))
        if wrong.any():
            raise InputError(
                f"{name} of {values[wrong][0]:g} has no logarithm; a line needs finite numbers "
                "above 0: leave such results out."
            )
    distinct, place = np.unique(x, return_inverse=True)
    if len(distinct) < 2:
        raise InputError(f"A line needs at least two sizes; the results have {len(distinct)}.")
    log = np.log(y)
    counts = np.bincount(place)
    means = np.bincount(place, log) / counts
    free = int((counts - 1).sum())
    within = float(((log - means[place]) ** 2).sum() / free) if free else np.nan
    return LogLine(distinct, means, counts, within)


def exponential(values: Any) -> np.ndarray:
    """Return exp, which is infinite or 0 without a warning where it leaves the range of floats."""
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(values))


def _band(middle: np.ndarray, reach: np.ndarray) -> Band:
    return Band(exponential(middle), exponential(middle - reach), exponential(middle + reach))
