"""The error against target rows and source rows at once, a plane in logarithms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.seeds import generator
from epitaxy.results.intervals import LEVEL, RESAMPLES
from epitaxy.results.scaling import Interval, exponential

SIGNIFICANT = 0.05
"""p value of the F-test below which the interaction stays in the law."""


@dataclass(frozen=True)
class Surface:
    """ln E = c - alpha X_t - beta X_s + gamma X_t X_s over m pairs of sizes.

    X_t = ln n_t - mean(ln n_t) of the target rows and X_s the same of the source rows, so that
    alpha and beta are the exponents in the middle of the pairs. gamma is 0 where it is not
    significant. Each pair of sizes counts once, with the mean over its seeds.
    """

    coefficients: np.ndarray
    """c, alpha, beta, gamma."""
    covariance: np.ndarray
    """(4, 4) of these over the variance s²; zero where gamma was dropped."""
    variance: float
    """s²."""
    freedom: int
    """m minus the number of coefficients."""
    centre: tuple[float, float]
    """Means of ln n_t and ln n_s."""
    p_interaction: float | None
    """Of the F-test of gamma; None with too few pairs for one."""
    largest: tuple[float, float]
    """Largest target and source sizes."""

    def exponents(self, target: float, source: float) -> tuple[float, float]:
        """Return alpha and beta at so many target and source rows.

        -d ln E / d ln n_t = alpha - gamma X_s, and -d ln E / d ln n_s = beta - gamma X_t.
        """
        alpha, beta = self._at(self.coefficients[None], target, source)[0]
        return float(alpha), float(beta)

    def error(self, target: float, source: float) -> float:
        """Return the error of the law, in the unit of the errors."""
        x, y = np.log(target) - self.centre[0], np.log(source) - self.centre[1]
        return float(exponential(self.coefficients @ np.array([1.0, -x, -y, x * y])))

    def intervals(self, level: float = LEVEL) -> dict[str, Interval | None]:
        """Return the t-intervals of alpha, beta and gamma; None without a degree of freedom."""
        from scipy.stats import t

        names = {"alpha": 1, "beta": 2, "gamma": 3}
        if self.freedom < 1:
            return dict.fromkeys(names)
        reach = t.ppf((1 + level) / 2, self.freedom) * np.sqrt(
            self.variance * np.diag(self.covariance)
        )
        middle = self.coefficients
        return {
            k: (float(middle[i] - reach[i]), float(middle[i] + reach[i])) for k, i in names.items()
        }

    def draws(
        self, target: float, source: float, count: int = RESAMPLES, *, seed: int = 0
    ) -> np.ndarray:
        """Return (count, 2) exponents at so many rows that the results allow (see `LogLine`).

        Raises:
            InputError: there is no degree of freedom.
        """
        if self.freedom < 1:
            raise InputError(
                "There are as many pairs of sizes as coefficients, hence no interval; add a size."
            )
        random = generator(seed, "scaling/surface")
        deviation = np.sqrt(self.variance * self.freedom / random.chisquare(self.freedom, count))
        root = _root(self.covariance)
        noise = deviation[:, None] * (random.standard_normal((count, 4)) @ root.T)
        return self._at(self.coefficients + noise, target, source)

    def _at(self, coefficients: np.ndarray, target: float, source: float) -> np.ndarray:
        x, y = np.log(target) - self.centre[0], np.log(source) - self.centre[1]
        _, alpha, beta, gamma = coefficients.T
        return np.column_stack([alpha - gamma * y, beta - gamma * x])


def fit_surface(target: Any, source: Any, errors: Any) -> Surface:
    """Fit the plane, with the interaction where an F-test finds it.

    Args:
        target: (k,) target rows, above 0.
        source: (k,) source rows, above 0.
        errors: (k,) errors in one unit, above 0; equal pairs of sizes are seeds.

    Raises:
        InputError: fewer than three pairs, or the sizes go together so that both exponents cannot
            be told apart.

    >>> t, s = np.meshgrid([100, 1000, 10000], [1000, 10000])
    >>> found = fit_surface(t.ravel(), s.ravel(), 3 * t.ravel() ** -0.3 * s.ravel() ** -0.1)
    >>> [round(x, 6) for x in found.exponents(1000, 5000)]
    [0.3, 0.1]
    """
    pairs = np.column_stack([np.asarray(v, np.float64).ravel() for v in (target, source)])
    distinct, place = np.unique(pairs, axis=0, return_inverse=True)
    place = place.ravel()
    logs = np.log(np.asarray(errors, dtype=np.float64).ravel())
    y = np.bincount(place, logs) / np.bincount(place)
    x = np.log(distinct)
    centre = x.mean(axis=0)
    both = x - centre
    terms = np.column_stack([np.ones(len(y)), -both, both.prod(axis=1)])
    if len(y) < 3 or np.linalg.matrix_rank(terms[:, :3]) < 3:
        raise InputError(
            f"{len(y)} pairs of target and source sizes do not tell both exponents apart; vary "
            "the target size at one source size, and the source size at one target size."
        )
    plain, full = _solve(terms[:, :3], y), _solve(terms, y)
    p = _p_interaction(plain, full)
    kept = full if p is not None and p < SIGNIFICANT else plain
    coefficients, covariance = np.zeros(4), np.zeros((4, 4))
    used = len(kept.solution)
    coefficients[:used] = kept.solution
    covariance[:used, :used] = kept.inverse
    return Surface(
        coefficients=coefficients,
        covariance=covariance,
        variance=kept.squares / kept.freedom if kept.freedom else np.nan,
        freedom=kept.freedom,
        centre=(float(centre[0]), float(centre[1])),
        p_interaction=p,
        largest=(float(distinct[:, 0].max()), float(distinct[:, 1].max())),
    )


@dataclass(frozen=True)
class _Solved:
    solution: np.ndarray
    inverse: np.ndarray
    squares: float
    freedom: int


def _solve(terms: np.ndarray, y: np.ndarray) -> _Solved:
    solution = np.linalg.lstsq(terms, y, rcond=None)[0]
    squares = float(((y - terms @ solution) ** 2).sum())
    rank = int(np.linalg.matrix_rank(terms))
    return _Solved(solution, np.linalg.pinv(terms.T @ terms), squares, len(y) - rank)


def _p_interaction(plain: _Solved, full: _Solved) -> float | None:
    from scipy.stats import f

    # Without a further rank the interaction is not in the data at all.
    if full.freedom < 1 or full.freedom == plain.freedom:
        return None
    rounding = 1e-20
    if plain.squares < rounding:
        return 1.0
    ratio = (plain.squares - full.squares) / (max(full.squares, rounding) / full.freedom)
    return float(f.sf(ratio, 1, full.freedom))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return R with R R^T = covariance, also where that is singular."""
    values, vectors = np.linalg.eigh(covariance)
    root: np.ndarray = vectors * np.sqrt(np.clip(values, 0, None))
    return root
