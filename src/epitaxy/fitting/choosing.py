"""Choosing inside an outer fold: blends of candidates, and whether transfer is worth it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from epitaxy.fitting.entrants import Variant
from epitaxy.results.intervals import group_error

ROUNDS = 12
"""Additions to a blend; weights are multiples of one over their number."""
MEMBERS = 4
"""Most candidates in a blend."""
GAIN = 0.002
"""Relative gain below which a blend is not made longer."""
SURE = 1.0
"""Standard errors by which transfer must be better inside, to be taken."""

Blend = dict[str, float]
"""Name of a candidate -> weight; the weights add up to 1."""


class Guarded(NamedTuple):
    """What is chosen for an outer fold."""

    chosen: Blend
    """What is handed over."""
    plain: Blend
    """The best without transfer."""
    transfers: bool
    """Whether ``chosen`` uses transfer: it was better inside by more than chance."""
    free: Blend
    """The best of all, transfer or not; ``chosen`` is this or ``plain``."""
    apart: Blend | None = None
    """The best where sources count that may know everything; None where there are none."""

    @property
    def members(self) -> set[str]:
        """Names of all candidates that are part of a blend."""
        return {*self.chosen, *self.plain, *self.free, *(self.apart or ())}


@dataclass(frozen=True)
class Inner:
    """Predictions of all candidates for the inner rows of an outer fold."""

    labels: np.ndarray
    """(n,) physical units."""
    groups: Sequence[str]
    """(n,) labels of rows that are alike."""
    predictions: Mapping[str, np.ndarray]
    """Name -> (n,) predictions, NaN on rows for which the candidate was not trained."""
    judges: np.ndarray | None = None
    """(n,) bool: rows that are like those to be predicted, by which is chosen; None for all."""

    def errors(self) -> dict[str, float]:
        """Return the mean absolute error of each candidate on the judges that all predicted."""
        rows = self.judging(self.predictions)
        return {
            name: float(np.abs(p - self.labels)[rows].mean())
            for name, p in self.predictions.items()
        }

    def judging(self, names: Collection[str]) -> np.ndarray:
        """Return the rows that all of these candidates predicted, and by which is chosen."""
        rows = self.common(names)
        return rows if self.judges is None else rows[self.judges[rows]]

    def common(self, names: Collection[str]) -> np.ndarray:
        """Return the rows that all of these candidates predicted."""
        stacked = np.stack([self.predictions[name] for name in names])
        return np.flatnonzero(np.isfinite(stacked).all(axis=0))


def blend(inner: Inner, names: Collection[str], rows: np.ndarray) -> Blend:
    """Choose candidates and weights that together predict the inner rows best.

    The best one comes first; then, again and again, the candidate whose addition lowers the mean
    absolute error of the average most, with replacement (Caruana, Niculescu-Mizil, Crew and
    Ksikes, ICML 2004). Of equal candidates the first by name is taken.

    >>> inner = Inner(np.array([0.0, 2.0]), ["a", "b"],
    ...               {"low": np.array([-1.0, 1.0]), "high": np.array([1.0, 3.0])})
    >>> blend(inner, ["low", "high"], np.arange(2))
    {'high': 0.5, 'low': 0.5}
    """
    ordered = sorted(names)
    labels = inner.labels[rows]
    table = {name: inner.predictions[name][rows] for name in ordered}
    times: dict[str, int] = {}
    total, best = np.zeros(len(rows)), np.inf
    for k in range(1, ROUNDS + 1):
        open_to = ordered if len(times) < MEMBERS else sorted(times)
        errors = [float(np.abs((total + table[name]) / k - labels).mean()) for name in open_to]
        lowest = int(np.argmin(errors))
        if errors[lowest] >= best * (1 - GAIN):
            break
        best = errors[lowest]
        name = open_to[lowest]
        total = total + table[name]
        times[name] = times.get(name, 0) + 1
    n = sum(times.values())
    return {name: times[name] / n for name in sorted(times)}


def choice_of(
    inner: Inner, variants: Mapping[str, Variant], apart: Collection[str] = frozenset()
) -> Guarded:
    """Choose among the variants that predicted; sources in ``apart`` may know everything."""
    names = [name for name in inner.predictions if name in variants]
    transferring = {name for name in names if variants[name].transfers}
    return guarded(inner, transferring, {name for name in names if variants[name].reads(apart)})


def guarded(
    inner: Inner, transferring: Collection[str], apart: Collection[str] = frozenset()
) -> Guarded:
    """Choose with and without transfer, and take transfer only if it is better by `SURE`.

    Args:
        inner: the predictions.
        transferring: names of the candidates that use transfer.
        apart: names of those among them whose sources may know everything; they are not chosen.
    """
    names = [name for name in inner.predictions if name not in apart]
    plain_names = [name for name in names if name not in transferring]
    rows = inner.judging(inner.predictions)
    beside = blend(inner, list(inner.predictions), rows) if apart else None
    plain = blend(inner, plain_names, rows)
    if len(plain_names) == len(names):
        return Guarded(plain, plain, transfers=False, free=plain, apart=beside)
    free = blend(inner, names, rows)
    truth = inner.labels[rows]
    errors = [np.abs(mixed(inner.predictions, b)[rows] - truth) for b in (plain, free)]
    change = errors[0] - errors[1]
    sure = group_error(change, [inner.groups[row] for row in rows])
    takes = float(change.mean()) > SURE * sure and bool(set(free) & set(transferring))
    return Guarded(free if takes else plain, plain, takes, free, beside)


def mixed(predictions: Mapping[str, np.ndarray], weights: Blend) -> np.ndarray:
    """Return the weighted mean of predictions, (n,)."""
    found: np.ndarray = np.sum([w * predictions[n] for n, w in weights.items()], axis=0)
    return found
