"""`constant`: the median of the training labels, the best constant for absolute errors."""

from __future__ import annotations

import numpy as np

from epitaxy.evaluation.learned_arrays import Constant


def constant(features: np.ndarray, labels: np.ndarray, seed: int) -> Constant:
    """Take the median."""
    del features, seed
    return Constant(float(np.median(labels)))
