"""`boosting`: gradient boosting on histograms of the features."""

from __future__ import annotations

from typing import Any

import numpy as np

from epitaxy.evaluation.learned_arrays import Trees, joined_trees

STEPS = 300
RATE = 0.05
LEAVES = 15
SHARE = 0.3
"""Part of the features that is looked at for each split."""
EQUAL = 1e-9
"""Difference from scikit-learn, in standard deviations of the labels, that rounding may make."""


def boosting(features: np.ndarray, labels: np.ndarray, seed: int) -> Trees:
    """Fit with squared errors."""
    return _boosting(features, labels, seed, "squared_error")


def absolute_boosting(features: np.ndarray, labels: np.ndarray, seed: int) -> Trees:
    """Fit with absolute errors, which a few extreme labels do not lead astray."""
    return _boosting(features, labels, seed, "absolute_error")


def _boosting(features: np.ndarray, labels: np.ndarray, seed: int, loss: str) -> Trees:
    from sklearn.ensemble import HistGradientBoostingRegressor

    found = HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=RATE,
        max_iter=STEPS,
        max_leaf_nodes=LEAVES,
        min_samples_leaf=max(2, min(10, len(labels) // 20)),
        max_features=SHARE,
        early_stopping=False,
        random_state=seed % 2**32,
    ).fit(features, labels)
    made = joined_trees(
        [_tree(predictors[0].nodes) for predictors in found._predictors],  # noqa: SLF001
        factor=1.0,
        intercept=float(np.ravel(found._baseline_prediction)[0]),  # noqa: SLF001
        single=False,
    )
    # scikit-learn has no public way to these trees, so another version must not change them.
    assert np.abs(made(features) - found.predict(features)).max() < EQUAL
    return made


def _tree(nodes: Any) -> dict[str, np.ndarray]:
    leaf = nodes["is_leaf"].astype(bool)
    return {
        "feature": nodes["feature_idx"].astype(np.int64),
        "threshold": nodes["num_threshold"].astype(np.float64),
        "left": np.where(leaf, -1, nodes["left"].astype(np.int64)),
        "right": np.where(leaf, -1, nodes["right"].astype(np.int64)),
        "value": nodes["value"].astype(np.float64),
    }
