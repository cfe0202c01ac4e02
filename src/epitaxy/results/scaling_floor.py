"""Is the line straight? A quadratic term, and a law with an error that no rows remove."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.seeds import generator
from epitaxy.results.intervals import LEVEL
from epitaxy.results.scaling import Band, LogLine, SizeFor, exponential
from epitaxy.results.scaling_resampling import percentiles

FEWEST = 6
"""Sizes from which AICc can compare both laws: it needs two more than the law has parameters, the
variance included."""
DRAWS = 200
"""Refits behind the interval of a size; each is a small nonlinear fit."""


@dataclass(frozen=True)
class Floor:
    """The law E = A n^-alpha + E_inf, fitted to ln E over m sizes."""

    log_scale: float
    """ln A."""
    alpha: float
    floor: float
    """E_inf, at least 0, in the unit of the errors."""
    sizes: np.ndarray
    log_errors: np.ndarray

    @property
    def squares(self) -> float:
        """Sum of squared residuals of ln E."""
        return float(((self.log_errors - np.log(self.error(self.sizes))) ** 2).sum())

    def error(self, sizes: object) -> np.ndarray:
        """Return the error of the law at (k,) sizes."""
        log = np.log(np.asarray(sizes, dtype=np.float64))
        return exponential(self.log_scale - self.alpha * log) + self.floor

    def size_for(self, error: float, level: float = LEVEL) -> SizeFor:
        """Return n = ((E - E_inf) / A)^(-1 / alpha), with percentiles over simulated refits.

        Raises:
            InputError: ``error`` is not above the floor.
        """
        if not error > self.floor:
            raise InputError(
                f"The wanted error {error:g} is not above {self.floor:.4g}, where the errors "
                "level off by this fit, so no number of rows reaches it; a larger model or better "
                "labels may."
            )
        drawn = np.array([_size(fit, error) for fit in self._refits()])
        return SizeFor(_size(self, error), percentiles(drawn, level), np.nan)

    def band(self, sizes: object, level: float = LEVEL) -> Band:
        """Return where the law lies, as percentiles over simulated refits."""
        lines = np.array([fit.error(sizes) for fit in self._refits()])
        tail = (1 - level) / 2
        low, high = np.quantile(lines, [tail, 1 - tail], axis=0)
        return Band(self.error(sizes), low, high)

    def _refits(self) -> list[Floor]:
        """Fit the law to its own values with normal scatter of the residuals' size."""
        random = generator(0, "scaling/floor")
        middle = np.log(self.error(self.sizes))
        # The variance is drawn too, as in `LogLine.draws`.
        deviation = np.sqrt(self.squares / random.chisquare(len(self.sizes) - 3, (DRAWS, 1)))
        noise = deviation * random.standard_normal((DRAWS, len(self.sizes)))
        return [_fit(self.sizes, middle + one, self) for one in noise]


def fit_floor(line: LogLine) -> Floor | None:
    """Fit the law with a floor to the sizes of a line; None with fewer than four of them."""
    if line.m < 4 or line.slope >= 0:
        return None
    lowest = float(np.exp(line.log_errors.min()))
    starts = [
        Floor(line.intercept, line.alpha, 1e-3 * lowest, line.sizes, line.log_errors),
        Floor(line.intercept, 2 * line.alpha, 0.7 * lowest, line.sizes, line.log_errors),
    ]
    return min((_fit(line.sizes, line.log_errors, start) for start in starts), key=_squares)


def levels_off(line: LogLine, floor: Floor | None) -> bool | None:
    """Tell whether AICc prefers the law with a floor; None with fewer than six sizes.

    AICc = m ln(SSR / m) + 2 k + 2 k (k + 1) / (m - k - 1), where k counts the variance too: 3 for
    the line, 4 with a floor.
    """
    if floor is None or line.m < FEWEST:
        return None
    straight = line.variance * (line.m - 2)
    return bool(_aicc(floor.squares, line.m, 4) < _aicc(straight, line.m, 3))


def curvature(line: LogLine) -> float | None:
    """Return the p value of a quadratic term in ln n (F-test); None with fewer than four sizes.

    >>> from epitaxy.results.scaling import fit_line
    >>> n = np.array([100, 200, 400, 800, 1600])
    >>> curvature(fit_line(n, np.exp(0.3 * np.log(n / 400) ** 2))) < 1e-6
    True
    """
    from scipy.stats import f

    if line.m < 4:
        return None
    x = np.log(line.sizes) - line.centre[0]
    terms = np.column_stack([np.ones(line.m), x, x**2])
    solution = np.linalg.lstsq(terms, line.log_errors, rcond=None)[0]
    curved = float(((line.log_errors - terms @ solution) ** 2).sum())
    straight = line.variance * (line.m - 2)
    # A law without scatter beyond rounding is straight or curved for sure.
    rounding = 1e-20 * line.m
    if straight < rounding:
        return 1.0
    return float(f.sf((straight - curved) / (max(curved, rounding) / (line.m - 3)), 1, line.m - 3))


def _fit(sizes: np.ndarray, log_errors: np.ndarray, start: Floor) -> Floor:
    from scipy.optimize import least_squares

    log = np.log(sizes)
    # In units of the smallest error, so that all three numbers are of order one.
    unit = float(np.exp(log_errors.min()))
    middle = float(log.mean())

    def residuals(values: np.ndarray) -> np.ndarray:
        level, alpha, floor = values
        both = exponential(level - alpha * (log - middle)) + floor
        left: np.ndarray = np.log(both) + np.log(unit) - log_errors
        return left

    first = (
        start.log_scale - start.alpha * middle - np.log(unit),
        float(np.clip(start.alpha, 1e-6, 10)),
        float(np.clip(start.floor / unit, 0, 2)),
    )
    limits = ((-50.0, 1e-8, 0.0), (50.0, 20.0, 5.0))
    level, alpha, floor = least_squares(residuals, first, bounds=limits, x_scale=(1, 0.1, 0.1)).x
    scale = level + np.log(unit) + alpha * middle
    return Floor(float(scale), float(alpha), float(floor * unit), sizes, log_errors)


def _size(fit: Floor, error: float) -> float:
    """Return the rows for an error, infinite where the law does not come down to it."""
    if error <= fit.floor:
        return np.inf
    return float(exponential((fit.log_scale - np.log(error - fit.floor)) / fit.alpha))


def _squares(fit: Floor) -> float:
    return fit.squares


def _aicc(squares: float, m: int, k: int) -> float:
    return float(m * np.log(max(squares, 1e-300) / m) + 2 * k + 2 * k * (k + 1) / (m - k - 1))
