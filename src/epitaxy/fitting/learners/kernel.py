"""`kernel` and `kernel-wide`: support vector regression with a Gaussian kernel."""

from __future__ import annotations

import numpy as np

from epitaxy.evaluation.learned_arrays import Kernel

PENALTY, WIDE_PENALTY = 3.0, 30.0
TUBE = 0.01
"""Errors below this, in standard deviations of the labels, cost nothing."""
WIDTH, WIDE = 1.0, 3.0
"""Of the kernels, over that of scikit-learn's ``gamma="scale"``."""


def kernel(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int,
    *,
    penalty: float = PENALTY,
    tube: float = TUBE,
    width: float = WIDTH,
) -> Kernel:
    """Fit with a kernel that widens with the number of features; nothing in it is random.

    Args:
        features: (n, F) standardised.
        labels: (n,) on the learning scale.
        seed: not used.
        penalty: of errors.
        tube: errors below this cost nothing.
        width: of the kernel, over the usual one.
    """
    from sklearn.svm import SVR

    del seed
    gamma = 1.0 / max(features.shape[1] * float(features.var()) * width**2, 1e-12)
    found = SVR(C=penalty, epsilon=tube, gamma=gamma).fit(features, labels)
    return Kernel(
        vectors=features[found.support_],
        weights=np.asarray(found.dual_coef_[0], np.float64),
        gamma=gamma,
        intercept=float(found.intercept_[0]),
    )


def wide_kernel(features: np.ndarray, labels: np.ndarray, seed: int) -> Kernel:
    """Fit with a wider kernel, for properties that are nearly a simple function of a few."""
    return kernel(features, labels, seed, penalty=WIDE_PENALTY, width=WIDE)
