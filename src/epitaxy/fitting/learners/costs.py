"""Expected times of the shallow learners, by fixed formulas."""

from __future__ import annotations

import math

_BASE = {
    "constant": 0.002,
    "ridge": 0.01,
    "kernel": 0.01,
    "extra-trees": 0.15,
    "mlp": 0.05,
    "boosting": 0.3,
}


def seconds(learner: str, rows: int, width: int) -> float:
    """Return the seconds that a training takes on one core of the machine of the measurements.

    Fixed formulas instead of a clock: what is tried must not depend on how busy a machine is.
    Measured with `python benchmarks/fit_costs.py`, see docs/fit.md.

    >>> round(seconds("extra-trees", 1000, 300), 1)
    3.7
    """
    name = learner.removesuffix("-l1").removesuffix("-wide")
    growing = {
        "constant": 0.0,
        "ridge": 5e-10 * rows * width**2,
        "kernel": 3.5e-10 * rows**2 * (width + 150),
        "extra-trees": 1.2e-6 * rows * width * math.log2(max(rows, 2)),
        "mlp": 1.7e-3 * rows + 4.7e-6 * rows * width,
        "boosting": 5e-3 * width + 5e-7 * rows * width,
    }
    return _BASE[name] + growing[name]
