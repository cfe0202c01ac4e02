"""The exponents behind a budget: given as numbers, or fitted to a table of results."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np

from epitaxy.core.errors import InputError
from epitaxy.core.seeds import generator
from epitaxy.results.intervals import RESAMPLES
from epitaxy.results.scaling_lines import (
    FittedLine,
    FittedSurface,
    fit_lines,
    fit_surfaces,
)
from epitaxy.results.scaling_table import ScalingTable


@dataclass(frozen=True)
class Slopes:
    """Exponents at the rows that exist, and how sure they are."""

    alpha: float
    """Of the target rows."""
    beta: float
    """Of the source rows."""
    gamma: float
    """Interaction, see `Economy`."""
    draws: np.ndarray | None
    """(k, 2) alpha and beta that the results allow; None when that is not known."""
    error: float
    """Error at the rows that exist; NaN when not known."""
    unit: str
    """Of the error."""
    largest: tuple[float, float]
    """Largest target and source sizes measured; NaN when not known."""
    origin: str
    """Where the exponents come from, one sentence."""


@dataclass(frozen=True)
class Given:
    """An exponent that the user knows."""

    value: float
    error: float | None = None
    """Its standard error; None for a number that is taken as exact."""

    def draws(self, seed: int, name: str) -> np.ndarray:
        """Return (k,) normal draws.

        Raises:
            InputError: the standard error is negative or not finite.
        """
        error = 0.0 if self.error is None else self.error
        if not (np.isfinite(error) and error >= 0):
            raise InputError(f"A standard error of {error:g} is not allowed; give one from 0 on.")
        noise = generator(seed, f"budget/{name}").standard_normal(RESAMPLES)
        return self.value + error * noise


def given_slopes(alpha: Given, beta: Given, *, error: float = np.nan, seed: int = 0) -> Slopes:
    """Take both exponents as they are given, the error of the present rows too."""
    known = alpha.error is not None or beta.error is not None
    both = np.column_stack([alpha.draws(seed, "alpha"), beta.draws(seed, "beta")])
    return Slopes(
        alpha=alpha.value,
        beta=beta.value,
        gamma=0.0,
        draws=both if known else None,
        error=error,
        unit="",
        largest=(np.nan, np.nan),
        origin=f"Exponents as given: target {alpha.value:g}, source {beta.value:g}.",
    )


def fitted_slopes(
    table: ScalingTable,
    have: tuple[float, float],
    *,
    alpha: Given | None = None,
    beta: Given | None = None,
    interval: str = "sizes",
    seed: int = 0,
) -> Slopes:
    """Fit both exponents at the target and source rows that exist.

    Where both sizes vary, the plane of the condition gives both. Otherwise alpha is that of the
    line against target rows whose source rows are nearest to those that exist, and beta that of
    the line against source rows likewise. A number that is given stands in for a fit.

    Raises:
        InputError: the results hold more than one transfer, or do not have an exponent that was
            not given.
    """
    transfers = ScalingTable(
        table.rows[~table.rows["baseline"]].reset_index(drop=True),
        table.conditions,
        table.error_name,
        table.notes,
    )
    if transfers.rows.empty:
        raise InputError(
            "All results are from scratch, so there is no slope against source rows; give results "
            "of a transfer, or name the baseline."
        )
    planes = fit_surfaces(transfers)
    lines, _ = fit_lines(transfers, interval=interval, seed=seed)
    labels = sorted({line.label for line in lines})
    if len(labels) > 1:
        raise InputError(
            f"The results hold {len(labels)} transfers ({'; '.join(labels[:4])}); a budget needs "
            "one: keep its rows with --where COLUMN=VALUE."
        )
    if planes and alpha is None and beta is None:
        return _of_plane(planes[0], have, seed)
    return _of_lines(lines, have, {"target": alpha, "source": beta}, seed)


def _of_plane(found: FittedSurface, have: tuple[float, float], seed: int) -> Slopes:
    plane = found.surface
    alpha, beta = plane.exponents(*have)
    gamma = float(plane.coefficients[3])
    kind = f"interaction {gamma:.2g}" if gamma else "no significant interaction"
    return Slopes(
        alpha=alpha,
        beta=beta,
        gamma=gamma,
        draws=plane.draws(*have, seed=seed) if plane.freedom else None,
        error=plane.error(*have),
        unit=found.unit,
        largest=plane.largest,
        origin=f"Exponents of {found.label} at these rows: target {alpha:.3g}, source {beta:.3g} "
        f"({kind}).",
    )


def _of_lines(
    lines: list[FittedLine], have: tuple[float, float], given: dict[str, Given | None], seed: int
) -> Slopes:
    values: list[float] = []
    words: list[str] = []
    draws: list[np.ndarray | None] = []
    largest = {"target": np.nan, "source": np.nan}
    error, unit = np.nan, ""
    for place, axis in enumerate(("target", "source")):
        number = given[axis]
        if number is not None:
            values.append(number.value)
            draws.append(number.draws(seed, axis))
            words.append(f"{axis} {number.value:g} (given)")
            continue
        line = _nearest(lines, axis, have[1 - place])
        values.append(line.line.alpha)
        largest[axis] = float(line.line.sizes[-1])
        unit = line.unit
        if axis == "target":
            error = float(line.line.error([have[0]])[0])
        known = line.line.m > 2
        draws.append(-line.line.draws(seed=seed, name=axis)[:, 1] if known else None)
        doubt = "" if line.floor is None else ", although its errors level off"
        words.append(f"{axis} {line.line.alpha:.3g} ({line.name}{doubt})")
    both = [one for one in draws if one is not None]
    return Slopes(
        alpha=values[0],
        beta=values[1],
        gamma=0.0,
        draws=np.column_stack(both) if len(both) == 2 else None,
        error=error,
        unit=unit,
        largest=(largest["target"], largest["source"]),
        origin=f"Exponents: {', '.join(words)}.",
    )


def _nearest(lines: list[FittedLine], axis: str, other: float) -> FittedLine:
    """Return the line along ``axis`` at the number of rows of the other kind nearest to ours."""
    along = [line for line in lines if line.axis == axis]
    if not along:
        option = "alpha" if axis == "target" else "beta"
        raise InputError(
            f"The results do not vary the number of {axis} rows, so its exponent is not known; add "
            f"results of other {axis} sizes, or give it with --{option}."
        )
    return min(along, key=partial(_distance, other=other))


def _distance(line: FittedLine, other: float) -> float:
    return abs(np.log(line.fixed / other)) if np.isfinite(line.fixed) else 0.0
