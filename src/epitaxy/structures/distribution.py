"""How the values of a property are distributed: shape, outliers, and the scale to learn on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

BINS = 24
BLOCKS = " ▁▂▃▄▅▆▇█"
FAR = 5.0
"""A value is extreme when it lies further from the quartiles than this many times their
distance."""
SKEWED = 2.0
"""Skewness from which another scale is considered; an exponential distribution has 2."""
DECADES = 1.5
"""Span of values, in powers of ten, from which a logarithm is considered."""
LONG_LOWER_TAIL = -1.0
"""Skewness below which the logarithm would mostly resolve values close to zero."""
PLACEHOLDER_TIMES = 3
"""How often the smallest or largest value must occur to be taken for a code of missing values."""


@dataclass(frozen=True)
class Proposal:
    """A scale on which to learn, and why."""

    transform: str
    """identity, log or log1p."""
    reason: str


@dataclass(frozen=True)
class Extremes:
    """Values far from all others."""

    rows: tuple[int, ...]
    """Positions of the extreme values, the furthest first."""
    placeholders: tuple[float, ...] = ()
    """Extreme values that stand several times, such as -999."""


def propose_transform(values: np.ndarray) -> Proposal:
    """Propose the scale on which a property should be learned.

    Args:
        values: (n,) finite values in physical units.

    >>> propose_transform(np.array([1.0, 2, 3, 4])).transform
    'identity'
    >>> propose_transform(np.geomspace(1, 5000, 50)).transform
    'log'
    """
    lowest, highest = float(values.min()), float(values.max())
    skew = skewness(values)
    if skew < SKEWED:
        return Proposal("identity", f"skewness {skew:.1f} is below {SKEWED:g}")
    if lowest > 0:
        decades, on_log = np.log10(highest / lowest), skewness(np.log(values))
        if decades >= DECADES and LONG_LOWER_TAIL < on_log < skew / 2:
            return Proposal(
                "log",
                f"all values are positive and span {decades:.1f} decades; "
                f"skewness {skew:.1f}, of the logarithms {on_log:.1f}",
            )
    if lowest >= 0:
        on_log1p = skewness(np.log1p(values))
        if LONG_LOWER_TAIL < on_log1p < skew / 2:
            return Proposal(
                "log1p",
                f"no value is negative; skewness {skew:.1f}, of ln(1 + y) {on_log1p:.1f}",
            )
    why = "there are negative values" if lowest < 0 else "a logarithm does not make it smaller"
    return Proposal("identity", f"skewness {skew:.1f}, but {why}")


def skewness(values: np.ndarray) -> float:
    """Return the third standardised moment, 0 where all values are equal.

    >>> skewness(np.ones(3)), round(skewness(np.array([0.0, 0, 0, 1])), 2)
    (0.0, 1.15)
    """
    centred = values - values.mean()
    spread = float(np.sqrt((centred**2).mean()))
    if spread <= 1e-12 * float(np.abs(values).max(initial=0.0)):
        return 0.0
    return float(((centred / spread) ** 3).mean())


def find_extremes(values: np.ndarray, transform: str = "identity") -> Extremes:
    """Find values that lie far outside the quartiles on the scale of learning.

    Args:
        values: (n,) finite values for which the transform is defined.
        transform: identity, log or log1p.

    >>> find_extremes(np.array([1.0, 1.1, -999, -999, -999, 1.4]))
    Extremes(rows=(2, 3, 4), placeholders=(-999.0,))
    """
    codes = [v for v in (float(values.min()), float(values.max())) if _is_code(v, values)]
    is_code = np.isin(values, codes)
    scaled = {"log": np.log, "log1p": np.log1p}.get(transform, np.asarray)(values)
    distance = np.where(is_code, np.inf, _distance(scaled, scaled[~is_code]))
    rows = np.flatnonzero(distance > FAR)
    rows = rows[np.argsort(-distance[rows], kind="stable")]
    return Extremes(tuple(map(int, rows)), tuple(codes))


def _is_code(value: float, values: np.ndarray) -> bool:
    """Tell whether a value stands several times, far away from all others."""
    others = values[values != value]
    if len(others) < 2 or len(values) - len(others) < PLACEHOLDER_TIMES:
        return False
    return bool(np.abs(others - value).min() > FAR * np.ptp(others) > 0)


def _distance(scaled: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Return how far values lie outside the quartiles of the usual ones, in their distance."""
    for low, high in ((25, 75), (10, 90)):
        bottom, top = np.percentile(usual, [low, high])
        if top > bottom:
            return np.asarray(np.maximum(bottom - scaled, scaled - top) / (top - bottom))
    # Almost all values are equal, so that any other would be extreme.
    return np.zeros(len(scaled))


def histogram(values: np.ndarray, transform: str = "identity") -> str:
    """Draw the distribution on the scale of learning as one line of text.

    >>> histogram(np.arange(24.0))
    '████████████████████████'
    >>> histogram(np.array([0.0] * 8 + [1.0]))
    '█                      ▁'
    """
    scaled = {"log": np.log, "log1p": np.log1p}.get(transform, np.asarray)(values)
    counts, _ = np.histogram(scaled, BINS)
    # Every bin that holds a value is seen.
    heights = np.ceil(counts / counts.max() * (len(BLOCKS) - 1)).astype(int)
    return "".join(BLOCKS[height] for height in heights)
