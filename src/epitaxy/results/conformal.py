"""Prediction intervals from cross-validation: CV+, normalised by a spread.

R. F. Barber, E. J. Candès, A. Ramdas and R. J. Tibshirani, Ann. Stat. 49, 486 (2021), CV+ of
Section 3. With the model of fold k fitted without the rows of fold k, and n rows with scores
R_i = |y_i - mu_k(i)(x_i)| / s_i, the interval of a new x with spread s at coverage c goes

    from the floor((1 - c) (n + 1))-th smallest of  mu_k(i)(x) - s R_i
    to   the ceil(c (n + 1))-th smallest of         mu_k(i)(x) + s R_i,     i = 1 ... n.

It covers with a probability of hardly less than 2 c - 1, in practice about c, whatever the model
and the spread, as long as new crystals are drawn like the old ones. The spread (of an ensemble,
say) only says where intervals should be wide.

Of a cross-validation that is repeated with other folds, mu_k(i) is the mean of those models that
were fitted without row i, one of each repeat: the ensemble of B. Kim, C. Xu and R. F. Barber,
Predictive inference is free with the jackknife+-after-bootstrap, NeurIPS 2020, whose guarantee is
of the same form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.results.intervals import LEVEL

FLOOR = 0.1
"""Smallest spread that counts, as a share of the median spread: ensembles that agree by chance
would otherwise promise intervals of no width."""
CHUNK = 4_000_000
"""Numbers held at a time, so that many new crystals need little memory."""


class Coverage(NamedTuple):
    """How often known values were inside their intervals."""

    share: float
    n: int
    interval: tuple[float, float]
    """Clopper-Pearson, for independent rows."""
    width: float
    """Median width of the finite intervals, in the unit of the values; NaN without any."""


@dataclass(frozen=True, init=False)
class CrossConformal:
    """Scores of cross-validation, from which intervals of new predictions follow."""

    scores: np.ndarray
    """(n,) residuals over spreads."""
    folds: np.ndarray
    """(n,) int64, which column of the fold predictions was made without the row; or (n, R), which
    columns, of R repeats."""
    floor: float
    """Smallest spread that counts, in the unit of the spreads."""

    def __init__(
        self,
        residuals: np.ndarray,
        folds: np.ndarray,
        spread: np.ndarray,
        *,
        floor: float | None = None,
    ) -> None:
        """Take what cross-validation left over.

        Args:
            residuals: (n,) value minus out-of-fold prediction, in the unit of the values; the sign
                does not matter.
            folds: (n,) fold of each row, 0 ... K - 1; (n, R) of R repeats, numbered through all
                repeats, where residuals are those of the mean of the R out-of-fold predictions.
            spread: (n,) how unsure the prediction of each row was, in any unit, at least 0; all
                equal for intervals of one width.
            floor: smallest spread that counts; `FLOOR` times the median when None.

        Raises:
            InputError: lengths differ, there is no row, or a number is not finite or negative.
        """
        errors, wide = (np.asarray(a, dtype=np.float64) for a in (residuals, spread))
        places = np.asarray(folds)
        if not len(errors) or not (
            errors.shape == wide.shape == places.shape[:1] == (len(errors),) and places.ndim <= 2
        ):
            raise InputError(
                f"Residuals, folds and spreads have shapes {errors.shape}, {places.shape} and "
                f"{wide.shape}; give one of each per row, of at least one row."
            )
        _check_spread(wide)
        if not np.isfinite(errors).all():
            raise InputError(
                f"{int((~np.isfinite(errors)).sum())} of {len(errors)} residuals are not finite; "
                "leave out the rows whose value is not known."
            )
        if places.dtype.kind not in "iu" or places.min() < 0:
            raise InputError("Folds must be whole numbers from 0 on, one per row.")
        smallest = FLOOR * float(np.median(wide)) if floor is None else float(floor)
        _check_spread(np.array([smallest]))
        # Without any spread all intervals are equally wide.
        smallest = (
            smallest if smallest > 0 else (float(wide[wide > 0].min()) if wide.any() else 1.0)
        )
        object.__setattr__(self, "scores", np.abs(errors) / np.maximum(wide, smallest))
        object.__setattr__(self, "folds", places.astype(np.int64))
        object.__setattr__(self, "floor", smallest)

    @property
    def n(self) -> int:
        """Number of rows with a score."""
        return len(self.scores)

    def intervals(
        self, fold_predictions: np.ndarray, spread: np.ndarray, coverage: float = 0.9
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return lower and upper ends of m new predictions.

        Args:
            fold_predictions: (m, K) prediction of each fold's model, in the unit of the values; of
                R repeats (m, R K).
            spread: (m,) as in cross-validation.
            coverage: share of new values that should be inside.

        Returns:
            Two (m,) arrays in the unit of the values.

        Raises:
            InputError: shapes or numbers are wrong, or there are too few rows for the coverage (the
                interval would be infinite).

        >>> rows = CrossConformal(np.array([1.0, -2.0, 0.5, 1.5]), np.array([0, 0, 1, 1]),
        ...                       np.ones(4))
        >>> low, high = rows.intervals(np.array([[10.0, 11.0]]), np.ones(1), coverage=0.6)
        >>> low.tolist(), high.tolist()
        ([9.0], [12.0])
        """
        first, last = self._ranks(coverage)
        models = np.asarray(fold_predictions, dtype=np.float64)
        wide = np.asarray(spread, dtype=np.float64)
        if models.ndim != 2 or wide.shape != (len(models),):
            raise InputError(
                f"Fold predictions and spreads have shapes {models.shape} and {wide.shape}; give "
                "(m, K) and (m,)."
            )
        if models.shape[1] <= self.folds.max():
            raise InputError(
                f"{models.shape[1]} folds predicted, but rows were held out in "
                f"{self.folds.max() + 1}; give one column per fold."
            )
        _check_spread(wide)
        low, high = np.empty(len(models)), np.empty(len(models))
        step = max(1, CHUNK // self.folds.size)
        for start in range(0, len(models), step):
            part = slice(start, start + step)
            centres = models[part][:, self.folds.reshape(self.n, -1)].mean(axis=2)
            reach = np.maximum(wide[part], self.floor)[:, None] * self.scores
            low[part] = np.partition(centres - reach, first - 1, axis=1)[:, first - 1]
            high[part] = np.partition(centres + reach, last - 1, axis=1)[:, last - 1]
        return low, high

    def covered(self, coverage: float = 0.9) -> np.ndarray:
        """Tell which of the rows are inside the intervals that the other folds would give them.

        A row is measured by the scores of the other folds alone, so that it plays no part in its
        own interval: its score is compared with their ceil(c (n' + 1))-th smallest. Of repeats,
        the folds of the first one divide the rows.

        Returns:
            (n,) bool; pass its mean on as the coverage that cross-validation measured.

        Raises:
            InputError: there is one fold, or too few rows for the coverage.
        """
        folds = self.folds.reshape(self.n, -1)[:, 0]
        present = np.unique(folds)
        if len(present) < 2:
            raise InputError(
                "The rows are all of one fold, so there are no others to compare with."
            )
        inside = np.empty(self.n, dtype=bool)
        for fold in present:
            own = folds == fold
            others = np.sort(self.scores[~own])
            rank = _rank(coverage, len(others))
            inside[own] = self.scores[own] <= others[rank - 1]
        return inside

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all there is to store, as plain arrays."""
        return {"scores": self.scores, "folds": self.folds, "floor": np.array([self.floor])}

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> CrossConformal:
        """Return what `arrays` was made from.

        Raises:
            InputError: an array is missing or has a wrong shape.
        """
        missing = [name for name in ("scores", "folds", "floor") if name not in arrays]
        if missing:
            raise InputError(
                f"The array {missing[0]!r} of the intervals is missing; write the file again."
            )
        floor = float(np.asarray(arrays["floor"]).ravel()[0])
        scores = np.asarray(arrays["scores"], dtype=np.float64)
        # Spreads at the floor leave the scores as they are, but for the last digit.
        found = cls(scores * floor, arrays["folds"], np.full(len(scores), floor), floor=floor)
        object.__setattr__(found, "scores", scores)
        return found

    def _ranks(self, coverage: float) -> tuple[int, int]:
        last = _rank(coverage, self.n)
        return self.n + 1 - last, last


def measured_coverage(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, *, level: float = LEVEL
) -> Coverage:
    """Tell how often values lie within their intervals, ends included.

    Args:
        values: (m,) known values; rows with NaN do not count.
        low: (m,) lower ends in the same unit.
        high: (m,) upper ends.
        level: of the interval of the share.

    Raises:
        InputError: shapes differ, or no value is known.

    >>> found = measured_coverage(np.array([1.0, 2.0, 9.0]), np.zeros(3), np.full(3, 5.0))
    >>> round(found.share, 3), found.n, found.width
    (0.667, 3, 5.0)
    """
    from scipy.stats import beta

    true, below, above = (np.asarray(a, dtype=np.float64) for a in (values, low, high))
    if not true.shape == below.shape == above.shape == (len(true),):
        raise InputError(
            f"Values and ends have shapes {true.shape}, {below.shape} and {above.shape}; give one "
            "of each per row."
        )
    known = ~(np.isnan(true) | np.isnan(below) | np.isnan(above))
    n = int(known.sum())
    if n == 0:
        raise InputError(f"None of {len(true)} rows has a known value and an interval.")
    inside = int(((below <= true) & (true <= above))[known].sum())
    tail = (1 - level) / 2
    ends = (
        float(beta.ppf(tail, inside, n - inside + 1)) if inside else 0.0,
        float(beta.ppf(1 - tail, inside + 1, n - inside)) if inside < n else 1.0,
    )
    widths = (above - below)[known]
    finite = widths[np.isfinite(widths)]
    width = float(np.median(finite)) if len(finite) else np.nan
    return Coverage(inside / n, n, ends, width)


def _rank(coverage: float, n: int) -> int:
    """Return ceil(c (n + 1)), the rank of the score that bounds the interval."""
    if not 0 < coverage < 1:
        raise InputError(f"A coverage of {coverage:g} is not allowed; give a share such as 0.9.")
    # Rounded first, since 0.9 * 10 is a little more than 9 in floats.
    rank = int(np.ceil(round(coverage * (n + 1), 9)))
    if rank > n:
        needed = int(np.ceil(round(coverage / (1 - coverage), 9)))
        raise InputError(
            f"{n} rows are too few for intervals of {100 * coverage:g} %, which would be infinite; "
            f"use at least {needed} rows, or a coverage of at most {n / (n + 1):.3g}."
        )
    return rank


def _check_spread(spread: np.ndarray) -> None:
    if not (np.isfinite(spread) & (spread >= 0)).all():
        raise InputError(
            "A spread is negative or not finite; give the standard deviation of an ensemble, or "
            "the same number for all rows."
        )
