"""A problem of `fit` in memory."""

import numpy as np

from epitaxy.fitting.folds import group_folds
from epitaxy.fitting.problem import Problem
from salts import in_memory

FEW = {"budget": "30s", "threads": 1, "repeats": 1, "calibration": 1.0}
"""What keeps a fit quick, and the same on every machine."""


def problem_of(labels=None, *, seed=0):
    """Return the crystals of `salts` with two features, one of which explains the labels."""
    table = in_memory()
    n, gaps = len(table), table.values["gap"]
    random = np.random.default_rng(seed)
    if labels is not None:
        spec = table.properties["gap"]
        table = table.with_property(spec, labels)
    blocks = {
        "composition": np.stack([gaps, random.normal(size=n)], axis=1),
        "other": random.normal(size=(n, 3)),
    }
    return Problem(
        table,
        group_folds(table.formulas, seed),
        blocks,
        {"other": "zoo:cgcnn-band-gap"},
        seed,
        {"other": 1e-3, "cgcnn": 1e-3},
        groups=table.formulas,
    )
