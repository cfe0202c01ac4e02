"""`extra-trees`: extremely randomised trees."""

from __future__ import annotations

import numpy as np

from epitaxy.evaluation.learned_arrays import Trees, joined_trees

TREES = 200
SHARE = 1 / 3
"""Part of the features that is looked at for each split."""
ROWS_PER_LEAF = 5000
"""A leaf holds one row more for so many training rows, which keeps large forests small."""


def extra_trees(
    features: np.ndarray,
    labels: np.ndarray,
    seed: int,
    *,
    leaf: int = 1,
    share: float = SHARE,
    trees: int | None = None,
) -> Trees:
    """Fit a forest.

    ``leaf`` is the smallest number of training rows in a leaf, ``share`` the part of the features
    that is looked at for each split.

    Source: P. Geurts, D. Ernst and L. Wehenkel, Mach. Learn. 63, 3 (2006).
    """
    from sklearn.ensemble import ExtraTreesRegressor

    trees = trees or TREES

    found = ExtraTreesRegressor(
        trees,
        max_features=share,
        min_samples_leaf=leaf + len(labels) // ROWS_PER_LEAF,
        random_state=seed,
        n_jobs=1,
    ).fit(features, labels)
    return joined_trees(
        [_tree(member.tree_) for member in found.estimators_],
        factor=1 / trees,
        intercept=0.0,
        single=True,
    )


def _tree(tree: object) -> dict[str, np.ndarray]:
    names = {"left": "children_left", "right": "children_right"}
    made = {k: np.array(getattr(tree, names.get(k, k))) for k in (*names, "feature", "threshold")}
    return made | {"value": np.array(getattr(tree, "value"))[:, 0, 0]}  # noqa: B009
