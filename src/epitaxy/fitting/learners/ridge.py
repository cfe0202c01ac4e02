"""`ridge`: a linear model."""

from __future__ import annotations

import numpy as np

from epitaxy.evaluation.learned_arrays import Linear

STRENGTHS = np.logspace(-2, 5, 15)
"""Penalties that are tried; the leave-one-out error of the training rows chooses."""


def ridge(features: np.ndarray, labels: np.ndarray, seed: int) -> Linear:
    """Fit a ridge regression; nothing in it is random."""
    from sklearn.linear_model import RidgeCV

    del seed
    found = RidgeCV(STRENGTHS).fit(features, labels)
    return Linear(np.asarray(found.coef_, np.float64), float(found.intercept_))
