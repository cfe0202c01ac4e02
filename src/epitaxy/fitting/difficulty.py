"""How large the error of a crystal is expected to be, learned from the errors inside."""

from __future__ import annotations

import numpy as np

from epitaxy.batches.scalers import TargetScaler
from epitaxy.core.seeds import child_seed
from epitaxy.evaluation.learned_arrays import Constant
from epitaxy.evaluation.shallow import ShallowModel, stacked, standardised
from epitaxy.fitting.choosing import Blend, mixed
from epitaxy.fitting.learners.extra_trees import extra_trees
from epitaxy.fitting.problem import Problem
from epitaxy.fitting.protocol import OuterFold
from epitaxy.models.fixed_vectors import column_statistics

TREES = 60
LEAF = 8
"""Training rows in a leaf: the size of an error is a mean over about so many of them."""
FLOOR, CEILING = 0.25, 4.0
"""Smallest and largest expected error, in mean errors."""
FEWEST = 40
"""Below this number of inner errors nothing can be learned of them."""


def difficulty_of(problem: Problem, fold: OuterFold, weights: Blend) -> ShallowModel:
    """Learn the absolute errors that the blend handed over made inside an outer fold.

    Nothing of the outer fold's own rows is used, so that its errors over the expected ones may
    calibrate an interval.
    """
    inner, rows = fold.inner, problem.inside((fold.number,))
    common = inner.common(weights)
    predicted = mixed(inner.predictions, weights)[common]
    errors = np.abs(predicted - inner.labels[common])
    blocks = problem.descriptors
    raw = stacked(problem.select(rows[common]), blocks)
    centre, scale = column_statistics(raw)
    mean = max(float(errors.mean()), 1e-12)
    seed = child_seed(problem.seed, f"difficulty/{fold.number}") % 2**31
    learned = (
        extra_trees(standardised(raw, centre, scale), errors, seed, leaf=LEAF, trees=TREES)
        if len(errors) >= FEWEST
        else Constant(mean)
    )
    return ShallowModel(
        blocks, centre, scale, learned, TargetScaler(), (FLOOR * mean, CEILING * mean)
    )
