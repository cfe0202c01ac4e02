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


def boosting(features: np.ndarray, labels: np.ndarray, seed: int, **settings: float) -> Trees:
    """Fit with squared errors; ``settings`` as those of `boosted`."""
    return boosted(features, labels, seed, "squared_error", **settings)


def absolute_boosting(
    features: np.ndarray, labels: np.ndarray, seed: int, **settings: float
) -> Trees:
    """Fit with absolute errors, which a few extreme labels do not lead astray."""
    return boosted(features, labels, seed, "absolute_error", **settings)


def boosted(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int,
    loss: str,
    *,
    rate: float = RATE,
    leaves: float = LEAVES,
    share: float = SHARE,
    shrinkage: float = 0.0,
) -> Trees:
    """Fit trees one after the other, each to what is left.

    Args:
        features: (n, F).
        labels: (n,) on the learning scale.
        seed: of the features that are looked at.
        loss: as scikit-learn calls it.
        rate: part of each tree that counts.
        leaves: of each tree, a whole number.
        share: part of the features that is looked at for each split.
        shrinkage: pull of the leaves towards zero (L2).
    """
    from sklearn.ensemble import HistGradientBoostingRegressor

    found = HistGradientBoostingRegressor(
        loss=loss,
        learning_rate=rate,
        max_iter=STEPS,
        max_leaf_nodes=int(leaves),
        min_samples_leaf=max(2, min(10, len(labels) // 20)),
        max_features=share,
        l2_regularization=shrinkage,
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
