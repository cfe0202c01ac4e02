"""Which crystals an epoch sees when some properties have few labels."""

from __future__ import annotations

import numpy as np


def draw_balanced(
    known: np.ndarray, temperature: float, drawing: np.random.Generator
) -> np.ndarray:
    """Return as many rows as there are, so that properties with few labels come more often.

    Property p fills a share of the places that grows as ``n_p ** (1 / temperature)`` with its
    number of labels n_p: 1 keeps the shares of the labels, a very high temperature makes them
    equal. Its rows take turns, so that none comes twice before all came once.

    Args:
        known: (n, P) which labels there are; a row without any is never drawn.
        temperature: at least 1.
        drawing: source of random numbers.

    Returns:
        (n,) row numbers in random order; empty when nothing is known.

    >>> known = np.array([[True, False]] * 6 + [[False, True]] * 2)
    >>> drawn = draw_balanced(known, 1e9, np.random.default_rng(0))
    >>> np.bincount(drawn).tolist()[6:]  # four places for the two rows of the second property
    [2, 2]
    """
    counts = known.sum(axis=0)
    if not counts.any():
        return np.zeros(0, dtype=np.int64)
    shares = np.where(counts > 0, counts.astype(np.float64), np.nan) ** (1 / temperature)
    ends = np.nancumsum(shares / np.nansum(shares)) * len(known)
    places = np.diff(np.rint(ends).astype(np.int64), prepend=0)
    drawn = [
        _turns(np.flatnonzero(known[:, p]), int(n), drawing) for p, n in enumerate(places) if n
    ]
    return drawing.permutation(np.concatenate(drawn))


def draw_by_bins(values: np.ndarray, bins: int, drawing: np.random.Generator) -> np.ndarray:
    """Return as many rows as there are, so that rare values come as often as common ones.

    The range of the values is cut into bins of equal width, and every bin that holds a value is
    drawn from equally often, with replacement.

    Source: Chang 2022, the conductivities, with 30 bins; they counted the rows of test and
    validation, too.

    Args:
        values: (n,) labels, NaN where not known; such rows are never drawn.
        bins: at least 1.
        drawing: source of random numbers.

    Returns:
        (n,) row numbers; empty when nothing is known.

    >>> values = np.array([0.0] * 98 + [1.0] * 2)
    >>> drawn = draw_by_bins(values, 30, np.random.default_rng(0))
    >>> bool(30 < (drawn >= 98).sum() < 70)
    True
    """
    rows = np.flatnonzero(np.isfinite(values))
    if not len(rows):
        return rows
    known = values[rows]
    edges = np.linspace(known.min(), known.max(), bins + 1)
    bin_of = np.clip(np.searchsorted(edges, known, side="left") - 1, 0, bins - 1)
    weights = 1.0 / np.bincount(bin_of, minlength=bins)[bin_of]
    return drawing.choice(rows, size=len(values), p=weights / weights.sum())


def _turns(rows: np.ndarray, n: int, drawing: np.random.Generator) -> np.ndarray:
    """Draw ``n`` rows: whole rounds in random order, the last one cut off."""
    rounds = [drawing.permutation(rows) for _ in range(-(-n // len(rows)))]
    return np.concatenate(rounds)[:n]
